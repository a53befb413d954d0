"""Dictionary ids as columns of texts: the codes of short columns are places, those of long ones the ids themselves."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Any

import numpy as np

from bot.detect.columns import Codes, Ints
from bot.store.schema import Store


class Names:
    """The texts of dictionary ids, each read once: to be kept for no longer than a pass, as one that is rolled back
    frees its ids for other texts."""

    def __init__(self, store: Store, known: Mapping[str, dict[int, str]] = MappingProxyType({})) -> None:
        self._store = store
        self._known = defaultdict[str, dict[int, str]](dict, known)

    def of(self, table: str, ids: Ints) -> tuple[str, ...]:
        """Return the texts of some ids of a dictionary."""
        known, wanted = self._known[table], ids.tolist()
        if not known.keys() >= set(wanted):
            some = f"SELECT id, name FROM {table} WHERE id IN (SELECT value FROM json_each(?))"
            known |= self._store.rows(some, (json.dumps([number for number in wanted if number not in known]),))
        return tuple(map(known.__getitem__, wanted))


LONG = 100  # ids: from so many on numpy tells quicker which are different


def as_json(numbers: Ints) -> str:
    """Return ids as a JSON array, which SQLite takes as one parameter."""
    return json.dumps(numbers.tolist())


def distinct(ids: Ints | Codes) -> Ints:
    """Return the different ids or codes, sorted, without -1."""
    if len(ids) < LONG:  # a third of numpy's time for the six events of a usual pass
        return np.array(sorted(set(ids.tolist()) - {-1}), dtype=np.int64)
    if len(ids) < int(ids.max()):  # few of many
        return np.unique(ids[ids >= 0])
    return np.flatnonzero(np.bincount(ids + 1)[1:])


class Late(Sequence[str]):
    """Texts that are read from the store when somebody first asks for one."""

    def __init__(self, size: int, read: Callable[[], Sequence[str]]) -> None:
        self._size, self._read = size, read

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, code: Any) -> Any:
        return self._all[code]

    def __iter__(self) -> Iterator[str]:
        return iter(self._all)

    @cached_property
    def _all(self) -> Sequence[str]:
        return self._read()


def some_names(names: Names, table: str, ids: Ints) -> Late:
    """Return the texts of some dictionary ids, in their order."""
    return Late(len(ids), lambda: names.of(table, ids))


def ids_of(store: Store, table: str, names: Collection[str]) -> Ints:
    """Return the ids of texts, where they have one."""
    some = f"SELECT id FROM {table} WHERE name IN (SELECT value FROM json_each(?))"
    return np.array([number for (number,) in store.rows(some, (json.dumps(list(names)),))], dtype=np.int64)


def all_names(store: Store, table: str) -> Late:
    """Return the texts of a dictionary by id; at ids that are not used, nothing."""
    size = 1 + int(store.value(f"SELECT coalesce(max(id), 0) FROM {table}"))

    def read() -> list[str]:
        names = [""] * size
        for number, name in store.stream(f"SELECT id, name FROM {table} WHERE id < ?", (size,)):
            names[number] = name
        return names

    return Late(size, read)


@dataclass(frozen=True)
class Ids:
    """The dictionary ids behind the codes of a column."""

    distinct: Ints

    def codes(self, ids: Ints) -> Codes:
        """Return places among the ids that occur; -1 stays."""
        codes = self.distinct.searchsorted(ids).astype(np.int32)
        codes[ids < 0] = -1
        return codes

    def of(self, codes: Codes) -> Ints:
        """Return the id behind each code, -1 where there is none."""
        return self._and_none[codes]

    @cached_property
    def _and_none(self) -> Ints:
        return np.append(self.distinct, -1)  # which code -1 takes
