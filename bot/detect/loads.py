"""Which stored events a pass has to read so that rules can be evaluated again: as few as possible."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from bot.detect import facts
from bot.detect.columns import Columns
from bot.detect.dictionary import Names, as_json
from bot.detect.groups import Group
from bot.detect.kinds import KIND_SQL, Kinds
from bot.detect.rules import CompiledRule
from bot.fields import FactSettings
from bot.model import Finding
from bot.store.schema import Store
from bot.times import HOUR

MANY = 20_000  # events: from so many on they are read as blocks, and new ones looked at whatever they have in common
FEW = 300  # actors and addresses: up to so many, only their events are read
NEAR = 3 * HOUR
_OF = (
    "actor IN (SELECT id FROM actors WHERE name IN (SELECT value FROM json_each(:actor)))",
    "ip IN (SELECT id FROM addresses WHERE name IN (SELECT value FROM json_each(:ip)))",
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
        self._store, self._settings, self._many, self.kinds = store, settings, many, Kinds(store)

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
        if self.many_of("time BETWEEN ? AND ?", since, until):
            return facts.read_span(self._store, self._settings, since, until)
        kinds = self.kinds.ids(task.rule for task in tasks)
        where, parameters = _IN_SPAN, dict[str, Any](since=since, until=until)
        if kinds is not None:
            where, parameters = _OF_KINDS, parameters | {"kinds": as_json(kinds)}
        return facts.read(self._store, self._settings, where, parameters, names=names)

    def _of_entities(self, tasks: Sequence[Task], names: Names | None) -> Columns:
        # A UNION, not an OR: for that SQLite reads all that the actors ever did (100 ms of a million, now 4)
        entities, (since, until) = _entities(tasks), _span(tasks)
        parts = [f"SELECT id FROM events WHERE {same} AND time BETWEEN :since AND :until" for same in _OF]
        found = {part: json.dumps(sorted(values)) for part, values in entities.items()}
        where = f"e.id IN ({' UNION '.join(parts)})"
        parameters, whole_of = {"since": since, "until": until} | found, entities["actor"]
        kinds = self.kinds.ids(task.rule for task in tasks)
        if kinds is not None:
            where = f"{where} AND {KIND_SQL} IN (SELECT value FROM json_each(:kinds))"
            parameters, whole_of = parameters | {"kinds": as_json(kinds)}, set()
        return facts.read(self._store, self._settings, where, parameters, whole_of, names)


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
