"""Events as a CSV file, in which no cell is a formula whatever stands in it."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator

from bot.fields import FactSettings
from bot.model import Record
from bot.query import Query
from bot.store.log import events
from bot.store.queries import search
from bot.store.schema import Store

_FORMULA = frozenset("=+-@\t\r＝＋－＠")  # the wide ones count in some languages
HEAD = ("time", "action", "actor", "ip", "object", "type")


def records(store: Store, query: Query, facts: FactSettings) -> Iterator[Record]:
    """Yield the events of a query as the portal sent them, the oldest first."""
    search.prepare(store.connection, facts)
    span, names = (query.since, query.until), search.Names(store.connection)
    condition, values = (
        search.sql_condition(query.condition, facts, span, names, leads=True) if query.condition else ("1", [])
    )
    if query.newest is not None:
        condition, values = f"e.id <= ? AND ({condition})", [query.newest, *values]
    return events.export(store, query.since, query.until, condition, values)


def csv_lines(found: Iterable[Record]) -> Iterator[bytes]:
    """Yield a head and a line for each event."""
    yield (",".join(HEAD) + "\r\n").encode()
    for one in found:
        row = io.StringIO()
        csv.writer(row).writerow(map(harmless, (one.raw_time, one.action, one.actor, one.ip, one.object, one.type)))
        yield row.getvalue().encode("utf-8", "replace")


def harmless(cell: str | None) -> str:
    """Return a cell that no spreadsheet takes for a formula."""
    text = cell or ""
    return "'" + text if text[:1] in _FORMULA else text
