"""Events as columns: what rules, facts and features compute over."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Codes = NDArray[np.int32]
Rows = Ints | slice  # a slice copies nothing


@dataclass(frozen=True)
class TextColumn:
    """Texts by code: event i has `values[codes[i]]`, or nothing where the code is -1. The values are distinct."""

    codes: Codes
    values: Sequence[str]

    def take(self, rows: Rows) -> TextColumn:
        """Return the column of these rows, in this order."""
        return TextColumn(self.codes[rows], self.values)

    @property
    def missing(self) -> NDArray[np.bool_]:
        """Which events have no value."""
        return self.codes < 0


@dataclass(frozen=True)
class NumberColumn:
    """Numbers as float64; NaN where there is none."""

    values: NDArray[np.float64]

    def take(self, rows: Rows) -> NumberColumn:
        """Return the column of these rows, in this order."""
        return NumberColumn(self.values[rows])

    @property
    def missing(self) -> NDArray[np.bool_]:
        """Which events have no value."""
        return np.isnan(self.values)


@dataclass(frozen=True)
class BoolColumn:
    """Truths as int8: 1 true, 0 false, -1 unknown."""

    values: NDArray[np.int8]

    def take(self, rows: Rows) -> BoolColumn:
        """Return the column of these rows, in this order."""
        return BoolColumn(self.values[rows])

    @property
    def missing(self) -> NDArray[np.bool_]:
        """Which events have no value."""
        return self.values < 0


Column = TextColumn | NumberColumn | BoolColumn


@dataclass
class Columns:
    """Events sorted by (time, id). `time` in microseconds; fields by name, computed when first asked for.

    `compute` names the columns that are not there yet, each with the function that makes it from these events. `whole`
    says that no event between the first and the last one is left out, `whole_of` that none of these actors is.
    """

    id: Ints
    time: Ints
    fields: dict[str, Column]
    compute: Mapping[str, Callable[[Columns], Column]] = field(default_factory=dict)
    whole: bool = False
    whole_of: Collection[str] = ()

    def __len__(self) -> int:
        return len(self.time)

    def __getitem__(self, name: str) -> Column:
        if name not in self.fields:
            self.fields[name] = self.compute[name](self)
        return self.fields[name]

    def text(self, name: str) -> TextColumn:
        """Return a column that is known to hold text."""
        column = self[name]
        if not isinstance(column, TextColumn):
            raise TypeError(f"{name} holds no text")
        return column

    def numbers(self, name: str) -> NumberColumn:
        """Return a column that is known to hold numbers."""
        column = self[name]
        if not isinstance(column, NumberColumn):
            raise TypeError(f"{name} holds no numbers")
        return column

    def truths(self, name: str) -> BoolColumn:
        """Return a column that is known to hold truths."""
        column = self[name]
        if not isinstance(column, BoolColumn):
            raise TypeError(f"{name} holds no truths")
        return column

    def take(self, rows: Rows) -> Columns:
        """Return these rows; facts already computed go along, so that they keep meaning the whole history."""
        fields = {name: column.take(rows) for name, column in self.fields.items()}
        whole, whole_of = (self.whole, self.whole_of) if isinstance(rows, slice) else (False, ())
        return Columns(self.id[rows], self.time[rows], fields, self.compute, whole, whole_of)


def encode(texts: Iterable[str | None]) -> TextColumn:
    """Return texts as codes, numbered in order of appearance."""
    numbers: dict[str, int] = {}
    codes = [-1 if text is None else numbers.setdefault(text, len(numbers)) for text in texts]
    return TextColumn(np.array(codes, dtype=np.int32), tuple(numbers))
