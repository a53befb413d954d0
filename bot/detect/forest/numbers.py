"""The numbers of all profiles in one table, a row each, so that an hour's windows are compared and learnt in one go."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bot.detect.forest.profiles import COUNTS, SHARES, Floats

MEMORY = 150.0  # windows after which means and spreads begin to fade
HALVE = 1000.0  # windows at which the counts of a profile are halved, so that old habits fade
PEAK_FADE = 0.995  # a peak is forgotten by half in 140 windows
OLD = 500.0  # hours after which the counts of those before the last week are halved

NUMBERS = np.dtype(
    [
        # of the logarithms of a window's counts, fading after MEMORY windows
        ("weight", "f8"),
        ("sum", "f8", (len(COUNTS),)),
        ("squares", "f8", (len(COUNTS),)),
        # halved at HALVE windows
        ("windows", "f8"),
        ("hours", "f8", (24,)),
        ("weekends", "f8"),
        ("shares", "f8", (len(SHARES),)),  # sums over windows
        ("judged", "f8"),  # windows in which a place could be new: not the owner's first, not the log's first weeks
        ("strange_places", "f8", (2,)),  # of those, windows with a place never seen for the owner; for anybody
        # the rest
        ("firsts", "f8"),  # members' first windows
        ("unheard_firsts", "f8"),  # of those, windows with a place never seen for anybody
        ("peak", "f8", (len(COUNTS),)),  # of the logarithms, fading with every window
        ("before", "f8", (3,)),  # hours before the last week: all, those with deletes, with sensitive changes
    ]
)
Numbers = NDArray[Any]  # rows of NUMBERS

NOBODY = 0  # the row of who has no profile yet: nothing but 0
_FEWEST = 64


def _span(first: str, end: str | None = None) -> slice:
    """Return the columns from a name to before another, or of the one alone."""
    fields: Any = NUMBERS.fields
    begin = fields[first][1]
    return slice(begin // 8, (begin + fields[first][0].itemsize if end is None else fields[end][1]) // 8)


_WEIGHT, _WINDOWS = _span("weight").start, _span("windows").start
_FADING, _HALVED, _PEAK, _BEFORE = (
    _span("weight", "windows"),
    _span("windows", "firsts"),
    _span("peak"),
    _span("before"),
)


class Table:
    """A row of numbers for each profile, by the row's number; as many rows again when it is full."""

    def __init__(self) -> None:
        self._values: Floats = np.zeros((_FEWEST, NUMBERS.itemsize // 8))
        self._free = list(range(_FEWEST - 1, NOBODY, -1))

    def take(self) -> int:
        """Return the number of a row that nobody has, all 0."""
        if not self._free:
            size = len(self._values)
            self._values = np.concatenate((self._values, np.zeros_like(self._values)))
            self._free = list(range(2 * size - 1, size - 1, -1))
        return self._free.pop()

    def free(self, row: int) -> None:
        """Take a row back."""
        self._values[row] = 0.0
        self._free.append(row)

    def numbers(self, rows: Sequence[int]) -> Numbers:
        """Return a copy of rows."""
        return named(self._values[rows])

    def windows(self, rows: Sequence[int]) -> list[float]:
        """Return the windows of rows."""
        found: list[float] = self._values[rows, _WINDOWS].tolist()
        return found

    def learn(self, rows: Sequence[int], taught: Floats) -> list[int]:
        """Learn a window for each of some rows, all different, and return the places of those that were halved."""
        values = self._values[rows]
        halved = _learn(values, taught)
        self._values[rows] = values
        return halved

    def learn_next(self, row: int, taught: Floats) -> bool:
        """Learn one window, and tell whether the row was halved."""
        return bool(_learn(self._values[row : row + 1], taught[None]))

    def correct(self, row: int, old: Floats, new: Floats) -> None:
        """Correct the logarithms of a window that was learnt before: late events made it grow."""
        own = named(self._values[row : row + 1])[0]
        own["sum"] += new - old
        own["squares"] += new * new - old * old
        own["peak"] = np.maximum(own["peak"], new)

    def grow_old(self, rows: Iterable[int], hours: Floats) -> None:
        """Add hours, of each row in this order, to those before the last week."""
        for row, some in zip(rows, hours, strict=True):
            before = self._values[row, _BEFORE]
            before += some
            if before[0] >= OLD:
                before /= 2


def named(values: Floats) -> Numbers:
    """Return rows with the names of their columns."""
    return values.view(NUMBERS)[:, 0]


def plain(numbers: Numbers) -> Floats:
    """Return rows as a matrix."""
    return numbers.view(np.float64).reshape(len(numbers), -1)


def weighed(taught: Floats, weights: Floats) -> Floats:
    """Return what windows teach where each weighs so much."""
    less = taught * weights[:, None]
    less[:, _PEAK] = taught[:, _PEAK]
    return less


def _learn(values: Floats, taught: Floats) -> list[int]:
    """Learn one window in each row, and return the rows that were halved."""
    full = values[:, _WEIGHT] >= MEMORY
    if np.count_nonzero(full):
        values[:, _FADING] *= np.where(full, 1 - taught[:, _WEIGHT] / MEMORY, 1.0)[:, None]
    peak = np.maximum(values[:, _PEAK] * PEAK_FADE, taught[:, _PEAK])
    values += taught
    values[:, _PEAK] = peak
    many = values[:, _WINDOWS] >= HALVE
    if not np.count_nonzero(many):
        return []
    values[many, _HALVED] /= 2
    halved: list[int] = np.flatnonzero(many).tolist()
    return halved
