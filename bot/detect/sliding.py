"""Sliding windows over groups of events, as pure functions of arrays.

An *entry* is an event in a group. Entries are sorted by group, then row (that is, by time); a window reaches from an
entry's time back by a span, both ends inclusive, and holds every entry of equal time, also those that stand later.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from bot.detect.columns import Ints
from bot.detect.conditions import Mask

_NEVER = np.iinfo(np.int64).min
_FEW = 1_000  # codes


@dataclass(frozen=True)
class Timeline:
    """Entries in order. `times` are those of all events, sorted; `rows` index them; `groups` are small codes."""

    times: Ints
    rows: Ints
    groups: Ints

    def __len__(self) -> int:
        return len(self.rows)

    @cached_property
    def time(self) -> Ints:
        """Microseconds of each entry."""
        return self.times[self.rows]

    @cached_property
    def begin(self) -> Ints:
        """Index of the first entry of each entry's group."""
        begin = np.zeros(len(self), dtype=np.int64)
        begin[self.firsts] = self.firsts
        return np.maximum.accumulate(begin)

    @cached_property
    def firsts(self) -> Ints:
        """Index of the first entry of each group."""
        fresh = np.ones(len(self), dtype=np.bool_)
        fresh[1:] = self.groups[1:] != self.groups[:-1]
        return np.flatnonzero(fresh)

    @cached_property
    def instant(self) -> Ints:
        """Index of the first entry of each entry's group and time."""
        return self._runs()[0]

    @cached_property
    def through(self) -> Ints:
        """Index after the last entry of each entry's group and time."""
        return self._runs()[1]

    def _runs(self) -> tuple[Ints, Ints]:
        fresh = np.ones(len(self) + 1, dtype=np.bool_)
        fresh[1:-1] = (self.groups[1:] != self.groups[:-1]) | (self.time[1:] != self.time[:-1])
        edges = np.flatnonzero(fresh)
        lengths = np.diff(edges)
        return np.repeat(edges[:-1], lengths), np.repeat(edges[1:], lengths)

    @cached_property
    def _base(self) -> Ints:
        # A row number stands for its time, so that group and time fit into one number without overflow.
        return self.groups * (len(self.times) + 1)

    @cached_property
    def _key(self) -> Ints:
        return self._base + self.rows

    def since(self, span: int) -> Ints:
        """Return for each entry the index of the first one of its group at or after its time - span."""
        return self._key.searchsorted(self._base + self._ranks(-span, "left"))

    def since_of(self, entries: Ints, span: int) -> Ints:
        """Return the same of some entries."""
        ranks = self.times.searchsorted(self.time[entries] - span, "left")
        return self._key.searchsorted(self._base[entries] + ranks)

    def until(self, span: int) -> Ints:
        """Return for each entry the index after the last one of its group at or before its time + span."""
        return self._key.searchsorted(self._base + self._ranks(span, "right"))

    def crowded(self, least: int, span: int) -> Mask:
        """Return which entries have so many in their window, themselves among them: the first of the last so many is
        not too old. A search for every window's begin would take ten times as long."""
        first = self.through - max(least, 1)
        return np.asarray((first >= self.begin) & (self.time[np.maximum(first, 0)] >= self.time - span))

    def covered(self, chosen: Mask, span: int) -> Ints:
        """Return the indexes of the entries in the windows of chosen entries, rising."""
        some, size = np.flatnonzero(chosen), len(self) + 1
        begin, end = self.since_of(some, span), self.through[some]
        steps = np.bincount(begin, minlength=size) - np.bincount(end, minlength=size)
        return np.flatnonzero(steps.cumsum()[: len(self)])

    def _ranks(self, shift: int, side: Literal["left", "right"]) -> Ints:
        # Sorted questions are answered several times faster, so with many entries ask for all events in order.
        if 4 * len(self) < len(self.times):
            return self.times.searchsorted(self.time + shift, side)
        return self.times.searchsorted(self.times + shift, side)[self.rows]


