"""Columns over time: how many events each hour or day has, empty ones too."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import tzinfo
from typing import TYPE_CHECKING

from bot.activity import local, zone_name
from bot.charts.drawing import BAR, FAINT, LINE, Picture, drawable, headline, new_figure, quiet, render
from bot.times import DAY

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WIDTH, HEIGHT = 9.0, 3.4  # inches
THICK = 0.8  # of a column's room
TICKS = 8

Bucket = tuple[int, int]  # the moment at which it begins, in microseconds, and its events


def columns(buckets: Sequence[Bucket], zone: tzinfo, title: str) -> Picture:
    """Draw buckets of time, the oldest at the left."""
    return Picture(render(lambda: _figure(buckets, zone, title)), title, words(buckets, zone, title))


def words(buckets: Sequence[Bucket], zone: tzinfo, title: str) -> str:
    """Return what the columns show: the sum, the highest, how many are empty."""
    total = sum(count for _, count in buckets)
    if not total:
        return f"{title}: nothing."
    start, most = max(buckets, key=lambda bucket: bucket[1])
    empty = sum(not count for _, count in buckets)
    return (
        f"{title}: {total:,} in {len(buckets)} columns from {_say(buckets, buckets[0][0], zone)} to"
        f" {_say(buckets, buckets[-1][0], zone)} ({zone_name(zone)}). Most: {_say(buckets, start, zone)}, {most:,}."
        f" Empty: {empty}."
    )


def _figure(buckets: Sequence[Bucket], zone: tzinfo, title: str) -> Figure:
    from matplotlib.ticker import MaxNLocator

    figure = new_figure(WIDTH, HEIGHT)
    axes = figure.add_subplot()
    quiet(axes)
    headline(axes, title)
    places = range(len(buckets))
    axes.bar(places, [count for _, count in buckets], THICK, color=BAR, zorder=2)
    axes.set_xlim(-0.6, max(len(buckets), 1) - 0.4)
    axes.set_ylim(0, max([count for _, count in buckets] or [0]) * 1.05 or 1)
    axes.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.grid(axis="y", color=LINE, linewidth=0.6)
    shown = places[:: max(1, -(-len(buckets) // TICKS))]
    labels = (_say(buckets, buckets[place][0], zone).split(" ") for place in shown)
    axes.set_xticks(shown, [" ".join(words[:3]) + "\n" * (len(words) > 3) + "".join(words[3:]) for words in labels])
    axes.set_xlabel(drawable(zone_name(zone)), fontsize=8, color=FAINT, loc="left")
    return figure


def _say(buckets: Sequence[Bucket], start: int, zone: tzinfo) -> str:
    """Return when a bucket begins: the day, and the hour where buckets are shorter than a day."""
    short = len(buckets) > 1 and buckets[1][0] - buckets[0][0] < DAY // 2
    return f"{local(start, zone):%a %-d %b %H:%M}" if short else f"{local(start, zone):%a %-d %b}"
