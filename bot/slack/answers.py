"""Draws the answers to `/audit`: tables, lists, errors with the place marked."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import tzinfo

from bot.ask.examples import EXAMPLES
from bot.errors import QueryError
from bot.model import Event
from bot.query import BEGIN, END, Query
from bot.query.read import VERBS
from bot.slack import blocks
from bot.slack.alert_message import say_span, say_time
from bot.slack.blocks import MAX_TEXT, Block, Cell, Message, bold, code
from bot.slack.text import clean, clean_lines, cut
from bot.store.queries.search import Page

WIDTHS = (72, 48, 36, 28, 20, 12)  # of a name in a table: the widest at which the whole answer fits
ROOM = MAX_TEXT - 700  # for the table; the rest is for the words around it
BAR = 16  # blocks of the longest bar
ROWS_SHOWN = 90  # rows that one table takes
BUILD = "audit_build"  # the button and the shortcut that open the form
LOOK_UP = "audit_lookup"  # the shortcut of a message
HELP = (
    "Fields: actor, action, ip, object, type and every fact, like actor_kind or off_hours. key:value pairs are joined"
    " by AND; a comma is OR; a minus before a pair excludes; * stands for anything; ip: takes a network. A bare word is"
    " looked for in actors and objects."
)
HELP_VERBS = f"First words: {', '.join(VERBS)}."
HELP_OPTIONS = "Options: last:7d since:T until:T on:yesterday limit:50 sort:old by:actor (ip, type, action, object)."


def search_answer(query: Query, page: Page, zone: tzinfo, start: int = 0) -> Message:
    """Return events as a table, newest or oldest first, with the range that was searched; `start` are ahead of them."""
    if not page.events:
        return _answer("No more events" if start else "No events", query, zone, [])
    order = "newest first" if query.newest_first else "oldest first"
    total = f"{page.total:,}+ events" if page.more else many(page.total, "event")
    whole = not start and len(page.events) == page.total
    shown = f"{len(page.events)}" if whole or not start else f"{start + 1:,} to {start + len(page.events):,}"
    head = (f"Time ({_zone_name(page.events[0].time, zone)})", "Action", "Actor", "Address", "Type", "Object")
    rows = fit(head, [_event_cells(event, zone) for event in page.events])
    return _answer(f"{shown} of {total}, {order}", query, zone, [blocks.table(head, rows)], rows)


def top_answer(query: Query, counts: Sequence[tuple[str | None, int]], zone: tzinfo) -> Message:
    """Return the most frequent values with bars."""
    by = query.by or "actor"
    if not counts:
        return _answer("No events", query, zone, [])
    most = max(count for _, count in counts)
    cells = [(_named(name), f"{count:,}", _bar(count, most)) for name, count in counts]
    head = ("Address" if by == "ip" else by.capitalize(), "Events", "Compared")
    rows = fit(head, cells)
    return _answer(f"Top {len(counts)} by {by}", query, zone, [blocks.table(head, rows, right=(1,))], rows)


def count_answer(query: Query, count: int, zone: tzinfo) -> Message:
    """Return one number."""
    return _answer(many(count, "event"), query, zone, [])


def timeline_answer(query: Query, buckets: Sequence[tuple[int, int]], zone: tzinfo) -> Message:
    """Return the counts of hours or days with bars, oldest first; a bucket without events shows as such."""
    total, most = sum(count for _, count in buckets), max((count for _, count in buckets), default=0)
    if not most:
        return _answer("No events", query, zone, [])
    rows = [(say_time(start, zone), f"{count:,}", _bar(count, most)) for start, count in buckets]
    return _answer(
        many(total, "event"), query, zone, [blocks.table(("From", "Events", "Compared"), rows, right=(1,))], rows
    )


def export_answer(query: Query, zone: tzinfo) -> Message:
    """Return that a file is on its way."""
    head = blocks.paragraph(bold("A CSV file comes as a direct message."), f"\n{say_range(query, zone)}")
    return blocks.message("A CSV file comes as a direct message.", [head])


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
        plain=lines_of(words, items),
    )  # fmt: skip


def help_answer() -> Message:
    """Return how to ask, with a button for those who do not like to type."""
    examples = blocks.bullets([[code(f"/audit {example}"), f"  {meaning}"] for example, meaning in EXAMPLES])
    form = blocks.buttons(("Build a query", BUILD, "build", "primary"))
    body = [
        blocks.paragraph(bold("Ask the audit log")),
        examples,
        blocks.paragraph(HELP),
        blocks.small(HELP_VERBS, HELP_OPTIONS),
    ]
    plain = lines_of("Ask the audit log", [(f"/audit {example}", meaning) for example, meaning in EXAMPLES])
    return blocks.message(
        "How to ask the audit log", [*body, form], plain=f"{plain}\n{HELP}\n{HELP_VERBS}\n{HELP_OPTIONS}"
    )


def error_answer(error: QueryError) -> Message:
    """Return what is wrong, with the place in the query marked where one is, and a corrected example."""
    said = clean_lines(str(error), 600)
    what = "I cannot read that query" if error.query else "I gave up on that query"
    body = [blocks.paragraph(bold(f"{what}. "), *blocks.quoted(said))]
    if error.query:
        body.append(blocks.preformatted(_marked(error.query, error.position)))
    if error.example:
        body.append(blocks.paragraph("Try: ", code(clean(f"/audit {error.example}", 300))))
    plain = lines_of(said, [(f"Try: /audit {clean(error.example, 300)}",)] if error.example else [])
    return blocks.message(f"{what}: {cut(said, 200)}", body, plain=plain)


def sorry_answer(text: str) -> Message:
    """Return a sentence of the bot to one person: why not, what was done, what cannot be done now."""
    text = clean_lines(text, 1500)
    return blocks.message(text, [blocks.paragraph(*blocks.mentions(text))])


def waiting_answer(text: str) -> Message:
    """Return that an answer takes longer; it will stand in this message's place."""
    words = "Still looking…"
    return blocks.message(words, [blocks.paragraph(words, " ", code(clean(text, 300) if text.strip() else "help"))])


