"""Escalation and reminders: who is called when, each once, and never after a click."""

from __future__ import annotations

from datetime import UTC

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.alert import follow
from bot.alert.escalation import Step, Waiting, due_steps
from bot.alert.quiet_hours import QuietHours
from bot.alert.routing import Routing
from bot.alert.routing_keys import Escalation, Roll
from bot.errors import DeliveryError
from bot.model import Level
from bot.store import alerts, journal
from bot.store.people import exceptions
from bot.store.schema import Store
from bot.times import DAY, HOUR, MINUTE, SECOND
from tests.laws import law
from tests.test_notices import NOON, Office, found, temporary_office

CALLS = Routing(
    escalation={
        Level.critical: Escalation(10 * MINUTE, ("S0TEAM", "U0BOSS"), 30 * MINUTE, "CTWO"),
        Level.medium: Escalation(HOUR, (), HOUR, "CTWO"),
    }
)


def waiting(level: Level = Level.critical, **more: object) -> Waiting:
    return Waiting("A1", "A1", level, **({"acknowledged": False, "since": 0, **more}))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("level", "minutes", "names"),
    [
        (Level.critical, 9, []),
        (Level.critical, 10, ["mention"]),
        (Level.critical, 30, ["mention", "second channel"]),
        (Level.high, 29, []),
        (Level.high, 30, ["reminder"]),
        (Level.medium, 59, []),
        (Level.medium, 60, ["second channel"]),
        (Level.low, 9999, []),
    ],
)
def test_what_is_due_when_nobody_acknowledges(level: Level, minutes: int, names: list[str]) -> None:
    """By level; a reply in the thread where nothing is set for high and critical."""
    assert [step.name for step in due_steps(waiting(level), CALLS, minutes * MINUTE)] == names


def test_what_was_done_is_not_done_again() -> None:
    """But an alert that rose is told of at its new level."""
    done = frozenset({("mention", 3), ("second channel", 4)})
    [step] = due_steps(waiting(taken=done), CALLS, HOUR)
    assert (step.name, step.number, step.mention) == ("mention", 4, ("S0TEAM", "U0BOSS"))


def test_who_acknowledged_is_reminded_after_four_hours_then_daily() -> None:
    """After days without us the latest only: nobody needs three at once."""

    def due(at: int, *taken: int) -> list[Step]:
        mine = waiting(acknowledged=True, owner="U1", taken=frozenset(("unresolved", number) for number in taken))
        return due_steps(mine, Routing(), at)

    assert due(4 * HOUR - SECOND) == []
    [first] = due(4 * HOUR)
    assert (first.number, first.mention, first.text) == (0, ("U1",), "A1: acknowledged 4 h ago, and not resolved yet.")
    assert due(DAY, 0) == []
    assert [step.number for step in due(5 * DAY, 0)] == [4]
    assert due(5 * DAY, 0, 4) == []


# -- over the store


def post(office: Office, level: Level = Level.critical, actor: str = "eve") -> None:
    office.take(found(office.store, actor, level, at=office.clock()))
    office.work()


def test_nobody_acknowledges(store: Store) -> None:
    """A mention in the thread, then the second channel, then nothing more; all of it in the journal."""
    office = Office(store, CALLS)
    post(office)
    assert office.work(10 * MINUTE) == [
        (
            "text",
            "C0",
            "S0TEAM U0BOSS A1 (critical) about eve, Title of r1: nobody has acknowledged it for 10 min.",
            "1.1",
        )
    ]
    assert office.work(19 * MINUTE) == []
    [(_, channel, said, thread)] = office.work(MINUTE)
    assert (channel, thread) == ("CTWO", "")
    assert said.endswith("nobody has acknowledged it for 30 min. /audit show A1 shows it.")
    assert office.work(DAY) == []
    entries = [entry for entry in journal.entries(store) if entry["what"] == "escalated"]
    assert [entry["detail"]["to"] for entry in entries] == [["S0TEAM", "U0BOSS"], ["CTWO"]]


def test_a_click_calls_it_off_even_when_it_is_queued_already(store: Store) -> None:
    """Slack was away for a moment: what it missed is not said after the click."""
    office = Office(store, CALLS)
    post(office)
    office.slack.errors = [DeliveryError("unreachable", permanent=False)]
    assert office.work(10 * MINUTE) == []
    alerts.acknowledge(store, 1, "U1", office.clock())
    assert [sent[2] for sent in office.work(MINUTE)] == ["A1", "U1 acknowledged it."]
    assert store.value("SELECT count(*) FROM outbox WHERE state = 'dropped'") == 1
    assert [sent[2] for sent in office.work(4 * HOUR)] == [
        "U1 A1 (critical) about eve, Title of r1: acknowledged 4 h ago, and not resolved yet."
    ]
    alerts.resolve(store, 1, "U1", office.clock())
    office.work()
    assert office.work(10 * DAY) == []


