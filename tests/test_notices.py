"""Storms, noisy rules and quiet hours: what is rolled up, what never is, and that nothing is lost."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.alert import follow, lanes
from bot.alert import run as alert_run
from bot.alert.decide import HISTORY, POSTED, POSTED_LATE, judge
from bot.alert.lanes import Traffic, Way
from bot.alert.outbox import Channels, Postman
from bot.alert.quiet_hours import QuietHours
from bot.alert.routing import Routing
from bot.alert.routing_keys import Roll
from bot.errors import DeliveryError
from bot.fields import FactSettings
from bot.model import Alert, Entity, Finding, Level
from bot.store import alerts
from bot.store.care.retention import let_go
from bot.store.messages import deliveries, notices
from bot.store.schema import Store
from bot.times import DAY, HOUR, MINUTE, SECOND, parse_time
from tests.conftest import fresh
from tests.laws import law
from tests.test_outbox import Clock, Slack

NOON = parse_time("2026-03-02T12:00:00Z")
NIGHT = QuietHours(22 * 60, 7 * 60)
CALM = Routing(storm=None, rate=None)


def found(
    store: Store, actor: str, level: Level = Level.medium, rule: str = "r1", at: int = NOON, **more: Any
) -> Finding:
    fresh = Finding(0, rule, f"Title of {rule}", level, {"actor": actor}, at, at, 1, actor, "192.0.2.1", **more)
    return alerts.insert_finding(store, fresh, at)


class Office:
    """A store with a bot's passes and rounds over it, by one clock."""

    def __init__(self, store: Store, routing: Routing | None = None, now: int = NOON) -> None:
        self.store, self.routing, self.clock, self.slack = store, routing or Routing(), Clock(now), Slack()
        self.postman = Postman(store, self.slack, Channels("C0", "COPS"), lambda: self.routing, self.clock)

    def take(self, *findings: Finding) -> alert_run.Report:
        with self.store.write():
            return alert_run.run_once(
                self.store, findings, self.routing, self.clock(), history=False, facts=FactSettings()
            )

    def flood(self, count: int, level: Level = Level.medium, name: str = "a", rule: str = "r1") -> None:
        self.take(*(found(self.store, f"{name}{n}", level, rule, self.clock()) for n in range(count)))

    def work(self, ahead: int = 0) -> list[tuple[str, ...]]:
        """Let so much time pass, do what time brings about, send what is due; return what was sent."""
        self.clock.time += ahead
        follow.run_once(self.store, self.routing, self.clock(), UTC)
        before = len(self.slack.sent)
        self.postman.run_once()
        return self.slack.sent[before:]

    def decisions(self) -> list[str]:
        return [one.decision for one in alerts.alerts(self.store)]

    def notices(self) -> list[str]:
        return [str(kind) for (kind,) in self.store.rows("SELECT kind FROM notices ORDER BY id")]


@pytest.fixture
def office(store: Store) -> Office:
    return Office(store)


# -- the decision alone


@pytest.mark.parametrize(
    ("level", "told", "of_rule", "held", "one_rule", "way"),
    [
        (Level.low, 0, 0, None, True, Way("own", "posted")),
        (Level.low, 9, 19, None, True, Way("own", "posted")),
        (Level.low, 10, 0, None, True, Way("storm", "posted, in a storm")),
        (Level.high, 10, 99, None, True, Way("storm", "posted, in a storm")),
        (Level.critical, 29, 99, None, True, Way("own", "posted")),
        (Level.critical, 30, 0, None, True, Way("storm", "posted, in a storm")),
        (Level.medium, 0, 20, None, True, Way("rate", "posted, its rule is noisy")),
        (Level.medium, 0, 20, None, False, Way("own", "posted")),
        (Level.critical, 0, 20, None, True, Way("own", "posted")),
        (Level.medium, 0, 0, "07:00", True, Way("held", "posted, held until 07:00")),
        (Level.medium, 99, 99, "07:00", True, Way("held", "posted, held until 07:00")),
        (Level.high, 0, 0, "07:00", True, Way("own", "posted")),
    ],
)
def test_each_way_has_a_named_reason(
    level: Level, told: int, of_rule: int, held: str | None, one_rule: bool, way: Way
) -> None:
    """One table for all that is decided."""
    chosen = lanes.choose(level, "posted", Traffic(told, of_rule), Routing(), held_until=held, one_rule=one_rule)
    assert chosen == way


