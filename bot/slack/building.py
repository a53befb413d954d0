"""Opens the form that builds a query, keeps its text up to date, and has the answer sent."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from bot.query import parse_command
from bot.query.build import write
from bot.slack.answers import BUILD
from bot.slack.asking import Asking, Work, zone_of
from bot.slack.commands import MAX_EVENTS
from bot.slack.desk import Gesture
from bot.slack.forms import entered
from bot.slack.guard import Person
from bot.slack.query_form import QUERY_FORM, WATCHED, chosen_in, mistakes, query_form
from bot.slack.replies import Direct, InChannel, Reply
from bot.slack.sender import SlackSender
from bot.slack.surfaces import Surfaces

_PLACE = re.compile(r"[CGD][A-Z0-9]{2,20}", re.ASCII)
Body = dict[str, Any]


class Building:
    """The form. `later` does work after the form was acknowledged."""

    def __init__(
        self, asking: Asking, sender: SlackSender, surfaces: Surfaces, now: Callable[[], int],
        later: Callable[..., object],
    ) -> None:  # fmt: skip
        self._asking, self._sender, self._surfaces, self._now, self._later = asking, sender, surfaces, now, later
        self.buttons: dict[str, Work] = {BUILD: self.open, **dict.fromkeys(WATCHED, self._changed)}
        self.forms: dict[str, Callable[[Gesture], dict[str, str]]] = {QUERY_FORM: self._submit}

    def open(self, body: Body, _: Person | None) -> None:
        """Open the form before whoever pressed the button or chose the shortcut."""
        place = str((body.get("channel") or {}).get("id") or "")
        self._sender.open_view(str(body["trigger_id"]), query_form({}, place if _PLACE.fullmatch(place) else ""))

    def _changed(self, body: Body, _: Person | None) -> None:
        view = body["view"]
        shown = query_form(chosen_in(entered(view)), str(view.get("private_metadata") or ""))
        self._sender.update_view(str(view["id"]), shown)

    def _submit(self, sent: Gesture) -> dict[str, str]:
        """Have the answer sent; return what is wrong by field."""
        zone = zone_of(sent.person) or self._asking.zone
        chosen = chosen_in(sent.values)
        wrong = mistakes(chosen, lambda line: parse_command(line, self._now(), zone, MAX_EVENTS))
        if not wrong:
            self._later(self._asking.answer, self._reply(sent), sent.user, write(chosen), sent.person)
        return wrong

    def _reply(self, sent: Gesture) -> Reply:
        private = Direct(self._sender.say_directly, sent.user)
        if not _PLACE.fullmatch(sent.value):
            return private
        return InChannel(self._surfaces, sent.value, sent.user, private)
