"""Where people meet the bot without asking anything: its Home tab, and the channels that it is invited to."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from datetime import tzinfo
from typing import Any

from bot.errors import DeliveryError
from bot.model import AlertState
from bot.slack.asking import zone_of
from bot.slack.guard import Asker, Guard, Person
from bot.slack.home import Home, closed_view, home_view, waiting
from bot.slack.surfaces import Surfaces
from bot.slack.welcome import welcome_message
from bot.store import alerts, status
from bot.store.people import exceptions
from bot.store.schema import Store
from bot.times import iso

log = logging.getLogger(__name__)
HOME_OPENED, JOINED = "app_home_opened", "member_joined_channel"
STATES: tuple[AlertState, ...] = ("open", "acknowledged")
LISTED = 500  # alerts of each state that the Home tab sorts


class Doors:
    """Hears the events. `channel` is where alerts go, `zone` that of readers whose profile names none."""

    def __init__(
        self, store: Store, surfaces: Surfaces, guard: Guard, now: Callable[[], int], zone: tzinfo, channel: str | None
    ) -> None:
        self._store, self._surfaces, self._guard, self._now = store, surfaces, guard, now
        self._zone, self._channel = zone, channel
        self._greeting = threading.Lock()
        self.events: dict[str, Callable[[dict[str, Any]], None]] = {HOME_OPENED: self._opened, JOINED: self._joined}

    def refresh(self, user: str, person: Person | None) -> None:
        """Draw somebody's Home tab anew; they may use the bot. Raises DeliveryError."""
        now, zone = self._now(), zone_of(person) or self._zone
        listed = [one for state in STATES for one in alerts.listing(self._store, state=state, limit=LISTED)]
        quiet = [one for one in exceptions.listing(self._store, now) if one.author == user]
        quiet.sort(key=lambda one: (one.expires, one.id))
        shown = Home(user, status.status(self._store, now), waiting(listed, user), quiet, self._surfaces.site())
        self._surfaces.publish(user, home_view(shown, now, zone))

    def _opened(self, body: dict[str, Any]) -> None:
        event = body["event"]
        if event.get("tab", "home") != "home":
            return
        user = str(event.get("user") or "")
        verdict = self._guard.verdict(Asker(user, frozenset({str(body.get("team_id") or "")}), "other", HOME_OPENED))
        if verdict.allowed:
            self.refresh(user, verdict.person)
        else:
            self._surfaces.publish(user, closed_view(verdict.text))

    def _joined(self, body: dict[str, Any]) -> None:
        """Say hello in a channel that the bot was just invited to, once in its life."""
        event, channel = body["event"], str(body["event"].get("channel") or "")
        if event.get("user") != self._surfaces.own_id():
            return
        key = f"welcomed_{channel}"
        with self._greeting:
            if self._store.meta(key) is not None:
                return
            self._store.set_meta(key, iso(self._now()))
        try:
            self._surfaces.post(channel, welcome_message(channel, self._channel))
        except DeliveryError:
            self._store.set_meta(key, None)  # nobody saw it: the next invitation is the first
            raise
