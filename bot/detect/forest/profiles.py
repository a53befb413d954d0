"""Profiles: what is remembered of an actor, an address or a class of them, beside its numbers."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from bot.detect.forest.trail import Trail

Floats = NDArray[np.float64]

# What is counted in a window and compared with the usual count, each with the group that people read.
# Minutes and hours count besides events, because one bulk operation writes many events within seconds.
COUNTS = {
    "events": "volume",
    "minutes": "volume",
    "deletes": "deletes",
    "delete_minutes": "deletes",
    "deletes_week": "deletes",
    "delete_hours_day": "deletes",
    "delete_hours_week": "deletes",
    "foreign_deletes": "deletes",
    "sensitive": "sensitive",
    "sensitive_minutes": "sensitive",
    "sensitive_hours_day": "sensitive",
    "sensitive_hours_week": "sensitive",
    "new_objects": "objects",
    "cold_objects": "objects",
    "more_addresses": "address",
    "idle_days": "dormancy",
}
PLACE = {name: place for place, name in enumerate(COUNTS)}
# Parts of a whole: of its minutes those with deletes, with sensitive changes; of its objects the new, the cold.
SHARES = {"delete_share": "deletes", "sensitive_share": "sensitive", "new_share": "objects", "cold_share": "objects"}

MAX_OBJECTS, MAX_PLACES, MAX_PAIRS = 3000, 600, 400  # remembered for each actor
_FEW = 32  # numbers that are looked for one by one


class Counter(dict[str, float]):
    """Counts by text, of which the longest untouched are forgotten beyond `limit`."""

    def __init__(self, limit: int) -> None:
        super().__init__()
        self.limit = limit

    def touch(self, text: str, by: float = 1.0) -> None:
        """Add to a text's count and make it the last to be forgotten."""
        self[text] = self.pop(text, 0.0) + by
        if len(self) > self.limit:
            del self[next(iter(self))]

    def halve(self) -> None:
        """Halve every count."""
        for text in self:
            self[text] /= 2


class Latest:
    """The numbers that were touched last, `limit` of them: 4 bytes each, where a dictionary takes 70."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._numbers = np.zeros(0, np.int32)  # in order of their latest touch

    def __len__(self) -> int:
        return len(self._numbers)

    def among(self, numbers: Collection[int]) -> set[int]:
        """Return those of some numbers that are here."""
        return set(self._numbers[self._are_in(numbers)].tolist())

    def touch(self, numbers: Collection[int]) -> None:
        """Make these, one or more and each once, the last to be forgotten, in their order."""
        untouched = self._numbers[~self._are_in(numbers)]
        self._numbers = np.concatenate((untouched, np.fromiter(numbers, np.int32)))[-self.limit :].copy()

    def _are_in(self, numbers: Collection[int]) -> NDArray[np.bool_]:
        some = np.fromiter(numbers, np.int32)
        if len(some) <= _FEW:
            return np.asarray((self._numbers == some[:, None]).any(axis=0))
        some.sort()
        found: NDArray[np.bool_] = some[some.searchsorted(self._numbers) % len(some)] == self._numbers
        return found


@dataclass
class Profile:
    """The habits of one actor, one address without an actor, or a class of them.

    A place is a network, or an address where its network is not known.
    """

    row: int  # of its numbers in the table
    pairs: Counter = field(default_factory=lambda: Counter(MAX_PAIRS))  # windows by action and type
    objects: Latest = field(default_factory=lambda: Latest(MAX_OBJECTS))
    places: Counter = field(default_factory=lambda: Counter(MAX_PLACES))
    last: int = 0  # begin of the latest window
    trail: Trail = field(default_factory=Trail)

    def halve(self) -> None:
        """Halve the counts."""
        self.pairs.halve()
        self.places.halve()
