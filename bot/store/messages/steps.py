"""Who waits for whom: alerts and notices that nobody acknowledged or resolved, and the steps taken about them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from bot.model import Entity, Level
from bot.store.schema import Store

_POSTED = "SELECT max(done) FROM outbox WHERE kind = 'post' AND state = 'posted'"
_TITLE = (
    "SELECT title FROM findings f WHERE f.alert = a.id AND f.state = 'open' AND f.hidden IN ('', 'history')"
    " ORDER BY level DESC, count DESC, first LIMIT 1"
)


# a snooze is a decision too: while it lasts, nobody is called and nobody reminded
_AWAKE = (
    "NOT EXISTS (SELECT 1 FROM exceptions x WHERE x.alert = a.id AND x.kind = 'snooze' AND x.removed IS NULL"
    " AND x.expires > ?)"
)


@dataclass(frozen=True)
class Waiter:
    """An alert or notice that waits. `since` is the moment at which it was posted or, for an alert, acknowledged."""

    subject: str
    level: Level
    state: str
    since: int
    key: int  # what the steps about it are counted from
    title: str = ""
    entity: Entity | None = None
    owner: str | None = None
    alert: int | None = None
    notice: int | None = None


def open_alerts(store: Store, levels: Iterable[Level], now: int) -> list[Waiter]:
    """Return the alerts of some levels with a message of their own that nobody has acknowledged.

    Where nothing that was found holds any more, nobody has to come.
    """
    marks = ", ".join(str(int(level)) for level in levels)
    rows = store.rows(
        f"SELECT a.id, a.level, a.entity_kind, a.entity, ({_TITLE}), ({_POSTED} AND alert = a.id) FROM alerts a"
        f" WHERE a.state = 'open' AND a.ts IS NOT NULL AND a.level IN ({marks}) AND {_AWAKE}",
        (now,),
    )
    return [
        Waiter(f"A{number}", Level(level), "open", since, since, title, Entity(kind, name), alert=number)
        for number, level, kind, name, title, since in rows
        if since is not None and title is not None
    ]


def acknowledged_alerts(store: Store, now: int) -> list[Waiter]:
    """Return the alerts that somebody has acknowledged and nobody resolved."""
    rows = store.rows(
        f"SELECT a.id, a.level, a.entity_kind, a.entity, ({_TITLE}), a.owned_at, a.owner FROM alerts a"
        " WHERE a.state = 'acknowledged' AND a.owned_at IS NOT NULL AND a.decision LIKE 'posted%'"
        f" AND {_AWAKE}",
        (now,),
    )
    return [
        Waiter(f"A{number}", Level(level), "acknowledged", since, since, title or "", Entity(kind, name), owner, number)
        for number, level, kind, name, title, since, owner in rows
    ]


def open_notices(store: Store, joined_after: int) -> list[Waiter]:
    """Return the notices that an alert joined lately, with the worst of their alerts that nobody has acknowledged."""
    rows = store.rows(
        f"SELECT n.id, a.level, min(d.at), ({_POSTED} AND notice = n.id) FROM notices n"
        " JOIN deliveries d ON d.notice = n.id AND d.lane != 'own' JOIN alerts a ON a.id = d.alert"
        " WHERE n.ts IS NOT NULL AND n.last > ? AND a.state = 'open' GROUP BY 1, 2 ORDER BY 1, 2",
        (joined_after,),
    )
    worst = {number: (Level(level), at, posted) for number, level, at, posted in rows if posted is not None}
    return [
        Waiter(f"N{number}", level, "open", max(at, posted), posted, notice=number)
        for number, (level, at, posted) in worst.items()
    ]


def taken(store: Store, waiter: Waiter) -> frozenset[tuple[str, int]]:
    """Return the steps taken about it, as name and number."""
    rows = store.rows("SELECT step, number FROM steps WHERE subject = ? AND since = ?", (waiter.subject, waiter.key))
    return frozenset((step, number) for step, number in rows)


def take(store: Store, waiter: Waiter, step: str, number: int, now: int) -> bool:
    """Note a step; False where it was taken before."""
    with store.write() as connection:
        return bool(
            connection.execute(
                "INSERT OR IGNORE INTO steps (subject, step, since, number, at) VALUES (?, ?, ?, ?, ?)",
                (waiter.subject, step, waiter.key, number, now),
            ).rowcount
        )
