"""Sums: the same top lists as of rows, whatever was changed or deleted since they were made."""

from __future__ import annotations

import random
import tempfile
from collections import Counter
from dataclasses import replace
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from bot.fields import FactSettings
from bot.model import Record
from bot.query import END
from bot.store.log import blocks, sums
from bot.store.queries import scan
from bot.store.queries.conditions import Names
from bot.store.schema import BLOCK, Store
from bot.times import DAY
from tests.conftest import START, add, fresh, record
from tests.laws import law
from tests.test_events import EVENTS
from tests.test_scan import ask

FACTS = FactSettings()
LARGER = sums.LEAST * sums.TIMES  # blocks


def settle(store: Store) -> None:
    with store.write() as connection:
        blocks.settle(connection, 1_000)
        sums.settle(connection, 1_000)


def stretches(store: Store) -> set[tuple[int, int]]:
    return set(store.rows("SELECT first, blocks FROM sums"))


def assert_same(store: Store, since: int, until: int, newest: int | None) -> None:
    query = replace(ask(""), since=since, until=until, newest=newest)
    for field in sums.FIELDS:
        rows = store.rows(
            f"SELECT {field} FROM events WHERE time BETWEEN ? AND ? AND id <= ?", (since, until, newest or END)
        )
        with store.reading():
            found = scan.plan(Names(store.connection), query, FACTS, lambda: False, least=-1)
            assert found is not None
            assert found.counts(field, 50) == Counter(code for (code,) in rows)


@law(6)
@given(EVENTS, st.integers(0, 10**6))
def test_top_lists_by_sums_are_what_the_rows_say(records: list[Record], seed: int) -> None:
    """Over any span, up to any id, with events that were changed or are gone, and some of the sums with them."""
    dice = random.Random(seed)
    since, until = START + dice.randrange(10) * DAY, START + dice.randrange(10, 21) * DAY
    with tempfile.TemporaryDirectory() as folder:
        store = fresh(Path(folder) / "a.db")
        add(store, records)
        step = dice.choice([1, 2]) * LARGER * BLOCK // (len(records) + 1) + 1  # so that they lie in all stretches
        with store.write() as connection:
            connection.execute("UPDATE events SET id = -id")
            connection.execute("UPDATE events SET id = -id * ?", (step,))
        for change in ("UPDATE events SET actor = NULL WHERE ", "DELETE FROM events WHERE "):
            settle(store)
            assert_same(store, -(2**60), 2**60, None)
            assert_same(store, since, until, None)
            with store.write() as connection:
                connection.execute(f"{change} id / ? % 3 = ?", (step, dice.randrange(3)))
            assert_same(store, -(2**60), 2**60, None)
        settle(store)
        assert_same(store, -(2**60), 2**60, dice.randrange(step * len(records)))
        store.close()


def test_a_changed_event_takes_the_sums_of_its_stretches_with_it(store: Store) -> None:
    """The others stay, and what is missing is made again when its blocks are there."""
    add(store, [record(START + n) for n in range(2)])
    with store.write() as connection:
        connection.execute("UPDATE events SET id = ? WHERE id = 2", (LARGER * BLOCK + 1,))
    settle(store)
    small = {(first, sums.LEAST) for first in range(0, LARGER, sums.LEAST)}
    assert stretches(store) == small | {(0, LARGER)}
    with store.reading() as connection:
        assert sums.inside(connection, "object", START, START, END) == [range(LARGER)]
        assert sums.inside(connection, "object", START, START, LARGER * BLOCK - 1) == [range(sums.LEAST)]
        assert sums.inside(connection, "object", START + 1, END, END) == []
    with store.write() as connection:
        connection.execute("UPDATE events SET actor_type = 1 WHERE id = 1")
    assert stretches(store) == small - {(0, sums.LEAST)}
    settle(store)
    assert stretches(store) == small | {(0, LARGER)}


def test_a_poll_makes_one_sum_at_most(store: Store) -> None:
    """An old database catches up little by little."""
    add(store, [record(START + n) for n in range(2)])
    with store.write() as connection:
        connection.execute("UPDATE events SET id = ? WHERE id = 2", (LARGER * BLOCK + 1,))
        blocks.settle(connection, 1_000)
        sums.settle(connection)
    assert stretches(store) == {(0, sums.LEAST)}
