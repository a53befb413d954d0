"""Copying a database file whole: the copy has its name only once it is complete and checked."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

PART = ".part"


def copy_whole(source: Any, connect: Callable[[str], Any], path: Path) -> tuple[int, str]:
    """Copy all that `source` has committed; return the pages, and what SQLite's check says of the copy ("ok").

    A copy that is not whole leaves nothing behind. Raises OSError, and SQLite's errors.
    """
    part = path.with_name(path.name + PART)
    try:
        os.close(os.open(part, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600))
        copy = connect(str(part))
        try:
            source.backup(copy)
            [found] = copy.execute("PRAGMA integrity_check(1)").fetchone()
            pages = int(copy.execute("PRAGMA page_count").fetchone()[0])
        finally:
            copy.close()
        if found == "ok":
            part.rename(path)
        return pages, str(found)
    finally:
        part.unlink(missing_ok=True)