@law()
@given(
    level=st.sampled_from(Level), told=st.integers(0, 60), of_rule=st.integers(0, 60),
    held=st.sampled_from([None, "07:00"]), one_rule=st.booleans(),
    storm=st.none() | st.builds(Roll, st.integers(1, 40), st.just(MINUTE), st.integers(1, 40)),
    rate=st.none() | st.builds(Roll, st.integers(1, 40), st.just(DAY)),
)  # fmt: skip
def test_a_critical_alert_is_rolled_up_by_criticals_alone(
    level: Level, told: int, of_rule: int, held: str | None, one_rule: bool, storm: Roll | None, rate: Roll | None
) -> None:
    """Neither rate nor quiet hours, and no lane without a reason that people see."""
    way = lanes.choose(
        level, "posted", Traffic(told, of_rule), Routing(storm=storm, rate=rate), held_until=held, one_rule=one_rule
    )
    assert way.reason.startswith("posted")
    if level == Level.critical:
        assert way.lane == ("storm" if storm and told >= storm.critical else "own")
    if level >= Level.high:
        assert way.lane != "held"


def test_every_named_reason_is_explained() -> None:
    """What `audit-bot alerts` shows stands in the page about alerts."""
    page = (Path(__file__).parent.parent / "docs" / "alerts.md").read_text()
    before, worse = (
        Alert(1, Entity("actor", "eve"), level, 60, "open", "", 0, 0, 0, 1) for level in (Level.low, Level.high)
    )
    reasons = {POSTED, POSTED_LATE, HISTORY, lanes.IN_A_STORM, lanes.NOISY_RULE, f"{lanes.HELD} 07:00"}
    reasons |= {lanes.left(before, worse), lanes.left(worse, worse), judge(20, history=False, late_by=0, post_from=30)}
    assert [reason for reason in reasons if f"| `{reason}` |" not in page] == []


# -- storms


def test_a_storm_is_one_notice_that_grows_and_ends(office: Office) -> None:
    """Ten messages, then one for all the rest, and a last line when it is over."""
    office.flood(25)
    assert [sent[0] for sent in office.work()] == ["post"] * 10 + ["notice"]
    assert sorted(office.decisions()) == ["posted"] * 10 + ["posted, in a storm"] * 15
    office.clock.time += 10 * SECOND
    office.flood(5, name="b")
    assert office.work(34 * SECOND) == []  # redrawn at most once in 45 s
    assert office.work(SECOND) == [("redraw", "C0", "N1", "3.3")]
    view = notices.view(office.store, 1)
    assert view
    assert (view.total, view.own, view.levels, view.states) == (20, 0, {Level.medium: 20}, {"open": 20})
    assert office.work(9 * MINUTE) == []
    assert office.work(MINUTE) == [("redraw", "C0", "N1", "3.3")]
    assert notices.open_notices(office.store) == []
    assert office.work(HOUR) == []


def test_a_new_storm_is_a_new_notice(office: Office) -> None:
    """Even where nobody looked after the old one in between."""
    office.routing = Routing(rate=None)
    office.flood(11)
    office.clock.time += 2 * HOUR
    office.flood(11, name="b")
    assert office.notices() == ["storm", "storm"]
    assert len(notices.open_notices(office.store)) == 1


def test_a_flood_does_not_hide_what_is_worse(office: Office) -> None:
    """Hundreds of medium alerts, then the one that they were made for: it is the first of all to be sent."""
    office.flood(200)
    office.work()
    office.clock.time += SECOND
    office.take(
        *(found(office.store, f"z{n}", at=office.clock()) for n in range(200)),
        found(office.store, "eve", Level.critical, "r8", office.clock()),
        found(office.store, "mallory", Level.high, "r9", office.clock()),
    )
    eve, mallory = (alerts.alerts(office.store, "entity = ?", (name,))[0] for name in ("eve", "mallory"))
    assert (eve.decision, mallory.decision) == ("posted", "posted")
    assert [sent[:3] for sent in office.work()][:2] == [("post", "C0", eve.name), ("post", "C0", mallory.name)]


def test_a_flood_in_one_channel_takes_no_room_in_another(store: Store) -> None:
    """Each channel has its own storm, and its own notice."""
    office = Office(store, Routing(channels={Level.medium: "CMED", Level.high: "CHIGH"}))
    office.flood(30, Level.high)
    office.flood(3, name="b", rule="r2")
    assert office.decisions().count("posted") == 13
    assert ("notice", "CHIGH", "N1", "") in office.work()


