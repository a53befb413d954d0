"""The modals about an alert: resolve, assign, snooze, expected, share, a note, an answer to "was this you?". Pure."""

from __future__ import annotations

from collections.abc import Mapping

from bot.model import AlertView
from bot.slack import forms
from bot.slack.blocks import Json, Piece, bold, code, faint
from bot.slack.text import clean
from bot.store.people.coverage import Preview
from bot.store.people.exceptions import MAX_REASON
from bot.times import DAY, HOUR

RESOLVE_FORM, ASSIGN_FORM, SNOOZE_FORM, EXPECT_FORM, SHARE_FORM, NOTE_FORM, ANSWER_FORM = (
    "resolve_form", "assign_form", "snooze_form", "expect_form", "share_form", "note_form", "answer_form",
)  # fmt: skip
VERDICT, NOTE, ASSIGNEE, SPAN, SCOPE, RULE, REASON, PLACE = (
    "verdict", "note", "assignee", "span", "scope", "rule", "reason", "place",
)  # fmt: skip
WATCHED = (SPAN, SCOPE, RULE)  # a change of these changes the preview
VERDICTS = (
    ("right", "Right: this had to be looked at"),
    ("wrong", "Wrong: a false alarm"),
    ("expected", "Expected: known, and fine"),
)
SNOOZES = {
    "1h": (HOUR, "1 hour"), "4h": (4 * HOUR, "4 hours"), "12h": (12 * HOUR, "12 hours"), "1d": (DAY, "1 day"),
    "3d": (3 * DAY, "3 days"), "7d": (7 * DAY, "7 days"),
}  # fmt: skip
EXPECTED = {
    "1d": (DAY, "1 day"), "7d": (7 * DAY, "7 days"), "30d": (30 * DAY, "30 days"), "90d": (90 * DAY, "90 days"),
}  # fmt: skip
THIS, WHOLE = "this", "whole"
COUNTING = "Looking what this would have hidden in the last 30 days…"


def resolve_form(view: AlertView) -> Json:
    """Ask for the judgement; rules and forest learn of it."""
    parts = [
        _about(view),
        forms.radio_field(VERDICT, "Was the alert right?", VERDICTS),
        forms.text_field(NOTE, "Note", most=MAX_REASON, lines=True, optional=True),
    ]
    return _form(view, "Resolve", RESOLVE_FORM, "Resolve", parts)


def assign_form(view: AlertView) -> Json:
    """Ask for the person."""
    return _form(view, "Assign", ASSIGN_FORM, "Assign", [_about(view), forms.person_field(ASSIGNEE, "To whom?")])


def share_form(view: AlertView) -> Json:
    """Ask for the channel."""
    parts = [_about(view), forms.channel_field(PLACE, "Where to? The bot has to be a member there.")]
    return _form(view, "Share", SHARE_FORM, "Share", parts)


def note_form(view: AlertView) -> Json:
    """Ask for what the thread and the journal are to keep."""
    parts = [_about(view), forms.text_field(NOTE, "What should others know?", most=MAX_REASON, lines=True)]
    return _form(view, "Note", NOTE_FORM, "Add it", parts)


def snooze_form(view: AlertView, preview: list[Piece] | None = None) -> Json:
    """Ask for how long an entity is to be quiet."""
    parts = [
        _about(view),
        forms.menu_field(SPAN, "For how long?", _named(SNOOZES), "4h", watch=True),
        forms.text_field(REASON, "Why?", most=MAX_REASON),
        _preview(preview),
    ]
    return _form(view, "Snooze", SNOOZE_FORM, "Snooze", parts)


def expect_form(view: AlertView, preview: list[Piece] | None = None) -> Json:
    """Ask what is expected: what this entity does, or whatever a rule finds; and until when."""
    rules = list(dict.fromkeys((found.rule_id, found.title) for found in view.findings))
    parts = [
        _about(view),
        forms.menu_field(RULE, "Which finding?", rules, rules[0][0], watch=True),
        forms.radio_field(
            SCOPE, "Of whom?", [(THIS, f"Only of {view.alert.entity}"), (WHOLE, "Of everybody: the whole rule")], THIS,
            watch=True,
        ),
        forms.menu_field(SPAN, "For how long?", _named(EXPECTED), "7d", watch=True),
        forms.text_field(REASON, "Why is this expected?", most=MAX_REASON),
        _preview(preview),
    ]  # fmt: skip
    return _form(view, "Expected", EXPECT_FORM, "Expect it", parts)


def answer_form(view: AlertView, inquiry: int, *, yes: bool) -> Json:
    """Ask the person who was asked for a word about it."""
    label = "What were you doing?" if yes else "What should the security team know?"
    parts = [
        forms.words("said", "Your answer: ", bold("yes, that was me." if yes else "no, that was not me.")),
        forms.text_field(REASON, label, most=MAX_REASON, lines=True, optional=not yes),
    ]
    private = f"{inquiry}:{'yes' if yes else 'no'}"
    return forms.modal("Was this you?", parts, callback=ANSWER_FORM, private=private, submit="Send")


def say_preview(found: Preview, why: str) -> list[Piece]:
    """Return what an exception would have hidden, and whether a second person is needed."""
    if found.findings:
        pieces: list[Piece] = [
            "In the last 30 days this would have hidden ", bold(_many(found.findings, "finding")),
            f" with {_many(found.events, 'event')}, and ",
            bold(f"{found.alerts or 'no'} whole {'alert' if found.alerts == 1 else 'alerts'}"),
            _posted(found),
        ]  # fmt: skip
    else:
        pieces = ["In the last 30 days this would have hidden ", bold("nothing"), "."]
    return [*pieces, f"\nA second person has to approve it: {why}."] if why else pieces


def _posted(found: Preview) -> str:
    if found.alerts == 1:
        return ", which was posted." if found.posted else ", which was not posted."
    return f", {found.posted:,} of them posted." if found.alerts else "."


def span_of(values: Mapping[str, str], spans: Mapping[str, tuple[int, str]], default: str) -> int:
    """Return the chosen span in microseconds."""
    return spans.get(values.get(SPAN, default), spans[default])[0]


def _form(view: AlertView, title: str, callback: str, submit: str, parts: list[Json]) -> Json:
    return forms.modal(title, parts, callback=callback, private=str(view.alert.id), submit=submit)


def _about(view: AlertView) -> Json:
    alert = view.alert
    titles = ", ".join(dict.fromkeys(clean(found.title, 80) for found in view.findings[:3]))
    who = code(clean(str(alert.entity)))
    about: list[Piece] = [bold(alert.name), f", {alert.level.name}, ", who, "\n", faint(titles or "–")]
    return forms.words("about", *about)


def _preview(preview: list[Piece] | None) -> Json:
    return forms.words("preview", *(preview or [faint(COUNTING)]))


def _named(spans: Mapping[str, tuple[int, str]]) -> list[forms.Choice]:
    return [(value, text) for value, (_, text) in spans.items()]


def _many(count: int, noun: str) -> str:
    return f"{count:,} {noun if count == 1 else noun + 's'}"
