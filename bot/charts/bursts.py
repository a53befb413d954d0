"""The timeline of bursts by rule: a line a rule, a bar a burst."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from bot.charts.drawing import FAINT, INK, LEVELS, LINE, Picture, drawable, headline, new_figure, quiet, render
from bot.model import Rule
from bot.times import HOUR

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Span = tuple[int, int]  # the first and the last event of a burst, in microseconds
Row = tuple[Rule, Sequence[Span]]

# What a tick says at each unit (years, months, days, hours, minutes, seconds), and where the unit begins anew.
TICKS = ("%Y", "%b", "%d %b", "%H:%M", "%H:%M", "%H:%M:%S")
TICKS_AT_ZERO = ("", "%b\n%Y", "%d %b", "%d %b", "%H:%M", "%H:%M")
MOST_ROWS = 50
LONGEST_TITLE = 58  # characters
WIDTH, ROW_HEIGHT, MARGINS = 13.0, 0.27, 1.35  # inches
SAID = 5  # rules in words
THINNEST = 1 / 450  # of the axis: a burst of a moment has to be seen too
BAR = 0.62  # of a row's height


def bursts_by_rule(rows: Iterable[Row], span: Span, title: str) -> Picture:
    """Draw a line for each rule that has bursts in a span, the worst and then the busiest on top."""
    some = list(rows)
    fired = sorted((row for row in some if row[1]), key=lambda row: (-row[0].level, -len(row[1]), row[0].title))
    shown = fired[:MOST_ROWS]
    note = _note(len(fired) - len(shown), len(some) - len(fired))
    return Picture(render(lambda: _figure(shown, span, title, note)), title, words(fired, title, note))


def words(fired: Sequence[Row], title: str, note: str = "") -> str:
    """Return what the picture shows: how many bursts in all, and which rules have most."""
    if not fired:
        return f"Bursts by rule, {title}: none. {note}".rstrip()
    total = sum(len(spans) for _, spans in fired)
    busiest = sorted(fired, key=lambda row: (-len(row[1]), row[0].title))[:SAID]
    named = "; ".join(f"{rule.title} ({rule.level.name}) {len(spans):,}" for rule, spans in busiest)
    rest = fired[SAID:]
    others = f"; {len(rest)} more rules" if rest else ""
    counts = f"{total:,} {'burst' if total == 1 else 'bursts'} of {len(fired)} {'rule' if len(fired) == 1 else 'rules'}"
    return f"Bursts by rule, {title}: {counts}. {named}{others}. {note}".rstrip()


def _note(left_out: int, silent: int) -> str:
    more = f"{left_out} more rules are left out. " if left_out else ""
    return more + (f"Without bursts: {silent} {'rule' if silent == 1 else 'rules'}." if silent else "")


def _figure(rows: Sequence[Row], span: Span, title: str, note: str) -> Figure:
    figure = new_figure(WIDTH, MARGINS + ROW_HEIGHT * max(len(rows), 3))
    axes = figure.add_subplot()
    quiet(axes)
    headline(axes, title)
    _time_axis(axes, [span, *(burst for _, spans in rows for burst in spans)])
    for place, (rule, spans) in enumerate(rows):
        _row(axes, place, rule, spans)
    _labels(axes, rows)
    if rows:
        _legend(figure, rows)
    else:
        axes.text(0.5, 0.5, "No bursts", transform=axes.transAxes, ha="center", va="center", color=FAINT)
    axes.set_xlabel(f"UTC. {note}", fontsize=8, color=FAINT, loc="left")
    return figure


def _time_axis(axes: Axes, spans: Sequence[Span]) -> None:
    from datetime import UTC

    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    first, last = min(span[0] for span in spans), max(span[1] for span in spans)
    edge = max((last - first) // 100, HOUR)
    axes.set_xlim(*_dates([first - edge, last + edge]))
    locator = AutoDateLocator(tz=UTC, minticks=6, maxticks=14)  # type: ignore[no-untyped-call]  # has no types
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(
        ConciseDateFormatter(locator, UTC, TICKS, zero_formats=TICKS_AT_ZERO, show_offset=False)  # type: ignore[no-untyped-call]  # has no types
    )
    axes.grid(axis="x", color=LINE, linewidth=0.6)
    axes.set_axisbelow(True)


def _dates(times: Sequence[int]) -> tuple[float, ...]:
    from matplotlib.dates import date2num

    days = date2num(np.array(times, dtype="datetime64[us]"))  # type: ignore[no-untyped-call]  # has no types
    return tuple(days.tolist())


def _row(axes: Axes, place: int, rule: Rule, spans: Sequence[Span]) -> None:
    """Draw the bursts of one rule; those of a shadow rule are lighter, in a hatched lane."""
    colour = LEVELS[rule.level]
    left, right = axes.get_xlim()
    least = (right - left) * THINNEST
    bars = [(begin, max(end - begin, least)) for begin, end in zip(*map(_dates, zip(*spans, strict=True)), strict=True)]
    if rule.shadow:
        lane = [(left, right - left)]
        axes.broken_barh(lane, (place - 0.5, 1), facecolor="none", edgecolor=LINE, hatch="////", linewidth=0)
    axes.broken_barh(
        bars, (place - BAR / 2, BAR), facecolor=colour, alpha=0.4 if rule.shadow else 0.8, edgecolor=colour,
        linewidth=0.4,
    )  # fmt: skip


def _labels(axes: Axes, rows: Sequence[Row]) -> None:
    """Name each line at its left, and say at its right how many bursts it has."""
    axes.set_ylim(max(len(rows), 1) - 0.5, -0.5)
    places = range(len(rows))
    titles = [drawable(rule.title, LONGEST_TITLE) + (" (shadow)" if rule.shadow else "") for rule, _ in rows]
    axes.set_yticks(places, titles, fontsize=8, parse_math=False)
    for label, (rule, _) in zip(axes.get_yticklabels(), rows, strict=True):
        label.set_color(FAINT if rule.shadow else INK)
    for place, (_, spans) in enumerate(rows):
        axes.annotate(
            f"{len(spans):,}", (1, place), (4, 0), ("axes fraction", "data"), textcoords="offset points",
            fontsize=8, va="center", color=INK, annotation_clip=False,
        )  # fmt: skip


def _legend(figure: Figure, rows: Sequence[Row]) -> None:
    from matplotlib.patches import Patch

    levels = sorted({rule.level for rule, _ in rows}, reverse=True)
    patches = [Patch(facecolor=LEVELS[level], label=level.name) for level in levels]
    if any(rule.shadow for rule, _ in rows):
        patches.append(Patch(facecolor="none", edgecolor="#bbbbbb", hatch="////", label="shadow: never posted"))
    figure.legend(
        handles=patches, loc="outside upper right", ncols=len(patches), fontsize=8, frameon=False, labelcolor=INK
    )
