"""What is still missing: windows that could not be read, and spans that rules could not look at."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from bot.store.log.events import Added
from bot.store.schema import Store
from bot.times import HOUR, MINUTE


@dataclass(frozen=True)
class Span:
    """Events not looked at yet by a rule (None: by any): those with ids above `after`, from `since` to `until`."""

    id: int
    rule: str | None
    after: int
    since: int
    until: int
    history: bool
    tries: int


def note(store: Store, since: int, until: int, reason: str, now: int) -> None:
    """Record that a window could not be read; the same window again only counts the try."""
    with store.write() as connection:
        again = connection.execute(
            "UPDATE gaps SET tries = tries + 1, reason = ? WHERE since = ? AND until = ? AND closed IS NULL",
            (reason, since, until),
        ).rowcount
        if not again:
            connection.execute(
                "INSERT INTO gaps (since, until, found, reason) VALUES (?, ?, ?, ?)", (since, until, now, reason)
            )


def close(store: Store, since: int, until: int, now: int) -> None:
    """Record that a span has been read: the gaps inside it are closed."""
    with store.write() as connection:
        connection.execute(
            "UPDATE gaps SET closed = ? WHERE closed IS NULL AND since >= ? AND until <= ?", (now, since, until)
        )


def open_gaps(store: Store) -> list[tuple[int, int, int, str, int]]:
    """Return (since, until, found, reason, tries) of each window that is still missing, oldest first."""
    return [
        (since, until, found, reason, tries)
        for since, until, found, reason, tries in store.rows(
            "SELECT since, until, found, reason, tries FROM gaps WHERE closed IS NULL ORDER BY since"
        )
    ]


def note_undetected(store: Store, added: Added, reason: str, now: int) -> None:
    """Record that imported events still have to be looked at; batches of one import become one span."""
    if not added.count:
        return
    with store.write() as connection:
        again = connection.execute(
            "UPDATE undetected SET since = min(since, ?), until = max(until, ?), after = min(after, ?)"
            " WHERE rule IS NULL AND reason = ?",
            (added.since, added.until, added.after, reason),
        ).rowcount
        if not again:
            connection.execute(
                "INSERT INTO undetected (rule, after, since, until, reason, found, due, history)"
                " VALUES (NULL, ?, ?, ?, ?, ?, ?, 1)",
                (added.after, added.since, added.until, reason, now, now),
            )


def note_failed(
    store: Store, failed: Iterable[tuple[str, str]], span: Added | Span, now: int, *, history: bool
) -> list[str]:
    """Record that rules raised on a span, to be tried again ever more rarely; return those that did so anew."""
    tries = span.tries + 1 if isinstance(span, Span) else 0
    anew = []
    with store.write() as connection:
        for rule, reason in failed:
            known = connection.execute("SELECT 1 FROM undetected WHERE rule = ?", (rule,)).fetchone()
            if not known and not tries:
                anew.append(f"{rule}: {reason}")
            connection.execute(
                "INSERT INTO undetected (rule, after, since, until, reason, found, tries, due, history)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (rule, span.after, span.since, span.until, reason, now, tries, now + _wait(tries), history),
            )
    return anew


def undetected(store: Store, now: int) -> list[Span]:
    """Return the spans that it is time to look at (again)."""
    rows = store.rows(
        "SELECT id, rule, after, since, until, history, tries FROM undetected WHERE due <= ? ORDER BY id", (now,)
    )
    return [
        Span(number, rule, after, since, until, bool(history), tries)
        for number, rule, after, since, until, history, tries in rows
    ]


def forget(store: Store, span: Span) -> None:
    """Record that a span has been looked at."""
    with store.write() as connection:
        connection.execute("DELETE FROM undetected WHERE id = ?", (span.id,))


def _wait(tries: int) -> int:
    return min(MINUTE << min(tries, 10), 6 * HOUR)
