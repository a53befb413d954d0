"""Sightings: what polls saw of the last day of the log, and what of it is missing there now.

The events table cannot tell what the portal once showed: imported events were never there. A row here is one content
(the fields of an event, not their spelling) and how many copies a settled read held. Rows older than a day go, save
what a finding tells to be missing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from bot.model import Record
from bot.store.log.events import number_twins
from bot.store.schema import Store
from bot.store.views import JOINS


@dataclass(frozen=True)
class Sighting:
    """What was seen of one content: `missing` of its `copies` are gone since `since`, told in `finding`."""

    time: int
    fingerprint: int
    copies: int
    missing: int = 0
    since: int | None = None
    finding: int | None = None


_COLUMNS = "time, fingerprint, copies, missing, since, finding"


def tally(store: Store, records: Iterable[Record]) -> dict[tuple[int, int], int]:
    """Return how many copies there are of each (time, fingerprint of the content).

    The raw time and null or absent do not count: a portal that begins to spell these differently has lost nothing.
    """
    plain = [
        record._replace(identity=repr((record.time, *_content(record))).encode("utf-8", "surrogatepass"))
        for record in records
    ]
    return {
        (record.time, fingerprint): ordinal + 1
        for record, (fingerprint, ordinal) in zip(plain, number_twins(store, plain), strict=True)
    }


def _content(record: Record) -> tuple[str | None, ...]:
    return record.action, record.actor, record.ip, record.object, record.type


def note(store: Store, seen: Mapping[tuple[int, int], int]) -> None:
    """Remember what a settled read held; of two reads the one with more copies."""
    with store.write() as connection:
        connection.executemany(
            "INSERT INTO sightings (time, fingerprint, copies) VALUES (?, ?, ?) ON CONFLICT (time, fingerprint)"
            " DO UPDATE SET copies = excluded.copies WHERE excluded.copies > copies",
            [(time, fingerprint, copies) for (time, fingerprint), copies in seen.items()],
        )


def between(store: Store, since: int, until: int) -> list[Sighting]:
    """Return the sightings with since <= time < until."""
    rows = store.rows(f"SELECT {_COLUMNS} FROM sightings WHERE time >= ? AND time < ?", (since, until))
    return [Sighting(*row) for row in rows]


def missing(store: Store, finding: int) -> list[Sighting]:
    """Return what is missing by a finding, by time."""
    rows = store.rows(
        f"SELECT {_COLUMNS} FROM sightings WHERE finding = ? AND missing > 0 ORDER BY time, fingerprint", (finding,)
    )
    return [Sighting(*row) for row in rows]


def update(store: Store, changed: Iterable[Sighting]) -> None:
    """Store what is missing now, since when, and in which finding it is told."""
    with store.write() as connection:
        connection.executemany(
            "UPDATE sightings SET missing = ?, since = ?, finding = ? WHERE time = ? AND fingerprint = ?",
            [(one.missing, one.since, one.finding, one.time, one.fingerprint) for one in changed],
        )


def newest_finding(store: Store, since: int) -> int | None:
    """Return the finding that tells of what was missed last, where that was after `since`."""
    found = store.value(
        "SELECT finding FROM sightings WHERE missing > 0 AND finding IS NOT NULL AND since >= ?"
        " ORDER BY since DESC, finding DESC LIMIT 1",
        (since,),
    )
    return None if found is None else int(found)


def suspected(store: Store, after: int, since: int) -> bool:
    """Tell whether something later than `after` has been missing since `since` or longer and is not told yet."""
    return bool(
        store.value(
            "SELECT 1 FROM sightings WHERE missing > 0 AND finding IS NULL AND time > ? AND since <= ? LIMIT 1",
            (after, since),
        )
    )


def told(store: Store, after: int) -> bool:
    """Tell whether something later than `after` is missing, and told."""
    return bool(
        store.value("SELECT 1 FROM sightings WHERE missing > 0 AND finding IS NOT NULL AND time > ? LIMIT 1", (after,))
    )


def events_of(store: Store, some: Iterable[Sighting]) -> tuple[int, ...]:
    """Return the id of one stored event of each sighting, where it is still stored."""
    ids: list[int] = []
    for one in some:
        rows = store.rows(
            f"SELECT e.id, n.name, a.name, i.name, o.name, t.name FROM {JOINS} WHERE e.time = ? ORDER BY e.id",
            (one.time,),
        )
        for number, action, actor, ip, object_, type_ in rows:
            record = Record(one.time, action, actor, ip, object_, type_, "", 0, b"")
            if (one.time, one.fingerprint) in tally(store, [record]):
                ids.append(number)
                break
    return tuple(ids)


def prune(store: Store, before: int) -> None:
    """Forget what was seen of older times, save what a finding tells to be missing."""
    with store.write() as connection:
        connection.execute("DELETE FROM sightings WHERE time < ? AND (missing = 0 OR finding IS NULL)", (before,))
