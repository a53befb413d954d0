"""Kinds of events, pairs of type and action: which of those in the store a rule may look at at all."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from functools import reduce
from itertools import compress
from weakref import WeakKeyDictionary

import numpy as np

from bot.detect.columns import Columns, Ints, TextColumn
from bot.detect.conditions import GATED, AnyOf, Condition, Every, Mask, View
from bot.detect.match import plain_rules
from bot.detect.rules import CompiledRule
from bot.store.schema import Store

Kind = tuple[str, str]  # action and type
KIND_SQL = "(e.type << 32 | e.action)"
MOST = 10_000  # kinds: of more than that, rules are not asked
_TABLES = ("types", "actions")
WORTH = 0.5  # of all kinds: a rule that may look at more spares too little


class Kinds:
    """The kinds in a store, and which of them each rule may look at; both remembered until there are more."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.names: dict[str, dict[int, str]] = {}  # of types and actions, by id
        self.all: list[Kind] = []  # (action, type) each; none where there are too many
        self._ids, self._view = np.zeros(0, dtype=np.int64), View(_columns((), ()))
        self._known: WeakKeyDictionary[CompiledRule, tuple[Mask, frozenset[Kind]]] = WeakKeyDictionary()

    def refresh(self) -> None:
        """Take notice of kinds that are new in the store."""
        names = {table: dict(self._store.rows(f"SELECT id, name FROM {table} ORDER BY id")) for table in _TABLES}
        if names == self.names:  # not only how many: after a pass that failed, an id may name another
            return
        self.names, self._known = names, WeakKeyDictionary()
        types, actions = names.values()
        if len(types) * len(actions) > MOST:
            types, actions = {}, {}
        self.all = [(action, type_) for type_ in types.values() for action in actions.values()]
        self._ids = np.array([type_ << 32 | action for type_ in types for action in actions], dtype=np.int64)
        self._view = View(_columns(types.values(), actions.values()))

    def ids(self, rules: Iterable[CompiledRule]) -> Ints | None:
        """Return the kinds (as in KIND_SQL) that some rules may look at; None where these are most."""
        masks = [self._of(rule)[0] for rule in rules]
        wanted = reduce(np.logical_or, masks, np.zeros(len(self._ids), dtype=np.bool_))
        few = 0 < np.count_nonzero(wanted) <= WORTH * len(self._ids)
        return self._ids[wanted] if few else None

    def may_concern(self, rule: CompiledRule, kinds: Collection[tuple[str | None, ...]]) -> bool:
        """Tell whether a rule may look at events of one of these kinds, (action, type) each."""
        return not self.all or not self._of(rule)[1].isdisjoint(kinds)

    def apart(self, rule: CompiledRule, kinds: Collection[tuple[str | None, ...]] | None) -> bool:
        """Tell whether it is known already that `may_concern` is false: of most rules in most passes."""
        return kinds is not None and rule in self._known and not self.may_concern(rule, kinds)

    def _of(self, rule: CompiledRule) -> tuple[Mask, frozenset[Kind]]:
        known = self._known.get(rule)
        if known is None:
            conditions = [one.condition for one in plain_rules(rule) if one.condition is not None]
            mask = reduce(np.logical_or, (may_hold(self._view, one) for one in conditions))
            known = self._known[rule] = mask, frozenset(compress(self.all, mask.tolist()))
        return known


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
