"""The threshold: how high a score has to be so that only the budgeted alarms a week pass it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import NamedTuple

import numpy as np

from bot.detect.profiles import Floats
from bot.detect.windows import EntityKind, WindowKey
from bot.times import HOUR


class Episode(NamedTuple):
    """What posted rules told people of somebody. Times in microseconds."""

    kind: EntityKind
    entity: str
    first: int
    last: int


Spoken = Callable[[int], Iterable[Episode]]  # the episodes of posted rules since a time


def free(keys: Collection[WindowKey], episodes: Iterable[Episode]) -> set[WindowKey]:
    """Return the windows that would join an episode of which a posted rule tells: they cost no alarm more."""
    hours = {
        WindowKey(one.kind, one.entity, hour)
        for one in episodes
        for hour in range((one.first - HOUR) // HOUR * HOUR, one.last + HOUR + 1, HOUR)
    }
    return hours.intersection(keys)


def threshold(keys: Sequence[WindowKey], scores: Floats, alarms: int) -> float:
    """Return the score above which these windows make so many alarms.

    Windows of the same entity in adjacent hours are one alarm, as they are one message to whoever reads it.
    """
    taken: set[WindowKey] = set()
    made = 0
    for place in np.argsort(-scores, kind="stable"):
        key = keys[place]
        neighbours = sum(key._replace(hour=hour) in taken for hour in (key.hour - HOUR, key.hour + HOUR))
        taken.add(key)
        made += 1 - neighbours
        if made > alarms:
            return float(scores[place])
    return float(scores.min())
