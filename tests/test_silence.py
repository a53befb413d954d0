"""What counts as silence, over whole years of event times."""

from __future__ import annotations

import random
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.detect.log.silence import PAST, Silence, find_silence
from bot.fields import FactSettings
from bot.times import DAY, HOUR, MINUTE, parse_time
from tests.laws import law

BEGIN = parse_time("2026-01-05T00:00:00Z")  # a Monday
UTC = FactSettings()
LONGEST = 14 * 24  # hours that a stretch is followed for


def office(weeks: int, *, a_day: int = 60, seed: int = 1, weekends: float = 0.02) -> list[int]:
    """Return the times of a workspace whose people work on weekdays from 8 to 18, with a few late and on weekends."""
    rng, times = random.Random(seed), []
    for day in range(weeks * 7):
        share = 1.0 if day % 7 < 5 else weekends
        for _ in range(round(a_day * share * rng.uniform(0.6, 1.4))):
            hour = rng.uniform(8, 18) if rng.random() < 0.97 else rng.uniform(0, 24)
            times.append(BEGIN + day * DAY + int(hour * HOUR))
    return sorted(times)


@lru_cache
def told_after(times: tuple[int, ...], last: int) -> int | None:
    """Return after how many hours a log that stops at its hour `last` is told, None for not within two weeks."""
    return next((more for more in range(1, LONGEST) if find_silence(times, (last + 1 + more) * HOUR, UTC)), None)


def rings(times: Sequence[int]) -> list[tuple[int, int]]:
    """Return (hour, hours) of the quiet stretches of a log that would have been told."""
    hours = sorted({time // HOUR for time in times})
    found = []
    for place, (hour, following) in enumerate(pairwise(hours)):
        if following - hour <= 2 or hour - hours[0] < 14 * 24:
            continue
        past = [one * HOUR for one in hours[max(0, place - PAST) : place + 1] if one > hour - PAST]
        if find_silence(past, following * HOUR, UTC):
            found.append((hour, following - hour))
    return found


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1))
def test_an_office_that_sleeps_is_never_told(seed: int) -> None:
    """Half a year of nights and weekends."""
    assert rings(office(26, seed=seed)) == []


@pytest.mark.parametrize("clock", [9, 11, 14])
def test_a_stop_on_a_workday_is_told_within_a_few_hours(clock: int) -> None:
    """While people would work."""
    stop = BEGIN + 37 * DAY + clock * HOUR  # a Wednesday
    times = tuple(time for time in office(8) if time < stop)
    after = told_after(times, max(times) // HOUR)
    assert after is not None
    assert after <= 4


def test_a_stop_in_the_evening_is_told_next_morning_and_on_friday_on_monday() -> None:
    """Nobody expects events in between."""
    for day, least, most in ((36, 13, 20), (39, 48, 70)):
        times = tuple(time for time in office(8, weekends=0) if time < BEGIN + day * DAY + 18 * HOUR)
        after = told_after(times, max(times) // HOUR)
        assert after is not None
        assert least <= after <= most


def test_a_log_that_never_sleeps_is_told_at_any_hour() -> None:
    """Machines write all the time."""
    times = tuple(range(BEGIN, BEGIN + 20 * DAY + 3 * HOUR, 7 * MINUTE))
    assert told_after(times, max(times) // HOUR) == 2


def test_two_weeks_of_history_are_needed() -> None:
    """What is usual has to be known."""
    for days, known in ((13, False), (15, True)):
        times = range(BEGIN, BEGIN + days * DAY, HOUR)
        assert bool(find_silence(times, BEGIN + (days + 5) * DAY, UTC)) is known
    assert find_silence([], BEGIN, UTC) is None


def test_working_days_are_those_of_the_settings() -> None:
    """A team that works on Sundays and rests on Fridays."""
    sunday_team = FactSettings(working_days=frozenset({6, 0, 1, 2, 3}))
    shifted = [time - DAY for time in office(8, weekends=0)]
    stop = BEGIN + 41 * DAY + 10 * HOUR  # a Sunday
    times = [time for time in shifted if time < stop]
    assert find_silence(times, stop + 5 * HOUR, sunday_team) is not None
    assert find_silence(times, stop + 5 * HOUR, UTC) is None


@law()
@given(st.lists(st.integers(0, 40 * 24 * 60), min_size=1, max_size=300), st.integers(1, 400), st.integers(0, 400))
def test_a_silence_only_grows(minutes: list[int], hours: int, more: int) -> None:
    """What is unusual stays so until an event comes; order and twins of the times do not matter."""
    times = [BEGIN + minute * MINUTE for minute in minutes]
    until = max(times) + hours * HOUR
    now, later = find_silence(times, until, UTC), find_silence([*reversed(times), *times], until + more * HOUR, UTC)
    if isinstance(now, Silence):
        assert later is not None
        assert later.missed >= now.missed
        assert later.usual == now.usual
