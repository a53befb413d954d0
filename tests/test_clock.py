"""Our clock is stepped back, by an hour or by a year: nothing waits for the old time longer than it always does."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from bot.alert import digest
from bot.alert.routing_keys import DigestTimes
from bot.model import Level
from bot.schedule import Job, Schedule
from bot.store.care import clock
from bot.store.log import gaps
from bot.store.log.events import Added
from bot.store.messages import alarms, notices
from bot.store.people import inquiries
from bot.store.schema import Store
from bot.times import DAY, HOUR, MINUTE, SECOND, is_due
from tests.slack_lab import seed_alert
from tests.test_escalation import CALLS
from tests.test_notices import NOON, Office, found
from tests.test_pipeline import NOW, world
from tests.test_service import wait_for

STEPS = pytest.mark.parametrize("step", [3 * HOUR, 400 * DAY])


@pytest.mark.parametrize(("ago", "due"), [(DAY, True), (DAY - 1, False), (0, False), (-1, True), (-400 * DAY, True)])
def test_what_was_done_in_a_time_that_has_not_come_yet_is_due(ago: int, due: bool) -> None:
    assert is_due(NOON - ago, DAY, NOON) == due
    assert is_due(None, DAY, NOON)


def test_a_step_back_is_seen_once_and_over_a_restart(store: Store) -> None:
    """Small corrections, as time servers make them, are none."""
    shown = [NOON, NOON + HOUR, NOON + HOUR - SECOND, NOON, NOON]
    assert [clock.look(Store(store.path), now) for now in shown] == [False, False, False, True, False]


@STEPS
def test_the_sweep_of_the_last_day_comes_within_a_day(store: Store, step: int) -> None:
    with world(store) as w:
        w.poll()
        w.now += MINUTE
        w.poll()
        store.set_meta("deep_sweep", str(NOW + step))
        w.poll()
        assert store.meta("deep_sweep") == str(w.now)


@STEPS
def test_what_calls_people_is_counted_from_the_moment_of_the_step(store: Store, step: int) -> None:
    """Escalation of what nobody acknowledged, once and not again; what was acknowledged; a storm's notice ends."""
    office = Office(store, CALLS, NOON + step)
    clock.look(store, office.clock())
    office.take(found(store, "eve", Level.critical, at=office.clock()))
    office.flood(12)
    assert office.work()
    assert "storm" in office.notices()
    assert [one[2] for one in office.work(10 * MINUTE) if "U0BOSS" in one[2]]
    office.clock.time = NOON
    assert clock.look(store, NOON)
    assert "U0BOSS" not in str(office.work(MINUTE))
    assert str(office.work(30 * MINUTE)).count("'CTWO'") == 1
    assert not notices.open_notices(store)


@STEPS
def test_alarms_repairs_questions_and_digests_wait_no_longer_than_ever(store: Store, step: int) -> None:
    before = NOON + step
    clock.look(store, before)
    alarms.update(store, {"lag": "No complete poll."}, before)
    gaps.note_failed(store, [("r1", "it raised")], Added(1, 0, NOON, NOON, late=False), before, history=False)
    digest.run_once(store, DigestTimes(), before, UTC)
    alert = seed_alert(store)
    inquiries.ask(store, alert, "U1", before)
    asked = inquiries.get(store, 1)
    assert asked
    inquiries.delivered(store, asked, "U2", "D1", "1.1", before)
    clock.look(store, NOON)
    assert "lag" in alarms.lasting(store)
    assert alarms.update(store, {"lag": "No complete poll."}, NOON) == ["No complete poll."]
    assert [span.rule for span in gaps.undetected(store, NOON)] == ["r1"]
    assert inquiries.escalate(store, NOON + 2 * HOUR - SECOND) == 0
    assert inquiries.escalate(store, NOON + 2 * HOUR) == 1
    digest.run_once(store, DigestTimes(), NOON, UTC)
    assert digest.run_once(store, DigestTimes(), NOON + 2 * DAY, UTC).count("daily") == 1


def test_the_scheduler_runs_what_waits_for_the_old_time() -> None:
    """APScheduler counts by the wall clock: after a step of a year its jobs would wait for a year."""
    schedule = Schedule([Job("tick", 0.05, lambda: None), Job("rare", 600, lambda: None)])
    schedule.start()
    try:
        wait_for("first runs", lambda: schedule.done["tick"] and schedule.done["rare"])
        for job in schedule._scheduler.get_jobs():
            job.modify(next_run_time=datetime.now(UTC) + timedelta(days=365))
        ticks = schedule.done["tick"]
        schedule.put_right()
        wait_for("runs after the step", lambda: schedule.done["tick"] > ticks + 1 and schedule.done["rare"] == 2)
    finally:
        schedule.stop(2)
