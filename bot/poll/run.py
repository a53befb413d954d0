"""One pass over the portal: what to read, given how far we are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bot.errors import ApiError
from bot.fields import ACTOR_TYPES
from bot.model import Record
from bot.poll.client import Portal, Window
from bot.poll.sweep import Batch, Sweeper, read_actor_types, read_settled
from bot.times import DAY, SECOND


@dataclass(frozen=True)
class Plan:
    """The span to read: from `since` (the watermark less the overlap) up to the server's own now, and gaps to retry."""

    since: int
    until: int
    gaps: Sequence[Window] = ()


def plan(portal: Portal, watermark: int | None, overlap: int, backfill: int, gaps: Sequence[Window] = ()) -> Plan:
    """Decide what to read. Times and spans in microseconds. Raises ApiError where the portal is away."""
    until = portal.server_now() // SECOND * SECOND
    since = until - backfill if watermark is None else watermark - overlap
    return Plan(min(since, until) // SECOND * SECOND, until, gaps)


def run_once(portal: Portal, what: Plan) -> Iterator[Batch]:
    """Yield what is to be stored, batch by batch, the oldest first, then the gaps that can be closed by now."""
    yield from Sweeper(portal).read(what.since, what.until)
    for gap in what.gaps:
        try:
            yield from read_settled(portal, gap)
        except ApiError as error:
            yield Batch(gap, gap=str(error))


class TypeReader:
    """Asks for actor types, within a tenth of the rate limit."""

    def __init__(self, portal: Portal, rate_limit: int) -> None:
        self._portal, self._share = portal, rate_limit // 10
        self._spent: list[tuple[int, int]] = []  # (when, requests) of the last minute

    def read(self, window: Window, now: int) -> dict[Record, str] | None:
        """Return the types of a window's records; None where it has to wait or the portal does not answer."""
        self._spent = [(when, count) for when, count in self._spent if when > now - 60 * SECOND]
        if window.until - window.since > DAY or sum(count for _, count in self._spent) + len(ACTOR_TYPES) > self._share:
            return None
        before = self._portal.requests
        try:
            return read_actor_types(self._portal, window, ACTOR_TYPES)
        except ApiError:
            return None
        finally:
            self._spent.append((now, self._portal.requests - before))