def test_without_any_setting_the_thread_alone_is_told(store: Store) -> None:
    """Nobody is mentioned whom nobody named."""
    office = Office(store)
    post(office, Level.high)
    post(office, Level.medium, "ann")
    [(kind, _, said, thread)] = office.work(30 * MINUTE)
    assert (kind, thread) == ("text", "1.1")
    assert said == "A1 (high) about eve, Title of r1: nobody has acknowledged it for 30 min."
    assert office.work(DAY) == []


def test_a_notice_is_escalated_like_the_worst_alert_in_it(store: Store) -> None:
    """Once, in its own thread; what somebody has taken no longer counts."""
    routing = Routing(storm=Roll(1, 10 * MINUTE, 1), escalation={Level.high: Escalation(10 * MINUTE, ("U0BOSS",))})
    office = Office(store, routing)
    office.flood(3, Level.high)
    office.work()
    said = [sent for sent in office.work(10 * MINUTE) if sent[0] == "text"]
    assert [(sent[2].split(":")[0], sent[3]) for sent in said] == [
        ("U0BOSS A1 (high) about a0, Title of r1", "1.1"),
        ("U0BOSS A notice of several alerts, the worst high", "3.3"),
    ]
    office.work()
    assert office.work(DAY) == []


def test_reminders_of_low_levels_wait_for_the_morning(store: Store) -> None:
    """Who need not hear of it at night need not be reminded of it at night."""
    office = Office(store, Routing(quiet_hours=(QuietHours(22 * 60, 7 * 60),)), NOON + 8 * HOUR)
    post(office, Level.medium)
    alerts.acknowledge(store, 1, "U1", office.clock())
    office.work()
    assert office.work(5 * HOUR) == []
    assert len(office.work(6 * HOUR)) == 1


def test_what_no_longer_holds_calls_nobody(store: Store) -> None:
    """Its findings were withdrawn."""
    office = Office(store, CALLS)
    post(office)
    store.connection.execute("UPDATE findings SET state = 'withdrawn'")
    assert office.work(HOUR) == []


def test_a_snoozed_alert_calls_nobody_until_it_wakes(store: Store) -> None:
    """To snooze is to decide; when the snooze is over and nobody came, the calls go on."""
    office = Office(store, CALLS)
    post(office)
    exceptions.add(
        store, 'actor:"eve"', reason="looking into it", author="U1", now=office.clock(),
        expires=office.clock() + 4 * HOUR, kind="snooze", alert=1,
    )  # fmt: skip
    office.work()
    assert office.work(4 * HOUR - SECOND) == []
    assert {sent[1] for sent in office.work(SECOND)} == {"C0", "CTWO"}


@law(15)
@given(
    runs=st.lists(
        st.tuples(
            st.integers(0, 40 * 60), st.sampled_from(["", "", "", "acknowledge", "resolve", "restart", "fail", "twice"])
        ),
        min_size=3,
        max_size=14,
    )
)
def test_each_step_is_taken_once_at_any_order_of_runs_clicks_and_restarts(runs: list[tuple[int, str]]) -> None:
    """Nothing is said twice, nothing before its time, nothing after the click that calls it off."""
    with temporary_office(CALLS, NOON) as office:
        post(office)
        for seconds, what in runs:
            before = alerts.listing(office.store)[0].state
            if what == "acknowledge":
                alerts.acknowledge(office.store, 1, "U1", office.clock())
            elif what == "resolve":
                alerts.resolve(office.store, 1, "U1", office.clock())
            elif what == "restart":
                office = Office(office.store, CALLS, office.clock())
                office.postman.recover()
            elif what == "fail":
                office.slack.errors = [DeliveryError("unreachable", permanent=False)]
            elif what == "twice":
                follow.run_once(office.store, CALLS, office.clock(), UTC)
            after = alerts.listing(office.store)[0].state
            said = [sent[2] for sent in office.work(seconds * SECOND) if sent[0] == "text"]
            assert (before, after) == ("open", "open") or not any("nobody" in text for text in said)
            assert after == "acknowledged" or not any("resolved yet" in text for text in said)
        steps = office.store.rows("SELECT step, number, at - since FROM steps WHERE subject = 'A1' ORDER BY at")
        least = {"mention": 10 * MINUTE, "second channel": 30 * MINUTE, "unresolved": 4 * HOUR}
        assert all(waited >= least[step] for step, _, waited in steps)
        entries = [e for e in journal.entries(office.store) if e["what"] in ("escalated", "reminded")]
        assert len(entries) == len(steps)
        assert office.store.value("SELECT count(*) FROM outbox WHERE only_while IS NOT NULL") == len(steps)
