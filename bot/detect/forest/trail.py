"""What somebody did slowly: the hours of the last week with deletes or sensitive changes."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from bot.times import DAY, WEEK


class Span(NamedTuple):
    """Active hours of some time: all, those with deletes, those with sensitive changes; and the deletes."""

    hours: int = 0
    with_deletes: int = 0
    with_sensitive: int = 0
    deletes: int = 0


_QUIET = Span(hours=1)  # nearly every hour: kept once


@dataclass
class Trail:
    """The hours of one actor, or of an address.

    What is slow is compared with the time before the week that it may have taken: what goes on for days would teach
    its own profile otherwise. What people were told of counts no more, so that one story is told once.
    """

    hours: list[int] = field(default_factory=list)  # of the last week in which something was done, in order
    spans: list[Span] = field(default_factory=list)  # each of these by itself
    told: int = 0  # begin of the latest hour that people were told of

    def remember(self, hour: int, deletes: int, sensitive: int) -> None:
        """Keep an hour that is over."""
        self.drop(hour)
        place = bisect_left(self.hours, hour)
        self.hours.insert(place, hour)
        loud = deletes or sensitive
        self.spans.insert(place, Span(1, int(deletes > 0), int(sensitive > 0), deletes) if loud else _QUIET)

    def drop(self, hour: int) -> None:
        """Remember an hour no more."""
        place = bisect_left(self.hours, hour)
        if self.hours[place : place + 1] == [hour]:
            del self.hours[place], self.spans[place]

    def age(self, hour: int) -> Span:
        """Drop what is a week older than this hour, and return what was dropped."""
        place = bisect_right(self.hours, hour - WEEK)
        old = _sum(self.spans[:place])
        del self.hours[:place], self.spans[:place]
        return old

    def up_to(self, hour: int) -> tuple[Span, Span]:
        """Return the day and the week up to this hour."""
        end = bisect_left(self.hours, hour)
        day, week = (bisect_right(self.hours, max(hour - span, self.told), hi=end) for span in (DAY, WEEK))
        return _sum(self.spans[day:end]), _sum(self.spans[week:end])


def _sum(spans: Sequence[Span]) -> Span:
    return Span(*map(sum, zip(*spans, strict=True)))
