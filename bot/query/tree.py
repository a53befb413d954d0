"""The condition tree: what a query asks of an event. Two-valued: what is missing fits nothing but a `Not`."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network
from typing import Literal


@dataclass(frozen=True)
class Pattern:
    """A text to compare whole, ignoring case: casefolded literals with anything between one and the next."""

    parts: tuple[str, ...]

    @property
    def is_star(self) -> bool:
        """Whether any text fits."""
        return len(self.parts) > 1 and not any(self.parts)

    def matches(self, text: str) -> bool:
        """Tell whether `text` as a whole fits; takes linear time however many stars there are."""
        text = text.casefold()
        first, *middle = self.parts
        if not middle:
            return text == first
        last = middle.pop()
        place, end = len(first), len(text) - len(last)
        if place > end or not (text.startswith(first) and text.endswith(last)):
            return False
        for part in middle:
            found = text.find(part, place, end)
            if found < 0:
                return False
            place = found + len(part)
        return True


@dataclass(frozen=True)
class And:
    """Every part holds."""

    parts: tuple[Condition, ...]


@dataclass(frozen=True)
class Or:
    """One part or more hold."""

    parts: tuple[Condition, ...]


@dataclass(frozen=True)
class Not:
    """The part does not hold, be it that what it asks for is missing."""

    part: Condition


@dataclass(frozen=True)
class Word:
    """The actor or the object contains the pattern."""

    pattern: Pattern


@dataclass(frozen=True)
class Match:
    """A text field, `level` or `rule` fits one of the patterns."""

    field: str
    patterns: tuple[Pattern, ...]


@dataclass(frozen=True)
class Within:
    """The address, however it is spelt, lies in one of the networks; IPv4 written as IPv6 (::ffff:) is IPv4."""

    networks: tuple[IPv4Network | IPv6Network, ...]


@dataclass(frozen=True)
class Compare:
    """A number compares so to `number`."""

    field: str
    op: Literal["=", ">", ">=", "<", "<="]
    number: float


@dataclass(frozen=True)
class Flag:
    """A fact that is true, false or unknown has this value."""

    field: str
    value: bool


Term = Word | Match | Within | Compare | Flag
Condition = And | Or | Not | Term


def worth(condition: Condition, decide: Callable[[Term], bool]) -> bool:
    """Return what a condition is worth where `decide` says what its terms are."""
    match condition:
        case And(parts):
            return all(worth(part, decide) for part in parts)
        case Or(parts):
            return any(worth(part, decide) for part in parts)
        case Not(part):
            return not worth(part, decide)
        case _:
            return decide(condition)


def names_nothing(condition: Condition) -> bool:
    """Tell whether a condition holds for whatever has nothing of what it names: `*`, `-actor:eve`, `type:x OR -type:x`.

    A term without a value, like `actor:*`, counts as true of everything, and so does a fact that is false.
    """
    return worth(condition, _takes_all)


def _takes_all(term: Term) -> bool:
    match term:
        case Word(pattern):
            return pattern.is_star
        case Match(_, patterns):
            return any(pattern.is_star for pattern in patterns)
        case Within(networks):
            return any(network.prefixlen == 0 for network in networks)
        case Compare(_, op, number):
            return op == ">=" and number == -math.inf
        case Flag(_, value):
            return not value


def terms(condition: Condition) -> Iterator[Term]:
    """Yield the terms of a condition."""
    match condition:
        case And(parts) | Or(parts):
            for part in parts:
                yield from terms(part)
        case Not(part):
            yield from terms(part)
        case _:
            yield condition


def field_names(condition: Condition) -> frozenset[str]:
    """Return the names of all fields that a condition looks at."""
    match condition:
        case And(parts) | Or(parts):
            return frozenset[str]().union(*map(field_names, parts))
        case Not(part):
            return field_names(part)
        case Word():
            return frozenset(("actor", "object"))
        case Within():
            return frozenset(("ip",))
        case Match(field) | Compare(field) | Flag(field):
            return frozenset((field,))


def all_of(parts: Iterable[Condition]) -> Condition:
    """Return And, or the part itself where there is only one."""
    joined = And(tuple(parts))
    return joined.parts[0] if len(joined.parts) == 1 else joined


def any_of(parts: Iterable[Condition]) -> Condition:
    """Return Or, or the part itself where there is only one."""
    joined = Or(tuple(parts))
    return joined.parts[0] if len(joined.parts) == 1 else joined
