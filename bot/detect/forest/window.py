"""One window, an actor's hour, and what is counted in it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from bot.detect.forest.deeds import WindowKey
from bot.detect.forest.profiles import Floats
from bot.detect.forest.usual import Usual
from bot.times import MINUTE


@dataclass
class Window:
    """What one actor, or one address without an actor, did in one hour so far, beside what is usual."""

    key: WindowKey
    cls: str
    usual: Usual
    first: int
    last: int
    events: int = 0
    minutes: set[int] = field(default_factory=set)
    delete_times: list[int] = field(default_factory=list)
    sensitive_times: list[int] = field(default_factory=list)
    sensitive_types: dict[str, None] = field(default_factory=dict)
    objects: dict[int, bool] = field(default_factory=dict)  # whether it was created here
    new_objects: set[int] = field(default_factory=set)
    cold_objects: set[int] = field(default_factory=set)
    foreign_deletes: set[int] = field(default_factory=set)
    pairs: dict[str, float] = field(default_factory=dict)  # "DELETE SERVICE": its surprise
    addresses: set[str] = field(default_factory=set)
    places: dict[str, float] = field(default_factory=dict)  # with the owner's past windows there
    new_address: str | None = None  # one from a place never seen for the owner
    unheard: bool = False  # a place never seen for anybody
    ip: str | None = None  # the latest
    folded: Floats | None = None  # the logarithms that the profile has learnt of it


@dataclass(frozen=True)
class Tally:
    """What is counted in some windows, a row each: the logarithms of COUNTS, the parts and the wholes of SHARES."""

    logs: Floats
    parts: Floats
    wholes: Floats

    def take(self, places: Sequence[int]) -> Tally:
        """Return some of the windows."""
        return Tally(self.logs[places], self.parts[places], self.wholes[places])


def tally(windows: Iterable[Window]) -> Tally:
    """Count what is in one window or more."""
    counted = np.array([_count(window) for window in windows], dtype=np.float64)
    return Tally(np.log1p(counted[:, :-8]), counted[:, -8:-4], counted[:, -4:])


def _count(window: Window) -> tuple[float, ...]:
    """Return the counts in the order of COUNTS, then the parts and the wholes of SHARES."""
    day, week, minutes = window.usual.day, window.usual.week, len(window.minutes)
    deletes, sensitive = len(window.delete_times), len(window.sensitive_times)
    delete_minutes, sensitive_minutes = _minutes(window.delete_times), _minutes(window.sensitive_times)
    objects, new, cold = len(window.objects), len(window.new_objects), len(window.cold_objects)
    return (
        window.events,
        minutes,
        deletes,
        delete_minutes,
        week.deletes + deletes if deletes else 0,  # an hour without is not strange for those before
        day.with_deletes + 1 if deletes else 0,
        week.with_deletes + 1 if deletes else 0,
        len(window.foreign_deletes),
        sensitive,
        sensitive_minutes,
        day.with_sensitive + 1 if sensitive else 0,
        week.with_sensitive + 1 if sensitive else 0,
        new,
        cold,
        max(len(window.addresses) - 1, 0),
        window.usual.idle_days,
        *(delete_minutes, sensitive_minutes, new, cold),
        *(minutes, minutes, objects, objects),
    )


def _minutes(times: Iterable[int]) -> int:
    return len({time // MINUTE for time in times})