def present(entries: Mask, start: Ints, end: Ints) -> Mask:
    """Return for each window [start, end) of indexes whether one of these entries is in it."""
    seen = np.concatenate(([0], entries.cumsum()))
    return np.asarray(seen[end] > seen[start])


def distinct(line: Timeline, entries: Ints, values: Ints, span: int) -> Ints:
    """Return for each entry how many distinct values its window holds; entry `entries[i]` holds `values[i]`.

    `entries` rise, `values` are codes from 0. A value's latest occurrence stands for it from its own time until the
    window leaves it or the next one takes over, so the answer is a sum of intervals.
    """
    opens, closes = line.instant[entries], line.until(span)[entries]
    order = stable_order(values)
    earlier, later = order[:-1], order[1:]
    same = values[earlier] == values[later]
    earlier, later = earlier[same], later[same]
    # The next one in another group opens after this group's end, so it changes nothing.
    closes[earlier] = np.minimum(closes[earlier], opens[later])
    size = len(line) + 1
    steps = np.bincount(opens, minlength=size) - np.bincount(closes, minlength=size)
    return steps.cumsum()[: len(line)]


def in_order(line: Timeline, slots: Sequence[Mask], least: int, span: int) -> Mask:
    """Return for each entry whether its window holds entries of `least` different slots, in their order.

    Times must rise strictly. `best[k]` is the latest time at which k slots in order, all at or before the entry, can
    have begun; the latest entry of a slot is always the best end, since `best` never falls with time.
    """
    best = [np.full(len(line), _NEVER) for _ in range(least + 1)]
    for number, slot in enumerate(slots):
        last = np.maximum.accumulate(np.where(slot, np.arange(len(line)), -1))[line.through - 1]
        known = last >= line.begin
        before = line.instant[last] - 1
        chained = known & (before >= line.begin)
        # A slot that few others can follow need not be the end of a short sequence.
        shortest = max(1, least - (len(slots) - number - 1))
        for length in range(min(least, number + 1), shortest - 1, -1):
            if length == 1:
                begun = np.where(known, line.time[last], _NEVER)
            else:
                begun = np.where(chained, best[length - 1][before], _NEVER)
            best[length] = np.maximum(best[length], begun)
    return np.asarray(best[least] >= line.time - span)


def join(line: Timeline, anchors: Ints, gap: int) -> tuple[Ints, Ints]:
    """Return the first and the last anchor of each run of anchors of a group that are at most `gap` apart."""
    if not len(anchors):
        return anchors, anchors
    time, group = line.time[anchors], line.groups[anchors]
    cuts = np.flatnonzero((group[1:] != group[:-1]) | (time[1:] - time[:-1] > gap))
    return anchors[np.concatenate(([0], cuts + 1))], anchors[np.concatenate((cuts, [len(anchors) - 1]))]


def span_extremes(values: Ints, start: Ints, end: Ints) -> tuple[Ints, Ints]:
    """Return the least and the greatest value of each span [start, end); spans rise, do not overlap, are not empty."""
    if not len(start):
        return start, end
    padded = np.append(values, 0)  # so that an end may stand after the last value
    edges = np.stack((start, end), axis=1).ravel()
    return np.minimum.reduceat(padded, edges)[::2], np.maximum.reduceat(padded, edges)[::2]


def latest(known: Mask, start: Ints, end: Ints) -> Ints:
    """Return the index of the last known entry in each span [start, end), -1 where there is none."""
    if not len(start):
        return start
    last = np.maximum.accumulate(np.where(known, np.arange(len(known)), -1))[end - 1]
    return np.where(last >= start, last, -1)


def stable_order(codes: Ints) -> Ints:
    """Return the stable sorting order of codes from 0: of many by radix, 16 bits a pass, which is linear."""
    if len(codes) < _FEW:
        return codes.argsort(kind="stable")
    order = np.argsort(codes.astype(np.uint16), kind="stable")
    rest = codes >> 16
    while rest.any():
        order = order[np.argsort(rest[order].astype(np.uint16), kind="stable")]
        rest = rest >> 16
    return order
