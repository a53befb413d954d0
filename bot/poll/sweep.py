"""Sweeps: reading a closed window completely, twice alike, without loss and without doubles.

A read counts when its pages add up to a `total` that never changed. Two equal reads settle a window. What the first
read shows is handed on at once, so that alerts need not wait; but a twin only when the next read shows it again,
since a row that moves from page to page while we read looks just like one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from bot.errors import AccessError, ApiError
from bot.model import Broken, Record
from bot.poll.client import PAGE_SIZE, Window
from bot.times import HOUR, SECOND

READS = 8  # of one window, before it is split
WINDOW_RECORDS = 10_000  # a window with more is split, so that memory stays bounded
FIRST_WIDTH, WIDEST = 6 * HOUR, 60 * 24 * HOUR

Tally = Counter[Record | Broken]


class Pages(Protocol):
    """What a sweep needs of the portal."""

    def page(self, window: Window, number: int, actor_type: str | None = None) -> tuple[list[Record | Broken], int]:
        """Return one page and the window's total."""
        ...

    def alive(self) -> bool:
        """Tell whether the portal answers at all."""
        ...


@dataclass(frozen=True)
class Batch:
    """What one read adds to the store, in one transaction. Where `gap` is set, the window could not be read."""

    window: Window
    records: tuple[Record, ...] = ()
    broken: tuple[Broken, ...] = ()
    settled: bool = False
    gap: str = ""


class TooMany(Exception):  # noqa: N818 -- a turn of the reading, not an error
    """The window holds more than one read should keep in memory."""


class Moving(ApiError):  # noqa: N818 -- as TooMany
    """The window changed while it was read."""


def read_once(pages: Pages, window: Window, actor_type: str | None = None, cap: int = 1 << 62) -> Tally:
    """Return one complete read of a window. Raises Moving, TooMany (more than `cap` records), ApiError."""
    found, total = pages.page(window, 0, actor_type)
    if total > cap:
        raise TooMany
    for number in range(1, -(-total // PAGE_SIZE)):
        more, again = pages.page(window, number, actor_type)
        if again != total:
            raise Moving(f"The window's total went from {total} to {again} while it was read")
        found += more
    if len(found) != total:
        raise Moving(f"The pages hold {len(found)} records, the total says {total}")
    return Counter(found)


def read_settled(pages: Pages, window: Window, cap: int = 1 << 62) -> Iterator[Batch]:
    """Yield what each read of a window shows, until two are equal. Raises Moving where that does not happen."""
    before: Tally | None = None
    sent: Tally = Counter()
    for _ in range(READS):
        try:
            now = read_once(pages, window, cap=cap)
        except Moving:
            before = None
            continue
        sure = Counter(now.keys()) if before is None else (now & before) | Counter(now.keys())
        settled = now == before
        if settled or sure - sent:
            yield _batch(window, sure, settled)
            sent |= sure
        if settled:
            return
        before = now
    raise Moving(f"The window did not settle in {READS} reads")


def _batch(window: Window, tally: Tally, settled: bool) -> Batch:
    everything = list(tally.elements())
    records = tuple(one for one in everything if isinstance(one, Record))
    return Batch(window, records, tuple(one for one in everything if isinstance(one, Broken)), settled)


@dataclass
class Sweeper:
    """Reads a long span oldest first, in windows whose width follows the number of records in them."""

    pages: Pages
    width: int = FIRST_WIDTH
    records: int = WINDOW_RECORDS

    def read(self, since: int, until: int) -> Iterator[Batch]:
        """Yield the batches of the span. Raises ApiError where the portal is away; a window that alone cannot be read,
        however narrow, is yielded as a gap."""
        at = since
        while at < until:
            window = Window(at, min(until, at + self.width))
            try:
                yield from self._window(window)
            except TooMany:
                self.width = _seconds((window.until - window.since) / 4)
                continue
            at = window.until

    def _window(self, window: Window) -> Iterator[Batch]:
        narrow = window.until - window.since <= SECOND
        count = 0
        try:
            for batch in read_settled(self.pages, window, cap=1 << 62 if narrow else self.records):
                count = len(batch.records)
                yield batch
        except AccessError:
            raise
        except ApiError as error:
            if error.retry_after is not None or not self.pages.alive():
                raise
            yield from self._split(window, str(error))
            return
        self.width = _seconds(self.width * min(4.0, max(0.25, self.records / 2 / max(count, 1))))

    def _split(self, window: Window, reason: str) -> Iterator[Batch]:
        if window.until - window.since <= SECOND:
            yield Batch(window, gap=reason)
            return
        middle = window.since + _seconds((window.until - window.since) / 2)
        yield from self._window(Window(window.since, middle))
        yield from self._window(Window(middle, window.until))


def _seconds(width: float) -> int:
    return int(min(max(width // SECOND * SECOND, SECOND), WIDEST))


def read_actor_types(pages: Pages, window: Window, types: tuple[str, ...]) -> dict[Record, str]:
    """Return the actor type of each record of a window, by one filtered read for each type.

    The type is in no record. One that shows up under two types (twins by different actors, or a portal that ignores
    the filter) is left out: unknown is better than wrong.
    """
    found: dict[Record, str] = {}
    unsure: set[Record] = set()
    for actor_type in types:
        for record in read_once(pages, window, actor_type):
            if isinstance(record, Record):
                if record in found:
                    unsure.add(record)
                found[record] = actor_type
    return {record: actor_type for record, actor_type in found.items() if record not in unsure}
