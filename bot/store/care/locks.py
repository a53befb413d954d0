"""Who may add events to a database: one process at a time, by locks that the kernel frees however it ends."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from bot.errors import LockedError
from bot.store.schema import make_private


@contextmanager
def ingest_lock(path: Path, command: str, wait: Callable[[str], bool] | None = None) -> Iterator[None]:
    """Hold the right to add events to this database; the kernel frees it however the process ends.

    While another process holds it, `wait` is asked whether to try again, with a sentence that says who does. Raises
    LockedError with that sentence where it says no, or where nobody wants to wait.
    """
    lock = path.with_name(path.name + ".lock")
    make_private(lock)
    with lock.open("r+") as file:
        while not _locked(file):
            file.seek(0)
            text = f"{_say_holder(file.read())} is writing to {path}. Wait for it, or stop it first."
            if wait is None or not wait(text):
                raise LockedError(text)
        _sign(file, command)
        yield


@contextmanager
def standing_by(path: Path) -> Iterator[None]:
    """Let `standby` see that this process waits for the lock; where several do, it sees one of them."""
    mark = path.with_name(path.name + ".standby")
    make_private(mark)
    with mark.open("r+") as file:
        if _locked(file):
            _sign(file, "run")
        yield


def holder(path: Path) -> str:
    """Return which process may add events to a database now, "" where none does."""
    return _held_by(path.with_name(path.name + ".lock"))


def standby(path: Path) -> str:
    """Return which process waits to take over, "" where none does."""
    return _held_by(path.with_name(path.name + ".standby"))


def _held_by(lock: Path) -> str:
    if not lock.exists():
        return ""
    with lock.open("r+") as file:
        return "" if _locked(file) else _say_holder(file.read())


def _locked(file: IO[str]) -> bool:
    """Take the lock of an open file, if it can be had; it is freed when the file is closed."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _sign(file: IO[str], command: str) -> None:
    file.seek(0)
    file.truncate()
    json.dump({"pid": os.getpid(), "command": command}, file)
    file.flush()


def _say_holder(text: str) -> str:
    try:
        holder = json.loads(text)
        return f"`audit-bot {holder['command']}` (process {holder['pid']})"
    except (ValueError, KeyError, TypeError):
        return "Another audit-bot"
