"""How busy somebody was by day and hour of the day, as counts and in words. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from functools import cached_property

from bot.times import EPOCH, MINUTE, parse_time

DAYS = 30
HOURS = 24
QUARTER = 15 * MINUTE  # every zone of today differs from UTC by a whole number of these
SHADES = 5  # steps of a heat map above nothing

Cell = tuple[date, int]  # a day and an hour of it, as the clocks of the zone say


@dataclass(frozen=True)
class Usual:
    """Some hours of the day on the days before: of so many `days` the actor was `active` on some, at these hours on
    `busy` ones, with so many `events`."""

    hours: int
    days: int
    active: int
    events: int
    busy: int


@dataclass(frozen=True)
class Activity:
    """Events of somebody on some days in a row. Times in microseconds.

    `counts` has a row of 24 hours for each of `days`. Where clocks go back, the hour that comes twice holds both.
    `episode` is the first and the last event of what is to be marked.
    """

    who: str
    zone: tzinfo
    days: tuple[date, ...]
    counts: tuple[tuple[int, ...], ...]
    episode: tuple[int, int] | None = None

    @property
    def total(self) -> int:
        """How many events there are."""
        return sum(map(sum, self.counts))

    @property
    def most(self) -> int:
        """The count of the busiest cell."""
        return max(map(max, self.counts))

    @property
    def active_days(self) -> int:
        """On how many days there is anything."""
        return sum(any(row) for row in self.counts)

    @property
    def by_hour(self) -> tuple[int, ...]:
        """The events of each hour of the day, all days together."""
        return tuple(map(sum, zip(*self.counts, strict=True)))

    @cached_property
    def marked(self) -> frozenset[Cell]:
        """The cells that the episode touches, as far as they are shown."""
        if self.episode is None:
            return frozenset()
        first, last = self.episode
        begin = max(first, start_of(self.days[0], self.zone))
        moments = [*range(begin, last, QUARTER), last]
        return frozenset(cell for moment in moments if (cell := cell_of(moment, self.zone))[0] in self.days)

    def count(self, cell: Cell) -> int:
        """Return the events of a cell."""
        day, hour = cell
        return self.counts[self.days.index(day)][hour]

    def words(self) -> str:
        """Return in words what a heat map of this shows."""
        first, last = self.days[0], self.days[-1]
        span = f"{first:%-d %b} to {last:%-d %b %Y}, {zone_name(self.zone)}"
        if not self.total:
            return f"Events of {self.who} by day and hour of the day, {span}: none."
        hour = max(range(HOURS), key=lambda each: self.by_hour[each])
        parts = [
            f"Events of {self.who} by day and hour of the day, {span}: {_many(self.total, 'event')} on"
            f" {self.active_days} of {len(self.days)} days.",
            f"Busiest hour of the day: {_hour(hour)}, {_many(self.by_hour[hour], 'event')}.",
        ]
        return " ".join([*parts, *self._episode_words()])

    def _episode_words(self) -> Iterable[str]:
        if self.episode is None or not self.marked:
            return
        first, last = (local(moment, self.zone) for moment in self.episode)
        until = "" if f"{first:%H:%M %j}" == f"{last:%H:%M %j}" else f" to {last:%H:%M}"
        if first.date() != last.date():
            until = f" to {last:%a %-d %b %H:%M}"
        inside, hours = sum(map(self.count, self.marked)), "these hours" if len(self.marked) > 1 else "this hour"
        yield f"Marked: {first:%a %-d %b %H:%M}{until}, {_many(inside, 'event')} in {hours}."
        yield self.usual_words()

    @cached_property
    def usual(self) -> Usual | None:
        """What happened at these hours of the day before the episode's first day, None where no such day is shown."""
        hours = {hour for _, hour in self.marked}
        begins = min(self.marked)[0] if self.marked else self.days[0]
        rows = [row for day, row in zip(self.days, self.counts, strict=True) if day < begins]
        at_hours = [sum(row[hour] for hour in hours) for row in rows]
        if not rows:
            return None
        return Usual(len(hours), len(rows), sum(map(any, rows)), sum(at_hours), sum(count > 0 for count in at_hours))

    def usual_words(self) -> str:
        """Return what is usual in the hours of the day that the episode touches."""
        usual = self.usual
        if usual is None:
            return "No earlier day is shown."
        found = f"{_many(usual.events, 'event')} on {_many(usual.busy, 'day')}" if usual.busy else "nothing"
        these = "these hours" if usual.hours > 1 else "this hour"
        return f"At {these} on the {_many(usual.days, 'day')} before: {found}."


def gather(
    counted: Iterable[tuple[int, int]], who: str, zone: tzinfo, end: int, episode: tuple[int, int] | None = None
) -> Activity:
    """Return the activity on the 30 days that end with the day of `end`, from (moment, events) of quarters of an hour.

    What lies outside of these days is left out.
    """
    days = shown_days(end, zone)
    cells: Counter[Cell] = Counter()
    for moment, events in counted:
        cells[cell_of(moment, zone)] += events
    rows = tuple(tuple(cells[day, hour] for hour in range(HOURS)) for day in days)
    return Activity(who, zone, days, rows, episode)


def shown_days(end: int, zone: tzinfo) -> tuple[date, ...]:
    """Return the 30 days that end with the day of `end` in the zone."""
    last = local(end, zone).date()
    return tuple(last - timedelta(days=back) for back in range(DAYS - 1, -1, -1))


def cell_of(moment: int, zone: tzinfo) -> Cell:
    """Return the day and hour of a moment as clocks in the zone show it."""
    found = local(moment, zone)
    return found.date(), found.hour


def start_of(day: date, zone: tzinfo) -> int:
    """Return the first moment of a day in the zone."""
    return parse_time(day.isoformat(), zone)


def local(moment: int, zone: tzinfo) -> datetime:
    """Return a moment as a time in the zone."""
    return (EPOCH + timedelta(microseconds=moment)).astimezone(zone)


def zone_name(zone: tzinfo) -> str:
    """Return how a zone is called: Europe/Berlin, UTC."""
    return "UTC" if zone is UTC else str(zone)


def shade_bounds(most: int) -> tuple[int, ...]:
    """Return the least count of each shade of a heat map, at most five: steps of equal ratio from 1 on."""
    return tuple(sorted({round(most ** (step / SHADES)) for step in range(SHADES)} | {1})) if most else ()


def shade(count: int, bounds: tuple[int, ...]) -> int:
    """Return the shade of a count: 0 for nothing, else 1 up to the number of bounds."""
    return sum(count >= bound for bound in bounds)


def shade_labels(bounds: tuple[int, ...], most: int) -> tuple[str, ...]:
    """Return which counts each shade stands for: 1, 2 to 3, 4 to 12."""
    tops = [*(bound - 1 for bound in bounds[1:]), most]
    return tuple(
        f"{least:,}" if least == top else f"{least:,} to {top:,}" for least, top in zip(bounds, tops, strict=False)
    )


def _hour(hour: int) -> str:
    return f"{hour:02}:00 to {hour:02}:59"


def _many(count: int, noun: str) -> str:
    return f"{count:,} {noun if count == 1 else noun + 's'}"
