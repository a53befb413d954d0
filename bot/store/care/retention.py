"""Letting go of what is old, a little at a time: events, malformed records, closed alerts with all that hangs on them.

Open alerts and the events of their findings stay, however old; so do first-seen tables, the journal and exceptions.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from bot.store.schema import Connection, Store

BATCH = 2_000  # rows in one transaction: a poll that waits for it waits for milliseconds
_OPEN = "state IN ('open', 'acknowledged') AND decision LIKE 'posted%'"

_UNNAMED = "id NOT IN (SELECT notice FROM {} WHERE notice IS NOT NULL)"
_WATCHED = "SELECT finding FROM sightings WHERE finding IS NOT NULL"


@dataclass
class Gone:
    """What was let go."""

    events: int = 0
    alerts: int = 0
    others: int = 0


def let_go(store: Store, before: int, stop: Callable[[], bool] = lambda: False) -> Gone:
    """Delete what is older than a moment, until all is gone or `stop` says so."""
    gone = Gone()
    for since, until in _spans(store, before):
        while not stop() and (count := _events(store, since, until)):
            gone.events += count
    while not stop() and (count := _alerts(store, before)):
        gone.alerts += count
    for table, condition in (
        ("malformed", "found < :before AND until < :before"),
        ("gaps", "closed < :before"),
        (
            "findings",
            "last < :before AND alert IS NULL AND id NOT IN (SELECT finding FROM sightings WHERE finding > 0)",
        ),
        ("outbox", "done < :before AND alert IS NULL AND state IN ('posted', 'failed')"),
        ("notices", f"closed < :before AND {_UNNAMED.format('deliveries')} AND {_UNNAMED.format('outbox')}"),
    ):
        while not stop() and (count := _rows(store, table, condition, before)):
            gone.others += count
    return gone


def _spans(store: Store, before: int) -> Iterator[tuple[int, int]]:
    """Yield the stretches [since, until) up to a moment that no finding of an open alert reaches into."""
    at = -(1 << 62)
    for first, last in store.rows(
        f"SELECT f.first, f.last FROM findings f WHERE f.alert IN (SELECT id FROM alerts WHERE {_OPEN})"
        " AND f.first < ? ORDER BY f.first",
        (before,),
    ):
        if first > at:
            yield at, first
        at = max(at, last + 1)
    if at < before:
        yield at, before


def _events(store: Store, since: int, until: int) -> int:
    """Delete some events. The newest id stays, so that no id is ever given twice: findings name events by it."""
    with store.write() as connection:
        return int(
            connection.execute(
                "DELETE FROM events WHERE id IN (SELECT id FROM events WHERE time >= ? AND time < ?"
                " AND id < (SELECT max(id) FROM events) ORDER BY time LIMIT ?)",
                (since, until, BATCH),
            ).rowcount
        )


def _alerts(store: Store, before: int) -> int:
    """Delete some alerts that are over, or were never posted, with all rows that hang on them."""
    with store.write() as connection:
        found = connection.execute(
            f"SELECT id FROM alerts WHERE last < ? AND NOT ({_OPEN}) ORDER BY id LIMIT ?", (before, BATCH // 10)
        ).fetchall()
        if found:
            _delete(connection, "alerts", json.dumps([row[0] for row in found]))
        return len(found)


def _delete(connection: Connection, table: str, ids: str) -> None:
    """Delete rows by id, after those that refer to them; what outlives them forgets them instead."""
    for child, column in _children(connection, table):
        mine = f"{column} IN (SELECT value FROM json_each(?))"
        if child in ("sightings", "exceptions", table):
            connection.execute(f"UPDATE {child} SET {column} = NULL WHERE {mine}", (ids,))
            continue
        if _children(connection, child):
            inner = [int(row[0]) for row in connection.execute(f"SELECT id FROM {child} WHERE {mine}", (ids,))]
            _delete(connection, child, json.dumps(inner))
        else:
            connection.execute(f"DELETE FROM {child} WHERE {mine}", (ids,))
    connection.execute(f"DELETE FROM {table} WHERE id IN (SELECT value FROM json_each(?))", (ids,))


def _children(connection: Connection, table: str) -> list[tuple[str, str]]:
    """Return the (table, column) pairs that refer to a table."""
    return [
        (str(child), str(column))
        for child, column in connection.execute(
            'SELECT m.name, f."from" FROM sqlite_master m, pragma_foreign_key_list(m.name) f'
            " WHERE m.type = 'table' AND f.\"table\" = ?",
            (table,),
        )
    ]


def _rows(store: Store, table: str, condition: str, before: int) -> int:
    with store.write() as connection:
        return int(
            connection.execute(
                f"DELETE FROM {table} WHERE id IN (SELECT id FROM {table} WHERE {condition} LIMIT :most)",
                {"before": before, "most": BATCH},
            ).rowcount
        )
