"""Was this you? What the person who was asked may do: say yes or no, once."""

from __future__ import annotations

from bot.slack.alert_forms import answer_form
from bot.slack.cards_message import NO, YES
from bot.slack.desk import GONE, Buttons, Desk, Gesture
from bot.store import alerts
from bot.store.people import inquiries
from bot.store.people.inquiries import NOT_YOURS

ANSWERED = "You have answered that already."


class Answering:
    """The buttons of the question. Whoever was asked need not be allowed to use the bot."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self.buttons: Buttons = {YES: self._answer, NO: self._answer}

    def _answer(self, click: Gesture) -> None:
        """Open the form for a word about it; the answer counts when that is sent."""
        desk = self._desk
        one = inquiries.get(desk.store, int(click.value)) if click.value.isdecimal() else None
        if one is None or one.person != click.user:
            raise desk.refusal(click, NOT_YOURS)
        if one.answered is not None:
            raise desk.refusal(click, ANSWERED)
        view = alerts.view(desk.store, one.alert, desk.now())
        if view is None:
            raise desk.refusal(click, GONE)
        desk.open(click, answer_form(view, one.id, yes=click.what == YES))
