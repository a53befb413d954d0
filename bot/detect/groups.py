"""Which events form which group: matching events of a rule, sorted by group and time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import reduce

import numpy as np

from bot.detect.columns import BoolColumn, Codes, Columns, Ints, NumberColumn, TextColumn
from bot.detect.conditions import Mask
from bot.detect.rules import CompiledRule, Slot
from bot.detect.sliding import Timeline, stable_order

Group = tuple[tuple[str, str], ...]
Coded = tuple[Ints, int]  # codes from 0 (-1: no value), and how many there may be
_ROOM = 2**62


@dataclass(frozen=True)
class Entries:
    """Matching events in their groups. `slots[s]` says which entries the s-th rule matched.

    `fields[variants[i]]` are the event fields that entry i's group is made of, `names` what the group calls them.
    """

    line: Timeline
    slots: tuple[Mask, ...]
    names: tuple[str, ...]
    fields: tuple[tuple[str, ...], ...]
    variants: Ints
    first_only: bool = False  # a plain rule's group may end with the first field that has a value

    @property
    def whose(self) -> str | None:
        """The name in its group that is an actor's for some of its rules: `actor`, or an alias of it."""
        pairs = (pair for fields in self.fields for pair in zip(self.names, fields, strict=True))
        return next((name for name, field in pairs if field == "actor"), None)

    def take(self, entries: Ints) -> Entries:
        """Return these entries; their indexes rise."""
        line = Timeline(self.line.times, self.line.rows[entries], self.line.groups[entries])
        slots = tuple(slot[entries] for slot in self.slots)
        return replace(self, line=line, slots=slots, variants=self.variants[entries])

    def groups(self, columns: Columns, entries: Ints) -> list[Group]:
        """Return the groups of entries, (name, value) pairs each."""
        rows, found = self.line.rows[entries], np.empty(len(entries), dtype=object)
        for number, fields in enumerate(self.fields):
            mine = np.flatnonzero(self.variants[entries] == number)
            texts = [columns.text(field) for field in fields]
            codes = [text.codes[rows[mine]].tolist() for text in texts]
            values = [text.values for text in texts]
            for place, *each in zip(mine.tolist(), *codes, strict=True):
                pairs = zip(self.names, values, each, strict=True)
                group = tuple((name, some[code]) for name, some, code in pairs if code >= 0)
                found[place] = group[:1] if self.first_only else group
        return list(found)


def plain_entries(rule: CompiledRule, columns: Columns, matched: Mask) -> Entries:
    """Return the matching events of a plain rule, each in the group of what it has of the rule's `per` fields."""
    rows = np.flatnonzero(matched)
    coded = [(columns.text(field).codes[rows].astype(np.int64), len(columns.text(field).values)) for field in rule.per]
    if rule.default_per:
        groups = _first_present(coded, len(rows))
    else:
        groups = _combine([(codes + 1, count + 1) for codes, count in coded], len(rows), len(columns))
    order = stable_order(groups)
    line = Timeline(columns.time, rows[order], groups[order])
    everything = np.ones(len(rows), dtype=np.bool_)
    variants = np.zeros(len(rows), dtype=np.int64)
    return Entries(line, (everything,), rule.per, (rule.per,), variants, first_only=rule.default_per)


def slot_entries(names: tuple[str, ...], slots: Sequence[Slot], matched: Sequence[Mask], columns: Columns) -> Entries:
    """Return the matching events of a correlation's rules; an event that lacks a field of its group is in none.

    Aliases let rules name different fields for one group, so an event that two rules match may be in two groups.
    """
    fields = tuple(dict.fromkeys(slot.group_by for slot in slots))
    positions = [common_codes(columns, [variant[place] for variant in fields]) for place in range(len(names))]
    parts: list[tuple[Ints, list[Ints]]] = []
    for number, variant in enumerate(fields):
        mine = [mask for slot, mask in zip(slots, matched, strict=True) if slot.group_by == variant]
        any_slot = reduce(np.logical_or, mine)
        here = reduce(np.logical_and, (codes[number] >= 0 for codes, _ in positions), any_slot)
        rows = np.flatnonzero(here)
        parts.append((rows, [codes[number][rows].astype(np.int64) for codes, _ in positions]))
    rows = np.concatenate([part[0] for part in parts])
    coded = [(np.concatenate([part[1][i] for part in parts]), size) for i, (_, size) in enumerate(positions)]
    groups = _combine(coded, len(rows), len(columns))
    variants = np.repeat(np.arange(len(fields)), [len(part[0]) for part in parts])
    if len(fields) == 1:
        order = stable_order(groups)
        line = Timeline(columns.time, rows[order], groups[order])
        return Entries(line, tuple(mask[line.rows] for mask in matched), names, fields, variants)
    return _merged(Entries(Timeline(columns.time, rows, groups), tuple(matched), names, fields, variants), slots)


