"""Conditions on the fields of events: decided once for each distinct value, then taken through the codes."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache, reduce
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_network
from typing import Literal

import numpy as np
import re2
from numpy.typing import NDArray

from bot.detect.columns import Columns, Ints, TextColumn
from bot.fields import TEXT_FIELDS

Mask = NDArray[np.bool_]
Network = IPv4Network | IPv6Network
How = Literal["equals", "contains", "startswith", "endswith", "regex"]
Order = Literal["equals", "lt", "lte", "gt", "gte"]

SPARSE = 4  # taking an event out to look at it alone costs about as much as looking at so many things in a row
GATED = frozenset(("action", "type"))
MOST_PAIRS = 10_000  # remembered for each rule
ROOM = 10_000  # pairs of action and type: so many may be numbered in a table, however few events there are
FEW = 64  # events, a pass of a few minutes: to choose among parts costs more than to look at all
_ZONE = re.compile(r"%[^/]*")  # the interface behind a link-local address: fe80::1%eth0

_COMPARE: dict[How, Callable[[str, str], bool]] = {
    "equals": operator.eq,
    "contains": operator.contains,
    "startswith": str.startswith,
    "endswith": str.endswith,
}
_ORDER: dict[Order, Callable[[NDArray[np.float64], float], Mask]] = {
    "equals": np.equal,
    "lt": np.less,
    "lte": np.less_equal,
    "gt": np.greater,
    "gte": np.greater_equal,
}


class Texts:
    """The distinct texts of a column that its events use, each form of them made once."""

    def __init__(self, column: TextColumn) -> None:
        self.codes = column.codes
        self._size = len(column.values)
        # A few rows taken from a long history keep its whole dictionary: look at the texts in use only.
        few = len(column.codes) < self._size
        self._used: Ints = np.unique(column.codes[column.codes >= 0]) if few else np.arange(self._size)
        self.plain: Sequence[str] = [column.values[code] for code in self._used] if few else column.values

    @cached_property
    def folded(self) -> list[str]:
        """Return the texts without regard to case."""
        return list(map(str.casefold, self.plain))

    @cached_property
    def networks(self) -> list[Network | None]:
        """Return the texts as networks, None where they name no address."""
        return list(map(read_network, self.plain))

    @cached_property
    def encoded(self) -> list[bytes]:
        """Return the texts as RE2 wants them."""
        return [text.encode("utf-8", "replace") for text in self.plain]

    def mask(self, decided: Iterable[bool]) -> Mask:
        """Return which events have a text for which the decision is true; none of those without one."""
        table = np.zeros(self._size + 1, dtype=np.bool_)  # the last cell is for code -1: no value
        table[self._used] = np.fromiter(decided, dtype=np.bool_, count=len(self._used))
        return table[self.codes]


class View:
    """Events under evaluation, with every answer kept that more than one rule may ask for."""

    def __init__(self, columns: Columns) -> None:
        self.columns = columns
        self._texts: dict[str, Texts] = {}
        self._masks: dict[Condition, Mask] = {}

    def texts(self, field: str) -> Texts:
        """Return the distinct texts of a field."""
        if field not in self._texts:
            self._texts[field] = Texts(self.columns.text(field))
        return self._texts[field]

    @cached_property
    def gated(self) -> tuple[list[tuple[str | None, ...]], Ints, Ints]:
        """Return the different pairs of action and type, an event that has each, and which of them each event has."""
        action, type_ = (self.columns.text(field) for field in sorted(GATED))
        size = len(type_.values) + 1
        both = (action.codes.astype(np.int64) + 1) * size + type_.codes + 1
        rows, which = _numbered(both, (len(action.values) + 1) * size)
        texts = [
            [None if code < 0 else one.values[code] for code in one.codes[rows].tolist()] for one in (action, type_)
        ]
        return list(zip(*texts, strict=True)), rows, which

    def mask(self, condition: Condition) -> Mask:
        """Return which events satisfy the condition; not to be written to."""
        found = self._masks.get(condition)
        if found is None:
            found = self._masks[condition] = condition.decide(self)
        return found


@dataclass(frozen=True)
class FieldTest:
    """A test of one field."""

    field: str

    @property
    def fields(self) -> frozenset[str]:
        """Name what it reads."""
        return frozenset((self.field,))


@dataclass(frozen=True)
class TextTest(FieldTest):
    """A text compared with one of the rule's; `text` is folded by the constructor unless `cased`."""

    how: How
    text: str
    cased: bool = False

    def __post_init__(self) -> None:
        if not self.cased and self.how != "regex":
            object.__setattr__(self, "text", self.text.casefold())

    def decide(self, view: View) -> Mask:
        """Return which events satisfy it."""
        texts = view.texts(self.field)
        if self.how == "regex":
            found = _searcher(self.text)
            return texts.mask(bool(found.Match(text)) for text in texts.encoded)
        compare, text = _COMPARE[self.how], self.text
        return texts.mask(compare(value, text) for value in (texts.plain if self.cased else texts.folded))


