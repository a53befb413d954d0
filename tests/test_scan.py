"""Queries over blocks and from small tables: the same answers as over rows."""

from __future__ import annotations

import random
import tempfile
from collections import Counter
from dataclasses import replace
from datetime import UTC
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.fields import FactSettings
from bot.model import Record
from bot.query import Query, parse_query
from bot.store.log import blocks
from bot.store.queries import scan, search
from bot.store.queries.conditions import Names
from bot.store.schema import BLOCK, Store
from bot.store.views import FACT_SQL
from bot.times import DAY, HOUR
from tests.conftest import START, add, fresh, record
from tests.laws import law
from tests.test_events import EVENTS

FACTS = FactSettings()
TERMS = (
    "action:DELETE", "-action:CREATE", "type:API_KEY", "type:s*", "actor:ann*", "-actor:key-1", "object:svc-1", "svc",
    "ip:192.0.2.0/24", "-ip:192.0.2.1", "(action:UPDATE OR type:SERVICE)", "-object:*2", "missing",
    "off_hours:true", "-hour:>=12", "hour:3", "weekday:mon,s*", "type_sensitive:true", "-ip_kind:private",
    "(ip_kind:special OR off_hours:false)",
)  # fmt: skip


def ask(text: str) -> Query:
    return parse_query(text, START, UTC, default_last=None)


@law(15)
@given(EVENTS, st.lists(st.sampled_from(TERMS), max_size=3), st.integers(0, 10**6))
def test_a_scan_finds_what_rows_give(records: list[Record], terms: list[str], seed: int) -> None:
    """Across the edge of a block, before an event, up to an id, and for every count."""
    dice = random.Random(seed)
    since, until = START + dice.randrange(10) * DAY, START + dice.randrange(10, 21) * DAY
    text = " ".join(terms)
    query = replace(ask(f"{text} limit:{dice.randrange(1, 30)}"), since=since, until=until)
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        store = fresh(Path(folder) / "a.db")
        add(store, records)
        with store.write() as connection:
            connection.execute("UPDATE events SET id = id + ?", (BLOCK - dice.randrange(len(records) + 1),))
            blocks.settle(connection)
        page = search.search(store, query, FACTS)
        actors = Counter(event.actor for event in search.search(store, replace(query, limit=50), FACTS).events)
        patch.setattr(scan, "FEW", -1)
        patch.setattr(scan, "RARE", -1)
        with store.reading():
            found = scan.plan(Names(store.connection), query, FACTS, lambda: False, least=-1)
            assert found is not None
            ids, total = found.newest(query.limit, None, 10_001)
            assert (ids, total) == ([event.id for event in page.events], page.total)
            assert found.total() == page.total
            assert sorted(found.counts("actor", 50).values()) == sorted(actors.values())
            if page.events:
                assert found.span() is not None
                starts = [since, (since + until) // 2]
                late = sum(e.time >= starts[1] for e in search.search(store, replace(query, limit=50), FACTS).events)
                assert found.in_buckets(starts) == [page.total - late, late]
            for place, event in enumerate(page.events):
                rest, _ = found.newest(query.limit - place - 1, (event.time, event.id), 10_001)
                assert rest == ids[place + 1 :]
        store.close()


def test_a_scan_that_takes_too_long_is_given_up(store: Store) -> None:
    """Whoever asks is told, as with rows."""
    add(store, [record()])
    search.prepare(store.connection, FACTS)
    with store.reading():
        found = scan.plan(Names(store.connection), ask("action:UPDATE"), FACTS, lambda: True, least=-1)
        assert found is not None
        with pytest.raises(TimeoutError):
            found.total()


def test_a_fact_cannot_be_scanned(store: Store) -> None:
    """It hangs on more than names."""
    assert scan.plan(Names(store.connection), ask("actor_new:true"), FACTS, lambda: False, least=-1) is None


HOURS = st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 100 * 24)), min_size=60, max_size=200)


@law(10)
@given(HOURS, st.integers(0, 23), st.integers(0, 100), st.booleans())
def test_unusual_hours_are_led_to_as_they_are_judged_one_by_one(
    hours: list[tuple[str, int]], usual: int, begin: int, value: bool
) -> None:
    """Of habits that are mostly one hour of the day, so that there are such and others; few hours are no habit."""
    made = [(who, hour // 24 * 24 + usual if hour % 9 else hour) for who, hour in hours]
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder) / "a.db")
        add(store, [record(START + hour * HOUR, actor=who) for who, hour in dict.fromkeys(made)])
        query = replace(ask(f"unusual_hour:{value}"), since=START + begin * DAY // 2, until=START + 90 * DAY)
        found = [event.time for event in search.search(store, replace(query, limit=500), FACTS).events]
        one_by_one = store.rows(
            f"SELECT e.time FROM events e WHERE {FACT_SQL['unusual_hour']} = ? AND e.time BETWEEN ? AND ?"
            " ORDER BY e.time DESC, e.id DESC",
            (value, query.since, query.until),
        )
        assert found == [time for (time,) in one_by_one]
        store.close()
