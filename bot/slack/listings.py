"""Draws what there is: alerts, rules, exceptions, the bot's own state."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import tzinfo

from bot.model import Alert, Rule
from bot.slack import blocks
from bot.slack.alert_message import level_word, say_span, say_time
from bot.slack.answers import ROOM, ROWS_SHOWN, brief, fit, lines_of, many
from bot.slack.blocks import Block, Cell, Message, bold
from bot.slack.text import clean
from bot.store.people.exceptions import TimedException
from bot.store.status import Status
from bot.times import say_duration

EXCEPTIONS_SHOWN, OPTION_LENGTH = 40, 45
REVOKE = "exception_revoke"


def rules_answer(rules: Sequence[Rule]) -> Message:
    """Return the rules in force, the worst level first."""
    if not rules:
        return brief("No rules.", "None fits, or none were loaded yet; see /audit status.")
    ordered = rules[:ROWS_SHOWN]
    head = ("Level", "Rule", "Status", "File")
    cells = [
        (
            level_word(rule.level),
            clean(rule.title),
            rule.status,
            clean(f"{rule.file}:{rule.line}") if rule.file else "–",
        )
        for rule in ordered
    ]
    rows = fit(head, cells)
    words = many(len(rules), "rule") + (f", the first {len(ordered)}" if len(ordered) < len(rules) else "")
    return blocks.message(words, [blocks.paragraph(bold(words)), blocks.table(head, rows)], plain=lines_of(words, rows))


def alerts_answer(
    alerts: Sequence[Alert], zone: tzinfo, order: str = ", newest first", tail: Iterable[Block] = ()
) -> Message:
    """Return alerts as a table; `order` says what comes first, `tail` stands under it."""
    if not alerts:
        return brief("No alerts.", "Nothing was posted that fits.")
    head = ("Alert", "Level", "About", "State", "When", "Events")
    cells = [
        (
            alert.name,
            level_word(alert.level),
            clean(str(alert.entity)),
            _state(alert),
            _when(alert, zone),
            f"{alert.events:,}",
        )
        for alert in alerts
    ]
    rows = fit(head, cells)
    words = f"{many(len(alerts), 'alert')}{order}"
    table = blocks.table(head, rows, right=(5,))
    return blocks.message(words, [blocks.paragraph(bold(words)), table, *tail], plain=lines_of(words, rows))


def exceptions_answer(
    listed: Sequence[TimedException],
    titles: Mapping[str, str],
    zone: tzinfo,
    revoked: TimedException | None = None,
) -> Message:
    """Return exceptions in their order, with a menu to end one; `titles` are those of the rules by id."""
    ended = f"Exception {revoked.id} has ended. " if revoked else ""
    if not listed:
        return brief(f"{ended}No exceptions.", "Every finding counts, unless somebody says that it is expected.")
    ordered = listed[:EXCEPTIONS_SHOWN]
    head = ("No.", "Kind", "What", "Rule", "Why", "By", "Until", "Hidden")
    cells = [
        (
            str(one.id),
            one.kind,
            clean(one.condition),
            "all" if one.rule is None else clean(titles.get(one.rule, one.rule)),
            clean(one.reason),
            (blocks.person(clean(one.author, 30)),),
            say_time(one.expires, zone),
            many(one.findings, "finding"),
        )
        for one in ordered
    ]
    rows = fit(head, cells, ROOM - EXCEPTIONS_SHOWN * OPTION_LENGTH)
    words = f"{ended}{many(len(listed), 'exception')} in force, the first to end on top"
    # no word of a stranger in the menu: Slack would read emoji codes in it
    options = [(f"No. {one.id}, until {say_time(one.expires, zone)}", str(one.id)) for one in ordered]
    body = [
        blocks.paragraph(bold(words)), blocks.table(head, rows, right=(7,)), blocks.menu("End one…", REVOKE, options),
    ]  # fmt: skip
    return blocks.message(words, body, plain=lines_of(words, rows))


def status_answer(status: Status, now: int, zone: tzinfo) -> Message:
    """Return how the bot is doing, the worrying things marked in words."""
    items = list(status_lines(status, now, zone))
    words = "Status of the audit bot"
    drawn = blocks.bullets([[bold(f"{name}: "), text] for name, text in items])
    return blocks.message(
        words,
        [blocks.paragraph(bold(words)), drawn],
        plain=lines_of(words, [(f"{name}:", text) for name, text in items]),
    )


def status_lines(status: Status, now: int, zone: tzinfo) -> Iterable[tuple[str, str]]:
    """Yield how the bot is doing, as names and words."""
    yield (
        "Events",
        f"{status.events:,}" + (f" since {say_time(status.first_event, zone)}" if status.first_event else ""),
    )
    yield "Read up to", say_time(status.watermark, zone) if status.watermark else "nothing was polled yet"
    if status.last_poll:
        yield "Last poll", f"{say_duration(max(0, now - status.last_poll))} ago"
    gaps = "; ".join(
        f"{say_span(since, until, zone)}: {clean(reason, 120)}" for since, until, reason in status.gaps[:5]
    )
    yield "Gaps", f"{len(status.gaps)} ({gaps})" if gaps else "none"
    if status.malformed:
        yield "Broken records", f"{status.malformed:,}, kept as they came"
    waits = f", the oldest for {say_duration(max(0, now - status.oldest_queued))}" if status.oldest_queued else ""
    yield "Waiting to be posted", f"{status.queue}{waits}"
    if status.failed:
        yield "Given up", f"{many(status.failed, 'message')} that Slack refused for good"
    yield "Open alerts", f"{status.alerts_open}; {many(status.findings_7d, 'finding')} in 7 days"
    yield "Rules", clean(status.rules, 300)
    yield "Forest", clean(status.forest, 300)
    if status.learning_until:
        yield "Learning", f"until {say_time(status.learning_until, zone)}: what is new for whom is not known before"


def _state(alert: Alert) -> Cell:
    """Return who has it, and why it has no message of its own where it has none."""
    way = alert.decision.removeprefix("posted, ")
    also = "" if alert.ts or way in ("posted", "late") else f", {way}"
    if not alert.owner:
        return f"{alert.state}{also}"
    return tuple(piece for piece in (f"{alert.state} by ", blocks.person(clean(alert.owner, 30)), also) if piece)


def _when(alert: Alert, zone: tzinfo) -> str:
    return say_span(alert.first, alert.last, zone)