@dataclass(frozen=True)
class WildcardTest(FieldTest):
    """A text with `*` and `?` inside: `pieces` are the plain parts, None for `*`, the empty text for `?`."""

    pieces: tuple[str | None, ...]
    cased: bool = False

    @cached_property
    def pattern(self) -> str:
        """Return the regex that says the same."""
        return rf"(?s)\A{''.join(map(self._say, self.pieces))}\z"

    def _say(self, piece: str | None) -> str:
        if piece is None:
            return ".*"
        return re2.escape(piece if self.cased else piece.casefold()) if piece else "."

    def decide(self, view: View) -> Mask:
        """Return which events satisfy it."""
        texts, found = view.texts(self.field), _searcher(self.pattern)
        values = texts.plain if self.cased else texts.folded
        return texts.mask(bool(found.Match(value.encode("utf-8", "replace"))) for value in values)


@dataclass(frozen=True)
class NetworkTest(FieldTest):
    """An address, or a network, that lies within `network`; mapped IPv4 counts as IPv4."""

    network: Network

    def decide(self, view: View) -> Mask:
        """Return which events satisfy it."""
        texts = view.texts(self.field)
        return texts.mask(map(self._holds, texts.networks))

    def _holds(self, other: Network | None) -> bool:
        # Compared within one version: subnet_of raises across versions.
        if isinstance(self.network, IPv4Network):
            return isinstance(other, IPv4Network) and other.subnet_of(self.network)
        return isinstance(other, IPv6Network) and other.subnet_of(self.network)


@dataclass(frozen=True)
class NumberTest(FieldTest):
    """A number compared with one of the rule's."""

    order: Order
    number: float

    def decide(self, view: View) -> Mask:
        """Return which events satisfy it; one without the number does not."""
        return _ORDER[self.order](view.columns.numbers(self.field).values, self.number)


@dataclass(frozen=True)
class BoolTest(FieldTest):
    """A truth equal to the rule's; unknown equals neither."""

    truth: bool

    def decide(self, view: View) -> Mask:
        """Return which events satisfy it."""
        return np.asarray(view.columns.truths(self.field).values == int(self.truth))


@dataclass(frozen=True)
class MissingTest(FieldTest):
    """A field that has no value (`null`, `exists: false`)."""

    def decide(self, view: View) -> Mask:
        """Return which events satisfy it."""
        return view.columns[self.field].missing


