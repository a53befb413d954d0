"""Queries by columns: what no index of SQLite serves is decided over blocks, 16,384 events at a time.

Every answer is the same as SQL's. Ten million events take 200 to 450 ms of CPU so, as rows 1.5 to 8 s. What a block
does not have to say, as the times of events that are only counted, is not unpacked: that is most of the work.
"""

from __future__ import annotations

import json
import operator
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial, reduce
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from bot.fields import FactSettings
from bot.query import END, Query
from bot.query.tree import And, Compare, Condition, Flag, Match, Not, Or, Within, Word
from bot.store.log import sums
from bot.store.log.blocks import Ints, Part, walk
from bot.store.queries.conditions import DICTIONARIES, FEW, INDEXED, Names
from bot.store.queries.plain_facts import decided
from bot.store.schema import BLOCK, Connection

Mask = NDArray[np.bool_]
Decide = Callable[[Part], Mask]
MANY = 4 * BLOCK  # events that SQLite looks through as fast
RARE = 20_000  # events: as rows they take 25 ms; by blocks that long, or longer where fewer than 10,000 fit
TOGETHER = 128  # blocks that are counted at once: a sum for each of 900,000 objects takes a while


class Scan:
    """The events of a query, part by part; where `stop` says that it takes too long, the walk ends in TimeoutError."""

    def __init__(self, connection: Connection, query: Query, decide: Decide | None, stop: Callable[[], bool]) -> None:
        self._connection, self._query, self._decide, self._stop = connection, query, decide, stop

    def parts(self, without: Container[int] = ()) -> Iterator[tuple[Part, Mask]]:
        """Yield parts with what fits in each, only where something does; blocks `without` are left out."""
        query = self._query
        for part in walk(self._connection, query.since, query.until, without):
            if self._stop():
                raise TimeoutError
            fits = np.ones(part.size, dtype=np.bool_) if self._decide is None else self._decide(part)
            if not part.within:
                fits &= (part["time"] >= query.since) & (part["time"] <= query.until)
            if query.newest is not None:
                fits &= part["id"] <= query.newest
            if fits.any():
                yield part, fits

    def columns(self, name: str, without: Container[int] = ()) -> Iterator[Ints]:
        """Yield one column of what fits, part by part."""
        return (part[name] if fits.all() else part[name][fits] for part, fits in self.parts(without))

    def newest(self, limit: int, before: tuple[int, int] | None, counted: int) -> tuple[list[int], int]:
        """Return the ids of the newest events (before one at (time, id)), and how many there are, up to `counted`."""
        ids, times = np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
        total = 0
        for part, fits in self.parts():
            full = len(ids) == limit and (limit == 0 or part.bound < times[-1])
            if full and total >= counted:
                break
            total += int(np.count_nonzero(fits))
            if full:  # nothing more comes on the page: the rest is only counted
                continue
            if before is not None:
                time, number = before
                fits = fits & ((part["time"] < time) | ((part["time"] == time) & (part["id"] < number)))
            ids, times = np.concatenate((ids, part["id"][fits])), np.concatenate((times, part["time"][fits]))
            order = np.lexsort((-ids, -times))[:limit]
            ids, times = ids[order], times[order]
        return ids.tolist(), min(total, counted)

    def counts(self, field: str, most: int) -> dict[int | None, int]:
        """Return how many events there are of the most frequent dictionary ids of a field, ties included, and of none.

        None stands for no value.
        """
        connection, query = self._connection, self._query
        greatest = connection.execute(f"SELECT coalesce(max(id), 0) FROM {DICTIONARIES[field]}").fetchone()[0]
        counted = np.zeros(greatest + 2, dtype=np.int64)  # the first is for no value
        newest = END if query.newest is None else query.newest
        added = [] if self._decide else sums.inside(connection, field, query.since, query.until, newest)
        for stretch in added:
            places, numbers = sums.of(connection, field, stretch)
            counted[places] += numbers
        columns = self.columns(field, {number for stretch in added for number in stretch})
        for _, batch in groupby(enumerate(columns), key=lambda numbered: numbered[0] // TOGETHER):
            counted += np.bincount(np.concatenate([codes for _, codes in batch]) + 1, minlength=len(counted))
        valued = counted[1:]
        least = np.partition(valued, -most)[-most] if len(valued) > most else 0
        kept = np.flatnonzero(valued >= max(least, 1))
        none = {None: int(counted[0])} if counted[0] else {}
        return none | dict(zip(kept.tolist(), valued[kept].tolist(), strict=True))

    def span(self) -> tuple[int, int] | None:
        """Return the first and the last moment of them, None where there are none."""
        ends = [(int(times.min()), int(times.max())) for times in self.columns("time")]
        return (min(first for first, _ in ends), max(last for _, last in ends)) if ends else None

    def in_buckets(self, starts: Sequence[int]) -> list[int]:
        """Return how many there are in each bucket, given where buckets begin."""
        sums, edges = np.zeros(len(starts), dtype=np.int64), np.array(starts)
        for times in self.columns("time"):
            sums += np.bincount(np.searchsorted(edges, times, "right") - 1, minlength=len(starts))
        return [int(number) for number in sums]

    def total(self) -> int:
        """Return how many events there are."""
        return sum(int(np.count_nonzero(fits)) for _, fits in self.parts())


def plan(names: Names, query: Query, facts: FactSettings, stop: Callable[[], bool], least: int = MANY) -> Scan | None:
    """Return the scan of a query; None where its condition hangs on more than names and moments, or SQLite is as fast:
    with an index, or on `least` events or fewer."""
    connection = names.connection
    if not _more_than(least, connection, (query.since, query.until)):
        return None
    if query.condition is None:
        return Scan(connection, query, None, stop)
    test = _Planner(names, query, facts).test(query.condition)
    return None if test is None or test.indexed else Scan(connection, query, test.decide, stop)


def _more_than(least: int, connection: Connection, span: tuple[int, int]) -> bool:
    """Tell whether there are more events in a span: most often blocks say so in .4 ms, where counting takes 5."""
    inside = "SELECT coalesce(sum(events), 0) FROM blocks WHERE since >= ? AND until <= ?"
    counted = f"SELECT count(*) FROM (SELECT 1 FROM events WHERE time BETWEEN ? AND ? LIMIT {least + 1})"
    return any(connection.execute(sql, span).fetchone()[0] > least for sql in (inside, counted))


@dataclass(frozen=True)
class _Test:
    """A condition over columns; `indexed` says that an index of SQLite leads to the few events that can fit."""

    decide: Decide
    indexed: bool


@dataclass(frozen=True)
class _Planner:
    """Makes conditions of one question into tests over columns."""

    names: Names
    query: Query
    facts: FactSettings

    def test(self, condition: Condition) -> _Test | None:
        """Return the test of a condition; None where it hangs on more than names."""
        match condition:
            case And(parts) | Or(parts):
                return self._of_parts(condition, parts)
            case Not(part):
                test = self.test(part)
                return test and _Test(partial(_inverted, test), indexed=False)
            case Word() | Match() | Within():
                ids = self.names.of(condition)
                if ids is None and isinstance(condition, Match):
                    return self._fact(condition)
                return self._named(condition, ids)
            case Compare() | Flag():
                return self._fact(condition)

    def _fact(self, term: Compare | Flag | Match) -> _Test | None:
        decide = decided(self.names.connection, term, self.facts)
        return None if decide is None else _Test(decide, indexed=False)

    def _of_parts(self, condition: And | Or, parts: Sequence[Condition]) -> _Test | None:
        tests = [self.test(part) for part in parts]
        some = [test for test in tests if test is not None]
        if len(some) < len(tests):
            return None
        both = isinstance(condition, And)
        indexed = (any if both else all)(test.indexed for test in some) or (both and self._rare(parts))
        return _Test(partial(_joined, operator.and_ if both else operator.or_, some), indexed)

    def _named(self, term: Word | Match | Within, ids: Mapping[str, list[int]] | None) -> _Test | None:
        if ids is None:
            return None
        tables = {field: _table(some) for field, some in ids.items()}
        few = all(self._few(field, some) for field, some in ids.items())
        return _Test(partial(_among, tables), few or self._rare((term,)))

    def _few(self, field: str, ids: list[int]) -> bool:
        """Tell whether a field's index leads to so few events that SQLite sorts them at once; one name's are sorted."""
        if field not in INDEXED or len(ids) > FEW:
            return False
        return len(ids) == 1 or self._up_to(RARE, f"events_{field}", {field: json.dumps(ids)})

    def _rare(self, parts: Sequence[Condition]) -> bool:
        """Tell whether the index of types and actions leads to so few events."""
        wanted = [(part.field, self.names.of(part)) for part in parts if isinstance(part, Match)]
        ids = {field: json.dumps(found[field]) for field, found in wanted if field in ("type", "action") and found}
        return "type" in ids and self._up_to(RARE, "events_type", ids)

    def _up_to(self, most: int, index: str, ids: dict[str, str]) -> bool:
        where = " AND ".join(f"{field} IN (SELECT value FROM json_each(:{field}))" for field in ids)
        if "type" in ids and "action" not in ids:  # else the index is walked along all events of the type
            where += " AND action IN (SELECT id FROM actions)"
        some = (
            f"SELECT 1 FROM events INDEXED BY {index} WHERE {where} AND time BETWEEN :since AND :until LIMIT {most + 1}"
        )
        span = {"since": self.query.since, "until": self.query.until}
        counted = self.names.connection.execute(f"SELECT count(*) <= {most} FROM ({some})", ids | span)
        return bool(counted.fetchone()[0])


def _joined(join: Callable[[Mask, Mask], Mask], tests: list[_Test], columns: Part) -> Mask:
    return reduce(join, (test.decide(columns) for test in tests))


def _inverted(test: _Test, columns: Part) -> Mask:
    return ~test.decide(columns)


def _table(ids: list[int]) -> Mask:
    table = np.zeros(max(ids, default=0) + 2, dtype=np.bool_)  # the last cell is for -1, and for greater ids
    table[np.array(ids, dtype=np.int64)] = True
    return table


def _among(tables: Mapping[str, Mask], columns: Part) -> Mask:
    masks = (table[np.minimum(columns[field], len(table) - 1)] for field, table in tables.items())
    return reduce(operator.or_, masks)
