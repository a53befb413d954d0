"""Answers queries: events, counts, top lists, timelines. It only reads, and gives up when it takes too long."""

from __future__ import annotations

import bisect
import json
import math
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta, tzinfo
from typing import Any

from bot.errors import QueryError, StoreError
from bot.fields import FIELDS, OF_ADDRESS, FactSettings
from bot.model import Event
from bot.query import BEGIN, END, Query
from bot.query.tree import And, Match
from bot.store.queries.conditions import DICTIONARIES, Names, fact_sql, prepare, sql_condition
from bot.store.queries.scan import Scan, plan
from bot.store.schema import Connection, DatabaseError, Store, unusable
from bot.store.views import FACT_SQL, JOINS
from bot.times import DAY, EPOCH, HOUR, parse_time

__all__ = ["Names", "Page", "Part", "count", "events_by_id", "prepare", "search", "sql_condition", "timeline", "top"]

TIME_LIMIT = 10.0  # seconds
COUNTED = 10_000  # totals above are "more"
_STEPS = 20_000  # of SQLite's machine between two looks at the clock
_DEFAULTS = FactSettings()


@dataclass(frozen=True)
class Page:
    """Some of the events found. `total` is exact up to 10,000; beyond, it is 10,000 and `more` is true."""

    events: tuple[Event, ...]
    total: int
    more: bool


@dataclass(frozen=True)
class Part:
    """Which events of a listing: those behind the event at `time` with `id`, or with `before` those ahead of it."""

    time: int
    id: int
    before: bool = False


def search(
    store: Store,
    query: Query,
    facts: FactSettings,
    part: Part | None = None,
    with_facts: Sequence[str] = (),
    time_limit: float = TIME_LIMIT,
) -> Page:
    """Return up to `query.limit` events of a part of the listing, ties in time by id in the same direction.

    Raises QueryError when it takes longer than `time_limit` seconds.
    """
    backwards = part is not None and part.before
    down = query.newest_first is not backwards  # whether this walks back in time
    order = "DESC" if down else "ASC"
    with _asked(store, query, facts, time_limit) as (connection, where, parameters, scan):
        if scan and down and query.condition:
            before = None if part is None else (part.time, part.id)
            ids, found = scan.newest(query.limit, before, COUNTED + 1)
            events = tuple(_events(connection, ids[::-1] if backwards else ids, facts, with_facts))
            return Page(events, min(found, COUNTED), found > COUNTED)
        some = connection.execute(f"SELECT e.time, e.id FROM {where} LIMIT {COUNTED + 1}", parameters).fetchall()
        if len(some) <= COUNTED:  # these are all of them: no second walk
            ids = _chosen(some, query, part, down=down)
            events = tuple(_events(connection, ids[::-1] if backwards else ids, facts, with_facts))
            return Page(events, len(some), more=False)
        if part is not None:  # the range ends at its event, so that the walk along the index begins there
            since, until, *values = parameters
            ends = (since, min(until, part.time)) if down else (max(since, part.time), until)
            where = f"{where} AND (e.time <> ? OR e.id {'<' if down else '>'} ?)"
            parameters = [*ends, *values, part.time, part.id]
        page = f"SELECT e.id FROM {where} ORDER BY e.time {order}, e.id {order} LIMIT ?"
        ids = [number for (number,) in connection.execute(page, [*parameters, query.limit])]
        events = tuple(_events(connection, ids[::-1] if backwards else ids, facts, with_facts))
    return Page(events, COUNTED, more=True)


def _chosen(found: list[tuple[int, int]], query: Query, part: Part | None, *, down: bool) -> list[int]:
    """Return the ids of a part out of all (time, id) that were found, in the direction of the walk."""
    if part is not None:
        edge = (part.time, part.id)
        found = [one for one in found if (one < edge if down else one > edge)]
    return [number for _, number in sorted(found, reverse=down)[: query.limit]]