@dataclass(frozen=True)
class SameTest:
    """A field compared with another one of the same event; both must have a value."""

    field: str
    how: How
    other: str
    cased: bool = False

    @property
    def fields(self) -> frozenset[str]:
        """Name what it reads."""
        return frozenset((self.field, self.other))

    def decide(self, view: View) -> Mask:
        """Return which events satisfy it, each pair of texts compared once."""
        left, right = view.columns[self.field], view.columns[self.other]
        if isinstance(left, TextColumn) and isinstance(right, TextColumn):
            return self._decide_texts(left, right)
        if isinstance(left, TextColumn) or isinstance(right, TextColumn):
            raise TypeError(f"{self.field} and {self.other} are of different kinds")
        same: Mask = left.values == right.values
        return same & ~left.missing & ~right.missing

    def _decide_texts(self, left: TextColumn, right: TextColumn) -> Mask:
        mask, size, compare = np.zeros(len(left.codes), dtype=np.bool_), len(right.values), _COMPARE[self.how]
        rows = np.flatnonzero(~left.missing & ~right.missing)
        pairs, places = np.unique(left.codes[rows].astype(np.int64) * size + right.codes[rows], return_inverse=True)
        decided = (
            compare(self._fold(left.values[p // size]), self._fold(right.values[p % size])) for p in pairs.tolist()
        )
        mask[rows] = np.fromiter(decided, dtype=np.bool_, count=len(pairs))[places]
        return mask

    def _fold(self, text: str) -> str:
        return text if self.cased else text.casefold()


@dataclass(frozen=True)
class Parts:
    """Conditions joined into one."""

    parts: tuple[Condition, ...]

    @cached_property
    def fields(self) -> frozenset[str]:
        """Name what it reads."""
        return frozenset().union(*(part.fields for part in self.parts))

    @cached_property
    def _hash(self) -> int:
        return hash((type(self), self.parts))

    def __hash__(self) -> int:  # remembered: a pass asks some hundred times, which took a tenth of a small one
        return self._hash


@dataclass(frozen=True)
class Every(Parts):
    """All parts hold; true where there are none."""

    __hash__ = Parts.__hash__

    def decide(self, view: View) -> Mask:
        """Return which events satisfy it: action and type first, which rule out most; then cheap parts before dear
        ones, and what costs more only for events that are left."""
        gate, others = self._gate
        mask = gate.mask(view) if gate else np.ones(len(view.columns), dtype=np.bool_)
        if len(view.columns) <= FEW:
            for part in others:
                mask = mask & view.mask(part) if np.count_nonzero(mask) else mask
            return mask
        for cost, part in sorted(((_cost(view, part), part) for part in others), key=operator.itemgetter(0)):
            left = np.count_nonzero(mask)
            if not left:
                break
            narrow = SPARSE * left < cost
            mask = _narrowed(view, mask, part) if narrow else mask & view.mask(part)
        return mask

    @cached_property
    def _gate(self) -> tuple[_Gate | None, list[Condition]]:
        """Return what action and type alone decide, and the other parts, those about facts last."""
        first = [part for part in self.parts if part.fields and part.fields <= GATED]
        others = [part for part in self.parts if part not in first]
        others.sort(key=lambda part: not part.fields.issubset(TEXT_FIELDS))
        return (_Gate(tuple(first)) if first else None), others


class _Gate:
    """What a rule asks of action and type, remembered for each pair of them: most events concern few rules."""

    def __init__(self, parts: tuple[Condition, ...]) -> None:
        self._parts = parts
        self._known: dict[tuple[str | None, ...], bool] = {}

    def mask(self, view: View) -> Mask:
        """Return which events satisfy it."""
        pairs, rows, which = view.gated
        unknown = [place for place, pair in enumerate(pairs) if pair not in self._known]
        if unknown:
            decided = self._decide(View(view.columns.take(rows[unknown])))
            self._known |= zip([pairs[place] for place in unknown], decided.tolist(), strict=True)
        found = np.fromiter(map(self._known.__getitem__, pairs), dtype=np.bool_, count=len(pairs))
        if len(self._known) > MOST_PAIRS:
            self._known.clear()
        return np.asarray(found[which])

    def _decide(self, view: View) -> Mask:
        return reduce(operator.and_, map(view.mask, self._parts))


@dataclass(frozen=True)
class AnyOf(Parts):
    """At least one part holds."""

    __hash__ = Parts.__hash__

    def decide(self, view: View) -> Mask:
        """Return which events satisfy it."""
        return reduce(operator.or_, map(view.mask, self.parts), np.zeros(len(view.columns), dtype=np.bool_))


@dataclass(frozen=True)
class Negation:
    """The part does not hold: two-valued, so an event that lacks the field satisfies it."""

    part: Condition

    @property
    def fields(self) -> frozenset[str]:
        """Name what it reads."""
        return self.part.fields

    def decide(self, view: View) -> Mask:
        """Return which events satisfy it."""
        return ~view.mask(self.part)


def _numbered(codes: Ints, size: int) -> tuple[Ints, Ints]:
    """Return an event of each code that occurs, and which of these each event has; codes are below `size`."""
    if size > len(codes) + ROOM:
        _, rows, which = np.unique(codes, return_index=True, return_inverse=True)
        return rows, which
    table = np.full(size, -1)  # without sorting: half the time for six events, a twentieth for 262,144
    table[codes] = np.arange(len(codes))
    there = np.flatnonzero(table >= 0)
    rows = table[there]
    table[there] = np.arange(len(there))
    return rows, table[codes]


def _cost(view: View, part: Condition) -> int:
    """Return how many things have to be looked at: texts of a dictionary, or events whose facts are not there yet."""
    columns = [view.columns.fields.get(field) for field in part.fields]
    each = isinstance(part, SameTest) or None in columns
    return each * len(view.columns) + sum(len(column.values) for column in columns if isinstance(column, TextColumn))


def _narrowed(view: View, mask: Mask, part: Condition) -> Mask:
    rows = np.flatnonzero(mask)
    result = np.zeros(len(mask), dtype=np.bool_)
    result[rows] = View(view.columns.take(rows)).mask(part)
    return result


Test = TextTest | WildcardTest | NetworkTest | NumberTest | BoolTest | MissingTest | SameTest
Condition = Test | Every | AnyOf | Negation


def compile_regex(pattern: str) -> None:
    """Check that RE2 takes the pattern. Raises ValueError with RE2's reason."""
    try:
        re2.compile(pattern, _quiet())
        _searcher(pattern)
    except re2.error as error:
        reason = error.args[0] if error.args else error
        raise ValueError(reason.decode("utf-8", "replace") if isinstance(reason, bytes) else str(reason)) from error


def read_network(text: str) -> Network | None:
    """Return the network, or the address as one, that a text names, mapped IPv4 as IPv4; None for other texts."""
    try:
        network = ip_network(_ZONE.sub("", text.strip().strip("[]")), strict=False)
    except ValueError:
        return None
    mapped = network.network_address.ipv4_mapped if isinstance(network.network_address, IPv6Address) else None
    if mapped is not None and network.prefixlen >= 96:
        return IPv4Network((mapped, network.prefixlen - 96), strict=False)
    return network


def _quiet() -> re2.Options:
    options = re2.Options()
    options.log_errors = False
    return options


@lru_cache(maxsize=512)
def _searcher(pattern: str) -> re2.Set:
    """Return a matcher that says only whether, three times faster than re2's match objects."""
    searcher = re2.Set.SearchSet(_quiet())
    searcher.Add(pattern)
    searcher.Compile()
    return searcher
