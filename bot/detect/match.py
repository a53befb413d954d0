"""Rules over columns of events: which bursts there are.

A burst, exactly: anchors are matching events at which the window [t - timespan, t] of their group satisfies the
condition; anchors of a group at most `timespan` apart are one burst; it begins with the earliest matching event of the
first anchor's window, ends with the last anchor, and counts the matching events between. For a plain rule every
matching event is an anchor, and `quiet_for` says how far apart they may be.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, reduce

import numpy as np
from numpy.typing import NDArray

from bot.detect.columns import Columns, Ints
from bot.detect.conditions import Condition, Mask, View
from bot.detect.groups import Entries, Group, counted_values, plain_entries, slot_entries
from bot.detect.rules import CompiledRule, Correlation
from bot.detect.sliding import distinct, in_order, join, latest, present, span_extremes


@dataclass(frozen=True)
class Burst:
    """One burst of a rule and group. Times in microseconds; `evidence` holds up to three event ids.

    `group` pairs names with values in the rule's order. `actor` is the actor that the group names, under whatever name,
    else the one actor of all matching events, None where there are several or one has none; `ip` the latest address
    among them. `distinct` counts the different values of a `value_count` among the burst's events.
    """

    group: Group
    first: int
    last: int
    count: int
    actor: str | None
    ip: str | None
    evidence: tuple[int, ...]
    distinct: int = 0


@dataclass(frozen=True)
class _Judged:
    """Entries of a rule, which of them are anchors, how long their windows are, and the values counted in bursts.

    The window of a plain rule is the event itself.
    """

    entries: Entries
    anchors: Mask
    span: int | None = None
    values: tuple[Ints, Ints] | None = None

    def start(self, anchors: Ints) -> Ints:
        """Return where the windows of some anchors begin."""
        return anchors if self.span is None else self.entries.line.since_of(anchors, self.span)


SLICE = 1 << 18  # events whose conditions are decided at once: a byte an event for each answer; a multiple of 8


class Evaluation:
    """Rules over one set of events; what rules have in common is computed once.

    `rules` are those that will be asked for, where that is known: over many events it saves memory and time.
    """

    def __init__(self, columns: Columns, rules: Iterable[CompiledRule] = ()) -> None:
        self.columns = columns
        self._view = View(columns) if len(columns) <= SLICE else None
        self._chained: dict[CompiledRule, _Judged] = {}
        self._packed: dict[Condition, list[NDArray[np.uint8]]] = {}
        if self._view is None:
            self._decide(
                {one.condition: None for rule in rules for one in plain_rules(rule) if one.condition is not None}
            )

    def bursts(self, rule: CompiledRule, since: int | None = None, until: int | None = None) -> list[Burst]:
        """Return the rule's bursts by time, of anchors with since <= time <= until; earlier events are look-back."""
        if not self._may_fire(rule):
            return []
        judged = self._judge(rule)
        line = judged.entries.line
        anchors = np.flatnonzero(judged.anchors & _between(line.time, since, until))
        first, last = join(line, anchors, rule.join)
        start, end = judged.start(first), line.through[last]
        return sorted(
            self._describe(judged, start, end, last), key=lambda burst: (burst.first, burst.last, burst.group)
        )

    @cached_property
    def kinds(self) -> frozenset[tuple[str | None, ...]] | None:
        """Action and type of the events, None where these are many."""
        return None if self._view is None else frozenset(self._view.gated[0])

    def matching(self, rule: CompiledRule) -> Mask:
        """Return the events that the rule looks at: what its plain rules match, joined."""
        if rule.correlation is None:
            return self._condition(rule)
        return reduce(np.logical_or, (self.matching(slot.rule) for slot in rule.correlation.slots))

    def _condition(self, rule: CompiledRule) -> Mask:
        if rule.condition is None:
            raise TypeError(f"{rule.id} has no condition of its own")
        if self._view is not None:
            return self._view.mask(rule.condition)
        if rule.condition not in self._packed:
            self._decide([rule.condition])
        packed = np.concatenate(self._packed[rule.condition])
        return np.unpackbits(packed, count=len(self.columns)).view(np.bool_)

    def _decide(self, conditions: Iterable[Condition]) -> None:
        """Decide conditions slice by slice, so that answers at a byte an event are kept for no more than a slice."""
        self._packed |= {condition: [] for condition in conditions}
        for begin in range(0, len(self.columns), SLICE):
            view = View(self.columns.take(slice(begin, begin + SLICE)))
            for condition in conditions:
                self._packed[condition].append(np.packbits(view.mask(condition)))

    def _events(self, rule: CompiledRule) -> Mask:
        """Return what a correlation counts of a rule: matching events, or the anchors of another correlation."""
        if rule.correlation is None:
            return self._condition(rule)
        mask = np.zeros(len(self.columns), dtype=np.bool_)
        if not self._may_fire(rule):
            return mask
        if rule not in self._chained:
            self._chained[rule] = self._judge(rule)
        judged = self._chained[rule]
        mask[judged.entries.line.rows[judged.anchors]] = True
        return mask

    def _may_fire(self, rule: CompiledRule) -> bool:
        """Tell whether there are events enough for a burst, whatever their groups: in small passes, rarely."""
        if rule.correlation is None:
            return bool(np.count_nonzero(self._condition(rule)))
        counts = [int(np.count_nonzero(self._events(slot.rule))) for slot in rule.correlation.slots]
        return _possible(rule.correlation, counts)

    def _judge(self, rule: CompiledRule) -> _Judged:
        return self._judge_plain(rule) if rule.correlation is None else self._judge_windows(rule.correlation)

    def _judge_plain(self, rule: CompiledRule) -> _Judged:
        entries = plain_entries(rule, self.columns, self._condition(rule))
        size = len(entries.line)
        return _Judged(entries, np.ones(size, dtype=np.bool_))

    def _judge_windows(self, correlation: Correlation) -> _Judged:
        matched = [self._events(slot.rule) for slot in correlation.slots]
        entries = slot_entries(correlation.group_by, correlation.slots, matched, self.columns)
        if correlation.kind == "value_count":
            return self._judge_values(correlation, entries)
        line, span = entries.line, correlation.timespan
        if correlation.kind == "event_count":
            enough = line.crowded(correlation.least, span)
            if correlation.most is not None:
                enough &= line.through - line.since(span) <= correlation.most
            return _Judged(entries, enough, span)
        return _Judged(entries, _together(entries, correlation, line.since(span)), span)

    def _judge_values(self, correlation: Correlation, entries: Entries) -> _Judged:
        """Judge by distinct values, only where windows hold as many events as values are wanted: mostly few."""
        span = correlation.timespan
        anchors = entries.line.crowded(correlation.least, span)
        kept = entries.line.covered(anchors, span)
        part = entries.take(kept)
        holders, codes = counted_values(part, correlation.slots, self.columns)
        anchors[kept] &= _within(distinct(part.line, holders, codes, span), correlation)
        return _Judged(entries, anchors, span, (kept[holders], codes))

    def _describe(self, judged: _Judged, start: Ints, end: Ints, last: Ints) -> Iterable[Burst]:
        """Return the bursts whose events are the entries [start, end) and whose last anchors are `last`."""
        entries, columns = judged.entries, self.columns
        rows, time = entries.line.rows, entries.line.time
        actor, ip = columns.text("actor"), columns.text("ip")
        lowest, highest = span_extremes(actor.codes[rows].astype(np.int64), start, end)
        newest = latest(ip.codes[rows] >= 0, start, end)
        shown = np.stack((start, (start + end - 1) // 2, end - 1), axis=1)
        told = zip(
            entries.groups(columns, start),
            time[start].tolist(),
            time[last].tolist(),
            (end - start).tolist(),
            np.where(lowest == highest, lowest, -1).tolist(),
            np.where(newest >= 0, ip.codes[rows[newest]], -1).tolist() if len(rows) else [],
            columns.id[rows[shown]].tolist(),
            _distinct_inside(judged.values, start, end).tolist(),
            strict=True,
        )
        whose = entries.whose
        for group, first, final, count, one, address, ids, values in told:
            named = next((value for name, value in group if name == whose), None)
            yield Burst(
                group,
                first,
                final,
                count,
                named or (actor.values[one] if one >= 0 else None),
                ip.values[address] if address >= 0 else None,
                tuple(dict.fromkeys(ids)),
                values,
            )


def plain_rules(rule: CompiledRule) -> Iterator[CompiledRule]:
    """Yield the plain rules that a rule rests on."""
    if rule.correlation is None:
        yield rule
    else:
        for slot in rule.correlation.slots:
            yield from plain_rules(slot.rule)


def bursts(rule: CompiledRule, columns: Columns, since: int | None = None, until: int | None = None) -> list[Burst]:
    """Return the rule's bursts by time, of anchors with since <= time <= until; earlier events are look-back only.

    For several rules over the same events an `Evaluation` saves what they share.
    """
    return Evaluation(columns).bursts(rule, since, until)


def matching(rule: CompiledRule, columns: Columns) -> Mask:
    """Return the events that the rule looks at: what its plain rules match, joined."""
    return Evaluation(columns).matching(rule)


def region(rule: CompiledRule, t0: int, t1: int, stored: Sequence[tuple[int, int]]) -> tuple[int, int, tuple[int, ...]]:
    """Return (lo, hi, affected): what to evaluate again when events between t0 and t1 came, went or changed.

    `stored` are the bursts (first, last) of one group, or of all groups together. `affected` indexes those to replace
    by the bursts of anchors in [lo, hi], for which the events from lo - lookback to hi are needed.
    Such events make or undo anchors from t0 to t1 + lookback, and those join bursts within `join` of them. A burst's
    anchors lie in [first, last], so a burst that reaches into [lo, hi] is evaluated as a whole.
    """
    lo, hi = t0, t1 + rule.lookback
    affected = {i for i, (first, last) in enumerate(stored) if last >= lo - rule.join and first <= hi + rule.join}
    grown = True
    while grown:
        lo = min([lo, *(stored[i][0] for i in affected)])
        hi = max([hi, *(stored[i][1] for i in affected)])
        more = {i for i, (first, last) in enumerate(stored) if last >= lo and first <= hi}
        grown = not more <= affected
        affected |= more
    return lo, hi, tuple(sorted(affected))


def _between(time: Ints, since: int | None, until: int | None) -> Mask:
    wanted = np.ones(len(time), dtype=np.bool_)
    if since is not None:
        wanted &= time >= since
    if until is not None:
        wanted &= time <= until
    return wanted


def _possible(correlation: Correlation, counts: Sequence[int]) -> bool:
    """Tell whether so many events of each slot can make an anchor at all."""
    if correlation.kind in ("event_count", "value_count"):
        return sum(counts) >= correlation.least
    if correlation.terms:
        return any(all(counts[slot] for slot in term.present) for term in correlation.terms)
    return sum(count > 0 for count in counts) >= correlation.least


def _within(seen: Ints, correlation: Correlation) -> Mask:
    enough = seen >= correlation.least
    return np.asarray(enough if correlation.most is None else enough & (seen <= correlation.most))


def _together(entries: Entries, correlation: Correlation, start: Ints) -> Mask:
    """Return the anchors of a temporal correlation."""
    line, ordered = entries.line, correlation.kind == "temporal_ordered"
    if ordered and not correlation.terms:
        return in_order(line, entries.slots, correlation.least, correlation.timespan)
    seen = [present(slot, start, line.through) for slot in entries.slots]
    if not correlation.terms:
        return _within(np.sum(seen, axis=0, dtype=np.int64), correlation)
    anchors = np.zeros(len(line), dtype=np.bool_)
    for term in correlation.terms:
        holds = reduce(np.logical_and, (seen[slot] for slot in term.present), np.ones(len(line), dtype=np.bool_))
        holds = reduce(np.logical_and, (~seen[slot] for slot in term.absent), holds)
        if ordered and len(term.present) > 1:
            slots = [entries.slots[slot] for slot in term.present]
            holds = holds & in_order(line, slots, len(slots), correlation.timespan)
        anchors |= holds
    return anchors


def _distinct_inside(values: tuple[Ints, Ints] | None, start: Ints, end: Ints) -> Ints:
    """Return how many distinct values the entries of each span [start, end) hold."""
    if values is None or not len(start):
        return np.zeros(len(start), dtype=np.int64)
    entries, codes = values
    span = start.searchsorted(entries, "right") - 1
    inside = (span >= 0) & (entries < end[span])
    pairs = np.unique(np.stack((span[inside], codes[inside])), axis=1)
    return np.bincount(pairs[0], minlength=len(start))
