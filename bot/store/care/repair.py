"""Finding and mending what can be mended without losing anything: indexes, first-seen tables, half-sent rows, modes."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from bot.store.log.learned import learn
from bot.store.messages import outbox
from bot.store.schema import Store


def damage(store: Store, *, whole: bool) -> list[str]:
    """Return what SQLite finds wrong with the file; `whole` compares every index with its table too."""
    found = [str(row[0]) for row in store.rows(f"PRAGMA {'integrity_check' if whole else 'quick_check'}(20)")]
    return [text for text in found if text != "ok"]


def reindex(store: Store) -> bool:
    """Make every index anew from its table; tell whether the file is whole then."""
    with store.write() as connection:
        connection.execute("REINDEX")
    return not damage(store, whole=True)


def missing_first_seen(store: Store) -> int:
    """Return how many actors and addresses with events were never noted as first seen."""
    return int(
        store.value(
            "SELECT (SELECT count(*) FROM actors a WHERE EXISTS (SELECT 1 FROM events e WHERE e.actor = a.id)"
            " AND NOT EXISTS (SELECT 1 FROM first_seen f WHERE f.kind = 'actor' AND f.a = a.id AND f.b = 0))"
            " + (SELECT count(*) FROM addresses a WHERE EXISTS (SELECT 1 FROM events e WHERE e.ip = a.id)"
            " AND NOT EXISTS (SELECT 1 FROM first_seen f WHERE f.kind = 'ip' AND f.a = a.id AND f.b = 0))"
        )
    )


_LEARNT = (
    "SELECT (SELECT count(*) FROM first_seen), (SELECT total(time) FROM first_seen), (SELECT count(*) FROM creations),"
    " (SELECT count(*) FROM activity), (SELECT total(deletes) FROM activity)"
)


def derive_learnt(store: Store) -> bool:
    """Learn anew from all stored events; what is older than they are stays. Tell whether anything was missing."""
    with store.write() as connection:
        before = connection.execute(_LEARNT).fetchone()
        connection.execute("CREATE TEMP TABLE kept AS SELECT * FROM activity")
        connection.execute("DELETE FROM activity")  # learning counts, so it begins from nothing
        learn(connection, 0)
        connection.execute(
            "INSERT INTO activity SELECT * FROM kept WHERE true"
            " ON CONFLICT (actor, hour) DO UPDATE SET deletes = max(deletes, excluded.deletes)"
        )
        connection.execute("DROP TABLE kept")
        return bool(connection.execute(_LEARNT).fetchone() != before)


def take_back(store: Store, now: int) -> int:
    """Put rows that were cut off while being sent back into the queue, marked as possible repeats."""
    rows = outbox.cut_off(store)
    for row in rows:
        outbox.put_back(store, row, now, outbox.CUT_OFF)
    return len(rows)


def make_private(paths: Iterable[Path]) -> list[Path]:
    """Take group and others away from files; return those that had them."""
    changed = []
    for path in paths:
        mode = path.stat().st_mode
        if mode & 0o077:
            os.chmod(path, mode & 0o700)
            changed.append(path)
    return changed


def remove_halves(folder: Path, name: str) -> list[Path]:
    """Remove what a backup that was cut off left: files that never got their name."""
    halves = sorted(path for path in folder.glob("*.part") if path.name.startswith(name))
    for path in halves:
        path.unlink()
    return halves
