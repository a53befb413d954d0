"""Somebody's days and hours: every cell is a naive count, in any zone, and so is every figure in words."""

from __future__ import annotations

import re
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.activity import DAYS, QUARTER, Activity, gather, shade, shade_bounds, shade_labels
from bot.times import DAY, HOUR, MINUTE, SECOND, parse_time
from tests.laws import law

ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe")  # the last leaps by 30 min
END = parse_time("2026-11-09T12:00:00Z")  # clocks of Berlin and New York went back within the 30 days before


def quarters(times: list[int]) -> list[tuple[int, int]]:
    """Return moments as the store counts them."""
    return [*Counter(moment // QUARTER * QUARTER for moment in times).items()]


def naive(times: list[int], zone: str) -> Counter[tuple[date, int]]:
    """Count by the clocks of a zone, event by event."""
    found = [datetime.fromtimestamp(moment / SECOND, UTC).astimezone(ZoneInfo(zone)) for moment in times]
    return Counter((one.date(), one.hour) for one in found)


TIMES = st.lists(st.integers(END - 33 * DAY, END), max_size=60)


@law()
@given(TIMES, st.sampled_from(ZONES), st.integers(0, 5 * DAY), st.integers(0, 30 * HOUR))
def test_every_cell_and_every_figure_in_the_words_is_a_naive_count(
    times: list[int], zone: str, back: int, long: int
) -> None:
    """Nobody who only hears the picture is told anything else than what is in the log."""
    last = END - back
    shown = gather(quarters(times), "eve", ZoneInfo(zone), END, (last - long, last))
    counts = naive(times, zone)
    first_day = shown.days[0]
    assert len(shown.days) == DAYS
    assert {(day, hour): shown.count((day, hour)) for day in shown.days for hour in range(24)} == {
        (day, hour): counts[day, hour] for day in shown.days for hour in range(24)
    }
    inside = {cell: n for cell, n in counts.items() if cell[0] >= first_day and n}
    words = shown.words()
    if not inside:
        assert words.endswith("none.")
        return
    marked = {cell for moment in range(last - long, last + 1, MINUTE) for cell in naive([moment], zone)}
    marked |= set(naive([last], zone))
    assert shown.marked == {cell for cell in marked if cell[0] >= first_day}
    assert figures(words, r": ([\d,]+) events? on (\d+) of 30 days") == (
        sum(inside.values()),
        len({day for day, _ in inside}),
    )
    assert figures(words, r"([\d,]+) events? in th[a-z]+ hours?") == (sum(n for c, n in inside.items() if c in marked),)
    before = {c: n for c, n in inside.items() if c[0] < min(marked)[0] and c[1] in {hour for _, hour in marked}}
    if before:
        found = figures(words, r"days? before: ([\d,]+) events? on (\d+) day")
        assert found == (sum(before.values()), len({day for day, _ in before}))
    else:
        assert re.search(r"before: nothing\.|No earlier day", words)


def figures(words: str, pattern: str) -> tuple[int, ...]:
    found = re.search(pattern, words)
    assert found, (pattern, words)
    return tuple(int(text.replace(",", "")) for text in found.groups())


def test_the_words_name_the_busiest_hour_and_the_usual() -> None:
    nine, three = parse_time("2026-11-06T08:10:00Z"), parse_time("2026-11-09T02:05:00Z")
    times = [nine - day * DAY for day in range(5)] + [three + n * MINUTE for n in range(12)]
    shown = gather(quarters(times), "eve@corp.example", ZoneInfo("Europe/Berlin"), three + HOUR, (three, three + HOUR))
    assert shown.words() == (
        "Events of eve@corp.example by day and hour of the day, 11 Oct to 9 Nov 2026, Europe/Berlin:"
        " 17 events on 6 of 30 days. Busiest hour of the day: 03:00 to 03:59, 12 events."
        " Marked: Mon 9 Nov 03:05 to 04:05, 12 events in these hours."
        " At these hours on the 29 days before: nothing."
    )


@pytest.mark.parametrize(
    ("most", "labels"),
    [(0, ()), (1, ("1",)), (2, ("1", "2")), (12, ("1", "2", "3", "4 to 6", "7 to 12")), (9_000, None)],
)
def test_shades_cover_all_counts_without_overlap(most: int, labels: tuple[str, ...] | None) -> None:
    """Each count has exactly one shade, more events never a lighter one; the legend says which."""
    bounds = shade_bounds(most)
    assert labels in (None, shade_labels(bounds, most))
    assert [shade(0, bounds), shade(most, bounds)] == [0, len(bounds)]
    assert len(bounds) == len(set(bounds)) <= 5
    some = range(1, most + 1, max(1, most // 50))
    assert [shade(n, bounds) for n in some] == sorted(shade(n, bounds) for n in some)
    assert all(shade(n, bounds) >= 1 for n in some)


def test_an_hour_that_comes_twice_holds_both() -> None:
    """The night in which the clocks go back has 25 hours, and the map 24."""
    zone = ZoneInfo("Europe/Berlin")
    twice = parse_time("2026-10-25T00:30:00Z")
    shown: Activity = gather(quarters([twice, twice + HOUR]), "eve", zone, twice, None)
    assert shown.count((date(2026, 10, 25), 2)) == 2
    assert shown.days[-1] - shown.days[0] == timedelta(days=29)
