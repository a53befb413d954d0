"""What is said about the log itself, against a real portal: events that vanish, and silence."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import pytest

from bot.detect.log.watch import LogWatch
from bot.model import SILENCE, TAMPERING, Finding
from bot.reading import SHIPPED
from bot.rulebook import keep, read_rulebook
from bot.sandbox import cortex
from bot.store import alerts
from bot.store.log import gaps, sightings
from bot.store.schema import Store
from bot.times import DAY, HOUR, MINUTE, SECOND
from tests.conftest import raw, record
from tests.test_pipeline import NOW, Poisoned, World, tell, world

Raw = Mapping[str, str | None]


def found(store: Store, rule: str) -> list[Finding]:
    return alerts.findings(store, "rule = ?", (rule,))


def take_out(source: cortex.Source, which: Callable[[Raw], bool]) -> list[dict[str, str | None]]:
    """Take records out of the portal's log, as whoever tampers with it would; return them."""
    gone = [told for told in source._told if which(told.record)]
    source._told = [told for told in source._told if not which(told.record)]
    return [dict(told.record) for told in gone]


def polls(w: World, minutes: int, step: int = 1) -> None:
    for _ in range(0, minutes, step):
        w.now += step * MINUTE
        w.poll()


@pytest.fixture
def live(store: Store) -> Iterator[World]:
    """Return a portal with some history that has been read, and ten events since then, one a minute."""
    with world(store) as w:
        tell(w.source, [raw(NOW - DAY + hour * HOUR, object_=f"old-{hour}") for hour in range(24)])
        w.poll()
        tell(w.source, [raw(NOW + minute * MINUTE + SECOND, object_=f"new-{minute}") for minute in range(10)])
        polls(w, 12)
        yield w


def is_object(*names: str) -> Callable[[Raw], bool]:
    return lambda one: one["objectIdentifier"] in names


def test_events_that_vanish_are_told_within_minutes_and_are_still_here(live: World, store: Store) -> None:
    """One finding about the workspace, with how many, from when to when, and which."""
    take_out(live.source, is_object("new-3", "new-5", "new-4"))
    polls(live, 8)
    [one] = found(store, TAMPERING)
    assert (one.count, one.first, one.last) == (3, NOW + 3 * MINUTE + SECOND, NOW + 5 * MINUTE + SECOND)
    assert store.rows("SELECT object FROM audit_log WHERE id IN (?, ?, ?) ORDER BY time", one.evidence) == [
        ("new-3",), ("new-4",), ("new-5",),
    ]  # fmt: skip
    [told] = alerts.listing(store)
    assert (told.entity.kind, told.level.name, str(told.entity)) == ("workspace", "high", "workspace")
    polls(live, 60, 5)
    assert len(found(store, TAMPERING)) == 1
    assert len(alerts.listing(store)) == 1


@pytest.mark.slow
def test_nothing_is_said_of_a_log_that_only_grows(live: World, store: Store) -> None:
    """Late events, twins, bad hours and nightly sweeps change nothing about what is there."""
    for step in range(30):
        at = live.now + SECOND
        tell(live.source, [raw(at, object_="twin")] * 2 + [raw(at - 3 * HOUR, object_=f"late-{step}")])
        polls(live, 30, 30)
    assert found(store, TAMPERING) == []
    assert sightings.between(store, 0, live.now - 26 * HOUR) == []


def test_one_of_two_twins_is_missed(live: World, store: Store) -> None:
    """Copies are counted, not only kinds."""
    tell(live.source, [raw(live.now + SECOND, object_="twin")] * 3)
    polls(live, 7)
    twins = take_out(live.source, is_object("twin"))
    tell(live.source, twins[:1])
    polls(live, 7)
    assert [one.count for one in found(store, TAMPERING)] == [2]


@pytest.mark.slow
def test_old_events_are_missed_by_the_nightly_sweep(live: World, store: Store) -> None:
    """Polls read a quarter of an hour again; what vanishes before that is found within a day."""
    polls(live, 120, 10)
    take_out(live.source, is_object("new-1"))
    polls(live, 60, 5)
    assert found(store, TAMPERING) == []
    polls(live, 23 * 60, 30)
    assert [one.count for one in found(store, TAMPERING)] == [1]


