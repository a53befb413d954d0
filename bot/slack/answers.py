"""Draws the answers to `/audit`: tables, lists, errors with the place marked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import tzinfo

from bot.errors import QueryError
from bot.model import Alert, Event, Rule
from bot.query import BEGIN, END, Query
from bot.slack import blocks
from bot.slack.alert_message import level_word, say_span, say_time
from bot.slack.blocks import MAX_TEXT, Block, Message, bold, code
from bot.slack.text import clean, clean_lines, cut
from bot.store.exceptions import TimedException
from bot.store.search import Page
from bot.store.status import Status
from bot.times import say_duration

WIDTHS = (72, 48, 36, 28, 20, 12)  # of a name in a table: the widest at which the whole answer fits
ROOM = MAX_TEXT - 700  # for the table; the rest is for the words around it
BAR = 16  # blocks of the longest bar
ROWS_SHOWN = 90  # rows that one table takes
EXAMPLES = (
    ("search action:delete type:SERVICE last:7d", "who deleted services this week"),
    ("top by:actor last:7d", "who was busiest"),
    ("search actor:*@example.com -ip:10.0.0.0/8 since:2026-05-01", "people of one domain, not from inside"),
    ("timeline actor:eve@example.com last:2d", "hour by hour"),
    ("alerts open", "what is open; show A12 for one of them"),
    ("status", "how the bot is doing"),
)
HELP = (
    "Fields: actor, action, ip, object, type and every fact, like actor_kind or off_hours. key:value pairs are joined"
    " by AND; a comma is OR; a minus before a pair excludes; * stands for anything; ip: takes a network. A bare word is"
    " looked for in actors and objects."
)
HELP_OPTIONS = "Options: last:7d since:T until:T on:yesterday limit:50 sort:old by:actor (ip, type, action, object)."


def search_answer(query: Query, page: Page, zone: tzinfo) -> Message:
    """Return the found events as a table, newest or oldest first, with the range that was searched."""
    if not page.events:
        return _answer("No events", query, zone, [])
    order = "newest first" if query.newest_first else "oldest first"
    total = f"{page.total:,}+ events" if page.more else _many(page.total, "event")
    shown = f"{len(page.events)} of {total}, {order}"
    head = ("Time", "Action", "Actor", "Address", "Type", "Object")
    rows = _fit(head, [_event_cells(event, zone) for event in page.events])
    hint = ["More: narrow the range, or raise limit: (up to 50)."] if page.total > len(page.events) else []
    return _answer(shown, query, zone, [blocks.table(head, rows)], rows, hint)


def top_answer(query: Query, counts: Sequence[tuple[str | None, int]], zone: tzinfo) -> Message:
    """Return the most frequent values with bars."""
    by = query.by or "actor"
    if not counts:
        return _answer("No events", query, zone, [])
    most = max(count for _, count in counts)
    cells = [(_named(name), f"{count:,}", _bar(count, most)) for name, count in counts]
    head = ("Address" if by == "ip" else by.capitalize(), "Events", "Compared")
    rows = _fit(head, cells)
    return _answer(f"Top {len(counts)} by {by}", query, zone, [blocks.table(head, rows, right=(1,))], rows)


def count_answer(query: Query, count: int, zone: tzinfo) -> Message:
    """Return one number."""
    return _answer(_many(count, "event"), query, zone, [])


def timeline_answer(query: Query, buckets: Sequence[tuple[int, int]], zone: tzinfo) -> Message:
    """Return the counts of hours or days with bars, oldest first; a bucket without events shows as such."""
    total, most = sum(count for _, count in buckets), max((count for _, count in buckets), default=0)
    if not most:
        return _answer("No events", query, zone, [])
    rows = [(say_time(start, zone), f"{count:,}", _bar(count, most)) for start, count in buckets]
    return _answer(
        _many(total, "event"), query, zone, [blocks.table(("From", "Events", "Compared"), rows, right=(1,))], rows
    )


def event_answer(event: Event, zone: tzinfo) -> Message:
    """Return all that is known of one event."""
    facts = [(name, value) for name, value in event.facts.items() if value is not None]
    own = [
        ("time", say_time(event.time, zone)), ("action", event.action), ("actor", event.actor), ("ip", event.ip),
        ("object", event.object), ("type", event.type),
    ]  # fmt: skip
    items = [(name, "–" if value is None else clean(_say(value), 400)) for name, value in (*own, *facts)]
    words = f"Event {event.id}"
    return blocks.message(
        words, [blocks.paragraph(bold(words)), blocks.bullets([[bold(name), "  ", value] for name, value in items])],
        plain=_lines(words, items),
    )  # fmt: skip


def rules_answer(rules: Sequence[Rule]) -> Message:
    """Return the rules in force, the worst level first."""
    if not rules:
        return _said("No rules.", "None were loaded yet; see /audit status.")
    ordered = sorted(rules, key=lambda rule: (-rule.level, rule.title))[:ROWS_SHOWN]
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
    rows = _fit(head, cells)
    words = _many(len(rules), "rule") + (f", the first {len(ordered)}" if len(ordered) < len(rules) else "")
    return blocks.message(words, [blocks.paragraph(bold(words)), blocks.table(head, rows)], plain=_lines(words, rows))


def alerts_answer(
    alerts: Sequence[Alert], zone: tzinfo, order: str = ", newest first", tail: Iterable[Block] = ()
) -> Message:
    """Return alerts as a table; `order` says what comes first, `tail` stands under it."""
    if not alerts:
        return _said("No alerts.", "Nothing was posted that is still kept.")
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
    rows = _fit(head, cells)
    words = f"{_many(len(alerts), 'alert')}{order}"
    table = blocks.table(head, rows, right=(5,))
    return blocks.message(words, [blocks.paragraph(bold(words)), table, *tail], plain=_lines(words, rows))


def exceptions_answer(listed: Sequence[TimedException], titles: Mapping[str, str], zone: tzinfo) -> Message:
    """Return the exceptions, those that end first on top; `titles` are those of the rules by id."""
    if not listed:
        return _said("No exceptions.", "Every finding counts. audit-bot exceptions add approves what is expected.")
    ordered = sorted(listed, key=lambda one: (one.expires, one.id))[:ROWS_SHOWN]
    head = ("No.", "Expected", "Rule", "Why", "By", "Until", "Hidden")
    cells = [
        (
            str(one.id),
            clean(one.condition),
            "all" if one.rule is None else clean(titles.get(one.rule, one.rule)),
            clean(one.reason),
            clean(one.author),
            say_time(one.expires, zone),
            _many(one.findings, "finding"),
        )
        for one in ordered
    ]
    rows = _fit(head, cells)
    words = f"{_many(len(listed), 'exception')} in force, the first to end on top"
    table = blocks.table(head, rows, right=(6,))
    return blocks.message(words, [blocks.paragraph(bold(words)), table], plain=_lines(words, rows))


def status_answer(status: Status, now: int, zone: tzinfo) -> Message:
    """Return how the bot is doing, the worrying things marked in words."""
    items = list(_status_lines(status, now, zone))
    words = "Status of the audit bot"
    drawn = blocks.bullets([[bold(f"{name}: "), text] for name, text in items])
    return blocks.message(
        words, [blocks.paragraph(bold(words)), drawn], plain=_lines(words, [(f"{name}:", text) for name, text in items])
    )


def help_answer(later: Iterable[str]) -> Message:
    """Return how to ask; `later` are the verbs that are not there yet."""
    examples = blocks.bullets([[code(f"/audit {example}"), f"  {meaning}"] for example, meaning in EXAMPLES])
    soon = f"Not there yet: {', '.join(later)}."
    body = [
        blocks.paragraph(bold("Ask the audit log")),
        examples,
        blocks.paragraph(HELP),
        blocks.small(HELP_OPTIONS, soon),
    ]
    plain = _lines("Ask the audit log", [(f"/audit {example}", meaning) for example, meaning in EXAMPLES])
    return blocks.message("How to ask the audit log", body, plain=f"{plain}\n{HELP}\n{HELP_OPTIONS}")


def error_answer(error: QueryError) -> Message:
    """Return the query with a mark under the place, and a corrected example."""
    said = clean_lines(str(error), 600)
    body = [blocks.paragraph(bold("I cannot read that query. "), *blocks.quoted(said))]
    if error.query:
        body.append(blocks.preformatted(_marked(error.query, error.position)))
    if error.example:
        body.append(blocks.paragraph("Try: ", code(clean(f"/audit {error.example}", 300))))
    plain = _lines(said, [(f"Try: /audit {clean(error.example, 300)}",)] if error.example else [])
    return blocks.message(f"I cannot read that query: {cut(said, 200)}", body, plain=plain)


def sorry_answer(text: str) -> Message:
    """Return a sentence of the bot to one person: why not, what was done, what cannot be done now."""
    text = clean_lines(text, 1500)
    return blocks.message(text, [blocks.paragraph(*blocks.mentions(text))])


def not_yet_answer(verb: str) -> Message:
    """Return that a verb of the grammar is not built yet."""
    said = f"/audit {clean(verb, 20)} is not there yet."
    return _said(said, "Try /audit help for what is.")


def _said(first: str, second: str) -> Message:
    return blocks.message(first, [blocks.paragraph(bold(first), " ", second)], plain=f"{first} {second}")


def _answer(
    words: str,
    query: Query,
    zone: tzinfo,
    body: Sequence[Block],
    rows: Sequence[Sequence[str]] = (),
    hints: Sequence[str] = (),
) -> Message:
    asked = clean(query.text, 300) if query.text.strip() else "everything"
    span = _say_range(query, zone)
    head = blocks.paragraph(bold(words), f"\n{span}  ", code(asked))
    tail = [blocks.small(*hints)] if hints else []
    return blocks.message(f"{words}: {asked}", [head, *body, *tail], plain=_lines(f"{words}, {span}: {asked}", rows))


def _say_range(query: Query, zone: tzinfo) -> str:
    if query.since <= BEGIN:
        return "all time" if query.until >= END else f"up to {say_time(query.until, zone)}"
    return f"since {say_time(query.since, zone)}" if query.until >= END else say_span(query.since, query.until, zone)


def _event_cells(event: Event, zone: tzinfo) -> tuple[str, ...]:
    names = (event.actor or "", event.ip or "", event.type, event.object)
    when = say_time(event.time, zone, seconds=True)
    return (when, clean(event.action, 12), *(clean(name) if name else "–" for name in names))


def _fit(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[tuple[str, ...]]:
    """Return the rows cut to the widest cells with which they all fit into a message, fewer rows if none does."""
    fitted: list[tuple[str, ...]] = []
    for width in WIDTHS:
        fitted = [
            tuple(cell if n == 0 and len(head) == 6 else cut(cell, width) for n, cell in enumerate(row)) for row in rows
        ]
        if sum(len(cell) for row in (head, *fitted) for cell in row) <= ROOM:
            return fitted
    return fitted[: max(1, ROOM // (max(WIDTHS[-1], 19) * len(head)))]


def _bar(count: int, most: int) -> str:
    return "█" * max(1, round(BAR * count / most)) if count else ""


def _many(count: int, noun: str) -> str:
    return f"{count:,} {noun if count == 1 else noun + 's'}"


def _say(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.1f}" if isinstance(value, float) else str(value)


def _named(name: str | None) -> str:
    return "(none)" if name is None else clean(name)


def _state(alert: Alert) -> str:
    """Return who has it, and why it has no message of its own where it has none."""
    state = f"{alert.state} by {clean(alert.owner)}" if alert.owner else alert.state
    way = alert.decision.removeprefix("posted, ")
    return state if alert.ts or way in ("posted", "late") else f"{state}, {way}"


def _when(alert: Alert, zone: tzinfo) -> str:
    return say_span(alert.first, alert.last, zone)


def _lines(first: str, rows: Iterable[Sequence[str]]) -> str:
    return "\n".join([first, *("  ".join(row) for row in rows)])


def _marked(query: str, position: int) -> str:
    """Return the query in one line with a caret under `position`; of a long one, the part around it."""
    before, after = (clean(part, 2_000) if part.strip() else "" for part in (query[:position], query[position:]))
    gap = " " if query[:position].endswith(" ") or query[position : position + 1] == " " else ""
    left = before[-60:] + (gap if before else "")
    return f"{left}{after[:60]}\n{' ' * len(left)}^"


def _status_lines(status: Status, now: int, zone: tzinfo) -> Iterable[tuple[str, str]]:
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
        yield "Given up", f"{_many(status.failed, 'message')} that Slack refused for good"
    yield "Open alerts", f"{status.alerts_open}; {_many(status.findings_7d, 'finding')} in 7 days"
    yield "Rules", clean(status.rules, 300)
    yield "Forest", clean(status.forest, 300)
    if status.learning_until:
        yield "Learning", f"until {say_time(status.learning_until, zone)}: what is new for whom is not known before"
