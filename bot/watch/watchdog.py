"""The watchdog: a part that shows no sign of life for too long ends the process, for the supervisor to start anew."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

EVERY = 5.0  # seconds between two looks


@dataclass(frozen=True)
class Watched:
    """One part: any change of `progress()` is a sign of life, and it needs one every so many seconds."""

    name: str
    progress: Callable[[], object]
    seconds: float


class Watchdog:
    """Looks at its parts by the monotonic clock, which no step of the wall clock moves.

    `end` is called once, with the part and how long it has been silent; it ends the process.
    """

    def __init__(
        self,
        parts: Iterable[Watched],
        end: Callable[[str], None],
        monotonic: Callable[[], float] = time.monotonic,
        every: float = EVERY,
    ) -> None:
        self._parts, self._end, self._monotonic, self._every = tuple(parts), end, monotonic, every
        self._looked = monotonic()
        self._seen = {part.name: (part.progress(), self._looked) for part in self._parts}

    def watch(self, stop: threading.Event) -> None:
        """Look again and again, until told to stop or until something hangs."""
        while not stop.wait(self._every):
            if found := self.look():
                self._end(found)
                return

    def look(self) -> str:
        """Return which part hangs and for how long, "" where all are alive.

        A process that was stopped as a whole (SIGSTOP, a frozen machine) finds all its parts silent when it goes on;
        the time for which nobody could look is not held against them.
        """
        now = self._monotonic()
        pause = now - self._looked - self._every
        self._looked = now
        for part in self._parts:
            before, since = self._seen[part.name]
            after = part.progress()
            self._seen[part.name] = (after, now if after != before else since + (pause if pause > self._every else 0))
        silent = self.silences()
        return next(
            (
                f"{part.name}: no sign of life for {silent[part.name]:.0f} s, at most {part.seconds:.0f} s are normal"
                for part in self._parts
                if silent[part.name] > part.seconds
            ),
            "",
        )

    def silences(self) -> dict[str, float]:
        """Return for how many seconds each part has been silent, as of the last look."""
        return {name: self._looked - since for name, (_, since) in self._seen.items()}
