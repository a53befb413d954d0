"""Which stored events a pass has to read so that rules can be evaluated again: as few as possible."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bot.detect import facts
from bot.detect.columns import Columns, Ints
from bot.detect.dictionary import Names, as_json, ids_of
from bot.detect.groups import Group
from bot.detect.kinds import KIND_SQL, Kinds
from bot.detect.recent import Recent
from bot.detect.rules import CompiledRule
from bot.fields import FactSettings
from bot.model import Finding
from bot.store.log import blocks
from bot.store.schema import Store
from bot.times import HOUR

MANY = 20_000  # events: from so many on they are read as blocks, and new ones looked at whatever they have in common
FEW = 300  # actors and addresses: up to so many, only their events are read
NEAR = 3 * HOUR
_PARTS = (("actor", "actors", blocks.ACTOR), ("ip", "addresses", blocks.IP))  # of groups: dictionary, line of rows
_OF = " UNION ".join(  # not an OR: for that SQLite reads all that the actors ever did (100 ms of a million, now 4)
    f"SELECT id FROM events WHERE {part} IN (SELECT value FROM json_each(:{part})) AND time BETWEEN :since AND :until"
    for part, *_ in _PARTS
)
_IN_SPAN = "e.time BETWEEN :since AND :until"
_OF_KINDS = (  # by the index of types: of two days over a million in half the time of a walk through all
    "e.id IN (SELECT v.id FROM json_each(:kinds) k CROSS JOIN events v WHERE v.type = (k.value >> 32)"
    " AND v.action = (k.value & 4294967295) AND v.time BETWEEN :since AND :until)"
)


@dataclass(frozen=True)
class Task:
    """One rule to evaluate again: for these groups (None: all), from `lo` to `hi`, in place of these findings."""

    rule: CompiledRule
    groups: frozenset[Group] | None
    lo: int
    hi: int
    stored: tuple[Finding, ...]

    @property
    def reach(self) -> int:
        """For how long events are needed."""
        return self.hi - self.lo + self.rule.lookback


class Loader:
    """Reads events for tasks, those together that need about the same."""

    def __init__(self, store: Store, settings: FactSettings, many: int = MANY) -> None:
        self._store, self._settings, self._many = store, settings, many
        self.kinds, self.recent = Kinds(store), Recent(store)

    def loads(self, tasks: Sequence[Task], names: Names | None = None) -> Iterator[tuple[Columns, list[Task]]]:
        """Yield events, and the tasks for which they are enough.

        Of rules by actor or address only the events of those concerned; of rules that look at few kinds of events only
        these. Rules that reach far back have events of their own, as they concern fewer. `names` are the texts that
        were read so far.
        """
        parts: defaultdict[tuple[bool, bool, bool], list[Task]] = defaultdict(list)
        for task in tasks:
            few = self.kinds.ids((task.rule,)) is not None
            parts[_by_entity(task), few, task.reach <= NEAR].append(task)
        wide: dict[bool, list[Task]] = {True: [], False: []}
        for (by_entity, few, _), some in parts.items():
            if by_entity and sum(map(len, _entities(some).values())) <= FEW:
                yield self._of_entities(some, names), some
            else:
                wide[few] += some
        for some in filter(None, wide.values()):
            yield self._everything(some, names), some

    def many_of(self, where: str, *parameters: int) -> bool:
        """Tell whether very many events satisfy an SQL condition."""
        some = f"SELECT 1 FROM events WHERE {where} LIMIT {self._many + 1}"
        return bool(self._store.value(f"SELECT count(*) > {self._many} FROM ({some})", parameters))

    def _everything(self, tasks: Sequence[Task], names: Names | None) -> Columns:
        since, until = _span(tasks)
        kinds = self.kinds.ids(task.rule for task in tasks)
        rows = self.recent.between(since, until)
        if rows is not None:
            return facts.from_rows(self._store, self._settings, _of_kinds(rows, kinds), names=names)
        if self.many_of("time BETWEEN ? AND ?", since, until):
            return facts.read_span(self._store, self._settings, since, until)
        where, parameters = _IN_SPAN, dict[str, Any](since=since, until=until)
        if kinds is not None:
            where, parameters = _OF_KINDS, parameters | {"kinds": as_json(kinds)}
        return facts.read(self._store, self._settings, where, parameters, names=names)

    def _of_entities(self, tasks: Sequence[Task], names: Names | None) -> Columns:
        entities, (since, until) = _entities(tasks), _span(tasks)
        ids = {part: ids_of(self._store, table, entities[part]) for part, table, _ in _PARTS}
        kinds = self.kinds.ids(task.rule for task in tasks)
        whole_of = entities["actor"] if kinds is None else set[str]()
        rows = self.recent.between(since, until)
        if rows is not None:
            of_some = np.logical_or(*(np.isin(rows[line], ids[part]) for part, _, line in _PARTS))
            rows = _of_kinds(rows[:, of_some], kinds)
            return facts.from_rows(self._store, self._settings, rows, whole_of, names)
        where, parameters = f"e.id IN ({_OF})", dict[str, Any](since=since, until=until)
        parameters |= {part: as_json(some) for part, some in ids.items()}
        if kinds is not None:
            where = f"{where} AND {KIND_SQL} IN (SELECT value FROM json_each(:kinds))"
            parameters |= {"kinds": as_json(kinds)}
        return facts.read(self._store, self._settings, where, parameters, whole_of, names)


def _of_kinds(rows: Ints, kinds: Ints | None) -> Ints:
    """Return those of some events that are of these kinds (None: of any)."""
    return rows if kinds is None else rows[:, np.isin(rows[blocks.TYPE] << 32 | rows[blocks.ACTION], kinds)]


def _by_entity(task: Task) -> bool:
    """Tell whether every group of a task names an actor or an address, so that only their events matter."""
    return task.groups is not None and all(any(name in ("actor", "ip") for name, _ in group) for group in task.groups)


def _entities(tasks: Iterable[Task]) -> dict[str, set[str]]:
    """Return the actors and addresses of groups."""
    pairs = {pair for task in tasks for group in task.groups or () for pair in group}
    return {part: {value for name, value in pairs if name == part} for part in ("actor", "ip")}


def _span(tasks: Sequence[Task]) -> tuple[int, int]:
    """Return from when to when events are needed."""
    return min(task.lo - task.rule.lookback for task in tasks), max(task.hi for task in tasks)
