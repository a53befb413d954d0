"""The forest in the pipeline: strange hours become findings, and never stand in the way of events."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from bot.detect.forest import waiting
from bot.detect.forest.config import ForestConfig
from bot.detect.forest.deeds import WindowKey
from bot.detect.forest.features import GROUPS
from bot.detect.forest.strange import ForestWatch
from bot.detect.forest.watcher import Watcher
from bot.fields import FactSettings
from bot.model import FOREST, Judgement, Record
from bot.pipeline import Pipeline, Report
from bot.store import alerts, reasons
from bot.store.log.events import Added
from bot.store.people import exceptions, judgements
from bot.store.people.coverage import Coverage
from bot.store.schema import Store
from bot.times import DAY, HOUR, MINUTE, SECOND
from tests.conftest import START, record
from tests.test_forest_watcher import figures
from tests.test_pipeline import Book

WEEKS = 6
NOW = START + WEEKS * 7 * DAY + 10 * HOUR  # a Monday evening


def habits() -> list[Record]:
    """Return six weeks of twelve people who update their own services in working hours."""
    dice = random.Random(3)
    found = []
    for day in range(WEEKS * 7):
        if day % 7 >= 5:
            continue
        for person in range(12):
            for _ in range(dice.randrange(3, 8)):
                at = START + day * DAY + dice.randrange(8 * 3600) * SECOND
                thing = f"svc-{person}-{dice.randrange(6)}"
                found.append(record(at, "UPDATE", f"p{person}@corp.example", f"192.0.2.{person}", thing))
    return sorted(found, key=lambda one: one.time)


def attack(count: int, first: int = 0) -> list[Record]:
    return [
        record(
            NOW - 20 * MINUTE + i * SECOND,
            "DELETE",
            "p3@corp.example",
            "203.0.113.66",
            f"svc-{i % 12}-{i % 6}",
            "API_KEY",
        )
        for i in range(first, first + count)
    ]


@pytest.fixture
def pipeline(store: Store) -> Pipeline:
    facts = FactSettings()
    watch = ForestWatch(store, facts, ForestConfig())
    made = Pipeline(store, facts, Book, lambda: NOW, watch)
    made.take(habits(), Report(), history=True)
    return made


def test_a_strange_hour_becomes_a_finding_with_reasons_and_evidence(pipeline: Pipeline, store: Store) -> None:
    """In words, with figures; the hour's own events as evidence."""
    pipeline.take(attack(40), Report(), history=False)
    [one] = alerts.findings(store, "rule = ?", (FOREST,))
    assert one.group == {"actor": "p3@corp.example"}
    assert (one.count, one.ip, len(one.evidence)) == (40, "203.0.113.66", 3)
    assert len(one.reasons) == 3
    assert any("203.0.113.66" in reason or "40" in reason for reason in one.reasons), one.reasons
    assert [alert.entity.name for alert in alerts.listing(store)] == ["p3@corp.example"]
    assert "fitted" in str(store.meta("forest"))


@pytest.mark.slow
def test_the_same_hour_grows_and_is_not_found_twice(pipeline: Pipeline, store: Store) -> None:
    """Scored again as events come in; one finding an hour."""
    pipeline.take(attack(20), Report(), history=False)
    pipeline.take(attack(20, first=20), Report(), history=False)
    [one] = alerts.findings(store, "rule = ?", (FOREST,))
    assert one.count == 40


