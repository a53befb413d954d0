"""Kinds of events, pairs of type and action: which of those in the store a rule may look at at all."""

from __future__ import annotations

from collections.abc import Iterable
from functools import reduce
from weakref import WeakKeyDictionary

import numpy as np

from bot.detect.columns import Columns, Ints, TextColumn
from bot.detect.conditions import GATED, AnyOf, Condition, Every, Mask, View
from bot.detect.match import plain_rules
from bot.detect.rules import CompiledRule
from bot.store.schema import Store

KIND_SQL = "(e.type << 32 | e.action)"
MOST = 10_000  # kinds: of more than that, rules are not asked
WORTH = 0.5  # of all kinds: a rule that may look at more spares too little


class Kinds:
    """The kinds in a store, and which of them each rule may look at; both remembered until there are more."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._sizes = (0, 0)
        self._ids, self._view = np.zeros(0, dtype=np.int64), View(_columns((), ()))
        self._known: WeakKeyDictionary[CompiledRule, Mask] = WeakKeyDictionary()

    def of(self, rules: Iterable[CompiledRule]) -> Ints | None:
        """Return the kinds (as in KIND_SQL) that some rules may look at; None where these are most."""
        self._refresh()
        masks = [self._mask(rule) for rule in rules]
        wanted = reduce(np.logical_or, masks, np.zeros(len(self._ids), dtype=np.bool_))
        few = np.count_nonzero(wanted) <= WORTH * len(self._ids) and len(self._ids) > 0
        return self._ids[wanted] if few else None

    def _mask(self, rule: CompiledRule) -> Mask:
        if rule not in self._known:
            conditions = [one.condition for one in plain_rules(rule) if one.condition is not None]
            self._known[rule] = reduce(np.logical_or, (may_hold(self._view, one) for one in conditions))
        return self._known[rule]

    def _refresh(self) -> None:
        sizes = self._store.rows("SELECT (SELECT max(id) FROM types), (SELECT max(id) FROM actions)")[0]
        if sizes == self._sizes:
            return
        types, actions = (
            self._store.rows(f"SELECT id, name FROM {table} ORDER BY id") for table in ("types", "actions")
        )
        if len(types) * len(actions) > MOST:
            types, actions = [], []
        self._sizes, self._known = sizes, WeakKeyDictionary()
        self._ids = np.array([one << 32 | other for one, _ in types for other, _ in actions], dtype=np.int64)
        self._view = View(_columns([name for _, name in types], [name for _, name in actions]))


def _columns(types: Iterable[str], actions: Iterable[str]) -> Columns:
    """Return an event of each kind, which has nothing but that."""
    types, actions = tuple(types), tuple(actions)
    size = len(types) * len(actions)
    fields = {
        "type": TextColumn(np.repeat(np.arange(len(types), dtype=np.int32), len(actions)), types),
        "action": TextColumn(np.tile(np.arange(len(actions), dtype=np.int32), len(types)), actions),
    }
    return Columns(np.zeros(size, dtype=np.int64), np.zeros(size, dtype=np.int64), dict(fields))


def may_hold(view: View, condition: Condition) -> Mask:
    """Return which events may satisfy a condition, going by type and action alone."""
    if condition.fields <= GATED:
        return view.mask(condition)
    everything = np.ones(len(view.columns), dtype=np.bool_)
    match condition:
        case Every(parts):
            return reduce(np.logical_and, (may_hold(view, part) for part in parts), everything)
        case AnyOf(parts):
            return reduce(np.logical_or, (may_hold(view, part) for part in parts), ~everything)
        case _:
            return everything
