"""The events that the simulated portal knows, each visible from its own moment on."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable, Iterable, Sequence
from threading import Lock

from bot.sandbox.story import Record, Told
from bot.times import HOUR, parse_time

AHEAD = HOUR  # how far past the clock the story is asked for at once


def _time(told: Told) -> int:
    return told.time


class Source:
    """Events sorted by time; safe to read and to add to from several threads.

    `more(start, end)` tells the events of a period to come; it is asked from `until` on, as the clock goes forward.
    """

    def __init__(
        self, told: Iterable[Told] = (), more: Callable[[int, int], Sequence[Told]] | None = None, until: int = 0
    ) -> None:
        self._told, self._more, self._until = sorted(told, key=_time), more, until
        self._lock = Lock()

    def add(
        self,
        record: Record,
        visible_at: int | None = None,
        actor_type: str = "OAUTH2",
        request_type: str | None = None,
        time: int | None = None,
    ) -> None:
        """Add a record by hand, visible at once unless told otherwise; `time` is for records whose own is malformed.

        Raises ValueError where the record's timestamp cannot be read and `time` is missing.
        """
        when = parse_time(record.get("timestamp") or "") if time is None else time
        told = Told(when, dict(record), actor_type, when if visible_at is None else visible_at, request_type)
        with self._lock:
            insort(self._told, told, key=_time)

    def extend(self, told: Iterable[Told]) -> None:
        """Add many events, of any time."""
        with self._lock:
            self._told = sorted([*self._told, *told], key=_time)

    def select(self, start: int | None, end: int | None, now: int) -> list[Told]:
        """Return the events of `[start, end)` that are visible at `now`, oldest first; None leaves an end open."""
        self._go_on(now)
        with self._lock:
            first = 0 if start is None else bisect_left(self._told, start, key=_time)
            last = len(self._told) if end is None else bisect_left(self._told, end, key=_time)
            window = self._told[first:last]
        return [told for told in window if told.visible_at <= now]

    def truth(self, now: int | None = None) -> list[Record]:
        """Return every record, oldest first, twins included; with `now` only what is visible by then."""
        with self._lock:
            return [told.record for told in self._told if now is None or told.visible_at <= now]

    def _go_on(self, now: int) -> None:
        with self._lock:
            if self._more is None or now < self._until:
                return
            until = now + AHEAD
            self._told = sorted([*self._told, *self._more(self._until, until)], key=_time)
            self._until = until
