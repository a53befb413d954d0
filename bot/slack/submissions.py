"""Does what a submitted form asks for; returns what stands wrong by field, nothing where it is done."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import cast

from bot.model import Verdict
from bot.slack.alert_forms import (
    ANSWER_FORM,
    ASSIGN_FORM,
    ASSIGNEE,
    NOTE,
    NOTE_FORM,
    PLACE,
    REASON,
    RESOLVE_FORM,
    SHARE_FORM,
    VERDICT,
    VERDICTS,
)
from bot.slack.desk import Desk, Gesture
from bot.slack.guard import concerns
from bot.slack.quieting import FORMS, Quieting
from bot.slack.text import clean
from bot.store import alerts, journal
from bot.store.messages import outbox
from bot.store.people import inquiries

NOT_ALLOWED = "Only people who may use this bot can be given an alert."
ABOUT_THEM = "The alert is about this person: choose somebody else."
CHOOSE, WRITE = "Choose one.", "Write something."

Errors = dict[str, str]


class Submissions:
    """The forms, by callback id. Each may raise RefusedError."""

    def __init__(self, desk: Desk, quieting: Quieting) -> None:
        self._desk = desk
        self.forms: Mapping[str, Callable[[Gesture], Errors]] = {
            RESOLVE_FORM: self._resolve, ASSIGN_FORM: self._assign, SHARE_FORM: self._share, NOTE_FORM: self._note,
            ANSWER_FORM: self._answer,
            **dict.fromkeys(FORMS, quieting.submit),
        }  # fmt: skip

    def _resolve(self, sent: Gesture) -> Errors:
        verdict = sent.values.get(VERDICT, "")
        if verdict not in dict(VERDICTS):
            return {VERDICT: CHOOSE}
        desk, view = self._desk, self._desk.decide(sent)
        note = clean(sent.values[NOTE], 500) if NOTE in sent.values else ""
        outcome = alerts.resolve(desk.store, view.alert.id, sent.user, desk.now(), cast(Verdict, verdict), note)
        desk.settle(sent, outcome)
        return {}

    def _assign(self, sent: Gesture) -> Errors:
        to = sent.values.get(ASSIGNEE, "")
        desk, view = self._desk, self._desk.decide(sent)
        verdict = desk.member(to)
        if not verdict.allowed:
            return {ASSIGNEE: NOT_ALLOWED}
        if concerns(view, verdict.person):
            return {ASSIGNEE: ABOUT_THEM}
        desk.settle(sent, alerts.assign(desk.store, view.alert.id, to, sent.user, desk.now()))
        return {}

    def _share(self, sent: Gesture) -> Errors:
        place = sent.values.get(PLACE, "")
        if not place:
            return {PLACE: CHOOSE}
        desk, view = self._desk, self._desk.look(sent)
        with desk.store.write():
            journal.write(desk.store, desk.now(), sent.user, "shared", {"alert": view.alert.id, "channel": place})
            outbox.put_card(desk.store, "share", view.alert.id, desk.now(), channel=place)
        desk.poke()
        return {}

    def _note(self, sent: Gesture) -> Errors:
        """Keep what somebody wants others to know, also of a closed alert."""
        if NOTE not in sent.values:
            return {NOTE: WRITE}
        desk, view = self._desk, self._desk.look(sent)
        note = clean(sent.values[NOTE], 500)
        desk.settle(sent, alerts.note(desk.store, view.alert.id, sent.user, desk.now(), note))
        return {}

    def _answer(self, sent: Gesture) -> Errors:
        """Take the answer of a person who was asked; the store knows whose question it is."""
        number, _, word = sent.value.partition(":")
        desk, reason = self._desk, sent.values.get(REASON, "")
        outcome = inquiries.answer(
            desk.store, int(number) if number.isdecimal() else 0, sent.user, yes=word == "yes", reason=reason,
            now=desk.now(),
        )  # fmt: skip
        desk.settle(sent, outcome)
        return {}
