"""Pictures that are still to be put into threads, or were tried in vain: one for each alert that has a message, and
for each in a notice that somebody opened.

They have a table of their own, not rows in the outbox: a picture that fails is no message that people miss, so it
must neither count as waiting nor ring anywhere. That an alert needs one follows from its having a message, so nothing
has to be queued for it.
"""

from __future__ import annotations

from dataclasses import dataclass

from bot.store.schema import Store
from bot.times import DAY, MINUTE

FRESH = DAY  # no picture is made any more for an alert that was opened longer ago
# an alert that got worse leaves its notice, and its own thread gets a picture of its own
_MOVED = (
    "ON CONFLICT (alert) DO UPDATE SET channel = excluded.channel, ts = excluded.ts, state = 'pending', tries = 0,"
    " due = excluded.due, error = NULL, unsure = 0 WHERE state != 'sending'"
)
SETTLE = MINUTE  # from the message to its picture: by then the first rush of an episode is in it


@dataclass(frozen=True)
class Row:
    """One picture to draw and upload into the thread of `ts`. `alert` is None for a report, which `body` describes.

    `unsure`: an earlier try may have come through.
    """

    id: int
    alert: int | None
    channel: str
    ts: str
    body: str
    tries: int  # before this one
    unsure: bool


def put(store: Store, channel: str, ts: str, body: str, now: int) -> None:
    """Queue the picture of a report."""
    with store.write() as connection:
        connection.execute(
            "INSERT INTO pictures (channel, ts, body, state, due) VALUES (?, ?, ?, 'pending', ?)",
            (channel, ts, body, now),
        )


def take_note(store: Store, now: int) -> None:
    """Give each alert whose message stands, and that has no picture in its thread yet, one that will be due."""
    rows = store.rows(
        "SELECT a.id FROM alerts a LEFT JOIN pictures p ON p.alert = a.id AND p.ts = a.ts"
        " WHERE p.id IS NULL AND a.ts IS NOT NULL AND a.channel IS NOT NULL AND a.opened > ? ORDER BY a.id",
        (now - FRESH,),
    )
    if rows:
        with store.write() as connection:
            connection.executemany(
                "INSERT INTO pictures (alert, channel, ts, body, state, due)"
                f" SELECT id, channel, ts, '', 'pending', ? FROM alerts WHERE id = ? {_MOVED}",
                [(now + SETTLE, alert) for (alert,) in rows],
            )


def ask(store: Store, alert: int, now: int) -> None:
    """Give an alert that stands in a notice a picture in the notice's thread, once: somebody looks at it."""
    with store.write() as connection:
        connection.execute(
            "INSERT OR IGNORE INTO pictures (alert, channel, ts, body, state, due)"
            " SELECT a.id, n.place, n.ts, '', 'pending', ? FROM alerts a JOIN deliveries d ON d.alert = a.id"
            " JOIN notices n ON n.id = d.notice WHERE a.id = ? AND d.lane != 'own' AND n.ts IS NOT NULL",
            (now, alert),
        )


def claim(store: Store, now: int) -> Row | None:
    """Take the picture that is due first, marking it as being sent; None when there is nothing to do."""
    due = "FROM pictures WHERE state = 'pending' AND due <= ? ORDER BY due, id LIMIT 1"
    if not store.rows(f"SELECT 1 {due}", (now,)):
        return None  # most of the time: so the lock is not even asked for
    with store.write() as connection:
        found = connection.execute(f"SELECT id, alert, channel, ts, body, tries, unsure {due}", (now,)).fetchone()
        if found is None:
            return None
        connection.execute("UPDATE pictures SET state = 'sending', tries = tries + 1 WHERE id = ?", (found[0],))
    number, alert, channel, ts, body, tries, unsure = found
    return Row(number, alert, channel, ts, body, tries, bool(unsure))


def recover(store: Store, now: int) -> None:
    """Take back what an earlier process was cut off in; whether Slack has it, is looked up before the next try."""
    with store.write() as connection:
        connection.execute("UPDATE pictures SET state = 'pending', due = ?, unsure = 1 WHERE state = 'sending'", (now,))


def posted(store: Store, row: Row, now: int) -> None:
    """Record that it is there."""
    _set(store, row, "posted", now, None, unsure=row.unsure)


def put_back(store: Store, row: Row, due: int, error: str, *, unsure: bool) -> None:
    """Try again later."""
    _set(store, row, "pending", due, error, unsure=unsure)


def drop(store: Store, row: Row, now: int, error: str) -> None:
    """Give it up."""
    _set(store, row, "dropped", now, error, unsure=row.unsure)


def _set(store: Store, row: Row, state: str, due: int, error: str | None, *, unsure: bool) -> None:
    with store.write() as connection:
        connection.execute(
            "UPDATE pictures SET state = ?, due = ?, error = ?, unsure = ? WHERE id = ?",
            (state, due, error, unsure, row.id),
        )
