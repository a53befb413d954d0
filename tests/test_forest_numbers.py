"""The numbers of profiles: learnt in one go as one by one, by the definitions written out here for one owner."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.detect.forest.numbers import HALVE, MEMORY, NOBODY, NUMBERS, OLD, PEAK_FADE, Table, plain, weighed
from bot.detect.forest.profiles import Floats
from tests.laws import law

WINDOWS = st.lists(
    st.tuples(st.integers(0, 3), st.sampled_from((0.0, 0.7, 2.5)), st.sampled_from((0.1, 1.0, 70.0, 140.0)))
)


def lesson(x: float, weight: float) -> Floats:
    """Return what a window teaches in which all counts have one logarithm, weighing so much."""
    taught = np.zeros(1, NUMBERS)
    taught["weight"] = taught["windows"] = taught["weekends"] = taught["firsts"] = 1.0
    taught["sum"], taught["squares"], taught["peak"] = x, x * x, x
    taught["hours"][:, 9] = 1.0
    return weighed(plain(taught), np.array([weight]))


def learnt(plainly: dict[str, float], x: float, weight: float) -> None:
    """Learn a window as it is defined."""
    keep = 1 - weight / MEMORY if plainly["weight"] >= MEMORY else 1.0
    for name, more in (("weight", 1.0), ("sum", x), ("squares", x * x)):
        plainly[name] = plainly[name] * keep + weight * more
    plainly["peak"] = max(plainly["peak"] * PEAK_FADE, x)
    for name in ("windows", "weekends", "hours", "firsts"):
        plainly[name] += weight
    if plainly["windows"] >= HALVE:
        for name in ("windows", "weekends", "hours"):
            plainly[name] /= 2


def figures(table: Table, row: int) -> dict[str, float]:
    """Return one number of each column."""
    numbers: Any = table.numbers([row])[0]
    return {name: float(np.ravel(numbers[name])[9 if name == "hours" else 0]) for name in NUMBERS.names or ()}


@law(50)
@given(WINDOWS)
def test_windows_of_many_owners_are_learnt_together_as_one_by_one(windows: list[tuple[int, float, float]]) -> None:
    """Fading, halving and peaks are each owner's own; a class learns the windows of all in their order."""
    table, names = Table(), NUMBERS.names or ()
    rows, cls = [table.take() for _ in range(4)], table.take()
    plainly = {row: dict.fromkeys(names, 0.0) for row in (*rows, cls)}
    together: dict[int, Floats] = {}
    for owner, x, weight in windows:
        row = rows[owner]
        learnt(plainly[row], x, weight)
        learnt(plainly[cls], x, weight)
        table.learn_next(cls, lesson(x, weight)[0])
        if row in together:
            table.learn(list(together), np.concatenate(list(together.values())))
            together = {}
        together[row] = lesson(x, weight)
    if together:
        table.learn(list(together), np.concatenate(list(together.values())))
    for row, expected in plainly.items():
        assert figures(table, row) == pytest.approx(expected)


def test_a_row_that_is_given_back_is_empty_for_its_next_owner() -> None:
    """However many there are, rows keep their numbers when the table grows, and nobody's stays empty."""
    table = Table()
    rows = [table.take() for _ in range(300)]
    assert len({NOBODY, *rows}) == 301
    table.learn(rows, np.concatenate([lesson(row, 1.0) for row in rows]))
    assert [figures(table, row)["sum"] for row in rows] == rows
    table.free(rows[7])
    again = table.take()
    assert again == rows[7]
    assert not any(figures(table, again).values())
    assert not any(figures(table, NOBODY).values())


def test_a_window_that_grew_late_is_corrected_and_old_hours_are_halved() -> None:
    """As if the later figures had been learnt at once; the time before the last week never weighs more than OLD."""
    table = Table()
    late, at_once = table.take(), table.take()
    table.learn([late, at_once], np.concatenate([lesson(1.0, 1.0), lesson(2.0, 1.0)]))
    size = NUMBERS["sum"].shape[0]
    table.correct(late, np.full(size, 1.0), np.full(size, 2.0))
    assert figures(table, late) == pytest.approx(figures(table, at_once))
    table.grow_old([late, at_once, late], np.array([[OLD - 1, 2.0, 0.0], [1.0, 1.0, 1.0], [1.0, 0.0, 0.0]]))
    assert [figures(table, row)["before"] for row in (late, at_once)] == [OLD / 2, 1.0]