def brief(first: str, second: str) -> Message:
    """Return two sentences, the first in bold."""
    return blocks.message(first, [blocks.paragraph(bold(first), " ", second)], plain=f"{first} {second}")


def _answer(
    words: str,
    query: Query,
    zone: tzinfo,
    body: Sequence[Block],
    rows: Sequence[Sequence[Cell]] = (),
    hints: Sequence[str] = (),
) -> Message:
    asked = clean(query.text, 300) if query.text.strip() else "everything"
    span = say_range(query, zone)
    head = blocks.paragraph(bold(words), f"\n{span}  ", code(asked))
    tail = [blocks.small(*hints)] if hints else []
    return blocks.message(f"{words}: {asked}", [head, *body, *tail], plain=lines_of(f"{words}, {span}: {asked}", rows))


def say_range(query: Query, zone: tzinfo) -> str:
    """Return the time that a query asks for, in words."""
    if query.since <= BEGIN:
        return "all time" if query.until >= END else f"up to {say_time(query.until, zone)}"
    return f"since {say_time(query.since, zone)}" if query.until >= END else say_span(query.since, query.until, zone)


def _event_cells(event: Event, zone: tzinfo) -> tuple[str, ...]:
    names = (event.actor or "", event.ip or "", event.type, event.object)
    when = say_time(event.time, zone, seconds=True)
    return (when, clean(event.action, 12), *(clean(name) if name else "–" for name in names))


def fit(head: Sequence[str], rows: Sequence[Sequence[Cell]], room: int = ROOM) -> list[tuple[Cell, ...]]:
    """Return the rows cut to the widest cells with which they all fit into a message, fewer rows if none does."""
    fitted: list[tuple[Cell, ...]] = []
    for width in WIDTHS:
        fitted = [
            tuple(
                cut(cell, width) if isinstance(cell, str) and (n or len(head) != 6) else cell
                for n, cell in enumerate(row)
            )
            for row in rows
        ]
        if sum(len(bare_cell(cell)) for row in (head, *fitted) for cell in row) <= room:
            return fitted
    return fitted[: max(1, room // (max(WIDTHS[-1], 19) * len(head)))]


def _zone_name(time: int, zone: tzinfo) -> str:
    return say_time(time, zone).split(" ", 2)[2]


def _bar(count: int, most: int) -> str:
    return "█" * max(1, round(BAR * count / most)) if count else ""


def many(count: int, noun: str) -> str:
    """Return a number with its noun: 1 event, 2 events."""
    return f"{count:,} {noun if count == 1 else noun + 's'}"


def _say(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.1f}" if isinstance(value, float) else str(value)


def _named(name: str | None) -> str:
    return "(none)" if name is None else clean(name)


def lines_of(first: str, rows: Iterable[Sequence[Cell]]) -> str:
    """Return a table as lines of plain text."""
    return "\n".join([first, *("  ".join(map(bare_cell, row)) for row in rows)])


def bare_cell(cell: Cell) -> str:
    """Return the text of a table's cell without its looks."""
    return cell if isinstance(cell, str) else "".join(map(blocks.bare, cell))


def _marked(query: str, position: int) -> str:
    """Return the query in one line with a caret under `position`; of a long one, the part around it."""
    before, after = (clean(part, 2_000) if part.strip() else "" for part in (query[:position], query[position:]))
    gap = " " if query[:position].endswith(" ") or query[position : position + 1] == " " else ""
    left = before[-60:] + (gap if before else "")
    return f"{left}{after[:60]}\n{' ' * len(left)}^"
