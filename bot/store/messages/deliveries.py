"""How each alert that people see reaches them: by a message of its own, or in a notice."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from bot.model import Level
from bot.store.schema import Store

Lane = Literal["own", "storm", "rate", "held"]


@dataclass(frozen=True)
class Delivery:
    """One alert's way. `at` is when it was decided on, `level` the alert's then, `rule` its worst finding's.

    `channel` is "" for the default one. `notice` is the notice that it is in, or was before it got its own message.
    `over`: its episode was seen to be over, so that what goes on is not drawn any more.
    """

    alert: int
    lane: Lane
    at: int
    level: Level
    channel: str
    rule: str
    notice: int | None = None
    over: bool = False


def delivery(store: Store, alert: int) -> Delivery | None:
    """Return how an alert reaches people; None where it was never posted, or before this was noted."""
    rows = store.rows(
        "SELECT alert, lane, at, level, channel, rule, notice, over FROM deliveries WHERE alert = ?", (alert,)
    )
    for number, lane, at, level, channel, rule, notice, over in rows:
        return Delivery(number, lane, at, Level(level), channel, rule, notice, bool(over))
    return None


def keep(store: Store, decided: Delivery) -> None:
    """Store how an alert reaches people from now on."""
    with store.write() as connection:
        connection.execute(
            "INSERT INTO deliveries (alert, lane, at, level, channel, rule, notice, changed)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (alert) DO UPDATE SET lane = excluded.lane,"
            " at = excluded.at, level = excluded.level, channel = excluded.channel, rule = excluded.rule,"
            " notice = excluded.notice, changed = excluded.changed",
            (
                *(decided.alert, decided.lane, decided.at, int(decided.level), decided.channel, decided.rule),
                *(decided.notice, decided.at),
            ),
        )


def note_change(store: Store, alert: int, now: int) -> None:
    """Remember that an alert has news, which its notice has to tell."""
    with store.write() as connection:
        connection.execute("UPDATE deliveries SET changed = ? WHERE alert = ?", (now, alert))


def set_over(store: Store, alert: int, *, over: bool) -> None:
    """Remember that an alert's episode is over, or that it was not."""
    with store.write() as connection:
        connection.execute("UPDATE deliveries SET over = ? WHERE alert = ? AND over != ?", (over, alert, over))


def risen(store: Store) -> list[int]:
    """Return the alerts in notices that are worse now than when they joined, and still wait for somebody."""
    return [
        row[0]
        for row in store.rows(
            "SELECT d.alert FROM deliveries d JOIN alerts a ON a.id = d.alert WHERE d.notice IS NOT NULL"
            " AND d.lane != 'own' AND a.level > d.level AND a.state IN ('open', 'acknowledged') ORDER BY d.alert"
        )
    ]


def told(store: Store, channel: str, level: Level, since: int, *, but: int, most: int) -> int:
    """Count, up to `most`, the alerts of a level or worse that a channel was told of since then, or a storm took."""
    found = 0
    for one in range(level, Level.critical + 1):
        found += store.value(
            "SELECT count(*) FROM (SELECT 1 FROM deliveries WHERE channel = ? AND level = ? AND at > ?"
            " AND lane IN ('own', 'storm') AND alert != ? LIMIT ?)",
            (channel, one, since, but, most),
        )
    return min(found, most)


def of_rule(store: Store, rule: str, since: int, *, but: int, most: int) -> int:
    """Count, up to `most`, the alerts that a rule has led to since then."""
    return int(
        store.value(
            "SELECT count(*) FROM (SELECT 1 FROM deliveries WHERE rule = ? AND at > ? AND alert != ? LIMIT ?)",
            (rule, since, but, most),
        )
    )


def changed_in(store: Store, notice: int, since: int) -> list[int]:
    """Return the alerts in a notice that are new or have news after a moment."""
    return [
        row[0]
        for row in store.rows(
            "SELECT alert FROM deliveries WHERE notice = ? AND changed > ? AND lane != 'own' ORDER BY alert",
            (notice, since),
        )
    ]
