"""Events in the store: each exactly once, and facts that hang on nothing but the set of events."""

from __future__ import annotations

import json
import random
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.detect import facts
from bot.detect.columns import Column, TextColumn
from bot.fields import ACTOR_TYPES, FACTS, FactSettings
from bot.model import Broken, Record
from bot.poll.records import parse_record, to_json
from bot.store.care.repair import derive_learnt
from bot.store.log import events
from bot.store.schema import Store
from bot.store.views import FACT_SQL
from bot.times import DAY, HOUR
from tests.conftest import START, add, fresh, raw, record
from tests.laws import law

PLAIN = FactSettings()


def stored(store: Store) -> list[Record]:
    return [one._replace(identity=b"") for one in events.export(store)]


def test_what_went_in_comes_out(store: Store) -> None:
    """The API's own shape: null and absent told apart, the portal's spelling of the time kept."""
    bodies = [raw(), raw(actor=None), {k: v for k, v in raw().items() if k != "ipAddress"}]
    bodies.append(raw() | {"timestamp": "2026-03-02T09:00:00.123456789"})
    records = [parse_record(json.dumps(body).encode()) for body in bodies]
    add(store, [one for one in records if isinstance(one, Record)])
    out = [json.loads(to_json(one)) for one in events.export(store)]
    assert sorted(map(json.dumps, out)) == sorted(map(json.dumps, bodies))


def test_twins_are_counted_and_a_second_sweep_adds_none(store: Store) -> None:
    """There is no event id: identical records are real, each of them."""
    twins = [record()] * 3 + [record(object_="svc-2")]
    assert add(store, twins).count == 4
    assert add(store, twins).count == 0
    assert add(store, [*twins, record()]).count == 1


def test_a_fingerprint_is_keyed(tmp_path: Path) -> None:
    """Whoever knows the code but not the database cannot make up two records that share one."""
    one, other = fresh(tmp_path / "a.db"), fresh(tmp_path / "b.db")
    assert events.number_twins(one, [record()]) != events.number_twins(other, [record()])
    one.close()
    other.close()


def test_absent_null_and_the_text_null_are_three_things(store: Store) -> None:
    """A record that only looks alike is not a twin."""
    absent = {key: value for key, value in raw().items() if key != "actorIdentifier"}
    bodies = [raw(actor=None), raw(actor="null"), absent]
    parsed = [parse_record(json.dumps(body).encode()) for body in bodies]
    numbers = events.number_twins(store, [one for one in parsed if isinstance(one, Record)])
    assert len({number for number, _ in numbers}) == 3


def test_a_broken_record_seen_again_in_a_later_window_is_the_same(store: Store) -> None:
    """Overlapping polls read it for a quarter of an hour; it is one record."""
    broken = Broken('{"action": 1}', "no")
    assert events.keep_broken(store, [broken, broken], 0, 100, 0) == 2
    assert events.keep_broken(store, [broken, broken], 50, 150, 0) == 0
    assert events.keep_broken(store, [broken], 140, 240, 0) == 0
    assert events.keep_broken(store, [broken], 500, 600, 0) == 1


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.7", "192.0.2.0/24"),
        ("::ffff:192.0.2.7", "192.0.2.0/24"),
        ("2001:db8:1:2::3", "2001:db8:1::/48"),
        ("2001:0DB8:0001::9", "2001:db8:1::/48"),
        ("unknown", "unknown"),
    ],
)
def test_networks_are_real_networks(address: str, network: str) -> None:
    """Any spelling of an address has the same network; what is no address is its own."""
    assert events.network_of(address) == network