def test_an_alert_of_a_storm_that_gets_worse_gets_a_message_of_its_own(office: Office) -> None:
    """And the notice says that it left."""
    office.flood(11)
    office.work()
    [inside] = alerts.alerts(office.store, "decision = 'posted, in a storm'")
    office.clock.time += MINUTE
    office.take(found(office.store, inside.entity.name, Level.critical, "r2", office.clock()))
    after = alerts.alert(office.store, inside.id)
    assert after
    assert after.decision == "posted, rose to critical"
    assert office.work()[0] == ("post", "C0", inside.name, "")
    view = notices.view(office.store, 1)
    assert view
    assert (view.total, view.own) == (1, 1)


def test_growth_inside_a_notice_redraws_the_notice(office: Office) -> None:
    """Nothing waits for a message that never comes."""
    office.flood(11)
    office.work()
    [inside] = alerts.alerts(office.store, "decision = 'posted, in a storm'")
    office.clock.time += MINUTE
    office.take(found(office.store, inside.entity.name, at=office.clock()))
    assert office.work() == [("redraw", "C0", "N1", "3.3")]
    assert alerts.resolve(office.store, inside.id, "U1", office.clock()).done
    assert office.work() == [("redraw", "C0", "N1", "3.3"), ("text", "C0", f"U1 resolved it. ({inside.name})", "3.3")]
    assert office.store.value("SELECT count(*) FROM outbox WHERE state = 'pending'") == 0


def test_a_notice_cut_off_by_a_crash_is_looked_up(office: Office) -> None:
    """As an alert's message is."""
    office.flood(11, Level.high)
    office.slack.errors = [*[None] * 10, DeliveryError("reply_lost", permanent=False)]
    office.work()
    office.slack.there = {-1: "7.7"}
    assert office.work(MINUTE) == []
    assert office.store.value("SELECT ts FROM notices") == "7.7"


def test_what_is_old_goes_with_its_notices(office: Office) -> None:
    """Nothing is left of a storm that was dealt with long ago, and nothing refers to what is gone."""
    office.flood(13)
    office.work()
    for one in alerts.alerts(office.store):
        alerts.resolve(office.store, one.id, "U1", office.clock())
    office.work()
    office.work(DAY)
    let_go(office.store, office.clock() + DAY)
    for table in ("alerts", "deliveries", "notices", "outbox"):
        assert office.store.value(f"SELECT count(*) FROM {table}") == 0, table
    assert office.store.rows("PRAGMA foreign_key_check") == []


# -- noisy rules


def test_a_noisy_rule_has_a_notice_a_day(store: Store) -> None:
    """What it finds after its twentieth alert is rolled up; what other rules find is not."""
    office = Office(store)
    for hour in range(48):
        office.flood(1, name=f"h{hour}-")
        office.work(HOUR)
    office.flood(1, name="other", rule="r2")
    assert office.decisions() == ["posted"] * 20 + ["posted, its rule is noisy"] * 28 + ["posted"]
    assert office.notices() == ["rate", "rate"]
    office.take(found(store, "h47-0", rule="r3", at=office.clock()))
    assert office.decisions()[47] == "posted, another rule found it too"


def test_high_alerts_that_join_a_notice_are_named_in_its_thread(office: Office) -> None:
    """Whoever follows the thread hears of them; several at once are one reply."""
    office.flood(11, Level.high)
    office.work()
    office.clock.time += SECOND
    office.flood(3, Level.high, name="b")
    said = [sent for sent in office.work() if sent[0] == "text"]
    assert said == [("text", "C0", "\n".join(f"A{n} (high): b{n - 12}, Title of r1." for n in (12, 13, 14)), "3.3")]


# -- quiet hours


def test_the_night_is_one_notice_in_the_morning(store: Store) -> None:
    """Low and medium wait, high and critical do not, and what rises is told at once."""
    office = Office(store, replace(CALM, quiet_hours=(NIGHT,)), NOON + 11 * HOUR)
    office.flood(3)
    office.flood(1, Level.high, name="h")
    assert office.decisions() == ["posted, held until 07:00"] * 3 + ["posted"]
    assert office.work() == [("post", "C0", "A4", "")]
    office.clock.time += MINUTE
    office.take(found(store, "a1", Level.high, "r2", office.clock()))
    assert office.decisions()[1] == "posted, rose to high"
    assert office.work() == [("post", "C0", "A2", "")]
    office.clock.time = NOON + 19 * HOUR - SECOND
    assert [sent for sent in office.work() if sent[0] != "text"] == []  # what was posted is reminded of
    assert office.work(SECOND) == [("notice", "C0", "N1", "")]
    office.flood(1, name="day")
    assert office.decisions()[-1] == "posted"


