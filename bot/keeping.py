"""Housekeeping, once a day: a copy of the database, then what is too old goes."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bot.errors import StoreError
from bot.store import journal
from bot.store.care import backup, retention
from bot.store.schema import Store
from bot.times import DAY, is_due, iso

log = logging.getLogger(__name__)


@dataclass
class Keeping:
    """What is due is told from the store, so a restart neither skips nor repeats it."""

    store: Store
    folder: Path | None  # for copies
    days: int  # of events kept; 0: all
    stop: Callable[[], bool]
    error: str = ""  # why the last copy could not be made

    def run_once(self, now: int) -> None:
        """Do what is due. Raises StoreError where the database itself cannot be used."""
        if self.folder is not None and self._due("backup", now):
            self._copy(self.folder, now)
        if self.days and not self.error and self._due("retention", now):
            self._let_go(now)

    def _due(self, what: str, now: int) -> bool:
        return is_due(self.store.meta_time(f"{what}_done"), DAY, now)

    def _copy(self, folder: Path, now: int) -> None:
        try:
            path = backup.daily(self.store, folder, now)
        except StoreError as error:
            self.error = f"The daily backup failed: {error}"
            log.error("%s", self.error)
            return
        self.error = ""
        self._done("backup", now, {"file": path.name} if path else {})

    def _let_go(self, now: int) -> None:
        """Delete what is too old: after a backup where one is made, and never while it fails."""
        before = now - self.days * DAY
        gone = retention.let_go(self.store, before, self.stop)
        if self.stop():
            return
        self._done("retention", now, {"before": iso(before), **gone.__dict__} if any(gone.__dict__.values()) else {})

    def _done(self, what: str, now: int, detail: dict[str, object]) -> None:
        with self.store.write():
            self.store.set_meta(f"{what}_done", str(now))
            if detail:
                journal.write(self.store, now, "bot", what, detail)
                log.info("%s: %s", what, detail)
