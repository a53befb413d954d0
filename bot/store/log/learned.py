"""What is remembered of events for good, whatever retention deletes: first times, creations, hours of activity."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import repeat

import numpy as np
from numpy.typing import NDArray

from bot.store.schema import Connection
from bot.times import HOUR

Ints = NDArray[np.int64]
Codes = Sequence[int | None]

_EVENTS = "SELECT time, actor, ip, object, type, action FROM events WHERE id > ?"
_AT_ONCE = 65_536  # events, for those who learn a whole log anew
_WIDE = 32  # bits of the second half of a pair


def learn(connection: Connection, after: int) -> None:
    """Take in the events whose ids are above `after`."""
    rows = connection.execute(_EVENTS, (after,))
    while some := rows.fetchmany(_AT_ONCE):
        take(connection, *zip(*some, strict=True))


def take(
    connection: Connection, times: Sequence[int], actors: Codes, ips: Codes, objects: Codes, types: Codes,
    actions: Codes,
) -> None:  # fmt: skip
    """Take in new events, given as columns of dictionary ids: a third of the time of a loop over them."""
    order = np.argsort(_ints(times), kind="stable")
    time, actor, ip, object_, type_, action = (
        _ints(column)[order] for column in (times, actors, ips, objects, types, actions)
    )
    network = _networks(connection, ip)
    create, delete = (_action(connection, name) for name in ("CREATE", "DELETE"))
    none = np.zeros_like(time)
    somebody = actor > 0
    somewhere = somebody & (ip > 0)
    first: list[tuple[str, int, int, int]] = []
    for kind, a, b, those in (
        ("log", none, none, time == time[0]),
        ("ip", ip, none, ip > 0),
        ("nobody_type", none, type_, ~somebody),
        ("actor", actor, none, somebody),
        ("actor_type", actor, type_, somebody),
        ("actor_action", actor, action, somebody),
        ("actor_ip", actor, ip, somewhere),
        ("actor_network", actor, network, somewhere),
    ):
        first += _first(kind, _pairs(a[those], b[those]), time[those])
    connection.executemany(
        "INSERT INTO first_seen (kind, a, b, time) VALUES (?, ?, ?, ?)"
        " ON CONFLICT (kind, a, b) DO UPDATE SET time = excluded.time WHERE excluded.time < time",
        first,
    )
    created = action == create
    _store_creations(connection, *(column[created].tolist() for column in (object_, type_, time, actor)))
    _store_activity(connection, _pairs(actor, time // HOUR)[somebody], (action == delete)[somebody])


def _first(kind: str, keys: Ints, time: Ints) -> Iterator[tuple[str, int, int, int]]:
    """Return when each key was first seen, as rows of first_seen."""
    met, places = np.unique(keys, return_index=True)  # of each the first place, and times are in order
    return zip(repeat(kind), *_halves(met), time[places].tolist())


def _store_creations(connection: Connection, *columns: list[int]) -> None:
    """Store what was created; actor 0 is nobody, an automatic change."""
    connection.executemany("INSERT OR IGNORE INTO creations VALUES (?, ?, ?, ?)", zip(*columns, strict=True))


def _store_activity(connection: Connection, keys: Ints, deleted: NDArray[np.bool_]) -> None:
    hours, places = np.unique(keys, return_inverse=True)
    deletes = np.bincount(places[deleted], minlength=len(hours))
    connection.executemany(
        "INSERT INTO activity VALUES (?, ?, ?)"
        " ON CONFLICT (actor, hour) DO UPDATE SET deletes = deletes + excluded.deletes",
        zip(*_halves(hours), deletes.tolist(), strict=True),
    )


def _networks(connection: Connection, ip: Ints) -> Ints:
    """Return the network of each address, 0 where there is none."""
    some, places = np.unique(ip, return_inverse=True)
    known: dict[int, int] = dict(
        connection.execute(
            "SELECT id, network FROM addresses WHERE id IN (SELECT value FROM json_each(?))",
            (json.dumps(some.tolist()),),
        )
    )
    networks: Ints = _ints([known.get(one) for one in some.tolist()])[places]
    return networks


def _action(connection: Connection, name: str) -> int:
    found = connection.execute("SELECT id FROM actions WHERE name = ?", (name,)).fetchone()
    return 0 if found is None else int(found[0])


def _ints(values: Iterable[int | None]) -> Ints:
    """Return dictionary ids as an array, 0 for None: ids begin at 1."""
    return np.fromiter((value or 0 for value in values), dtype=np.int64)


def _pairs(a: Ints, b: Ints) -> Ints:
    """Return pairs as single numbers; `b` may be negative, as hours before 1970 are."""
    return (a << _WIDE) + b


def _halves(pairs: Ints) -> Iterator[list[int]]:
    a = (pairs + (1 << (_WIDE - 1))) >> _WIDE
    yield a.tolist()
    yield (pairs - (a << _WIDE)).tolist()
