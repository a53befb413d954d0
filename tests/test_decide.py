"""Decisions about alerts, one by one: what joins, what opens, what stays quiet, and why."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from bot.alert.decide import decide, entity_of, gathered, opened, risk
from bot.model import Alert, Entity, Finding, Level
from bot.times import DAY, HOUR, MINUTE
from tests.conftest import START

EVE = Entity("actor", "eve@corp.example")


def finding(
    rule: str = "r1", level: Level = Level.medium, first: int = START, last: int = START + MINUTE, **more: Any
) -> Finding:
    known: dict[str, Any] = {"actor": "eve@corp.example", **more}
    return Finding(1, rule, "t", level, {"actor": "eve@corp.example"}, first, last, 3, **known)


def alert(**changes: Any) -> Alert:
    return replace(opened(EVE, finding(), START), id=7, points=30, decision="posted", **changes)


@pytest.mark.parametrize(
    ("group", "actor", "entity"),
    [
        ({"actor": "eve"}, "eve", Entity("actor", "eve")),
        ({"ip": "192.0.2.1"}, "eve", Entity("actor", "eve")),
        ({"ip": "192.0.2.1"}, None, Entity("ip", "192.0.2.1")),
        ({}, "eve", Entity("actor", "eve")),
        ({}, None, Entity("unknown", "")),
        ({"type": "SERVICE"}, None, Entity("unknown", "")),
    ],
)
def test_an_alert_is_about_the_actor_where_all_events_have_one(
    group: dict[str, str], actor: str | None, entity: Entity
) -> None:
    """An address finding whose events all have one actor joins that actor's alert."""
    assert entity_of(replace(finding(), group=group, actor=actor)) == entity


def test_the_first_finding_opens_an_alert() -> None:
    """There is nothing to join."""
    assert decide(finding(), None, frozenset()).action == "open"


def test_a_finding_within_the_hour_joins() -> None:
    """One message an episode."""
    near = finding("r2", first=START + 50 * MINUTE, last=START + 55 * MINUTE)
    assert decide(near, alert(), frozenset({"r1"})).action == "join"


def test_a_late_finding_before_the_episode_joins_too() -> None:
    """What came late belongs where it happened."""
    before = finding("r2", first=START - 40 * MINUTE, last=START - 30 * MINUTE)
    assert decide(before, alert(), frozenset({"r1"})).action == "join"


def test_after_an_hour_of_quiet_a_new_episode_begins() -> None:
    """The same actor next week is news again."""
    later = finding(first=START + 2 * HOUR, last=START + 2 * HOUR)
    assert decide(later, alert(), frozenset({"r1"})).action == "open"


def test_what_goes_on_after_a_day_is_no_news() -> None:
    """Unless it gets worse, or another rule finds it too."""
    old = alert(last=START + DAY + HOUR)
    later = finding(first=START + DAY + HOUR, last=START + DAY + HOUR + MINUTE)
    assert decide(later, old, frozenset({"r1"})).action == "continue"
    assert decide(replace(later, level=Level.high), old, frozenset({"r1"})).action == "open"
    assert decide(replace(later, rule_id="r2"), old, frozenset({"r1"})).action == "open"


def test_a_resolved_alert_is_not_opened_again_by_more_of_the_same() -> None:
    """Somebody has decided; only something new asks again."""
    closed = alert(state="resolved")
    assert decide(finding(), closed, frozenset({"r1"})).action == "continue"
    assert decide(finding("r2"), closed, frozenset({"r1"})).action == "open"


def test_each_rule_counts_once_an_episode() -> None:
    """A noisy rule cannot talk an alert up by repeating itself."""
    low = [replace(finding("r1", Level.low), id=i) for i in range(9)]
    assert risk(low) == 10
    assert risk([*low, finding("r2", Level.low), finding("r3", Level.low)]) == 30


def test_low_findings_alone_stay_quiet_and_add_up() -> None:
    """From 30 points on an alert is posted."""

    def judged(*rules: str) -> str:
        found = [finding(rule, Level.low) for rule in rules]
        return gathered(opened(EVE, found[0], START), found, history=False, late_by=0, post_from=30).decision

    assert judged("a", "b") == "quiet, 20 of 30 points"
    assert judged("a", "b", "c") == "posted"


def test_history_is_not_news() -> None:
    """However bad it was."""
    bad = [finding(level=Level.critical)]
    assert gathered(opened(EVE, bad[0], START), bad, history=True, late_by=0, post_from=30).decision == "history"


def test_what_is_found_late_says_so() -> None:
    """An analyst must know that the clock did not start now."""
    found = [finding()]
    after = gathered(opened(EVE, found[0], START), found, history=False, late_by=2 * HOUR, post_from=30)
    assert after.decision == "posted, late"
    assert after.posted


def test_what_was_posted_stays_posted() -> None:
    """A message cannot be taken back by a finding that turns out smaller."""
    after = gathered(alert(), [finding(level=Level.low)], history=False, late_by=0, post_from=30)
    assert after.decision == "posted"
    assert gathered(alert(), [], history=False, late_by=0, post_from=30).points == 0