def top(
    store: Store, query: Query, facts: FactSettings, time_limit: float = TIME_LIMIT
) -> list[tuple[str | None, int]]:
    """Return the most frequent values of `query.by` (default actor) with their counts, ties by name, missing last."""
    field = query.by or "actor"
    with _asked(store, query, facts, time_limit) as (connection, where, parameters, scan):
        # counted here: SQLite would sort all events first
        counts: Counter[int | None]
        if scan:
            counts = Counter(scan.counts(field, query.limit))
        else:
            counts = Counter(code for (code,) in connection.execute(f"SELECT e.{field} FROM {where}", parameters))
        least = min((number for _, number in counts.most_common(query.limit)), default=0)
        codes = json.dumps([code for code, number in counts.items() if number >= least])
        names = f"SELECT id, name FROM {DICTIONARIES[field]} WHERE id IN (SELECT value FROM json_each(?))"
        named = [(str(name), counts[code]) for code, name in connection.execute(names, [codes])]
    missing = [(None, counts[None])] if counts[None] else []
    ranked = sorted(named, key=lambda item: (-item[1], item[0]))
    return sorted([*ranked, *missing], key=lambda item: -item[1])[: query.limit]


def count(store: Store, query: Query, facts: FactSettings, time_limit: float = TIME_LIMIT) -> int:
    """Return how many events there are, exactly."""
    with _asked(store, query, facts, time_limit) as (connection, where, parameters, scan):
        if scan:
            return scan.total()
        return int(connection.execute(f"SELECT count(*) FROM {where}", parameters).fetchone()[0])


def timeline(
    store: Store,
    query: Query,
    facts: FactSettings,
    buckets: int = 400,
    zone: tzinfo | None = None,
    time_limit: float = TIME_LIMIT,
) -> list[tuple[int, int]]:
    """Return (start in microseconds, count) of each bucket, empty ones too: hours up to two days, else days in a zone.

    Where that made more than `buckets`, several hours or days go together. An open end ends at the last event found.
    """
    with _asked(store, query, facts, time_limit) as (connection, where, parameters, scan):
        since, until = query.since, query.until
        if since == BEGIN or until == END:
            ends = f"SELECT min(e.time), max(e.time) FROM {where}"
            found = scan.span() if scan else connection.execute(ends, parameters).fetchone()
            if found is None or found[0] is None:
                return []
            first, last = found
            since, until = (first if since == BEGIN else since), (last if until == END else until)
        starts = _starts(since, until, zone or facts.zone, buckets)
        if scan:
            return [*zip(starts, scan.in_buckets(starts), strict=True)]
        unit = math.gcd(*(start - starts[0] for start in starts)) or until - starts[0] + 1  # starts are multiples
        sql = f"SELECT (e.time - ?) / ?, count(*) FROM {where} GROUP BY 1"
        counts = [0] * len(starts)
        for units, number in connection.execute(sql, [starts[0], unit, *parameters]):
            counts[bisect.bisect_right(starts, starts[0] + units * unit) - 1] += number
    return [*zip(starts, counts, strict=True)]


def events_by_id(
    store: Store, ids: Sequence[int], facts: FactSettings = _DEFAULTS, with_facts: Sequence[str] = ()
) -> tuple[Event, ...]:
    """Return the events with these ids in their order, without those that are not stored (any more)."""
    try:
        return tuple(_events(store.connection, ids, facts, with_facts))
    except DatabaseError as error:
        raise unusable(store.path, error) from error


def _condition(query: Query, facts: FactSettings, names: Names) -> tuple[str, list[Any]]:
    if query.condition is None:
        return "1", []
    sql, values = sql_condition(query.condition, facts, (query.since, query.until), names, leads=True)
    parts = query.condition.parts if isinstance(query.condition, And) else (query.condition,)
    asked = {part.field for part in parts if isinstance(part, Match)}
    if "type" in asked and "action" not in asked:
        # of the index on type, action and time SQLite would use the type alone: .3 s for an hour of ten million events
        sql = f"e.action IN (SELECT id FROM actions) AND ({sql})"
    return sql, values