def test_what_a_person_says_raises_a_held_alert_too(store: Store) -> None:
    """Whoever was asked says that it was not them: nobody waits for the morning."""
    office = Office(store, replace(CALM, quiet_hours=(NIGHT,)), NOON + 11 * HOUR)
    office.flood(2)
    alerts.raise_level(store, 1, Level.high, office.clock())
    assert office.work() == [("post", "C0", "A1", "")]
    assert office.decisions() == ["posted, rose to high", "posted, held until 07:00"]


def test_what_is_held_is_no_backlog(store: Store) -> None:
    """A notice that waits for the morning is not a message that Slack refuses."""
    from bot.store.messages import outbox

    office = Office(store, replace(CALM, quiet_hours=(NIGHT,)), NOON + 11 * HOUR)
    office.flood(3)
    alerts.acknowledge(store, 1, "U1", office.clock())
    assert outbox.oldest_due(store) is None


# -- laws


@contextmanager
def temporary_office(routing: Routing, now: int) -> Iterator[Office]:
    with tempfile.TemporaryDirectory() as folder:
        store = fresh(Path(folder) / "audit.db")
        try:
            yield Office(store, routing, now)
        finally:
            store.close()


LEVELS = st.sampled_from([Level.low, Level.medium, Level.high, Level.critical])
STEPS = st.lists(
    st.tuples(
        st.lists(st.tuples(st.integers(0, 12), LEVELS, st.sampled_from(["r1", "r2", "r3"])), max_size=10),
        st.sampled_from([SECOND, MINUTE, 20 * MINUTE, 3 * HOUR]),  # until the next pass
        st.booleans(),  # whether the process dies, and begins anew
        st.integers(0, 3),  # so often Slack fails in this round
    ),
    min_size=1,
    max_size=5,
)


@pytest.mark.slow
@law(15)
@given(steps=STEPS, begin=st.sampled_from([NOON, NOON + 9 * HOUR + 30 * MINUTE, NOON + 18 * HOUR]))
def test_every_posted_alert_reaches_people_whatever_comes_between(
    steps: list[tuple[list[tuple[int, Level, str]], int, bool, int]], begin: int
) -> None:
    """In any order of passes, failures and restarts: by its own message, in a notice, or held until a time.

    No alert is without a named decision, and a critical one is sent in the next round.
    """
    routing = Routing(post_from=10, storm=Roll(3, 10 * MINUTE, 100), rate=Roll(4, DAY), quiet_hours=(NIGHT,))
    with temporary_office(routing, begin) as office:
        for given_, ahead, dies, failures in steps:
            office.take(*(found(office.store, f"a{n}", level, rule, office.clock()) for n, level, rule in given_))
            critical = alerts.alerts(office.store, "level = ? AND ts IS NULL", (int(Level.critical),))
            if dies:
                office = Office(office.store, routing, office.clock())
                office.postman.recover()
            office.slack.errors = [DeliveryError("unreachable", permanent=False)] * (0 if critical else failures)
            sent = {name for _, _, name, *_ in office.work()}
            assert {one.name for one in critical} <= sent
            office.clock.time += ahead
        office.slack.errors = []
        office.work(12 * HOUR)  # past the night, and past every wait of the outbox
        office.work(HOUR)
        _check_reached(office.store)


def _check_reached(store: Store) -> None:
    for one in alerts.alerts(store):
        way = deliveries.delivery(store, one.id)
        assert one.posted
        assert way
        if way.lane == "own":
            assert one.ts is not None
            continue
        notice = notices.read_notice(store, way.notice or 0)
        assert notice
        assert notice.ts is not None
        assert one in notices.members(store, notice.id, 1000)
        assert one.level < Level.critical


def test_the_decision_of_an_alert_is_stored_with_it(office: Office) -> None:
    """`audit-bot alerts` lists those of a notice like all others."""
    office.flood(12)
    listed: list[Alert] = alerts.listing(office.store)
    assert len(listed) == 12
    assert all(one.posted for one in listed)
