"""Does what a button of an alert asks for, after looking again whether it still may be done."""

from __future__ import annotations

import re
import threading
from collections import OrderedDict
from collections.abc import Callable
from datetime import tzinfo

from bot.slack.alert_message import ACKNOWLEDGE, RESOLVE, alert_message
from bot.slack.answers import sorry_answer
from bot.slack.blocks import Message
from bot.slack.guard import OWN_ALERT, Person, concerns
from bot.slack.notice_message import LISTED, list_answer
from bot.store import alerts, journal, notices
from bot.store.schema import Store
from bot.times import MINUTE

DECISIONS = {ACKNOWLEDGE: alerts.acknowledge, RESOLVE: alerts.resolve}
GONE = "There is no such alert any more."
REMEMBERED = 1_000
_ID = re.compile(r"\d{1,18}$", re.ASCII)


class Seen:
    """Remembers for a while what was already handled: Slack delivers clicks and commands twice at times."""

    def __init__(self, now: Callable[[], int], keep: int = 10 * MINUTE) -> None:
        self._now, self._keep = now, keep
        self._times: OrderedDict[str, int] = OrderedDict()
        self._lock = threading.Lock()

    def again(self, key: str) -> bool:
        """Tell whether this key was already asked about, and remember it; an empty key never was."""
        now = self._now()
        with self._lock:
            while self._times and (len(self._times) > REMEMBERED or self._oldest() < now - self._keep):
                self._times.popitem(last=False)
            known = key in self._times
            self._times[key] = self._times.get(key, now)
        return bool(key) and known

    def _oldest(self) -> int:
        return next(iter(self._times.values()))


class Actions:
    """The buttons of alert messages. `poke` makes the outbox send the redrawn message at once."""

    def __init__(self, store: Store, now: Callable[[], int], poke: Callable[[], None]) -> None:
        self._store, self._now, self._poke = store, now, poke

    def decide(self, action: str, value: str, user_id: str, person: Person | None) -> str:
        """Acknowledge or resolve a button's alert; return what to tell the clicker, "" where the message shows it."""
        now = self._now()
        view = alerts.view(self._store, int(value), now) if _ID.match(value) else None
        if view is None:
            return self._refuse(user_id, action, value, GONE)
        if concerns(view, person):
            return self._refuse(user_id, action, value, OWN_ALERT)
        outcome = DECISIONS[action](self._store, view.alert.id, user_id, now)
        if not outcome.done:
            return self._refuse(user_id, action, value, outcome.reason)
        self._poke()
        return "" if view.alert.ts else outcome.reason  # rolled up, it has no message that would show it

    def list_notice(self, value: str, user_id: str, zone: tzinfo) -> Message:
        """Return the alerts that a notice stands for, to be shown to whoever asks."""
        number = int(value) if _ID.match(value) else 0
        view = notices.view(self._store, number)
        journal.write(self._store, self._now(), user_id, "listed", {"notice": value[:20], "found": view is not None})
        return list_answer(view, notices.members(self._store, number, LISTED), zone) if view else sorry_answer(GONE)

    def open_alert(self, value: str, user_id: str, zone: tzinfo) -> Message:
        """Return one alert with its buttons, to be shown to whoever asks: it may have no message of its own."""
        view = alerts.view(self._store, int(value), self._now()) if _ID.match(value) else None
        journal.write(self._store, self._now(), user_id, "opened", {"alert": value[:20], "found": view is not None})
        return alert_message(view, zone) if view else sorry_answer(GONE)

    def _refuse(self, user_id: str, action: str, value: str, reason: str) -> str:
        detail = {"action": action, "alert": value[:20], "outcome": reason}
        journal.write(self._store, self._now(), user_id, "click", detail)
        return reason