EVENTS = st.lists(
    st.builds(
        record,
        st.integers(0, 40).map(lambda half_days: START + half_days * DAY // 2),
        st.sampled_from(["CREATE", "UPDATE", "DELETE"]),
        st.sampled_from(["ann@corp.example", "key-1", None]),
        st.sampled_from(["192.0.2.1", "192.0.2.2", "198.51.100.1", "2001:db8::1", None]),
        st.sampled_from(["svc-1", "svc-2"]),
        st.sampled_from(["SERVICE", "API_KEY"]),
    ),
    min_size=1,
    max_size=25,
)


def value(column: Column, place: int) -> object:
    if column.missing[place]:
        return None
    if isinstance(column, TextColumn):
        return column.values[column.codes[place]]
    return round(float(column.values[place]), 9)


def all_facts(store: Store) -> list[tuple[object, ...]]:
    """Return every event with every fact, sorted, without ids."""
    columns = facts.read(store, PLAIN)
    names = ["actor", "ip", "object", "type", "action", *(field.name for field in FACTS)]
    rows = [(int(columns.time[i]), *(value(columns[name], i) for name in names)) for i in range(len(columns))]
    return sorted(rows, key=repr)


@law(15)
@given(EVENTS, st.randoms(use_true_random=False), st.integers(1, 5))
def test_any_order_and_batching_of_arrival_ends_in_the_same_facts(
    records: list[Record], dice: object, batch: int
) -> None:
    """Late events correct the facts of the events they affect: facts are functions of the set of events.

    Batches overlap, so some bring only new events, some also old ones.
    """
    assert isinstance(dice, random.Random)
    with tempfile.TemporaryDirectory() as folder:
        straight, mixed = fresh(Path(folder) / "a.db"), fresh(Path(folder) / "b.db")
        add(straight, sorted(records, key=lambda one: one.time))
        numbered = list(zip(records, events.number_twins(mixed, records), strict=True))
        dice.shuffle(numbered)
        for begin in range(0, len(numbered), batch):
            some = numbered[max(begin - 2, 0) : begin + batch]
            events.add(mixed, [one for one, _ in some], [number for _, number in some])
        assert all_facts(mixed) == all_facts(straight)
        assert not derive_learnt(mixed)  # learning all anew gives the same tables
        straight.close()
        mixed.close()


@law(15)
@given(EVENTS)
def test_facts_say_the_same_in_sql_and_over_columns(records: list[Record]) -> None:
    """The view that people open and the columns that rules read must not disagree."""
    with tempfile.TemporaryDirectory() as folder:
        store = fresh(Path(folder) / "a.db")
        add(store, records)
        types = {one: len(one.object) % len(ACTOR_TYPES) + 1 for one in records[::2]}
        events.set_actor_types(store, types)
        names = list(FACT_SQL)
        columns = facts.read(store, PLAIN)
        rows = {row[0]: row[1:] for row in store.rows(f"SELECT id, {', '.join(names)} FROM audit_log")}
        for i, number in enumerate(columns.id.tolist()):
            mine = [value(columns[name], i) for name in names]
            theirs = [round(float(one), 9) if isinstance(one, int | float) else one for one in rows[number]]
            assert mine == theirs
        store.close()


def naive(records: list[Record], me: Record) -> dict[str, object]:
    """Read the definitions of the catalogue word by word."""
    started = min(one.time for one in records)
    learnt = me.time - started >= 14 * DAY

    def new(*names: str) -> object:
        mine = tuple(getattr(me, name) for name in names)
        if None in mine or not learnt:
            return None
        return float(not any(one.time < me.time and tuple(getattr(one, n) for n in names) == mine for one in records))

    before = [one.time for one in records if one.actor == me.actor and one.time < me.time]
    made = [
        o for o in records if o.action == "CREATE" and (o.object, o.type) == (me.object, me.type) and o.time <= me.time
    ]
    newest = max((one.time for one in made), default=None)
    by_self = any(one.actor == me.actor for one in made if one.time == newest)
    bare = [one for one in records if one.actor is None and one.type == me.type]
    first_bare = learnt and me.actor is None
    hour = me.time // HOUR
    past = [(hour - one.time // HOUR, one) for one in records if one.actor == me.actor]
    deletes = sum(one.action == "DELETE" for ago, one in past if 24 < ago <= 31 * 24)
    habit = {ago for ago, _ in past if 0 < ago <= 90 * 24}
    near = sum(ago % 24 in (0, 1, 23) for ago in habit)
    return {
        "actor_new": new("actor"),
        "ip_new": new("ip"),
        "ip_new_for_actor": new("actor", "ip"),
        "type_new_for_actor": new("actor", "type"),
        "action_new_for_actor": new("actor", "action"),
        "actor_idle_days": None if not before or me.actor is None else round((me.time - max(before)) / DAY, 9),
        "type_new_without_actor": float(me.time == min(one.time for one in bare)) if first_bare else None,
        "usual_deletes": None if me.actor is None else round(deletes / 30, 9),
        "unusual_hour": None if me.actor is None or len(habit) < 50 else float(near * 50 < len(habit)),
        "object_by_other": None if newest is None or me.actor is None else float(not by_self),
    }


HABITS = st.builds(
    lambda seed, span, hours, size: [
        record(START + day * DAY + hour * HOUR, action, "ann@corp.example")
        for dice in [random.Random(seed)]
        for day, hour, action in [
            (dice.randrange(span), dice.choice(hours), dice.choice(["UPDATE", "DELETE"])) for _ in range(size)
        ]
    ],
    st.integers(0, 999),
    st.integers(40, 130),
    st.sampled_from([(1, 2), (1, 2, 3, 4, 11), (23, 0, 0, 0, 9), tuple(range(24))]),
    st.integers(60, 140),
)


@law(15)
@given(HABITS)
def test_what_is_usual_for_an_actor_is_what_the_catalogue_says(records: list[Record]) -> None:
    """Over columns and in SQL, against a naive reading; with enough history to know habits."""
    with tempfile.TemporaryDirectory() as folder:
        store = fresh(Path(folder) / "a.db")
        add(store, records)
        columns = facts.read(store, PLAIN)
        rows = {row[0]: row[1:] for row in store.rows("SELECT id, usual_deletes, unusual_hour FROM audit_log")}
        for place, (number, one) in enumerate(zip(columns.id.tolist(), stored(store), strict=True)):
            wanted = naive(records, one)
            for name, theirs in zip(("usual_deletes", "unusual_hour"), rows[number], strict=True):
                assert value(columns[name], place) == wanted[name], name
                assert (None if theirs is None else round(float(theirs), 9)) == wanted[name], name
        store.close()


@law(15)
@given(EVENTS)
def test_facts_are_what_the_catalogue_says(records: list[Record]) -> None:
    """Against a naive reading of the definitions."""
    with tempfile.TemporaryDirectory() as folder:
        store = fresh(Path(folder) / "a.db")
        add(store, records)
        columns = facts.read(store, PLAIN)
        by_id = dict(zip(columns.id.tolist(), stored(store), strict=True))
        for place, number in enumerate(columns.id.tolist()):
            for name, wanted in naive(records, by_id[number]).items():
                assert value(columns[name], place) == wanted, name
        store.close()


def test_hours_and_weekdays_are_those_of_the_zone(store: Store) -> None:
    """Rules about hours mean the team's clock, also on the night it is turned."""
    from zoneinfo import ZoneInfo

    add(store, [record(START + hours * HOUR) for hours in range(24 * 60)])
    zone = FactSettings(ZoneInfo("Europe/Berlin"))
    columns = facts.read(store, zone)
    hour, weekday = columns["hour"], columns.text("weekday")
    for place in range(0, len(columns), 7):
        time = int(columns.time[place])
        assert value(hour, place) == zone.hour(time)
        assert weekday.values[weekday.codes[place]] == zone.weekday(time)


def test_reading_no_events_gives_empty_columns(store: Store) -> None:
    """A rule over nothing finds nothing, without a special case."""
    columns = facts.read(store, PLAIN)
    assert [len(columns[field.name].missing) for field in FACTS] == [0] * len(FACTS)
    assert columns.time.dtype == np.int64