@contextmanager
def _asked(
    store: Store, query: Query, facts: FactSettings, seconds: float
) -> Iterator[tuple[Connection, str, list[Any], Scan | None]]:
    """Lend the connection for so long, with what follows FROM for the events of the query, and its parameters.

    There is a scan where that is quicker. The clock is the machine's own, whatever time the bot lives in.
    """
    connection = store.connection
    deadline = time.monotonic() + seconds

    def is_over() -> bool:
        return time.monotonic() > deadline

    prepare(connection, facts)
    connection.set_progress_handler(is_over, _STEPS)
    span, names = (query.since, query.until), Names(connection)
    try:
        with store.reading():
            sql, values = _condition(query, facts, names)
            if query.newest is not None:
                sql, values = f"+e.id <= ? AND ({sql})", [query.newest, *values]
            scan = plan(names, query, facts, is_over)
            yield connection, f"events e WHERE e.time BETWEEN ? AND ? AND ({sql})", [*span, *values], scan
    except (DatabaseError, StoreError, TimeoutError) as error:
        if isinstance(error, DatabaseError) and not is_over():
            raise unusable(store.path, error) from error
        if isinstance(error, StoreError) and not is_over():
            raise
        text = f"This takes more than {seconds:.0f} s. Narrow the range of time, or name an actor, address or object."
        raise QueryError(text, example="last:1h") from error  # without a query: no place in it is wrong
    finally:
        connection.set_progress_handler(None, 0)


def _events(
    connection: Connection, ids: Sequence[int], facts: FactSettings, with_facts: Sequence[str]
) -> Iterator[Event]:
    by_history = [fact for fact in with_facts if fact in FACT_SQL or fact == "country_new_for_actor"]
    if "country_new_for_actor" in by_history:
        prepare(connection, facts)
    columns = ["e.id, e.time, n.name, a.name, i.name, o.name, t.name", *(fact_sql(f, facts) for f in by_history)]
    # CROSS keeps SQLite from walking another table first
    sql = f"SELECT {', '.join(columns)} FROM json_each(?) j CROSS JOIN {JOINS} WHERE e.id = j.value ORDER BY j.key"
    for number, moment, action, actor, ip, name, kind, *values in connection.execute(sql, [json.dumps(ids)]):
        known = dict(zip(by_history, values, strict=True))
        shown = {f: known[f] if f in known else _set_fact(f, moment, kind, ip, facts) for f in with_facts}
        clean = {fact: _typed(fact, value) for fact, value in shown.items()}
        yield Event(moment, number, action, actor, ip, name, kind, clean)


def _set_fact(fact: str, moment: int, kind: str, ip: str | None, facts: FactSettings) -> str | int | bool | None:
    """Return a fact that hangs on settings."""
    if fact in OF_ADDRESS:
        return None if ip is None else facts.of_address(fact, ip)
    if fact == "type_sensitive":
        return facts.type_sensitive(kind)
    by_time: dict[str, Callable[[int], str | int | bool]] = {
        "hour": facts.hour,
        "weekday": facts.weekday,
        "off_hours": facts.off_hours,
    }
    return by_time[fact](moment)


def _typed(fact: str, value: Any) -> Any:
    return bool(value) if value is not None and FIELDS[fact].kind == "bool" else value


def _starts(since: int, until: int, zone: tzinfo, most: int) -> list[int]:
    """Return where hours or days begin, or every so many of them that there are no more than `most`."""
    first, last = ((EPOCH + timedelta(microseconds=moment)).astimezone(zone) for moment in (since, until))
    if until - since <= 2 * DAY:
        into_hour = timedelta(minutes=first.minute, seconds=first.second, microseconds=first.microsecond)
        hours = range(since - into_hour // timedelta(microseconds=1), until + 1, HOUR)
        return list(hours[:: -(-len(hours) // most)])
    days = range((last.date() - first.date()).days + 1)
    dates = (first.date() + timedelta(days=day) for day in days[:: -(-len(days) // most)])
    return [parse_time(date.isoformat(), zone) for date in dates]
