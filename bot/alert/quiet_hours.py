"""Quiet hours: when alerts of the lower levels wait, and until when. Pure; wall clocks in the team's zone."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, tzinfo

from bot.model import Level
from bot.times import EPOCH, WEEK

EVERY_DAY = frozenset(range(7))
MAY_WAIT = (Level.informational, Level.low, Level.medium)  # high and critical never do


@dataclass(frozen=True)
class QuietHours:
    """One span of the day, in minutes since midnight; one that ends no later than it begins ends the day after.

    `days` are those on which it begins, Monday is 0.
    """

    begins: int
    ends: int
    days: frozenset[int] = EVERY_DAY
    levels: frozenset[Level] = frozenset({Level.low, Level.medium})


def quiet_until(spans: Iterable[QuietHours], level: Level, now: int, zone: tzinfo) -> int | None:
    """Return when an alert of a level may be told, None where that is now. Spans that touch are one.

    Where the clock skips a span's end or has it twice, the first moment that may be called so counts.
    """
    mine = [span for span in spans if level in span.levels and level in MAY_WAIT]
    until = now
    while until - now < WEEK:  # spans that leave no time free at all hold nothing back for longer
        ends = [end for span in mine if (end := _end(span, until, zone)) is not None]
        if not ends:
            break
        until = max(ends)
    return until if until > now else None


def _end(span: QuietHours, now: int, zone: tzinfo) -> int | None:
    """Return when the span that a moment lies in ends, None where it lies in none."""
    today = _local(now, zone).date()
    for day in (today - timedelta(days=1), today):
        later = day + timedelta(days=span.ends <= span.begins)
        if day.weekday() in span.days and _at(day, span.begins, zone) <= now < (end := _at(later, span.ends, zone)):
            return end
    return None


def say_clock(moment: int, zone: tzinfo) -> str:
    """Return a moment as the team's wall clock has it: 07:00."""
    return f"{_local(moment, zone):%H:%M}"


def _local(moment: int, zone: tzinfo) -> datetime:
    return (EPOCH + timedelta(microseconds=moment)).astimezone(zone)


def _at(day: date, minutes: int, zone: tzinfo) -> int:
    day, minutes = day + timedelta(days=minutes // 1440), minutes % 1440
    wall = datetime.combine(day, time(minutes // 60, minutes % 60), zone)
    return (wall - EPOCH) // timedelta(microseconds=1)
