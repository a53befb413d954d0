"""Blocks: settled events kept a second time as columns, so that a long span is read at once and not row by row.

A block holds the 16,384 events of a range of ids, once all these ids are given out. Triggers of the schema delete the
block of an event that is changed or deleted; what has no block is read from the events themselves, so blocks may be
missing but never wrong. Reading a million events takes 2.5 s of CPU as rows, .3 s as blocks, for 10 bytes an event.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bot.store.schema import BLOCK, Connection, Store
from bot.times import DAY

Ints = NDArray[np.int64]
CODES = ("actor", "ip", "object", "type", "action", "actor_type")  # dictionary ids, -1 where there is none
COLUMNS = ("id", "time", *CODES)
ID, TIME, ACTOR, IP, OBJECT, TYPE, ACTION, ACTOR_TYPE = range(len(COLUMNS))

_VALUES = {name: f"coalesce(e.{name}, -1)" for name in COLUMNS}
_SELECT = f"SELECT {', '.join(_VALUES.values())} FROM events e WHERE "
WORTH = 0.75  # of its size, to which packing has to bring a column
_AT_ONCE = 16  # blocks built in one transaction: catching up with an old database must not hold up others


@dataclass(frozen=True)
class Table:
    """Columns of events, sorted by (time, id); `codes` by name."""

    id: Ints
    time: Ints
    codes: Mapping[str, NDArray[np.int32]]


def settle(connection: Connection, most: int = _AT_ONCE) -> int:
    """Build blocks that are missing, at most so many, and return how many. Has to run inside a transaction."""
    newest = connection.execute("SELECT coalesce(max(id), 0) FROM events").fetchone()[0]
    there = {number for (number,) in connection.execute("SELECT number FROM blocks")}
    missing = [number for number in range(newest // BLOCK) if number not in there][:most]
    for number in missing:
        ids = (number * BLOCK + 1, (number + 1) * BLOCK)
        rows = as_columns(connection.execute(f"{_SELECT} e.id BETWEEN ? AND ? ORDER BY e.id", ids))
        times = rows[1] if len(rows[1]) else np.zeros(1, dtype=np.int64)
        connection.execute(
            f"INSERT INTO blocks VALUES ({', '.join('?' * (4 + len(COLUMNS)))})",
            (number, int(times.min()), int(times.max()), rows.shape[1], *map(pack, rows)),
        )
    return len(missing)


def read(store: Store, since: int, until: int) -> Table:
    """Return the columns of all events with since <= time <= until, sorted by (time, id)."""
    with store.reading() as connection:
        blocks = connection.execute("SELECT number, events, since, until FROM blocks ORDER BY number").fetchall()
        holes = _holes([number for number, *_ in blocks])
        rest = {first: _rest(connection, first, last, since, until) for first, last in holes}
        wanted = {number: size for number, size, *span in blocks if size and span[1] >= since and span[0] <= until}
        capacity = sum(wanted.values()) + sum(part.shape[1] for part in rest.values())
        columns = [np.empty(capacity, dtype=np.int32 if name in CODES else np.int64) for name in COLUMNS]
        filled = 0
        for first in sorted([*rest, *(number * BLOCK + 1 for number in wanted)]):
            part = rest[first] if first in rest else _block(connection, first // BLOCK, since, until)
            for column, values in zip(columns, part, strict=True):
                column[filled : filled + len(values)] = values
            filled += len(part[0])
    return _by_time([column[:filled] for column in columns])


class Part(dict[str, Ints]):
    """Columns by name, each unpacked when first asked for; `within` says that all of it lies in the span asked for."""

    def __init__(self, load: Callable[[str], Ints], size: int, bound: int, within: bool = True) -> None:
        super().__init__()
        self._load, self.size, self.bound, self.within = load, size, bound, within

    def __missing__(self, name: str) -> Ints:
        self[name] = self._load(name)
        return self[name]


def walk(connection: Connection, since: int, until: int, without: Container[int] = ()) -> Iterator[Part]:
    """Yield all events that may lie in a span, in parts; none has one after its `bound`, and bounds fall.

    Blocks `without` are left out. Needs a connection inside a transaction (`Store.reading`), so that all parts are of
    the same moment.
    """
    blocks = connection.execute("SELECT number, events, since, until FROM blocks ORDER BY number").fetchall()
    for first, last in _holes([number for number, *_ in blocks]):
        where, values = _without_block(first, last, since, until)
        size = connection.execute(f"SELECT count(*) FROM events e WHERE {where}", values).fetchone()[0]
        yield Part(partial(_loose, connection, where, values), size, until)
    for number, size, first, last in sorted(blocks, key=lambda block: -block[3]):
        if size and last >= since and first <= until and number not in without:
            load = partial(column, connection, number)
            yield Part(load, size, min(last, until), since <= first and last <= until)


def _holes(numbers: Iterable[int]) -> Iterator[tuple[int, int]]:
    """Yield (first, last) of the ranges of ids that have no block."""
    begin = 1
    for number in numbers:
        if begin <= number * BLOCK:
            yield begin, number * BLOCK
        begin = (number + 1) * BLOCK + 1
    yield begin, 2**63 - 1


def _rest(connection: Connection, first: int, last: int, since: int, until: int) -> Ints:
    where, values = _without_block(first, last, since, until)
    return as_columns(connection.execute(f"{_SELECT} {where} ORDER BY e.id", values))


def _without_block(first: int, last: int, since: int, until: int) -> tuple[str, tuple[int, ...]]:
    """Return what chooses such events; a plus keeps SQLite from using the index that does not serve."""
    by_id, by_time = ("+", "") if until - since < DAY else ("", "+")
    return f"{by_id}e.id BETWEEN ? AND ? AND {by_time}e.time BETWEEN ? AND ?", (first, last, since, until)


def _loose(connection: Connection, where: str, values: tuple[int, ...], name: str) -> Ints:
    """Return one column of what has no block: .3 us a value as JSON, .6 as rows, all eight columns 1.6."""
    column = f"SELECT {_VALUES[name]} AS value FROM events e WHERE {where} ORDER BY e.id"
    found = connection.execute(f"SELECT json_group_array(value) FROM ({column})", values).fetchone()[0]
    return np.array(json.loads(found), dtype=np.int64)


def _block(connection: Connection, number: int, since: int, until: int) -> list[Ints]:
    size, *blobs = connection.execute(
        f"SELECT events, {', '.join(f'{name}_blob' for name in COLUMNS)} FROM blocks WHERE number = ?", (number,)
    ).fetchone()
    columns = [unpack(blob, size) for blob in blobs]
    inside = (columns[1] >= since) & (columns[1] <= until)
    return columns if inside.all() else [column[inside] for column in columns]


def column(connection: Connection, number: int, name: str) -> Ints:
    """Return one column of a block."""
    size, blob = connection.execute(f"SELECT events, {name}_blob FROM blocks WHERE number = ?", (number,)).fetchone()
    return unpack(blob, size)


def rows(store: Store, where: str, parameters: Any = ()) -> Ints:
    """Return the events that satisfy an SQL condition over `e` as they are stored, in any order, a line for each of
    COLUMNS. Sorting is left to numpy: a query that sorts takes SQLite a fifth longer."""
    return as_columns(store.rows(f"{_SELECT}{where}", parameters))


def as_columns(rows: Iterable[tuple[int, ...]], width: int = len(COLUMNS)) -> Ints:
    """Return rows of so many integers as one array, a line for each column."""
    return np.fromiter(chain.from_iterable(rows), dtype=np.int64).reshape(-1, width).T


def pack(values: Ints) -> bytes:
    """Return integers as bytes: the least of them, then the differences to it, byte by byte, as many as they need.

    What hardly gets smaller is stored as it is: for .6 bytes an event the names of objects are read in half the time.
    """
    base = int(values.min(initial=2**63 - 1))
    planes = (values - base).astype("<u8").view(np.uint8).reshape(-1, 8).T
    width = max((place + 1 for place in range(8) if planes[place].any()), default=0)
    plain = planes[:width].tobytes()
    packed = zlib.compress(plain, 1)
    if len(packed) > WORTH * len(plain):
        packed = zlib.compress(plain, 0)
    return base.to_bytes(8, "little", signed=True) + packed


def unpack(blob: bytes, size: int) -> Ints:
    """Return the integers that were packed, given how many they are."""
    planes = np.frombuffer(zlib.decompress(blob[8:]), dtype=np.uint8).reshape(-1, max(size, 1))
    values = np.zeros(size, dtype=np.min_scalar_type(256 ** len(planes) - 1))  # narrow ones are put together faster
    for plane in planes[::-1]:
        values <<= 8
        values |= plane
    wide = values.astype(np.int64)
    wide += int.from_bytes(blob[:8], "little", signed=True)
    return wide


def _by_time(columns: list[NDArray[Any]]) -> Table:
    """Return columns, sorted by id, in order of time; they are given up one by one, so that no two copies exist."""
    time = columns[1]
    order = None if (time[1:] >= time[:-1]).all() else np.argsort(time, kind="stable")
    if order is not None:
        for place, column in enumerate(columns):
            columns[place] = column[order]
    return Table(columns[0], columns[1], dict(zip(CODES, columns[2:], strict=True)))
