"""rules/routing.yml: what may stand there, what is told about mistakes, and quiet hours by the wall clock."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.alert.quiet_hours import QuietHours, quiet_until
from bot.alert.routing import KEYS, Routing, parse_routing
from bot.alert.routing_keys import Escalation, Reminders, Roll
from bot.errors import RuleError
from bot.model import Level
from bot.times import DAY, HOUR, MINUTE, WEEK, iso, parse_time
from tests.laws import law

ROOT = Path(__file__).parent.parent
BERLIN = ZoneInfo("Europe/Berlin")
NIGHT = QuietHours(22 * 60, 7 * 60)


def test_the_shipped_file_is_the_default_and_names_every_key() -> None:
    """Whoever deletes the file gets the same; whoever reads it sees all there is."""
    text = (ROOT / "rules" / "routing.yml").read_text()
    assert parse_routing(text, "routing.yml") == Routing()
    page = (ROOT / "docs" / "alerts.md").read_text()
    for key in KEYS:
        assert f"{key}:" in text
        assert key in page


def test_the_commented_examples_are_right() -> None:
    """An example that does not load teaches nothing."""
    lines = (ROOT / "rules" / "routing.yml").read_text().splitlines()
    keys = ("channels", "  critical", "quiet_hours", "escalation", "  high")
    examples = [line[2:] for line in lines if line.startswith("# ") and line[2:].split(":")[0] in keys]
    routing = parse_routing("\n".join(examples), "routing.yml")
    assert routing.channels == {Level.critical: "C0123456789"}
    assert routing.quiet_hours == (NIGHT,)
    assert set(routing.escalation) == {Level.critical, Level.high}


def test_every_key_is_read() -> None:
    """Lists and single values alike."""
    routing = parse_routing(
        "post_from: 0\nstorm: {more_than: 3, within: 5m, critical: 7}\nrate: off\n"
        "quiet_hours:\n  - {from: 22:00, to: '07:00', days: mon-thu, levels: low}\n"
        "  - {from: 0:00, to: 24:00, days: [sat, sun]}\n"
        "escalation:\n  high: {after: 20m, mention: [U0A, S0B]}\n"
        "  critical: {after: 5m, then: {after: 5m, channel: C9}}\n"
        "reminders: {unacknowledged: 1h, again: 2d}\n",
        "routing.yml",
    )
    assert (routing.post_from, routing.storm, routing.rate) == (0, Roll(3, 5 * MINUTE, 7), None)
    assert routing.quiet_hours == (
        QuietHours(22 * 60, 7 * 60, frozenset(range(4)), frozenset({Level.low})),
        QuietHours(0, 24 * 60, frozenset({5, 6})),
    )
    assert routing.escalation == {
        Level.high: Escalation(20 * MINUTE, ("U0A", "S0B")),
        Level.critical: Escalation(5 * MINUTE, (), 5 * MINUTE, "C9"),
    }
    assert routing.reminders == Reminders(HOUR, 4 * HOUR, 2 * DAY)


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("storm: {more_then: 3}", 1, "did you mean more_than?"),
        ("storm: {more_than: 0}", 1, "a whole number from 1"),
        ("storm: {within: 3s}", 1, "too short"),
        ("rate: {critical: 3}", 1, "unknown key 'critical' in rate"),
        ("storm: maybe", 1, "storm is not a mapping"),
        ("quiet_hours: {from: 22:00}", 1, "does not say to when"),
        ("quiet_hours: {from: 25:00, to: 7:00}", 1, "not a time of day"),
        ("quiet_hours: {from: '24:30', to: 7:00}", 1, "not a time of day"),
        ("quiet_hours: {from: 7:00, to: 07:00}", 1, "begins when it ends"),
        ("quiet_hours:\n  from: 22:00\n  to: 7:00\n  levels: [low, high]", 4, "'high' never waits"),
        ("quiet_hours:\n  - {from: 22:00, to: 7:00}\n  - {from: 1:00, to: 2:00, days: [mo]}", 3, "'mo' is no day"),
        ("escalation:\n  hihg: {after: 10m, mention: U0A}", 2, "did you mean high?"),
        ("escalation:\n  high: {mention: U0A}", 2, "does not say after how long"),
        ("escalation:\n  high: {after: 10m}", 2, "calls nobody"),
        ("escalation:\n  high: {after: 10m, mention: '@eve'}", 2, "'@eve' is no id"),
        ("escalation:\n  high: {after: 10m, then: {channel: C1}}", 2, "then does not say after"),
        ("escalation:\n  high: {after: 10m, then: {after: 5m, channel: C1}}", 2, "second channel first"),
        ("reminders: {unresolved: never}", 1, "is not a duration"),
    ],
)
def test_mistakes_are_told_with_their_lines(text: str, line: int, said: str) -> None:
    """Nothing of a wrong file comes into force."""
    with pytest.raises(RuleError) as error:
        parse_routing(text, "routing.yml")
    assert any(problem.line == line and said in str(problem) for problem in error.value.problems), str(error.value)


def until(at: str, *spans: QuietHours, level: Level = Level.medium) -> str | None:
    end = quiet_until(spans or (NIGHT,), level, parse_time(at, BERLIN), BERLIN)
    return None if end is None else iso(end)


def test_the_night_ends_at_seven_by_the_wall_clock() -> None:
    """In winter, in summer, and over the nights between."""
    assert until("2026-01-12T21:59:59") is None
    assert until("2026-01-12T22:00:00") == "2026-01-13T06:00:00.000Z"
    assert until("2026-01-13T06:59:59") == "2026-01-13T06:00:00.000Z"
    assert until("2026-01-13T07:00:00") is None
    assert until("2026-03-28T23:00:00") == "2026-03-29T05:00:00.000Z"  # an hour shorter
    assert until("2026-10-24T23:00:00") == "2026-10-25T06:00:00.000Z"  # an hour longer


def test_an_end_that_the_clock_skips_or_has_twice_counts_once() -> None:
    """02:30 does not exist in one night of the year, and comes twice in another."""
    short = QuietHours(60, 150)
    assert until("2026-03-29T01:10:00", short) == "2026-03-29T01:30:00.000Z"
    assert until("2026-10-25T01:10:00", short) == "2026-10-25T00:30:00.000Z"


def test_spans_that_touch_are_one() -> None:
    """Friday's alerts come on Monday."""
    weekend = QuietHours(0, 24 * 60, frozenset({5, 6}))
    assert until("2026-01-16T23:00:00", NIGHT, weekend) == "2026-01-19T06:00:00.000Z"


