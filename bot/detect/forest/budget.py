"""The threshold: how high a score has to be so that only the budgeted alarms a week pass it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from bot.detect.forest.deeds import EntityKind, WindowKey
from bot.detect.forest.profiles import Floats
from bot.times import HOUR

LEAST = 0.8  # of the budget, whatever the rules say


class Episode(NamedTuple):
    """What posted rules told people of somebody. Times in microseconds."""

    kind: EntityKind
    entity: str
    first: int
    last: int


Spoken = Callable[[int], Iterable[Episode]]  # the episodes of posted rules since a time


def said(keys: Collection[WindowKey], episodes: Iterable[Episode]) -> dict[WindowKey, int]:
    """Return the windows that would join an episode of which posted rules tell, each with the episode's number."""
    hours = {
        WindowKey(one.kind, one.entity, hour): number
        for number, one in enumerate(episodes)
        for hour in range((one.first - HOUR) // HOUR * HOUR, one.last + HOUR + 1, HOUR)
    }
    return {key: hours[key] for key in keys if key in hours}


def threshold(
    keys: Sequence[WindowKey], scores: Floats, alarms: int, by_rules: Mapping[WindowKey, int] = MappingProxyType({})
) -> float:
    """Return the score above which the bot makes so many alarms of these windows.

    Windows of the same entity in adjacent hours are one alarm, as they are one message to whoever reads it. An episode
    that posted rules tell of (`by_rules`) costs one alarm, and none where its windows pass too: rules and forest agree.
    However much the rules say alone, LEAST of the alarms is the forest's.
    """
    taken: set[WindowKey] = set()
    alone = set(by_rules.values())  # rules tell of them, the forest does not
    made = 0
    for place in np.argsort(-scores, kind="stable"):
        key = keys[place]
        if key in by_rules:
            alone.discard(by_rules[key])
            continue
        neighbours = sum(key._replace(hour=hour) in taken for hour in (key.hour - HOUR, key.hour + HOUR))
        taken.add(key)
        made += 1 - neighbours
        if made > max(alarms - len(alone), alarms * LEAST):
            return float(scores[place])
    return float(scores.min())
