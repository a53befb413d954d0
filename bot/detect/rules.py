"""The records of checked rules: what the loader makes of rule files, and what matching needs."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from bot.detect.conditions import Condition
from bot.errors import Problem
from bot.model import Rule
from bot.times import HOUR

CorrelationKind = Literal["event_count", "value_count", "temporal", "temporal_ordered"]
DEFAULT_PER = ("actor", "ip")  # a plain rule's group: the actor where there is one, else the address
DEFAULT_QUIET = HOUR


@dataclass(frozen=True)
class RuleTestEvent:
    """One event of a rule's test; `at` in microseconds from the test's zero, negative before it."""

    at: int
    action: str
    actor: str | None
    ip: str | None
    object: str
    type: str


@dataclass(frozen=True)
class RuleTest:
    """Events, repeats written out, and how many bursts they must give: `fires` as written, and as limits."""

    name: str
    line: int
    events: tuple[RuleTestEvent, ...]
    fires: str
    least: int
    most: int | None

    def passes(self, bursts: int) -> bool:
        """Return whether that many bursts are what the test wants."""
        return self.least <= bursts and (self.most is None or bursts <= self.most)


@dataclass(frozen=True)
class Term:
    """Slots that must be in a window, and slots that must not; a condition is a list of such alternatives."""

    present: tuple[int, ...]
    absent: tuple[int, ...] = ()


@dataclass(frozen=True, eq=False)
class Slot:
    """One rule that a correlation names, with the event fields that its group and counted names stand for."""

    rule: CompiledRule
    group_by: tuple[str, ...]
    counted: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Correlation:
    """What must come together in a window of `timespan` microseconds.

    `least` and `most` (None: no limit) bound the events, the distinct values, or the different slots that are seen;
    `terms`, where there are any, replace them by alternatives. In `temporal_ordered` slots must follow in their order.
    """

    kind: CorrelationKind
    slots: tuple[Slot, ...]
    group_by: tuple[str, ...]
    timespan: int
    least: int = 1
    most: int | None = None
    terms: tuple[Term, ...] = ()

    @property
    def fields(self) -> frozenset[str]:
        """Name all that it reads, through all rules that it names."""
        own = (frozenset(slot.group_by) | frozenset(slot.counted) for slot in self.slots)
        return frozenset().union(*own, *(slot.rule.tested for slot in self.slots))


@dataclass(frozen=True, eq=False)
class CompiledRule:
    """A checked rule: a plain one has a `condition`, the others a `correlation`.

    A plain rule's group has the fields of `per` that have a value, and with `default_per` only the first of these.
    `quiet_for` is in microseconds. `reports` is False where bursts are only counted by a correlation, or off.
    """

    rule: Rule
    condition: Condition | None = None
    correlation: Correlation | None = None
    per: tuple[str, ...] = DEFAULT_PER
    default_per: bool = True
    quiet_for: int = DEFAULT_QUIET
    reports: bool = True
    tests: tuple[RuleTest, ...] = ()

    @property
    def id(self) -> str:
        """The Sigma id."""
        return self.rule.id

    @cached_property
    def fields(self) -> frozenset[str]:
        """Event fields and facts that it reads, through all rules that it names."""
        return self.tested if self.correlation is not None else self.tested | frozenset(self.per)

    @cached_property
    def tested(self) -> frozenset[str]:
        """Event fields and facts that decide which of its events a correlation counts."""
        if self.correlation is not None:
            return self.correlation.fields
        return self.condition.fields if self.condition is not None else frozenset()

    @cached_property
    def same_groups(self) -> bool:
        """Whether an event can touch only bursts of its own group, at every level of a chain.

        Where it is False (aliases, or correlations of correlations that group otherwise), an event that comes late may
        make another event of another group an anchor, so that all groups have to be looked at.
        """
        if self.correlation is None:
            return True
        group_by, slots = self.correlation.group_by, self.correlation.slots
        return all(slot.group_by == group_by for slot in slots) and all(
            set(group_by) <= set(other.group_by) and slot.rule.same_groups
            for slot in slots
            if (other := slot.rule.correlation) is not None
        )

    @property
    def group_by(self) -> tuple[str, ...]:
        """Names that a burst's group may have."""
        return self.correlation.group_by if self.correlation is not None else self.per

    @cached_property
    def lookback(self) -> int:
        """How far before an anchor its windows reach, in microseconds: 0 for a plain rule, sums along chains."""
        if self.correlation is None:
            return 0
        return self.correlation.timespan + max(slot.rule.lookback for slot in self.correlation.slots)

    @property
    def join(self) -> int:
        """How far apart two neighbouring anchors of one burst may be, in microseconds."""
        return self.correlation.timespan if self.correlation is not None else self.quiet_for


@dataclass(frozen=True)
class RuleSet:
    """All rules of a set of files, which held no mistake. `source` maps file path to text."""

    rules: tuple[CompiledRule, ...]
    source: Mapping[str, str]
    warnings: tuple[Problem, ...] = ()

    @cached_property
    def _by_id(self) -> dict[str, CompiledRule]:
        return {rule.id.lower(): rule for rule in self.rules}

    def get(self, rule_id: str) -> CompiledRule | None:
        """Return the rule of this id, None where there is none."""
        return self._by_id.get(rule_id.lower())

    @cached_property
    def digest(self) -> str:
        """The SHA-256 of all paths and texts: the same files give the same digest."""
        whole = hashlib.sha256()
        for path, text in sorted(self.source.items()):
            for part in (path, text):
                data = part.encode("utf-8", "surrogatepass")
                whole.update(len(data).to_bytes(8, "big") + data)
        return whole.hexdigest()
