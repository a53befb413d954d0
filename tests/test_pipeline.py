"""The pipeline against a real portal over HTTP: history, live, late, faults, kills."""

from __future__ import annotations

import gc
import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from bot.alert.routing import Routing
from bot.detect.rules import CompiledRule
from bot.errors import ApiError
from bot.fields import FactSettings
from bot.pipeline import Pipeline, Report
from bot.poll.client import Portal
from bot.poll.records import parse_record, to_json
from bot.poll.run import TypeReader
from bot.sandbox import cortex
from bot.serving import serve
from bot.store import alerts
from bot.store.log import events, gaps
from bot.store.schema import Store
from bot.times import DAY, HOUR, MINUTE, SECOND
from tests.conftest import START, raw, record
from tests.test_detection import rules

NOW = START + 30 * DAY


@dataclass
class Book:
    reporting: tuple[CompiledRule, ...] = ()
    routing: Routing = field(default_factory=Routing)


@dataclass
class World:
    """A portal that is served, and a pipeline that reads it; `now` is the clock of both."""

    source: cortex.Source
    behaviour: cortex.Behaviour
    portal: Portal
    pipeline: Pipeline
    served: Any
    now: int = NOW

    def poll(self, **more: Any) -> Report:
        return self.pipeline.poll(self.portal, overlap=15 * MINUTE, backfill=90 * DAY, **more)

    def truth(self) -> Counter[str]:
        return Counter(json.dumps(one, sort_keys=True) for one in self.source.truth(self.now))

    def stored(self) -> Counter[str]:
        found = (json.loads(to_json(one)) for one in events.export(self.pipeline.store))
        return Counter(json.dumps(one, sort_keys=True) for one in found)


@contextmanager
def world(store: Store, behaviour: cortex.Behaviour | None = None) -> Iterator[World]:
    source, shown = cortex.Source(), behaviour or cortex.Behaviour()
    here: list[World] = []

    def clock() -> int:
        return here[0].now if here else NOW

    app = cortex.app(source, clock, "key", shown)
    with serve(app) as served:
        portal = Portal(served.url, "key", now=clock, monotonic=lambda: clock() / SECOND)
        pipeline = Pipeline(store, FactSettings(), lambda: Book(rules()), clock)
        here.append(World(source, shown, portal, pipeline, app))
        yield here[0]
        portal.close()


def deletions(at: int, count: int = 3, actor: str = "eve@corp.example") -> list[dict[str, Any]]:
    return [raw(at + i * SECOND, "DELETE", actor, object_=f"svc-{i}") for i in range(count)]


def tell(source: cortex.Source, records: list[dict[str, Any]], **more: Any) -> None:
    for one in records:
        source.add(one, **more)


@pytest.mark.slow
@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize("bounds", ["[]", "[)", "(]", "()"])
def test_every_event_is_stored_once_whatever_the_portal_means_by_its_bounds(
    store: Store, order: str, bounds: str
) -> None:
    """Order and bounds are undocumented: the bot must work either way, twins included."""
    behaviour = cortex.Behaviour(order=order, bounds=bounds)  # type: ignore[arg-type]
    with world(store, behaviour) as w:
        for second in range(300):
            tell(w.source, [raw(NOW - DAY + second * 7 * SECOND, object_=f"o{second % 5}")] * (1 + (second % 10 == 0)))
        w.poll()
        assert w.stored() == w.truth()
        w.now += 30 * SECOND
        tell(w.source, [raw(w.now - 10 * SECOND), raw(w.now - 10 * SECOND), raw(w.now - 14 * MINUTE)])
        w.poll()
        assert w.stored() == w.truth()


def test_a_portal_that_fails_one_time_in_three_costs_nothing_but_time(store: Store) -> None:
    """Broken JSON, HTML, resets and errors are asked for again."""
    with world(store, cortex.Behaviour(faults=0.3, seed=5, slow_seconds=0.05)) as w:
        tell(w.source, [raw(NOW - HOUR + second * SECOND, object_=f"o{second}") for second in range(2500)])
        w.poll()
        assert w.stored() == w.truth()