@pytest.mark.parametrize("level", [Level.high, Level.critical])
def test_high_and_critical_never_wait(level: Level) -> None:
    """Whatever a span says."""
    assert until("2026-01-12T23:00:00", QuietHours(0, 1440, levels=frozenset(Level)), level=level) is None


@law()
@given(
    at=st.integers(parse_time("2026-03-20"), parse_time("2026-11-05")),
    begins=st.integers(0, 1439),
    ends=st.integers(0, 1440),
    days=st.frozensets(st.integers(0, 6), min_size=1),
    zone=st.sampled_from(["Europe/Berlin", "America/St_Johns", "Australia/Lord_Howe", "UTC"]),
)
def test_whatever_is_held_comes_within_the_week_outside_of_quiet_hours(
    at: int, begins: int, ends: int, days: frozenset[int], zone: str
) -> None:
    """Held until a moment that is not quiet, and which the wall clock calls the span's end (or skips)."""
    span, place = QuietHours(begins, ends, days), ZoneInfo(zone)
    end = quiet_until([span], Level.low, at, place)
    if end is None:
        return
    assert at < end <= at + WEEK + 2 * DAY
    assert quiet_until([span], Level.low, end, place) is None or end >= at + WEEK
    wall = datetime.fromtimestamp(end / 1e6, place)
    assert abs((wall.hour * 60 + wall.minute - ends + 720) % 1440 - 720) <= 60
