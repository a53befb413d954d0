"""What is remembered of events for good, whatever retention deletes: first times, creations, hours of activity."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from operator import itemgetter

from bot.store.schema import Connection
from bot.times import HOUR

Codes = Sequence[int | None]

_EVENTS = "SELECT time, actor, ip, object, type, action FROM events WHERE id > ?"
_AT_ONCE = 65_536  # events, for those who learn a whole log anew


def learn(connection: Connection, after: int) -> None:
    """Take in the events whose ids are above `after`."""
    rows = connection.execute(_EVENTS, (after,))
    while some := rows.fetchmany(_AT_ONCE):
        take(connection, *zip(*sorted(some, key=itemgetter(0)), strict=True))


def take(
    connection: Connection, times: Sequence[int], actors: Codes, ips: Codes, objects: Codes, types: Codes,
    actions: Codes,
) -> None:  # fmt: skip
    """Take in new events in order of time, given as columns of dictionary ids, None where an event has none."""
    known = dict(connection.execute("SELECT name, id FROM actions WHERE name IN ('CREATE', 'DELETE')"))
    first = _first_of_each(times, actors, ips, types, actions)
    actor, ip, type_, action = zip(*first, strict=True)
    network = list(map(_networks(connection, set(ip) - {None}).get, ip))
    none, nobody = [0] * len(first), [0 if one is None else None for one in actor]
    rows = [("log", 0, 0, times[0])]
    for kind, a, b in (
        ("ip", ip, none),
        ("nobody_type", nobody, type_),
        ("actor", actor, none),
        ("actor_type", actor, type_),
        ("actor_action", actor, action),
        ("actor_ip", actor, ip),
        ("actor_network", actor, network),
    ):
        met = dict(zip(zip(a, b, strict=True), first.values(), strict=True))
        rows += [(kind, *pair, met[pair]) for pair in sorted(pair for pair in met if None not in pair)]
    connection.executemany(
        "INSERT INTO first_seen (kind, a, b, time) VALUES (?, ?, ?, ?)"
        " ON CONFLICT (kind, a, b) DO UPDATE SET time = excluded.time WHERE excluded.time < time",
        rows,
    )
    _store_creations(connection, zip(actions, objects, types, times, actors, strict=True), known.get("CREATE"))
    _store_activity(connection, zip(actors, times, actions, strict=True), known.get("DELETE"))


def _first_of_each(times: Sequence[int], *codes: Codes) -> dict[tuple[int | None, ...], int]:
    """Return when each combination occurs first, the latest first: where parts of it are put into a dictionary in this
    order, the earliest stays. Of 30,000 events some thousands are left."""
    first = dict(zip(zip(*map(reversed, codes), strict=True), reversed(times), strict=True))
    return dict(sorted(first.items(), key=itemgetter(1), reverse=True))


def _store_creations(connection: Connection, events: Iterable[tuple[int | None, ...]], create: int | None) -> None:
    """Store what was created; actor 0 is nobody, an automatic change."""
    connection.executemany(
        "INSERT OR IGNORE INTO creations VALUES (?, ?, ?, ?)",
        [(object_, type_, time, actor or 0) for action, object_, type_, time, actor in events if action == create],
    )


def _store_activity(
    connection: Connection, events: Iterable[tuple[int | None, int, int | None]], delete: int | None
) -> None:
    deletes: defaultdict[tuple[int, int], int] = defaultdict(int)
    for actor, time, action in events:
        if actor is not None:
            deletes[actor, time // HOUR] += action == delete
    connection.executemany(
        "INSERT INTO activity VALUES (?, ?, ?)"
        " ON CONFLICT (actor, hour) DO UPDATE SET deletes = deletes + excluded.deletes",
        sorted((*key, count) for key, count in deletes.items()),
    )


def _networks(connection: Connection, ips: Iterable[int]) -> dict[int, int]:
    """Return the networks of addresses."""
    return dict(
        connection.execute(
            "SELECT id, network FROM addresses WHERE id IN (SELECT value FROM json_each(?))", (json.dumps(sorted(ips)),)
        )
    )