def test_events_that_come_back_are_no_tampering(live: World, store: Store) -> None:
    """A replica may lag behind for long: the finding is withdrawn, the alert says so."""
    gone = take_out(live.source, is_object("new-3", "new-4"))
    polls(live, 8)
    tell(live.source, gone[:1])
    polls(live, 70, 5)
    assert [(one.state, one.count) for one in found(store, TAMPERING)] == [("open", 1)]
    tell(live.source, gone[1:])
    polls(live, 70, 5)
    assert [one.state for one in found(store, TAMPERING)] == ["withdrawn"]
    assert live.pipeline.poll(live.portal, overlap=15 * MINUTE, backfill=DAY).findings == 0


def test_a_portal_that_forgets_for_a_moment_is_not_told(live: World, store: Store) -> None:
    """One look proves nothing."""
    gone = take_out(live.source, is_object(*(f"new-{minute}" for minute in range(10))))
    polls(live, 3)
    tell(live.source, gone)
    polls(live, 60, 5)
    assert found(store, TAMPERING) == []


def test_a_portal_that_changes_its_spelling_has_lost_nothing(live: World, store: Store) -> None:
    """Other fraction digits, or an absent field for a null, are the same event to this detector."""
    for one in take_out(live.source, lambda _: True):
        tell(live.source, [{**one, "timestamp": str(one["timestamp"]).replace(".000Z", "Z")}])
    polls(live, 30 * 60, 40)
    assert found(store, TAMPERING) == []


def test_imported_events_were_never_in_the_portal(live: World, store: Store) -> None:
    """Nothing is missed that no poll has seen, even where a file has more copies of what the portal has."""
    live.pipeline.take_file(
        [record(NOW + MINUTE, object_="file"), *[record(NOW + MINUTE + SECOND, object_="new-1")] * 4]
    )
    polls(live, 30 * 60, 40)
    assert found(store, TAMPERING) == []


def test_events_that_expire_in_the_portal_are_not_missed(live: World, store: Store) -> None:
    """Only the last day is compared."""
    polls(live, 25 * 60, 30)
    take_out(live.source, lambda _: True)
    polls(live, 25 * 60, 30)
    assert found(store, TAMPERING) == []


def test_a_backfill_that_is_read_again_is_not_compared(store: Store) -> None:
    """Before the first complete poll nothing is known for certain."""
    with world(store) as w:
        tell(w.source, [raw(NOW - HOUR, object_=f"o-{number}") for number in range(5)])
        w.poll()
        store.set_meta("live_since", None)
        take_out(w.source, lambda _: True)
        w.now += 6 * MINUTE
        w.poll()
        assert sightings.suspected(store, 0, w.now) is False


@pytest.mark.slow
def test_a_window_that_cannot_be_read_is_not_compared(live: World, store: Store) -> None:
    """A gap is told as a gap."""
    poison = Poisoned(live.portal, NOW + 4 * MINUTE)
    for _ in range(10):
        live.now += SECOND
        live.pipeline.poll(poison, overlap=15 * MINUTE, backfill=DAY)  # type: ignore[arg-type]
    assert gaps.open_gaps(store)
    assert found(store, TAMPERING) == []
    assert sightings.suspected(store, 0, live.now) is False


def test_a_fault_of_the_detector_does_not_stop_the_polls(live: World, store: Store) -> None:
    """The ops channel is told, once a day."""
    live.pipeline._log = Faulty(store, live.pipeline.facts)
    watermark = store.meta("watermark")
    polls(live, 3)
    assert store.meta("watermark") != watermark
    [(body,)] = store.rows("SELECT body FROM outbox WHERE kind = 'ops'")
    assert body.endswith("ZeroDivisionError: a bug")


class Faulty(LogWatch):
    """A detector with a bug."""

    def run_once(self, until: int, now: int) -> list[Finding]:
        raise ZeroDivisionError("a bug")


# -- silence -------------------------------------------------------------------------------------------------------
@dataclass
class Office:
    """A workspace that works Monday to Friday, 8 to 18: an event every ten minutes."""

    w: World

    def work(self, since: int, until: int) -> None:
        settings = self.w.pipeline.facts
        for at in range(since, until, 10 * MINUTE):
            if settings.weekday(at) not in ("sat", "sun") and 8 <= settings.hour(at) < 18:
                tell(self.w.source, [raw(at, object_=f"o-{at}")])


