"""Runs the `tests:` blocks of rules through the real path: a store, facts, bursts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from bot.detect import facts
from bot.detect.columns import BoolColumn, Column, Columns, NumberColumn
from bot.detect.match import Burst, Evaluation
from bot.detect.rules import CompiledRule, RuleTest, RuleTestEvent
from bot.fields import FIELDS, FactSettings
from bot.model import ACTOR_ABSENT, IP_ABSENT, Record
from bot.store.log import events
from bot.store.schema import Store
from bot.times import iso, parse_time, say_duration

ZERO = parse_time("2026-03-02T09:00:00Z")  # `at: 0s`: a Monday at nine, so that off_hours can be tested
MOST_SHOWN = 12  # events, or bursts, of a failure's explanation


@dataclass(frozen=True)
class Outcome:
    """What one test of one rule gave. `explanation` says line by line what fired, or what each event looked like."""

    rule: CompiledRule
    test: RuleTest
    got: int
    explanation: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Whether as many bursts fired as the test wants."""
        return self.test.passes(self.got)

    @property
    def expected(self) -> str:
        """What the test wants, as written: yes, no, or a number of bursts."""
        return self.test.fires

    @property
    def place(self) -> str:
        """Where the test stands: file:line."""
        return f"{self.rule.rule.file}:{self.test.line}"


def run_tests(rules: Iterable[CompiledRule], settings: FactSettings | None = None) -> Iterator[Outcome]:
    """Yield the outcome of every test of the rules.

    Without settings the zone is UTC and work is mon-fri 7-20, so that a test means the same on every machine.
    """
    with TemporaryDirectory(prefix="audit-bot-rule-tests-") as folder:
        store = Store(Path(folder) / "tests.db")
        try:
            for rule in rules:
                for test in rule.tests:
                    yield _run(store, settings or FactSettings(), rule, test)
        finally:
            store.close()


class _UndoError(Exception):
    """Ends a test's transaction, so that the next test finds an empty store."""


def _run(store: Store, settings: FactSettings, rule: CompiledRule, test: RuleTest) -> Outcome:
    records = [_record(event) for event in test.events]
    outcome: Outcome | None = None
    try:
        with store.write():  # never committed: much quicker than a store for each test
            events.add(store, records, events.number_twins(store, records))
            outcome = _judge(facts.read(store, settings), rule, test)
            raise _UndoError
    except _UndoError:
        if outcome is None:
            raise
        return outcome


def _judge(columns: Columns, rule: CompiledRule, test: RuleTest) -> Outcome:
    evaluation = Evaluation(columns)
    bursts = evaluation.bursts(rule)
    told = _say_bursts(bursts) if bursts else _say_events(columns, evaluation.matching(rule).tolist(), rule)
    return Outcome(rule, test, len(bursts), tuple(told))


def _record(event: RuleTestEvent) -> Record:
    time = ZERO + event.at
    shape = (ACTOR_ABSENT if event.actor is None else 0) | (IP_ABSENT if event.ip is None else 0)
    identity = repr((time, event.action, event.actor, event.ip, event.object, event.type)).encode()
    return Record(
        time, event.action, event.actor, event.ip, event.object, event.type, iso(time), shape=shape, identity=identity
    )


# -- in words --------------------------------------------------------------------------------------------------------
def _say_bursts(bursts: list[Burst]) -> Iterator[str]:
    for burst in bursts[:MOST_SHOWN]:
        group = " ".join(value for _, value in burst.group) or "all together"
        yield f"fired: {group}, {burst.count} events, {_at(burst.first)} to {_at(burst.last)}"
    if len(bursts) > MOST_SHOWN:
        yield f"... and {len(bursts) - MOST_SHOWN} more"


def _say_events(columns: Columns, matching: list[bool], rule: CompiledRule) -> Iterator[str]:
    """Say of the last events whether the rule looks at them, and what it reads there."""
    names = [name for name in FIELDS if name in rule.fields or name in ("action", "actor")]
    yield f"nothing fired; {sum(matching)} of {len(columns)} events match"
    if len(columns) > MOST_SHOWN:
        yield f"the last {MOST_SHOWN}:"
    for row in range(max(0, len(columns) - MOST_SHOWN), len(columns)):
        read = " ".join(f"{name}={_say(columns[name], row)}" for name in names)
        yield f"{'match' if matching[row] else 'no   '} at {_at(int(columns.time[row]))}: {read}"


def _at(time: int) -> str:
    size = time - ZERO
    return "0s" if not size else f"{'-' if size < 0 else ''}{say_duration(abs(size)).replace(' ', '')}"


def _say(column: Column, row: int) -> str:
    if isinstance(column, BoolColumn):
        return {1: "true", 0: "false"}.get(int(column.values[row]), "unknown")
    if isinstance(column, NumberColumn):
        return "none" if np.isnan(column.values[row]) else f"{column.values[row]:.3g}"
    code = int(column.codes[row])
    return column.values[code] if code >= 0 else "none"
