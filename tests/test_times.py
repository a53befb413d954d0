"""Times: every spelling that the portal is known to send, and back."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.times import EPOCH, is_iso, iso, parse_duration, parse_time, say_duration
from tests.laws import law


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("2025-06-28T19:25:38.540Z", "2025-06-28T19:25:38.540Z"),
        ("2021-08-25T04:00:00", "2021-08-25T04:00:00.000Z"),
        ("2021-08-25T04:00:00+0000", "2021-08-25T04:00:00.000Z"),
        ("2021-08-25T06:00:00+02:00", "2021-08-25T04:00:00.000Z"),
        ("2021-08-25T04:00:00.123456789", "2021-08-25T04:00:00.123456Z"),
        ("2021-08-25T04:00:60Z", "2021-08-25T04:01:00.000Z"),
        ("2021-08-25 04:00Z", "2021-08-25T04:00:00.000Z"),
        ("2021-08-25", "2021-08-25T00:00:00.000Z"),
    ],
)
def test_every_spelling_the_portal_sends_is_read(text: str, same: str) -> None:
    """No zone means UTC; digits after the sixth are cut; a leap second is the next minute."""
    assert iso(parse_time(text)) == same


@pytest.mark.parametrize(
    "text", ["", "yesterday", "2021-13-01T00:00:00Z", "2021-08-25T25:00:00Z", "1629864000", "٢٠٢١-٠٨-٢٥"]
)
def test_what_is_no_time_is_refused(text: str) -> None:
    """A record with such a time is malformed, not stored at some other moment."""
    with pytest.raises(ValueError):  # noqa: PT011 -- datetime words its own errors
        parse_time(text)


@law()
@given(st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1)))  # noqa: DTZ001 -- hypothesis wants them bare
def test_a_time_comes_back_as_it_went(moment: datetime) -> None:
    """Microseconds survive the way out and in."""
    time = int((moment.replace(tzinfo=UTC) - EPOCH).total_seconds()) * 1_000_000 + moment.microsecond
    assert parse_time(iso(time)) == time


@law()
@given(st.from_regex(r"\A[012]\d{3}-[01]\d-[0-3]\dT[0-2]\d:[0-6]\d:[0-6]\d[.,](0|9){3,6}[Zz]\Z"))
def test_a_time_is_spelt_our_way_exactly_where_it_comes_back_the_same(text: str) -> None:
    """The portal's own spelling of a time is kept only where ours would lose it."""
    try:
        time = parse_time(text)
    except ValueError:
        return
    assert is_iso(text) == (iso(time) == text)


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("10m", 600), ("24h", 86400), ("7d", 604800), ("2w", 1209600)]
)
def test_durations_are_read(text: str, seconds: int) -> None:
    """The units are those of Sigma and of /audit."""
    assert parse_duration(text) == seconds * 1_000_000


@pytest.mark.parametrize(("seconds", "words"), [(45, "45 s"), (540, "9 min"), (10800, "3 h"), (86400 * 12, "12 days")])
def test_durations_are_said_as_people_say_them(seconds: int, words: str) -> None:
    """One figure and one unit are enough."""
    assert say_duration(seconds * 1_000_000) == words
