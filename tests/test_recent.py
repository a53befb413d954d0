"""The latest events in memory: whatever happens to the store between passes, they are what it holds."""

from __future__ import annotations

import tempfile
from contextlib import suppress
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from bot.detect.recent import Recent
from bot.store.log import blocks, events
from bot.store.schema import Store
from bot.times import DAY, MINUTE
from tests.conftest import START, add, fresh, record
from tests.laws import law

MOMENTS = st.lists(st.integers(0, 40).map(lambda minute: START + minute * MINUTE), min_size=1, max_size=8)
HAPPENINGS = st.lists(
    st.tuples(st.sampled_from(("pass", "pass", "pass", "fail", "import", "delete", "retype")), MOMENTS), max_size=12
)


def a_pass(store: Store, recent: Recent, moments: list[int], numbers: list[int]) -> None:
    """Add events, and compare what is remembered then with what is stored, for spans between any two moments."""
    before = store.value("SELECT coalesce(max(id), 0) FROM events")
    add(store, [record(at, object_=f"o{numbers.pop()}") for at in moments])
    recent.begin(before, blocks.rows(store, "e.id > ?", (before,)))
    for since in (*moments, START):
        for until in (*moments, START + DAY):
            found = recent.between(since, until)
            if found is not None:
                stored = blocks.rows(store, "e.time BETWEEN ? AND ?", (since, until))
                assert (np.diff(found[blocks.TIME]) >= 0).all()
                assert sorted(map(tuple, found.T.tolist())) == sorted(map(tuple, stored.T.tolist()))


def happen(store: Store, recent: Recent, what: str, moments: list[int], numbers: list[int]) -> None:
    match what:
        case "pass":
            with store.write():
                a_pass(store, recent, moments, numbers)
        case "fail":
            with suppress(ZeroDivisionError), store.write():
                a_pass(store, recent, moments, numbers)
                raise ZeroDivisionError
        case "import":
            recent.end()
            add(store, [record(at, object_=f"o{numbers.pop()}") for at in moments])
        case "delete":
            with store.write() as connection:
                newest = "SELECT max(id) FROM events"  # stays, as with retention
                connection.execute(f"DELETE FROM events WHERE time < ? AND id < ({newest})", (moments[0],))
        case "retype":
            with store.write() as connection:
                connection.execute("UPDATE events SET actor_type = 1 WHERE time >= ?", (moments[0],))
            recent.changed(moments[0])


@law(50)
@given(HAPPENINGS, st.sampled_from((1, 4, 9, 100)))
def test_what_is_remembered_is_what_is_stored(happenings: list[tuple[str, list[int]]], most: int) -> None:
    """After late events, passes that were rolled back, imports, deletions, and types that were learnt."""
    with tempfile.TemporaryDirectory() as folder:
        store, numbers = fresh(Path(folder) / "a.db"), list(range(200))
        recent = Recent(store, most)
        for what, moments in happenings:
            happen(store, recent, what, moments, numbers)
        store.close()


def remembered(store: Store, recent: Recent, minute: int) -> int | None:
    """Return how many events of the last hour are remembered after a pass with one event, None where not all are."""
    numbers = [minute]
    with store.write():
        a_pass(store, recent, [START + minute * MINUTE], numbers)
    found = recent.between(START + (minute - 60) * MINUTE, START + minute * MINUTE)
    return None if found is None else found.shape[1]


def test_memory_is_bounded_and_holds_the_latest(store: Store) -> None:
    """Of one event a minute it reaches back an hour if it holds 150, and not if it holds 50."""
    large, small = Recent(store, 150), Recent(store, 50)
    for minute in range(300):
        assert remembered(store, large, minute) == min(minute + 1, 61)
    assert [remembered(store, small, minute) for minute in range(300, 310)] == [None] * 10
    assert small.between(START + 290 * MINUTE, START + DAY) is not None


def test_nothing_is_asked_of_the_store_for_what_is_remembered(store: Store) -> None:
    """That is what it is for."""
    add(store, [record(START + minute * MINUTE) for minute in range(10)])
    recent = Recent(store)
    recent.begin(10, blocks.rows(store, "e.id > 10"))
    recent.between(START, START)
    asked: list[str] = []
    store.connection.set_trace_callback(asked.append)
    found = recent.between(START, START + DAY)
    store.connection.set_trace_callback(None)
    assert found is not None
    assert found.shape == (8, 10)
    assert asked == []


def test_between_passes_there_is_no_answer(store: Store) -> None:
    """Neither before the first one, nor when it is not known what has changed."""
    add(store, [record(START)])
    recent = Recent(store)
    assert recent.between(START, START) is None
    recent.begin(events.add(store, [], []).after, blocks.rows(store, "1"))
    assert recent.between(START, START) is not None
    recent.changed(START)
    assert recent.between(START, START) is None
