"""The questions that people asked, by number: what the buttons of an answer need to find again."""

from __future__ import annotations

from dataclasses import dataclass

from bot.store.schema import Store
from bot.times import DAY

KEPT = 7 * DAY  # so long the pages of an answer can be turned


@dataclass(frozen=True)
class Question:
    """One line of somebody, with all that its answer hangs on: the moment, the zone, the newest event's id."""

    id: int
    who: str
    text: str
    asked: int
    zone: str
    newest: int


def keep(store: Store, who: str, text: str, now: int, zone: str) -> Question:
    """Remember a question; forget those that are too old to be gone on with."""
    newest = int(store.value("SELECT max(id) FROM events") or 0)
    with store.write() as connection:
        connection.execute("DELETE FROM questions WHERE asked < ?", (now - KEPT,))
        number = connection.execute(
            "INSERT INTO questions (who, text, asked, zone, newest) VALUES (?, ?, ?, ?, ?)",
            (who, text, now, zone, newest),
        ).lastrowid
    return Question(int(number or 0), who, text, now, zone, newest)


def get(store: Store, number: int) -> Question | None:
    """Return a question, None where it is too old or never was."""
    rows = store.rows("SELECT id, who, text, asked, zone, newest FROM questions WHERE id = ?", (number,))
    return Question(*rows[0]) if rows else None
