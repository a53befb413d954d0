"""Sweeps against a portal that shifts, repeats, adds and refuses while it is read."""

from __future__ import annotations

import contextlib
import itertools
import random
from collections import Counter
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.errors import AccessError, ApiError
from bot.model import Broken, Record
from bot.poll import sweep
from bot.poll.client import PAGE_SIZE, Window
from bot.poll.sweep import Batch, Moving, Sweeper, read_actor_types, read_once, read_settled
from bot.times import HOUR, MINUTE, SECOND
from tests.conftest import START, record
from tests.laws import law


@dataclass
class FakePages:
    """Answers pages out of a list; `before_page` may change the list, or raise, as a real portal would."""

    records: list[Record]
    dice: random.Random = field(default_factory=lambda: random.Random(1))
    shift: float = 0.0  # chance that the rows move between two pages
    poison: Window | None = None
    asked: int = 0
    newest_first: bool = True

    def page(self, window: Window, number: int, actor_type: str | None = None) -> tuple[list[Record | Broken], int]:
        self.asked += 1
        if self.poison and window.since < self.poison.until and window.until > self.poison.since:
            raise ApiError("HTTP 500")
        if number and self.dice.random() < self.shift:  # rows slide from one page to the next, the total stays
            for _ in range(self.dice.randrange(1, 9)):
                oldest = min(self.records)
                self.records.remove(oldest)
                self.records.append(record(max(self.records).time + SECOND, object_="newer"))
        rows = [one for one in self.records if window.since <= one.time <= window.until]
        rows.sort(key=lambda one: one.time, reverse=self.newest_first)
        return list(rows[number * PAGE_SIZE : (number + 1) * PAGE_SIZE]), len(rows)

    def alive(self) -> bool:
        return True


def many(count: int, step: int = SECOND) -> list[Record]:
    return [record(START + place * step, object_=f"svc-{place % 97}") for place in range(count)]


def kept(batches: list[Batch]) -> Counter[Record]:
    """Return what a store keeps of batches: of each twin the highest number that any batch shows."""
    total: Counter[Record] = Counter()
    for batch in batches:
        total |= Counter(batch.records)
    return total


WHOLE = Window(START - HOUR, START + 24 * HOUR)


def test_two_equal_reads_settle_a_window() -> None:
    """One read hands the events on, the second confirms them."""
    pages = FakePages(many(2500))
    batches = list(read_settled(pages, WHOLE))
    assert [batch.settled for batch in batches] == [False, True]
    assert kept(batches) == Counter(pages.records)


def test_a_twin_is_believed_only_when_a_second_read_shows_it() -> None:
    """A row that moves from page to page while we read looks just like a twin."""
    twins = [record(), record()]
    first, second = list(read_settled(FakePages(twins), WHOLE))
    assert len(first.records) == 1
    assert len(second.records) == 2


@pytest.mark.slow
@law(12)
@given(st.integers(0, 10**6), st.integers(1500, 4500), st.floats(0.0, 0.5))
def test_rows_that_shift_between_pages_are_neither_lost_nor_doubled(seed: int, count: int, shift: float) -> None:
    """Whatever moves while it is read, what is settled is the truth, and no double is ever stored."""
    pages = FakePages(many(count), random.Random(seed), shift)
    batches = []
    with contextlib.suppress(Moving):
        batches += list(read_settled(pages, WHOLE))
    found = kept(batches)
    assert set(found.values()) <= {1}
    if batches and batches[-1].settled:
        assert not Counter(pages.records) - found


@pytest.mark.slow
def test_a_window_that_never_settles_is_split_until_it_does() -> None:
    """Narrow windows have one page, and one page cannot shift."""
    pages = FakePages(many(6000), random.Random(2), shift=0.9)
    batches = list(Sweeper(pages, width=24 * HOUR).read(START, START + 3 * HOUR))
    assert not Counter(pages.records) - kept(batches)
    assert set(kept(batches).values()) == {1}
    assert not any(batch.gap for batch in batches)


