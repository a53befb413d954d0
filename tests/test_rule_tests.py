"""The tests inside rule files are run as the bot would run on their events."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from bot.detect.sigma.load import load_rules
from bot.detect.sigma.run_tests import Outcome, run_tests
from bot.fields import FactSettings

RULE = """\
title: Deletion off hours
id: 5f1d8ed8-3f0c-4d0e-9f2b-7a0a3d7e1c55
status: experimental
level: low
description: x
logsource: {product: cortex, service: audit}
detection:
  deleted: {action: DELETE, %s}
  condition: deleted
tests:
%s"""


def outcomes(condition: str, tests: str, settings: FactSettings | None = None) -> list[Outcome]:
    rules = load_rules({"a/b.yml": RULE % (condition, tests)}).rules
    return list(run_tests(rules, settings))


def one(condition: str, events: str, fires: str = "yes") -> Outcome:
    return outcomes(condition, f"  - {{name: t, events: [{events}], fires: {fires}}}\n")[0]


def test_zero_is_a_monday_at_nine_within_working_hours() -> None:
    assert one("weekday: mon, hour: 9, off_hours: false", "{at: 0s, action: DELETE}").passed
    assert one("weekday: sun, off_hours: true", "{at: -1d, action: DELETE}").passed


def test_an_outcome_says_what_was_wanted_what_came_and_where_it_stands() -> None:
    outcome = one("actor|exists: true", "{at: 0s, repeat: 2, every: 2h, action: DELETE, actor: eve}", "1")
    assert (outcome.passed, outcome.expected, outcome.got, outcome.place) == (False, "1", 2, "a/b.yml:11")
    assert outcome.explanation == ("fired: eve, 1 events, 0s to 0s", "fired: eve, 1 events, 2h to 2h")


def test_where_nothing_fires_each_event_shows_what_the_rule_read() -> None:
    """A fact that is unknown in the first days of the log is the usual surprise."""
    outcome = one("actor_new: true", "{at: -3d, action: UPDATE, actor: ann}, {at: 0s, action: DELETE, actor: eve}")
    assert outcome.explanation == (
        "nothing fired; 0 of 2 events match",
        "no    at -3days: action=UPDATE actor=ann ip=none actor_new=unknown",
        "no    at 0s: action=DELETE actor=eve ip=none actor_new=unknown",
    )


def test_an_early_event_makes_new_things_known() -> None:
    assert one("actor_new: true", "{at: -30d, action: UPDATE, actor: ann}, {at: 0s, action: DELETE, actor: eve}").passed


def test_a_test_finds_an_empty_log_whatever_the_tests_before_it_did() -> None:
    """Eve is new in both tests."""
    test = "  - {name: %s, events: [{at: -30d, action: UPDATE}, {at: 0s, action: DELETE, actor: eve}], fires: 1}\n"
    assert [outcome.got for outcome in outcomes("actor_new: true", test % "a" + test % "b")] == [1, 1]


def test_identical_events_each_count() -> None:
    outcome = one("actor: eve", "{at: 0s, repeat: 3, every: 0s, action: DELETE, actor: eve}", "no")
    assert outcome.explanation == ("fired: eve, 3 events, 0s to 0s",)


def test_the_types_that_count_as_sensitive_come_with_the_settings() -> None:
    test = "  - {name: t, events: [{at: 0s, action: DELETE, type: CASH}], fires: yes}\n"
    assert not outcomes("type_sensitive: true", test)[0].passed
    assert outcomes("type_sensitive: true", test, FactSettings(sensitive=("CASH",)))[0].passed


def test_nothing_is_left_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert one("actor: null", "{at: 0s, action: DELETE}").passed
    assert list(tmp_path.iterdir()) == []
