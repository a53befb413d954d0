"""Draws a notice that stands for many alerts: how many, how bad, the worst of them, what to do."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, tzinfo

from bot.model import Alert
from bot.slack import blocks
from bot.slack.alert_message import COLORS, OVER_COLOR, level_word, say_span, say_time
from bot.slack.blocks import Block, Message, Piece, bold, faint
from bot.slack.listings import alerts_answer
from bot.slack.text import clean
from bot.store.messages.notices import NoticeView

NOTICE_TYPE = "audit_bot_notice"  # of the message's metadata, by which it is found again after a crash
LIST, OPEN = "notice_list", "notice_open"
SHOWN_RULES = 5
LISTED = 90  # alerts that one answer takes
OPENED = 20  # buttons to open one
REPEAT = "Possible repeat: Slack did not say whether it took this message the first time."


def notice_message(view: NoticeView, zone: tzinfo = UTC, *, repeat: bool = False) -> Message:
    """Return the notice as it stands; `repeat` says on it that it may be there twice."""
    spoken = sentence(view, zone)
    details = list(_details(view, zone))
    if repeat:
        details.append(blocks.small(REPEAT))
    details.append(blocks.buttons(("List them", LIST, str(view.notice.id), "primary")))
    open_ = bool(view.states.get("open") or view.states.get("acknowledged"))
    return blocks.message(
        spoken,
        [blocks.paragraph(bold(spoken))],
        details=details,
        color=COLORS[view.notice.level] if open_ else OVER_COLOR,
        plain="\n".join([spoken, *("".join(map(blocks.bare, line)) for line in _lines(view, zone))]),
        metadata={"event_type": NOTICE_TYPE, "event_payload": {"notice_id": view.notice.id}},
    )


def list_answer(view: NoticeView, listed: list[Alert], zone: tzinfo) -> Message:
    """Return the alerts in a notice as `/audit alerts` shows them, with a button to open each of the worst."""
    return alerts_answer(
        listed,
        zone,
        order=f" of {view.total:,}, the most urgent first",
        tail=[blocks.buttons(*((one.name, f"{OPEN}_{one.id}", str(one.id), None) for one in listed[:OPENED]))],
    )


def sentence(view: NoticeView, zone: tzinfo) -> str:
    """Return the one sentence that could be read aloud."""
    notice = view.notice
    worst = f", the worst {notice.level.name}"
    count = _many(view.total)
    if notice.kind == "held":
        return f"{count} of the quiet hours{worst}, held until {say_time(notice.due, zone)[11:]}."
    if notice.kind == "rate":
        title = clean(view.rule.title if view.rule else notice.rule, 80)
        return f"Noisy rule: {title} made {count} beyond its limit{worst}."
    return f"Storm: {count} beyond the limit{worst}."


def _details(view: NoticeView, zone: tzinfo) -> Iterator[Block]:
    for line in _lines(view, zone):
        yield blocks.paragraph(*(piece for piece in line if piece != ""))


def _lines(view: NoticeView, zone: tzinfo) -> Iterator[list[Piece]]:
    """Return what the notice says, a paragraph each."""
    yield [bold("Levels"), "  ", ", ".join(f"{count:,} {level.name}" for level, count in view.levels.items())]
    rules = [f"{clean(title, 80)} ({count:,})" for title, count in view.rules[:SHOWN_RULES]]
    more = len(view.rules) - len(rules)
    yield [bold("Rules"), "  ", ", ".join(rules), f" and {more} more" if more > 0 else ""]
    yield [bold("The worst"), *(piece for one, title in view.worst for piece in _worst(one, title))]
    yield [bold("State"), "  ", _states(view), *_own(view)]
    yield [faint(_advice(view, zone))]
    if view.notice.closed is not None and view.notice.kind != "held":
        yield [bold(_over(view, zone))]


def _worst(one: Alert, title: str) -> list[Piece]:
    return ["\n", f"{one.name} {level_word(one.level)}: ", bold(clean(str(one.entity), 60)), f", {clean(title, 80)}"]


def _states(view: NoticeView) -> str:
    known = ("open", "acknowledged", "resolved")
    other = {state: count for state, count in view.states.items() if state not in known}
    return ", ".join(f"{count:,} {state}" for state in (*known, *other) if (count := view.states.get(state)))


def _own(view: NoticeView) -> list[Piece]:
    return [f"; {view.own:,} of them got worse since and went out alone"] if view.own else []


def _advice(view: NoticeView, zone: tzinfo) -> str:
    notice = view.notice
    if notice.kind == "storm":
        since = say_span(notice.opened, notice.last, zone)
        return f"Rolled up {since}. Alerts of a worse level still get messages of their own; nothing is dropped."
    if notice.kind == "held":
        return "They waited because routing.yml has quiet hours for their levels."
    place = f" {clean(view.rule.file, 80)}:{view.rule.line}" if view.rule and view.rule.file else " the rule"
    return f"Edit{place}, or let it only count for a while with status: experimental. Nothing is dropped."


def _over(view: NoticeView, zone: tzinfo) -> str:
    what = "The storm is over" if view.notice.kind == "storm" else "This notice is closed"
    return f"{what}: {_many(view.total)}, {say_span(view.notice.opened, view.notice.last, zone)}."


def _many(count: int) -> str:
    return f"{count:,} {'alert' if count == 1 else 'alerts'}"
