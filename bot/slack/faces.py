"""Who is behind an actor's e-mail address, as far as Slack tells at once: a message never waits long for it."""

from __future__ import annotations

from collections.abc import Callable

from bot.errors import DeliveryError
from bot.model import AlertView
from bot.slack.alert_message import Face
from bot.slack.guard import Directory
from bot.times import MINUTE

PAUSE = 5 * MINUTE  # after a failure nobody is looked up for so long: an alert costs one short wait at most


class Faces:
    """Looks people up by address; the directory remembers them."""

    def __init__(self, directory: Directory, now: Callable[[], int]) -> None:
        self._directory, self._now = directory, now
        self._quiet_until = 0

    def of(self, view: AlertView) -> Face | None:
        """Return the face behind an alert's actor, None where there is none or Slack does not say so now."""
        name = view.alert.entity.name
        if view.alert.entity.kind != "actor" or "@" not in name.strip("@") or self._now() < self._quiet_until:
            return None
        try:
            person = self._directory.by_email(name)
        except DeliveryError:
            self._quiet_until = self._now() + PAUSE
            return None
        return Face(person.name, person.picture) if person is not None and person.name else None
