"""The heat map as text: a line a day, a mark an hour, the episode in brackets."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from bot.activity import HOURS, Activity, shade, shade_bounds, shade_labels

SHADES, PLAIN_SHADES = "·▁▂▄▆█", ".:-=+#"  # the second for terminals that know only ASCII
DAY_WIDTH = 11
FOLDED = 3  # days in a row without anything become one line from so many on


def heat_lines(activity: Activity, shades: str | None = None) -> Iterator[str]:
    """Yield the lines of the map: hours from left to right, days from top to bottom, their events at the end."""
    shades = shades or (SHADES if "utf" in (sys.stdout.encoding or "").lower() else PLAIN_SHADES)
    bounds = shade_bounds(activity.most)
    yield " " * DAY_WIDTH + "".join(f" {hour:02}   " for hour in range(0, HOURS, 3)).rstrip()
    empty: list[int] = []
    for place, row in enumerate(activity.counts):
        if not any(row) and not _is_marked(activity, place):
            empty.append(place)
            continue
        yield from _quiet(activity, empty, shades)
        empty = []
        yield _line(activity, place, shades, bounds)
    yield from _quiet(activity, empty, shades)
    yield " " * DAY_WIDTH + " " + _legend(activity, shades, bounds)


def _line(activity: Activity, place: int, shades: str, bounds: tuple[int, ...]) -> str:
    day, row = activity.days[place], activity.counts[place]
    marked = [(day, hour) in activity.marked for hour in range(HOURS)]
    cells = []
    for hour, count in enumerate(row):
        before = hour > 0 and marked[hour - 1]
        edge = "[" if marked[hour] and not before else "]" if before and not marked[hour] else " "
        cells.append(edge + shades[shade(count, bounds)])
    end = "]" if marked[-1] else " "
    return f"{day:%a %e %b} ".ljust(DAY_WIDTH) + "".join(cells) + end + (f"{sum(row):>7,}" if any(row) else "")


def _quiet(activity: Activity, places: list[int], shades: str) -> Iterator[str]:
    """Yield days without anything: each, or one line for many."""
    if len(places) < FOLDED:
        for place in places:
            yield _line(activity, place, shades, ()).rstrip()
    else:
        yield f"{' ' * DAY_WIDTH} ({len(places)} days without an event)"


def _is_marked(activity: Activity, place: int) -> bool:
    return any(day == activity.days[place] for day, _ in activity.marked)


def _legend(activity: Activity, shades: str, bounds: tuple[int, ...]) -> str:
    steps = [f"{shades[0]} none"]
    steps += [f"{shades[n]} {label}" for n, label in enumerate(shade_labels(bounds, activity.most), 1)]
    return "  ".join([*steps, *["[ ] here"] * bool(activity.marked)])
