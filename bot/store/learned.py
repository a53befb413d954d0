"""What is remembered of events for good, whatever retention deletes: first times, creations, hours of activity."""

from __future__ import annotations

from collections import defaultdict

from bot.store.schema import Connection
from bot.times import HOUR

# One pass in Python over the new rows: half the CPU of an import was once a GROUP BY for each kind of first time.
_NEW = (
    "SELECT e.time, e.actor, e.ip, i.network, e.object, e.type, e.action FROM events e"
    " LEFT JOIN addresses i ON i.id = e.ip WHERE e.id > ? ORDER BY +e.time"  # plus: found by id, then sorted
)


def learn(connection: Connection, after: int) -> None:
    """Take in the events whose ids are above `after`."""
    create, delete = (_action(connection, name) for name in ("CREATE", "DELETE"))
    first: dict[tuple[str, int, int], int] = {}
    creations: list[tuple[int, int, int, int]] = []
    activity: defaultdict[tuple[int, int], int] = defaultdict(int)
    meet = first.setdefault  # rows come by time, so the first one is the earliest
    for time, actor, ip, network, object_, type_, action in connection.execute(_NEW, (after,)):
        meet(("log", 0, 0), time)
        if ip is not None:
            meet(("ip", ip, 0), time)
        if actor is None:
            meet(("nobody_type", 0, type_), time)
        else:
            meet(("actor", actor, 0), time)
            meet(("actor_type", actor, type_), time)
            meet(("actor_action", actor, action), time)
            if ip is not None:
                meet(("actor_ip", actor, ip), time)
                meet(("actor_network", actor, network), time)
            activity[actor, time // HOUR] += action == delete
        if action == create:
            creations.append((object_, type_, time, actor or 0))  # 0: nobody, an automatic change
    _store(connection, first, creations, activity)


def _store(
    connection: Connection,
    first: dict[tuple[str, int, int], int],
    creations: list[tuple[int, int, int, int]],
    activity: dict[tuple[int, int], int],
) -> None:
    connection.executemany(
        "INSERT INTO first_seen (kind, a, b, time) VALUES (?, ?, ?, ?)"
        " ON CONFLICT (kind, a, b) DO UPDATE SET time = excluded.time WHERE excluded.time < time",
        ((*key, time) for key, time in first.items()),
    )
    connection.executemany("INSERT OR IGNORE INTO creations VALUES (?, ?, ?, ?)", creations)
    connection.executemany(
        "INSERT INTO activity VALUES (?, ?, ?)"
        " ON CONFLICT (actor, hour) DO UPDATE SET deletes = deletes + excluded.deletes",
        ((*key, deletes) for key, deletes in activity.items()),
    )


def _action(connection: Connection, name: str) -> int | None:
    found = connection.execute("SELECT id FROM actions WHERE name = ?", (name,)).fetchone()
    return None if found is None else int(found[0])
