"""Snooze and Expected: the forms with their preview, and the exceptions that they make or propose."""

from __future__ import annotations

from bot.errors import ConfigError, QueryError
from bot.model import AlertView, ExceptionKind, Level
from bot.slack import alert_forms
from bot.slack.actions import NOBODY, NOTHING_HELD, refuse_closed
from bot.slack.alert_forms import (
    EXPECT_FORM,
    EXPECTED,
    REASON,
    RULE,
    SCOPE,
    SNOOZE_FORM,
    SNOOZES,
    WATCHED,
    WHOLE,
    say_preview,
    span_of,
)
from bot.slack.alert_message import EXPECT, SNOOZE
from bot.slack.blocks import Json, Piece
from bot.slack.cards_message import APPROVE, END, WITHDRAW
from bot.slack.desk import Buttons, Desk, Gesture
from bot.slack.guard import OWN_ALERT
from bot.store.people import coverage, exceptions, proposals
from bot.store.people.exceptions import TimedException
from bot.store.people.proposals import EVERYTHING, why_second

OWN_FINDINGS = "This would hide findings about you, so somebody else has to ask for it."
NOT_THE_LOG = "What the log itself does is never expected."


class Quieting:
    """The buttons and forms that make things quiet. Nobody makes quiet what is about themselves."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self.buttons: Buttons = {
            SNOOZE: self._open, EXPECT: self._open, APPROVE: self._approve, WITHDRAW: self._withdraw,
            END: self._end, **dict.fromkeys(WATCHED, self._changed),
        }  # fmt: skip

    def _open(self, click: Gesture) -> None:
        """Open the form at once, then count what it would hide."""
        desk, view = self._desk, self._desk.decide(click)
        refuse_closed(desk, click, view)
        kind: ExceptionKind = "snooze" if click.what == SNOOZE else "expected"
        self._refuse_impossible(click, view, kind)
        opened = desk.open(click, _form(view, kind))
        desk.windows.update_view(opened, _form(view, kind, self._preview(view, kind, click)))

    def _changed(self, change: Gesture) -> None:
        """Count anew for what is chosen now."""
        kind: ExceptionKind = "snooze" if change.view.get("callback_id") == SNOOZE_FORM else "expected"
        view = self._desk.decide(change)
        preview = self._preview(view, kind, change)
        self._desk.windows.update_view(str(change.view.get("id")), _form(view, kind, preview))

    def submit(self, sent: Gesture) -> dict[str, str]:
        """Make the exception, or propose it; return what is wrong by field. Raises RefusedError."""
        desk, view = self._desk, self._desk.decide(sent)
        kind: ExceptionKind = "snooze" if sent.what == SNOOZE_FORM else "expected"
        self._refuse_impossible(sent, view, kind)
        one = self._asked_for(view, kind, sent)
        try:
            exceptions.checked(desk.store, one)
            hidden = coverage.would_hide(desk.store, one, desk.facts, desk.now())
            if desk.names(sent.person, hidden):
                raise desk.refusal(sent, OWN_FINDINGS)
            seen = coverage.summed_up(desk.store, hidden)
            proposals.propose(desk.store, one, seen, self._why(one, view), desk.now())
        except (ConfigError, QueryError) as error:
            return {REASON: str(error)}
        desk.poke()
        return {}

    def _approve(self, click: Gesture) -> None:
        """Let a proposal come into force: by a second person, whom it is not about."""
        desk = self._desk
        one = proposals.get(desk.store, int(click.value)) if click.value.isdecimal() else None
        if one is not None:
            view = desk.decide(Gesture(click.what, str(one.alert), click.user, click.person))
            hidden = coverage.would_hide(desk.store, one.as_exception(), desk.facts, desk.now())
            if desk.names(click.person, (*hidden, *view.findings)):
                raise desk.refusal(click, OWN_ALERT)
        desk.settle(click, proposals.approve(desk.store, one.id if one else 0, click.user, desk.now()))

    def _withdraw(self, click: Gesture) -> None:
        number = int(click.value) if click.value.isdecimal() else 0
        self._desk.settle(click, proposals.withdraw(self._desk.store, number, click.user, self._desk.now()))

    def _end(self, click: Gesture) -> None:
        """End an exception: who wants to see more may always do that."""
        try:
            number = int(click.value) if click.value.isdecimal() else 0
            exceptions.remove(self._desk.store, number, click.user, self._desk.now())
        except ConfigError as error:
            raise self._desk.refusal(click, str(error)) from error
        self._desk.poke()

    def _refuse_impossible(self, gesture: Gesture, view: AlertView, kind: ExceptionKind) -> None:
        entity = view.alert.entity.kind
        if entity == "workspace":
            raise self._desk.refusal(gesture, NOT_THE_LOG)
        if kind == "snooze" and entity == "unknown":
            raise self._desk.refusal(gesture, NOBODY)
        if kind == "expected" and not view.findings:
            raise self._desk.refusal(gesture, NOTHING_HELD)

    def _preview(self, view: AlertView, kind: ExceptionKind, gesture: Gesture) -> list[Piece]:
        one = self._asked_for(view, kind, gesture)
        seen = coverage.preview(self._desk.store, one, self._desk.facts, self._desk.now())
        return say_preview(seen, self._why(one, view))

    def _why(self, one: TimedException, view: AlertView) -> str:
        return why_second(one, view.alert.level) if self._desk.two_person else ""

    def _asked_for(self, view: AlertView, kind: ExceptionKind, gesture: Gesture) -> TimedException:
        """Return the exception that a form asks for as it is filled in; it hides nothing worse than what is there."""
        now, values = self._desk.now(), gesture.values
        condition, rule = exceptions.condition_of(view.alert.entity) or EVERYTHING, None
        span = span_of(values, SNOOZES, "4h")
        level = view.alert.level
        if kind == "expected":
            rule = values.get(RULE) or view.findings[0].rule_id
            condition = EVERYTHING if values.get(SCOPE) == WHOLE else condition
            span = span_of(values, EXPECTED, "7d")
            level = max((one.level for one in view.findings if one.rule_id == rule), default=Level.low)
        return TimedException(
            0, rule, condition, values.get(REASON, ""), gesture.user, now, now + span,
            kind=kind, up_to=level, alert=view.alert.id,
        )  # fmt: skip


def _form(view: AlertView, kind: ExceptionKind, preview: list[Piece] | None = None) -> Json:
    return alert_forms.snooze_form(view, preview) if kind == "snooze" else alert_forms.expect_form(view, preview)


FORMS = (SNOOZE_FORM, EXPECT_FORM)
