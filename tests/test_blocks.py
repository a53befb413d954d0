"""Blocks: the same events as columns, whatever was added, changed or deleted since they were built."""

from __future__ import annotations

import random
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.detect import facts, match
from bot.detect.columns import Columns, TextColumn
from bot.detect.match import Evaluation
from bot.fields import FACTS, TEXT_FIELDS, FactSettings
from bot.model import Record
from bot.store.log import blocks, events
from bot.store.schema import BLOCK, Store
from bot.times import DAY
from tests.conftest import START, add, fresh, record
from tests.laws import law
from tests.test_detection import rules
from tests.test_events import EVENTS, value

PLAIN = FactSettings()
NAMES = [*TEXT_FIELDS, *(field.name for field in FACTS)]


def rows(columns: Columns) -> list[tuple[object, ...]]:
    return [
        (int(columns.id[i]), int(columns.time[i]), *(value(columns[name], i) for name in NAMES))
        for i in range(len(columns))
    ]


def assert_same(store: Store, since: int, until: int) -> None:
    by_rows = facts.read(store, PLAIN, "e.time BETWEEN ? AND ?", (since, until))
    assert rows(facts.read_span(store, PLAIN, since, until)) == rows(by_rows)


@law(10)
@given(EVENTS, EVENTS, st.integers(0, 10**6), st.integers(0, 25))
def test_a_span_read_from_blocks_is_what_the_rows_say(
    early: list[Record], late: list[Record], seed: int, before: int
) -> None:
    """Across the edge of a block, with events that came late, were changed, or are gone."""
    dice = random.Random(seed)
    with tempfile.TemporaryDirectory() as folder:
        store = fresh(Path(folder) / "a.db")
        add(store, early)
        with store.write() as connection:  # as if so many had come before that a block ends among these
            connection.execute("UPDATE events SET id = id + ?", (BLOCK - before,))
            blocks.settle(connection)
        since = START + dice.randrange(20) * DAY
        assert_same(store, since, since + dice.randrange(1, 10) * DAY)
        add(store, late)
        assert_same(store, -(2**60), 2**60)
        if dice.random() < 0.5:
            events.set_actor_types(store, {one: dice.randrange(1, 5) for one in early[:3]})
        else:
            with store.write() as connection:
                connection.execute("DELETE FROM events WHERE time < ?", (since,))
        assert_same(store, -(2**60), 2**60)
        with store.write() as connection:
            blocks.settle(connection)
        assert_same(store, -(2**60), 2**60)
        store.close()


@law(10)
@given(EVENTS)
def test_rules_over_slices_find_what_they_find_in_one_go(records: list[Record]) -> None:
    """Bounded memory changes no answer."""
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        store = fresh(Path(folder) / "a.db")
        add(store, records)
        some = rules()
        whole = Evaluation(facts.read_span(store, PLAIN, -(2**60), 2**60))
        patch.setattr(match, "SLICE", 8)
        sliced = Evaluation(facts.read_span(store, PLAIN, -(2**60), 2**60), some[::2])
        for rule in some:
            assert sliced.bursts(rule) == whole.bursts(rule)
        store.close()


def test_a_block_is_built_when_all_its_ids_are_given_out(store: Store) -> None:
    """What may still come needs no block; what is there is not built again."""
    add(store, [record(START + i) for i in range(5)])
    with store.write() as connection:
        blocks.settle(connection)
        assert store.rows("SELECT number FROM blocks") == []
        connection.execute("UPDATE events SET id = id + ? WHERE id > 2", (BLOCK - 2,))
        blocks.settle(connection)
        assert store.rows("SELECT number, events FROM blocks") == [(0, 2)]
        connection.execute("UPDATE events SET actor_type = 1 WHERE id = 1")
        assert store.rows("SELECT number FROM blocks") == []


def test_texts_of_a_long_span_are_read_when_asked_for(store: Store) -> None:
    """A count of different objects needs none of their names."""
    add(store, [record(object_=name) for name in ("a", "b")])
    column = facts.read_span(store, PLAIN, START, START).text("object")
    assert isinstance(column, TextColumn)
    assert "_all" not in vars(column.values)
    assert sorted(np.array(column.values)[column.codes]) == ["a", "b"]
