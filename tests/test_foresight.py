"""What a replay knows beforehand: a step that asks only some rules finds what it finds when it asks all of them."""

from __future__ import annotations

import tempfile
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.detect.foresight import foresee
from bot.detect.match import Evaluation
from bot.detect.rules import CompiledRule
from bot.detect.run import Detector
from bot.model import Finding, Record
from bot.store.schema import Store
from bot.times import DAY, HOUR, MINUTE
from tests.conftest import START, add, fresh, record
from tests.laws import law
from tests.test_detection import EVENTS, PLAIN, rules

LENGTHS = st.sampled_from([5 * MINUTE, HOUR, 3 * DAY])


def in_steps(records: list[Record], length: int) -> dict[int, list[Record]]:
    """Return the records of each step: those of the first day together, then of every `length`."""
    first = min(one.time for one in records) + DAY
    steps: dict[int, list[Record]] = {}
    for one in sorted(records, key=lambda one: one.time):
        steps.setdefault(first + max(0, -(-(one.time - first) // length)) * length, []).append(one)
    return steps


def changed(store: Store, records: list[Record], asked: tuple[CompiledRule, ...]) -> list[Finding]:
    with store.write():
        report = Detector(store, PLAIN).run_once(asked, add(store, records), START, history=False)
    assert not report.failed
    return report.changed


@law(20)
@given(EVENTS, LENGTHS)
def test_rules_that_are_not_asked_would_have_said_nothing(records: list[Record], length: int) -> None:
    """Step by step, the same findings are new or have changed, with the same ids, counts and evidence."""
    with tempfile.TemporaryDirectory() as folder:
        whole, all_asked, some_asked = (fresh(Path(folder) / f"{name}.db") for name in "abc")
        steps = in_steps(records, length)
        add(whole, [one for some in steps.values() for one in some])
        foreseen = foresee(whole, PLAIN, rules(), list(steps), length)
        for some, asked in zip(steps.values(), foreseen, strict=True):
            assert changed(some_asked, some, asked) == changed(all_asked, some, rules())
        for store in (whole, all_asked, some_asked):
            store.close()


def deletions(*minutes: int) -> list[Record]:
    return [record(START + at * MINUTE, "DELETE", object_=f"svc-{at}") for at in minutes]


def test_few_rules_are_asked(store: Store) -> None:
    """Of three steps with a deletion each, the middle one is the first that may complete three within ten minutes."""
    steps = {START + at * MINUTE: deletions(*some) for at, some in ((5, (1, 2)), (10, (7,)), (50, (48,)))}
    add(store, [one for some in steps.values() for one in some])
    numbers = [
        {int(rule.id[-2:]) for rule in asked} for asked in foresee(store, PLAIN, rules(), list(steps), 5 * MINUTE)
    ]
    assert [2 in asked for asked in numbers] == [True, True, False]  # the burst begins in the first step
    assert [6 in asked for asked in numbers] == [True, True, True]  # any event at all
    assert [4 in asked for asked in numbers] == [False, False, False]  # no network is new


def test_a_rule_that_raises_is_asked_each_time(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that its error is told as ever."""

    def bursts(self: Evaluation, rule: CompiledRule) -> object:
        if rule.id.endswith("04"):
            raise ZeroDivisionError("a bug")
        return []

    monkeypatch.setattr(Evaluation, "bursts", bursts)
    add(store, deletions(1, 2, 7))
    asked = foresee(store, PLAIN, rules(), [START + 5 * MINUTE, START + 10 * MINUTE], 5 * MINUTE)
    assert [[rule.id[-2:] for rule in some] for some in asked] == [["04"], ["04"]]


def test_nothing_is_foreseen_of_an_empty_log(store: Store) -> None:
    assert foresee(store, PLAIN, rules(), [], MINUTE) == []


def test_findings_come_in_the_order_of_rules(store: Store) -> None:
    """Whatever is read together: so a pass that asks more rules gives the same ids to what it finds."""
    found = changed(store, deletions(0, 1, 2), rules())
    places = [[rule.id for rule in rules()].index(one.rule_id) for one in found]
    assert len(set(places)) > 3
    assert np.all([a <= b for a, b in pairwise(places)])