def test_history_is_not_news_and_what_comes_after_is(store: Store) -> None:
    """The backfill lists what it finds and tells one summary; the next poll posts."""
    with world(store) as w:
        tell(w.source, deletions(NOW - DAY))
        assert w.poll().posted == 0
        assert [one.decision for one in alerts.listing(store, posted_only=False)] == ["history"]
        assert store.rows("SELECT kind FROM outbox") == [("notice",)]
        w.now += MINUTE
        tell(w.source, deletions(w.now - 20 * SECOND, actor="bob@corp.example"))
        assert w.poll().posted == 1
        assert {one.decision for one in alerts.listing(store, posted_only=False)} == {"history", "posted"}


def test_a_backfill_that_is_cut_off_stays_history_when_it_is_resumed(store: Store) -> None:
    """Until the first poll is complete nothing is news."""
    with world(store) as w:
        tell(w.source, deletions(NOW - DAY))
        with pytest.raises(ApiError):
            w.pipeline.poll(Broken(w.portal), overlap=0, backfill=90 * DAY)  # type: ignore[arg-type]
        w.now += HOUR
        assert w.poll().posted == 0


class Broken:
    """A portal that answers the first window and then goes away."""

    def __init__(self, portal: Portal) -> None:
        self._portal, self._pages = portal, 0

    def server_now(self) -> int:
        return self._portal.server_now()

    def alive(self) -> bool:
        return False

    def page(self, *args: Any) -> Any:
        self._pages += 1
        if self._pages > 10:
            raise ApiError("gone")
        return self._portal.page(*args)


def test_a_catch_up_is_posted_and_marked_late(store: Store) -> None:
    """After hours without the portal the analyst hears of it, and how old it is."""
    with world(store) as w:
        w.poll()
        tell(w.source, deletions(w.now + HOUR))
        w.now += 5 * HOUR
        assert w.poll().posted == 1
        assert alerts.listing(store)[0].decision == "posted, late"


def test_a_gap_is_recorded_told_and_closed(store: Store) -> None:
    """A window that cannot be read is named until it can."""
    with world(store) as w:
        tell(w.source, [raw(NOW - MINUTE), raw(NOW - HOUR)])
        poison = Poisoned(w.portal, NOW - HOUR)
        report = w.pipeline.poll(poison, overlap=0, backfill=DAY)  # type: ignore[arg-type]
        assert report.gaps
        assert w.stored() != w.truth()
        assert all(until - since <= SECOND for since, until, *_ in gaps.open_gaps(store))
        w.poll()
        assert gaps.open_gaps(store) == []
        assert w.stored() == w.truth()


class Poisoned:
    """A portal that cannot answer about one moment."""

    def __init__(self, portal: Portal, moment: int) -> None:
        self._portal, self._moment = portal, moment
        self.server_now, self.alive = portal.server_now, portal.alive

    def page(self, window: Any, *args: Any) -> Any:
        if window.since - SECOND <= self._moment <= window.until:
            raise ApiError("HTTP 500")
        return self._portal.page(window, *args)


def test_malformed_records_are_kept_once_and_the_rest_is_stored(store: Store) -> None:
    """Overlapping polls read them again and again."""
    with world(store) as w:
        w.source.add({"action": "DELETE", "timestamp": "not a time"}, time=NOW - MINUTE)
        tell(w.source, [raw(NOW - MINUTE)])
        assert w.poll().malformed == 1
        w.now += MINUTE
        assert w.poll().malformed == 0
        assert store.value("SELECT count(*) FROM malformed") == 1
        assert store.value("SELECT count(*) FROM events") == 1


def test_actor_types_are_learnt_for_new_events(store: Store) -> None:
    """The type is in no record: filtered reads tell it, and facts follow."""
    with world(store) as w:
        w.poll()
        w.now += MINUTE
        tell(w.source, [raw(w.now - SECOND, actor="someone")], actor_type="OAUTH2")
        w.poll(types=TypeReader(w.portal, 1000))
        assert store.rows("SELECT actor_type, actor_kind FROM audit_log") == [("OAUTH2", "person")]