@pytest.fixture
def office(store: Store) -> Iterator[Office]:
    """Return an office with four weeks of history; NOW is a Wednesday at nine."""
    with world(store) as w:
        here = Office(w)
        here.work(NOW - 28 * DAY, NOW)
        w.poll()
        yield here


@pytest.mark.slow
def test_a_log_that_stops_on_a_workday_is_told_within_hours_and_once(office: Office, store: Store) -> None:
    """The alert is about the workspace; it grows, ends when events come again, and the next one is another."""
    w = office.w
    polls(w, 130, 10)
    [one] = found(store, SILENCE)
    assert one.first == NOW - 10 * MINUTE
    assert one.reasons[0].startswith("no event for 2 h")
    assert [(alert.entity.kind, alert.decision) for alert in alerts.listing(store)] == [("workspace", "posted")]
    polls(w, 110, 10)
    assert [one.last for one in found(store, SILENCE)] == [NOW + 4 * HOUR]
    office.work(w.now, w.now + DAY)
    polls(w, 60, 10)
    [one] = found(store, SILENCE)
    assert one.last == NOW + 4 * HOUR
    assert one.reasons[-1].startswith("events came again")
    assert store.value("SELECT count(*) FROM outbox WHERE kind = 'post'") == 1
    polls(w, 48 * 60, 60)
    assert len(found(store, SILENCE)) == 2


@pytest.mark.slow
def test_nights_and_weekends_are_no_news(office: Office, store: Store) -> None:
    """A workspace that sleeps is not silent."""
    office.work(NOW, NOW + 9 * DAY)
    polls(office.w, 9 * 24 * 60, 120)
    assert found(store, SILENCE) == []


def test_a_silence_that_late_events_fill_is_withdrawn(office: Office, store: Store) -> None:
    """The portal was behind: what is told has to stay true."""
    w = office.w
    polls(w, 4 * 60, 10)
    assert [one.state for one in found(store, SILENCE)] == ["open"]
    office.work(NOW, w.now)
    store.set_meta("deep_sweep", None)
    polls(w, 10, 10)
    assert [one.state for one in found(store, SILENCE)] == ["withdrawn"]


def test_polls_that_fail_and_windows_that_cannot_be_read_are_no_silence(office: Office, store: Store) -> None:
    """Only a complete pass may say that there is nothing."""
    w = office.w
    poison = Poisoned(w.portal, NOW + HOUR)
    for _ in range(3):
        w.now += 2 * HOUR
        w.pipeline.poll(poison, overlap=15 * MINUTE, backfill=DAY)  # type: ignore[arg-type]
    assert gaps.open_gaps(store)
    assert found(store, SILENCE) == []


def test_records_that_cannot_be_read_are_signs_of_life(office: Office, store: Store) -> None:
    """A portal with a new format is another kind of trouble, told elsewhere."""
    w = office.w
    for hour in range(6):
        w.source.add({"action": "DELETE", "timestamp": f"odd {hour}"}, time=w.now + HOUR - SECOND)
        polls(w, 60, 30)
    assert store.value("SELECT count(*) FROM malformed") == 6
    assert found(store, SILENCE) == []


def test_a_young_log_is_not_judged(store: Store) -> None:
    """Two weeks are needed to know what is usual."""
    with world(store) as w:
        here = Office(w)
        here.work(NOW - 12 * DAY, NOW)
        w.poll()
        polls(w, 8 * 60, 30)
        assert found(store, SILENCE) == []


def test_an_import_that_fills_a_silence_withdraws_it(office: Office, store: Store) -> None:
    """The events were there, only not in the portal's answers."""
    w = office.w
    polls(w, 130, 10)
    w.pipeline.take_file([record(at) for at in range(NOW, w.now, 10 * MINUTE)])
    polls(w, 10, 10)
    assert [one.state for one in found(store, SILENCE)] == ["withdrawn"]


def test_both_detectors_stand_among_the_rules_that_people_read(store: Store) -> None:
    """Messages and `/audit rules` take their texts from the store."""
    keep(store, read_rulebook(SHIPPED), NOW)
    texts = alerts.rule_texts(store)
    for rule in (texts[SILENCE], texts[TAMPERING]):
        assert (rule.level.name, rule.tags) == ("high", ("attack.t1685.002",))
        assert (SHIPPED.parent / rule.runbook).is_file()
        assert rule.description
        assert rule.falsepositives
