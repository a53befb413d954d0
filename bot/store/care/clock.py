"""Our clock may be stepped back: what was noted at moments that have not come yet is brought to now."""

from __future__ import annotations

from bot.store.messages import outbox
from bot.store.schema import Store
from bot.times import HOUR, SECOND

SEEN = "clock"  # what our clock showed when it was looked at last
# moments at which something was done, from which waiting is counted
_DONE = (
    ("outbox", "created"), ("outbox", "done"), ("alerts", "opened"), ("alerts", "owned_at"), ("deliveries", "at"),
    ("deliveries", "changed"), ("notices", "opened"), ("notices", "last"), ("steps", "since"), ("steps", "at"),
    ("proposals", "created"), ("sightings", "since"),
)  # fmt: skip
# and moments that are waited for, of what was begun in a time that has not come yet
_DUE = (
    "UPDATE inquiries SET due = due - asked + :now, asked = :now WHERE state = 'asked' AND asked > :now",
    "UPDATE undetected SET due = :now, found = :now WHERE found > :now",
    "UPDATE notices SET due = :now WHERE closed IS NULL AND opened > :now",
    f"UPDATE pictures SET due = :now WHERE state = 'pending' AND due > :now + {HOUR}",
)


def look(store: Store, now: int) -> bool:
    """Remember what our clock shows; tell whether it was stepped back since the last look, and then put it right."""
    seen = store.meta_time(SEEN)
    back = seen is not None and seen > now + SECOND
    with store.write():
        if back or seen is None:  # nobody knows what happened before the first look
            bring_to_now(store, now)
        store.set_meta(SEEN, str(now))
    return back


def bring_to_now(store: Store, now: int) -> None:
    """Let nothing wait for a moment of the old time longer than it would have waited in it.

    What people set an end to (exceptions, snoozes) keeps that end.
    """
    with store.write() as connection:
        outbox.pull_in(store, now)
        for statement in _DUE:
            connection.execute(statement, {"now": now})
        for table, column in _DONE:
            connection.execute(f"UPDATE OR IGNORE {table} SET {column} = ? WHERE {column} > ?", (now, now))
