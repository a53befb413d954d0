"""What somebody did slowly: the hours of the last week with deletes or sensitive changes, and how often before."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bot.times import DAY, WEEK

MEMORY = 500.0  # hours after which the counts are halved, so that old habits fade


class Span(NamedTuple):
    """Active hours of some time: all, those with deletes, those with sensitive changes; and the deletes."""

    hours: int = 0
    with_deletes: int = 0
    with_sensitive: int = 0
    deletes: int = 0


@dataclass
class Trail:
    """The hours of one actor, of an address, or of a class.

    What is slow is compared with the time before the week that it may have taken: what goes on for days would teach
    its own profile otherwise. What people were told of counts no more, so that one story is told once.
    """

    week: dict[int, tuple[int, int]] = field(default_factory=dict)  # hour: deletes, sensitive changes
    before: NDArray[np.float64] = field(default_factory=lambda: np.zeros(3))  # of earlier hours, in the order of Span
    told: int = 0  # begin of the latest hour that people were told of

    def remember(self, hour: int, deletes: int, sensitive: int) -> None:
        """Keep an hour that is over."""
        self.week[hour] = (deletes, sensitive)

    def age(self, hour: int) -> NDArray[np.float64]:
        """Move what is a week older than this hour to the time before, and return what was moved."""
        old = [past for past in self.week if past <= hour - WEEK]
        moved = np.zeros(3)
        for past in old:
            deletes, sensitive = self.week.pop(past)
            moved += (1, deletes > 0, sensitive > 0)
        self.learn(moved)
        return moved

    def learn(self, moved: NDArray[np.float64]) -> None:
        """Add to the time before."""
        self.before = self.before + moved
        if self.before[0] >= MEMORY:
            self.before = self.before / 2

    def day(self, hour: int) -> Span:
        """Return the day up to this hour."""
        return self._sum(hour - DAY, hour)

    def up_to(self, hour: int) -> Span:
        """Return the week up to this hour."""
        return self._sum(hour - WEEK, hour)

    def _sum(self, since: int, until: int) -> Span:
        since = max(since, self.told)
        some = [counts for hour, counts in self.week.items() if since < hour < until]
        return Span(
            len(some), sum(one[0] > 0 for one in some), sum(one[1] > 0 for one in some), sum(one[0] for one in some)
        )