def test_actor_types_keep_to_a_tenth_of_the_rate_limit(store: Store) -> None:
    """The events matter more than who signed in how."""
    with world(store) as w:
        reader = TypeReader(w.portal, 100)
        w.poll()
        for _ in range(5):
            w.now += SECOND
            tell(w.source, [raw(w.now - SECOND)])
            before = w.portal.requests
            w.poll(types=reader)
            assert w.portal.requests - before <= 3 + 5
        assert store.value("SELECT count(*) FROM events WHERE actor_type IS NULL") > 0


def test_a_rolled_back_pass_leaves_nothing_behind(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Events, findings, alerts and watermark are one transaction."""
    with world(store) as w:
        w.poll()
        before = store.meta("watermark")
        w.now += MINUTE
        tell(w.source, deletions(w.now - 20 * SECOND))
        with monkeypatch.context() as patched:
            patched.setattr("bot.alert.run._judge", lambda *_, **__: 1 / 0)
            with pytest.raises(ZeroDivisionError):
                w.poll()
        assert store.value("SELECT count(*) FROM events") == 0
        assert store.meta("watermark") == before
        assert w.poll().posted == 1


def test_what_nobody_waits_for_is_done_behind_a_small_pass(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks one by one; history and large passes, which many wait behind, bring their own."""
    monkeypatch.setattr("bot.store.log.blocks.BLOCK", 8)
    monkeypatch.setattr("bot.pipeline.FEW", 30)
    pipeline = Pipeline(store, FactSettings(), lambda: Book(rules()), lambda: NOW)

    def built_by(count: int, *, history: bool = False) -> list[int]:
        before = store.value("SELECT count(*) FROM events")
        some = [record(START + i * SECOND, object_=f"o{i}") for i in range(before, before + count)]
        pipeline.take(some, Report(), history=history)
        return [number for (number,) in store.rows("SELECT number FROM blocks ORDER BY number")]

    assert built_by(20) == []
    pipeline.upkeep()
    assert built_by(30) == [0, 1]
    monkeypatch.setattr("bot.pipeline.UPKEEP", 3)
    pipeline.upkeep()
    assert built_by(1) == [0, 1, 2, 3, 4]
    assert built_by(8, history=True) == [0, 1, 2, 3, 4, 5, 6]
    assert built_by(31) == [*range(11)]


def test_files_are_stored_in_any_order_and_only_once(store: Store) -> None:
    """Twins count across batches of one run; the same file, or one that overlaps, adds nothing again."""
    pipeline = Pipeline(store, FactSettings(), lambda: Book(rules()), lambda: NOW)
    lines = [record(START + (i * 7919) % 5000 * SECOND, object_=f"o{i % 3}") for i in range(3000)] + [record()] * 3
    assert pipeline.take_file(lines).events == 3003
    assert pipeline.take_file(lines).events == 0
    assert pipeline.take_file([*lines[1000:], record(object_="new")]).events == 1
    assert store.rows("PRAGMA foreign_key_check") == []


def test_an_import_that_was_cut_off_is_looked_at_by_the_next_pass(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was stored and not yet detected is noted in the store."""
    monkeypatch.setattr("bot.pipeline.IMPORT_BATCH", 2)
    pipeline = Pipeline(store, FactSettings(), lambda: Book(rules()), lambda: NOW)

    def cut() -> Iterator[Any]:
        for one in deletions(START, 5):
            yield parse_record(json.dumps(one).encode())
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pipeline.take_file(cut())
    assert store.value("PRAGMA foreign_keys") == 1  # what makes an import quick ends with it
    assert gc.isenabled()
    assert store.value("SELECT count(*) FROM events") == 4
    assert alerts.listing(store, posted_only=False) == []
    pipeline.take_file([])
    assert [one.decision for one in alerts.listing(store, posted_only=False)] == ["history"]
