"""What is remembered of the workspace's objects: when each was last touched, and who made it.

By their numbers in the store, which are given one after the other: 12 bytes each, where dictionaries take 150.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np

from bot.detect.columns import Ints
from bot.detect.forest.deeds import EntityKind
from bot.times import HOUR

Owner = tuple[EntityKind, str]

_TOUCH, _HOUR, _MAKER = range(3)
_STEP = 8_192  # objects by which the table grows


class Objects:
    """The objects that were touched last, `limit` of them."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._known, self._touches = 0, 0
        # by number: when it was touched last (0: not known), counted in touches; the hour of that; its maker
        self._table = np.zeros((3, 0), np.int32)
        self._makers: list[Owner | None] = [None]
        self._places: dict[Owner, int] = {}  # of makers
        self._queue: Ints = np.zeros(0, np.int64)  # those known when so many touches were counted, the oldest first
        self._queued_at, self._next = 0, 0

    def __len__(self) -> int:
        return self._known

    def of(self, numbers: Collection[int]) -> list[tuple[int, Owner | None]]:
        """Return of each object the latest hour in which it was touched and who made it; 0 and None if not known."""
        self._reach(max(numbers))
        _, hours, makers = self._table[:, list(numbers)].tolist()
        return [(hour * HOUR, self._makers[maker]) for hour, maker in zip(hours, makers, strict=True)]

    def touch(self, touches: Sequence[tuple[Mapping[int, bool], int, Owner]]) -> None:
        """Note that objects were touched, in this order, by hours of owners, and made where that is said."""
        if not touches:
            return
        numbers = np.array([number for objects, _, _ in touches for number in objects])
        hours = np.repeat([hour // HOUR for _, hour, _ in touches], [len(objects) for objects, _, _ in touches])
        self._reach(int(numbers.max()))
        unknown = numbers[self._table[_TOUCH, numbers] == 0]
        self._known += len(np.unique(unknown)) if len(unknown) else 0
        self._table[_TOUCH, numbers] = self._touches + np.arange(1, len(numbers) + 1)  # of repeated ones the last holds
        self._touches += len(numbers)
        np.maximum.at(self._table[_HOUR], numbers, hours.astype(np.int32))
        for objects, _, owner in touches:
            made = [number for number, made in objects.items() if made]
            if made:
                self._table[_MAKER, made] = self._place(owner)
        while self._known > self.limit:
            self._forget_oldest()

    def _reach(self, number: int) -> None:
        size = self._table.shape[1]
        if number >= size:
            more = (number // _STEP + 1) * _STEP - size
            self._table = np.pad(self._table, ((0, 0), (0, more)))

    def _place(self, owner: Owner) -> int:
        if owner not in self._places:
            self._places[owner] = len(self._makers)
            self._makers.append(owner)
        return self._places[owner]

    def _forget_oldest(self) -> None:
        """Forget the object that is next in the queue, unless it was touched since that was made."""
        if self._next == len(self._queue):
            known = np.flatnonzero(self._table[_TOUCH])
            self._queue, self._next = known[np.argsort(self._table[_TOUCH, known])], 0
            self._queued_at = self._touches
        number = self._queue[self._next]
        self._next += 1
        if self._table[_TOUCH, number] <= self._queued_at:
            self._table[:, number] = 0
            self._known -= 1