@pytest.mark.slow
def test_an_hour_that_people_said_was_right_teaches_nothing(pipeline: Pipeline, store: Store) -> None:
    """From the next pass on, and when the watcher is built anew; a false alarm still does."""
    pipeline.take(attack(20), Report(), history=False)
    hour = WindowKey("actor", "p3@corp.example", (NOW - 20 * MINUTE) // HOUR * HOUR)
    assert pipeline.forest is not None
    judgements.judge(store, 1, Judgement("wrong", "", "U1", NOW))
    pipeline.take(attack(1, first=20), Report(), history=False)
    assert hour not in excluded(pipeline)
    judgements.judge(store, 1, Judgement("right", "a stolen key", "U1", NOW + 1))
    pipeline.take(attack(1, first=21), Report(), history=False)
    assert hour in excluded(pipeline)
    pipeline.forest.reset()
    pipeline.take(attack(1, first=22), Report(), history=False)
    assert hour in excluded(pipeline)


def excluded(pipeline: Pipeline) -> set[WindowKey]:
    assert pipeline.forest is not None
    assert pipeline.forest._watcher is not None
    return pipeline.forest._watcher.windows.excluded


@pytest.mark.slow
def test_a_forest_that_raises_stops_neither_events_nor_rules(
    pipeline: Pipeline, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pass is stored, the ops channel is told, and the forest begins anew."""
    with monkeypatch.context() as broken:
        broken.setattr("bot.detect.forest.watcher.Watcher.observe", lambda *_: 1 / 0)
        report = Report()
        pipeline.take(attack(5), report, history=False)
    assert report.events == 5
    assert report.failed_rules == ["forest: ZeroDivisionError: division by zero"]
    assert "forest" in store.rows("SELECT body FROM outbox WHERE kind = 'ops'")[0][0]
    pipeline.take(attack(40, first=5), Report(), history=False)
    assert alerts.findings(store, "rule = ?", (FOREST,))


def test_with_little_history_the_forest_says_that_it_learns(store: Store) -> None:
    """Rules only before two weeks, and until when."""
    facts = FactSettings()
    pipeline = Pipeline(store, facts, Book, lambda: START + DAY, ForestWatch(store, facts))
    pipeline.take([record()], Report(), history=False)
    assert "learning until 2026-" in str(store.meta("forest"))


@pytest.mark.slow
def test_what_is_expected_of_somebody_is_one_reason(pipeline: Pipeline, store: Store) -> None:
    """An exception made from a forest alert hides what is strange in the same way, and nothing else."""
    pipeline.take(attack(40), Report(), history=False)
    [one] = alerts.findings(store, "rule = ?", (FOREST,))
    assert one.alert_id is not None
    groups = store.value("SELECT groups FROM reasons WHERE finding = ?", (one.id,)).split()
    assert len(groups) == 3
    expected = exceptions.add(
        store, "actor:p3@corp.example", reason="a clean-up", author="U1", now=NOW, expires=NOW + DAY, rule=FOREST,
        alert=one.alert_id,
    )  # fmt: skip
    covered = Coverage(store, [expected], FactSettings()).covering
    assert covered(one) == expected
    again = alerts.insert_finding(store, replace(one, id=0, alert_id=None), NOW)
    another = next(group for group in GROUPS if group not in groups)
    for strongest, hidden in ((groups[2], True), (another, False)):
        reasons.note(store, again.id, [strongest, *groups[:2]])
        assert (covered(again) is not None) == hidden


@pytest.mark.slow
def test_a_restart_ends_with_the_same_figures(pipeline: Pipeline, store: Store) -> None:
    """Imported events are read in order of time, live ones as they came, late ones too."""
    late = record(NOW - 26 * HOUR, "UPDATE", "p4@corp.example", "192.0.2.4", "svc-4-1")
    for batch in (attack(30), [late], attack(5, first=30)):
        pipeline.take(batch, Report(), history=False)
    grown = pipeline.forest
    assert grown is not None
    restarted = ForestWatch(store, FactSettings(), ForestConfig())
    restarted.run_once(Added(0, after=store.value("SELECT max(id) FROM events"), since=0, until=0, late=False), NOW)
    assert grown._watcher is not None
    assert restarted._watcher is not None
    assert figures(restarted._watcher) == figures(grown._watcher)


def test_the_forest_is_built_before_the_pass_so_that_clicks_are_not_held_up(store: Store) -> None:
    """Weeks of history take long to read; the write lock is not held meanwhile."""
    held: list[bool] = []

    class Watched(ForestWatch):
        def _warmed(self, after: int, now: int) -> Watcher:
            held.append(self.store.connection.in_transaction)
            return super()._warmed(after, now)

    facts = FactSettings()
    pipeline = Pipeline(store, facts, Book, lambda: START + DAY, Watched(store, facts))
    for minute in range(3):
        pipeline.take([record(START + minute * MINUTE, object_=f"svc-{minute}")], Report(), history=minute == 0)
    assert held == [False]


@pytest.mark.slow
def test_what_comes_while_the_forest_is_built_waits_and_is_scored_then(pipeline: Pipeline, store: Store) -> None:
    """Passes go on beside it and status says why; broken off and begun again, it ends with the figures of a restart."""
    first, second = (ForestWatch(store, FactSettings(), ForestConfig()) for _ in range(2))
    pipeline.warms_apart = True
    batches = iter((attack(12), attack(12, first=12)))
    told: list[str] = []

    def turn() -> bool:
        if batch := next(batches, None):
            pipeline.take(batch, Report(), history=False)
            told.append(str(store.meta("forest")))
        return len(told) < 2 or pipeline.forest is second

    for pipeline.forest in (first, second):
        pipeline.forest.warm(NOW, turn)
    assert [text.split(":")[0] for text in told] == ["warming up", "warming up"]
    assert not first.ready
    assert alerts.findings(store, "rule = ?", (FOREST,)) == []
    assert len(waiting.spans(store)) == 1
    pipeline.take(attack(1, first=24), Report(), history=False)
    assert not waiting.any_waits(store)
    [one] = alerts.findings(store, "rule = ?", (FOREST,))
    assert one.count == 25
    assert str(store.meta("forest")).startswith("fitted on ")
    restarted = ForestWatch(store, FactSettings(), ForestConfig())
    restarted.build(NOW)
    assert second._watcher is not None
    assert restarted._watcher is not None
    assert figures(restarted._watcher) == figures(second._watcher)


@pytest.mark.slow
def test_a_forest_that_cannot_be_built_beside_passes_is_told(
    pipeline: Pipeline, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the next pass, as one that raises in it; then it is built anew, and what waited is scored."""
    pipeline.warms_apart = True
    pipeline.take(attack(20), Report(), history=False)
    report = Report()
    with monkeypatch.context() as broken:
        broken.setattr("bot.detect.forest.watcher.Watcher.warm", lambda *_: 1 / 0)
        pipeline.warm(lambda: False)
    pipeline._forest_catches_up(report)
    pipeline.take(attack(1, first=20), report, history=False)
    assert (report.events, report.failed_rules) == (1, ["forest: ZeroDivisionError: division by zero"])
    assert "forest" in store.rows("SELECT body FROM outbox WHERE kind = 'ops'")[0][0]
    pipeline.warm(lambda: False)
    pipeline._forest_catches_up(report)
    [one] = alerts.findings(store, "rule = ?", (FOREST,))
    assert one.count == 21