def test_a_window_that_cannot_be_read_becomes_a_narrow_gap_and_the_rest_is_read() -> None:
    """One poisoned second must not hold up the log."""
    poison = Window(START + 100 * SECOND, START + 101 * SECOND)
    pages = FakePages(many(600), poison=poison)
    batches = list(Sweeper(pages).read(START, START + HOUR))
    gaps = [batch.window for batch in batches if batch.gap]
    assert gaps
    assert sum(gap.until - gap.since for gap in gaps) <= 4 * SECOND
    lost = Counter(pages.records) - kept(batches)
    assert all(poison.since - SECOND <= one.time <= poison.until + SECOND for one in lost)


def test_a_portal_that_is_away_ends_the_pass() -> None:
    """Splitting windows would not bring it back."""

    class Away(FakePages):
        def page(self, window: Window, number: int, actor_type: str | None = None) -> tuple[list[Record | Broken], int]:
            raise ApiError("connection refused")

        def alive(self) -> bool:
            return False

    with pytest.raises(ApiError, match="refused"):
        list(Sweeper(Away([])).read(START, START + HOUR))


def test_a_refused_key_ends_the_pass_at_once() -> None:
    """Trying again is no use, and would lock the key."""

    class Refusing(FakePages):
        def page(self, window: Window, number: int, actor_type: str | None = None) -> tuple[list[Record | Broken], int]:
            self.asked += 1
            raise AccessError("no")

    pages = Refusing([])
    with pytest.raises(AccessError):
        list(Sweeper(pages).read(START, START + HOUR))
    assert pages.asked == 1


@pytest.mark.slow
def test_a_backlog_is_read_in_windows_of_bounded_size() -> None:
    """A year of events must not end up in memory at once."""
    pages = FakePages(many(30_000))
    batches = list(Sweeper(pages, records=4000).read(START, START + 24 * HOUR))
    assert max(len(batch.records) for batch in batches) <= 4000
    assert kept(batches) == Counter(pages.records)
    assert [batch.window.until for batch in batches] == sorted(batch.window.until for batch in batches)


def test_windows_leave_no_second_out() -> None:
    """Each window begins where the one before ended."""
    batches = [one for one in Sweeper(FakePages(many(9000)), records=2000).read(START, START + 3 * HOUR) if one.settled]
    edges = [(one.window.since, one.window.until) for one in batches]
    assert edges[0][0] == START
    assert edges[-1][1] == START + 3 * HOUR
    assert all(after[0] == before[1] for before, after in itertools.pairwise(edges))


def test_pages_that_do_not_add_up_do_not_count() -> None:
    """A total that changes, or too few rows, is a read to be done again."""

    class Short(FakePages):
        def page(self, window: Window, number: int, actor_type: str | None = None) -> tuple[list[Record | Broken], int]:
            rows, total = super().page(window, number)
            return rows, total + 1 + number

    with pytest.raises(Moving):
        read_once(Short(many(10)), WHOLE)
    with pytest.raises(Moving):
        read_once(Short(many(1500)), WHOLE)


def test_actor_types_come_from_filtered_reads_and_doubt_is_left_out() -> None:
    """Unknown is better than wrong: a portal that ignores the filter teaches nothing."""
    ours, theirs = record(actor="key-1"), record(actor="ann@corp.example")

    class Typed(FakePages):
        def page(self, window: Window, number: int, actor_type: str | None = None) -> tuple[list[Record | Broken], int]:
            rows: list[Record | Broken] = (
                [ours] if actor_type == "API_KEY" else [theirs] if actor_type else [ours, theirs]
            )
            return rows, len(rows)

    assert read_actor_types(Typed([]), WHOLE, ("API_KEY", "OAUTH2")) == {ours: "API_KEY", theirs: "OAUTH2"}
    assert read_actor_types(Typed([]), WHOLE, ("OAUTH2", "ANONYMOUS")) == {}


def test_windows_narrow_at_once_and_widen_slowly() -> None:
    """The width follows the number of records, between a second and two months."""
    sweeper = Sweeper(FakePages([]), width=10 * MINUTE)
    list(sweeper.read(START, START + 24 * HOUR))
    assert 10 * MINUTE < sweeper.width <= sweep.WIDEST
