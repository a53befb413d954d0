"""Whole and consistent copies of the database, made while it is in use: by hand, and one each day."""

from __future__ import annotations

import re
from pathlib import Path

from bot.errors import StoreError
from bot.store.care.copying import PART, copy_whole
from bot.store.schema import DatabaseError, Store, connect, unusable
from bot.times import iso

KEPT = 7  # daily copies
_DAY = re.compile(r"-\d{4}-\d\d-\d\d\.db$", re.ASCII)


def backup(store: Store, path: Path) -> int:
    """Copy the database to a new file, check the copy, and return its size in pages.

    The copy appears under its name only when it is whole. Raises StoreError.
    """
    if path.exists():
        raise StoreError(f"{path} exists already: give the path of a new file.")
    try:
        pages, found = copy_whole(store.connection, connect, path)
    except DatabaseError as error:
        raise unusable(path, error) from error
    except OSError as error:
        raise StoreError(f"{path}: {error.strerror}. Give a path that this user can write.") from error
    if found != "ok":
        raise StoreError(f"The copy does not pass SQLite's check ({found}): keep the database and look at its disk.")
    return pages


def daily(store: Store, folder: Path, now: int) -> Path | None:
    """Make today's copy in a folder, and remove all but the newest seven; None where today's is there already.

    Only files with the name of such copies are ever removed. Raises StoreError.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise StoreError(f"{folder}: {error.strerror}. Set AUDIT_BOT_BACKUP_DIR to a folder to write in.") from error
    path = folder / f"{store.path.stem}-{iso(now)[:10]}.db"
    if path.exists():
        return None
    for half in folder.glob(f"{store.path.stem}-*.db{PART}"):
        half.unlink(missing_ok=True)
    backup(store, path)
    for old in copies(store, folder)[KEPT:]:
        old.unlink(missing_ok=True)
    return path


def copies(store: Store, folder: Path) -> list[Path]:
    """Return the daily copies in a folder, the newest first."""
    stem = store.path.stem
    found = (path for path in folder.glob(f"{stem}-*.db") if _DAY.fullmatch(path.name.removeprefix(stem)))
    return sorted(found, reverse=True)
