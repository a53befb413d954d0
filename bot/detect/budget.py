"""The threshold: how high a score has to be so that only the budgeted alarms a week pass it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bot.detect.profiles import Floats
from bot.detect.windows import WindowKey
from bot.times import HOUR


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
