"""A whole and consistent copy of the database, made while it is in use."""

from __future__ import annotations

import os
from pathlib import Path

from bot.errors import StoreError
from bot.store.schema import DatabaseError, Store, connect, unusable


def backup(store: Store, path: Path) -> int:
    """Copy the database to a new file, check the copy, and return its size in pages.

    The copy appears under its name only when it is whole. Raises StoreError.
    """
    if path.exists():
        raise StoreError(f"{path} exists already: give the path of a new file.")
    part = path.with_name(path.name + ".part")
    try:
        os.close(os.open(part, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600))
        copy = connect(str(part))
        try:
            store.connection.backup(copy)
            [found] = copy.execute("PRAGMA integrity_check(1)").fetchone()
            pages = int(copy.execute("PRAGMA page_count").fetchone()[0])
        finally:
            copy.close()
        if found != "ok":
            raise StoreError(
                f"The copy does not pass SQLite's check ({found}): keep the database and look at its disk."
            )
        part.rename(path)
    except DatabaseError as error:
        raise unusable(part, error) from error
    except OSError as error:
        raise StoreError(f"{part}: {error.strerror}. Give a path that this user can write.") from error
    finally:
        part.unlink(missing_ok=True)
    return pages