def _merged(raw: Entries, slots: Sequence[Slot]) -> Entries:
    """Return entries in order, one for each (group, event), with the slots of all its variants."""
    rows, groups = raw.line.rows, raw.line.groups
    key = groups * (len(raw.line.times) + 1) + rows
    _, first, place = np.unique(key, return_index=True, return_inverse=True)
    flags = []
    for slot, mask in zip(slots, raw.slots, strict=True):
        flag = np.zeros(len(first), dtype=np.bool_)
        mine = raw.variants == raw.fields.index(slot.group_by)
        flag[place[mine & mask[rows]]] = True
        flags.append(flag)
    line = Timeline(raw.line.times, rows[first], groups[first])
    return Entries(line, tuple(flags), raw.names, raw.fields, raw.variants[first])


def counted_values(entries: Entries, slots: Sequence[Slot], columns: Columns) -> tuple[Ints, Ints]:
    """Return (entry, value code) for every value that `value_count` counts; entries lacking one are left out."""
    variants = list(dict.fromkeys(slot.counted for slot in slots))
    places = range(len(variants[0]))
    positions = [common_codes(columns, [variant[place] for variant in variants]) for place in places]
    found: list[Ints] = []
    coded: list[list[Ints]] = [[] for _ in places]
    for number, variant in enumerate(variants):
        mine = [flag for slot, flag in zip(slots, entries.slots, strict=True) if slot.counted == variant]
        picked = np.flatnonzero(reduce(np.logical_or, mine))
        rows = entries.line.rows[picked]
        known = reduce(np.logical_and, (codes[number][rows] >= 0 for codes, _ in positions))
        found.append(picked[known])
        for place, (codes, _) in enumerate(positions):
            coded[place].append(codes[number][rows[known]].astype(np.int64))
    whole = np.concatenate(found)
    parts = [(np.concatenate(coded[place]), size) for place, (_, size) in enumerate(positions)]
    return whole, _combine(parts, len(whole), len(columns))


def common_codes(columns: Columns, fields: Sequence[str]) -> tuple[list[Codes | Ints], int]:
    """Return each field's codes for all events, the same code for the same value in all of them, and their number."""
    found = [columns[field] for field in fields]
    texts = [column for column in found if isinstance(column, TextColumn)]
    if len(texts) == len(found):
        return _common_texts(dict(zip(fields, texts, strict=True)), fields)
    values = [column.values.astype(np.float64) for column in found if isinstance(column, NumberColumn | BoolColumn)]
    missing = [column.missing for column in found]
    known, codes = np.unique(np.concatenate(values), return_inverse=True)
    split = np.split(codes.astype(np.int64), len(found))
    return [np.where(gone, -1, part) for gone, part in zip(missing, split, strict=True)], len(known)


def _common_texts(texts: dict[str, TextColumn], fields: Sequence[str]) -> tuple[list[Codes | Ints], int]:
    if len(texts) == 1:
        column = texts[fields[0]]
        return [column.codes] * len(fields), len(column.values)
    numbers: dict[str, int] = {}
    shared = {}
    for field, column in texts.items():
        table = [numbers.setdefault(value, len(numbers)) for value in column.values]
        shared[field] = np.array([*table, -1], dtype=np.int64)[column.codes]  # code -1 takes the last cell
    return [shared[field] for field in fields], len(numbers)


def _first_present(coded: Sequence[Coded], length: int) -> Ints:
    """Return one code for each row from the first field that has a value, and one more for rows with none."""
    groups, offset = np.full(length, -1, dtype=np.int64), 0
    for codes, size in coded:
        groups = np.where((groups < 0) & (codes >= 0), codes + offset, groups)
        offset += size
    return np.where(groups < 0, offset, groups)


def _combine(coded: Sequence[Coded], length: int, events: int) -> Ints:
    """Return one code for each combination of codes, small enough to stand beside a row number in 63 bits."""
    groups, size = np.zeros(length, dtype=np.int64), 1
    for codes, count in coded:
        if size * max(count, 1) * (events + 1) >= _ROOM:
            groups, size = _compress(groups)
        groups, size = groups * max(count, 1) + codes, size * max(count, 1)
    return groups if size * (events + 1) < _ROOM else _compress(groups)[0]


def _compress(groups: Ints) -> Coded:
    known, codes = np.unique(groups, return_inverse=True)
    return codes.astype(np.int64), max(len(known), 1)
