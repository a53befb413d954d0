"""The heat map: somebody's events by day and hour of the day, an episode framed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from bot.activity import HOURS, Activity, Cell, shade, shade_bounds, shade_labels, zone_name
from bot.charts.drawing import (
    FAINT,
    GROUND,
    INK,
    MARK,
    NOTHING,
    SHADES,
    Picture,
    drawable,
    headline,
    new_figure,
    quiet,
    render,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH, HEIGHT = 9.0, 5.2  # inches
GAP, FRAME = 1.0, 2.2  # points: between cells, around an episode


def heat_map(activity: Activity) -> Picture:
    """Draw the days from left to right and the hours from top to bottom."""
    title = f"{activity.who}: events by hour, the last {len(activity.days)} days"
    return Picture(render(lambda: _figure(activity)), title, activity.words())


def _figure(activity: Activity) -> Figure:
    figure = new_figure(WIDTH, HEIGHT)
    axes = figure.add_subplot()
    quiet(axes)
    events = f"{activity.total:,} {'event' if activity.total == 1 else 'events'}"
    headline(axes, f"{drawable(activity.who, 60)}: {events} in {len(activity.days)} days")
    bounds = shade_bounds(activity.most)
    _cells(axes, activity, bounds)
    _frame(axes, activity)
    _axes(axes, activity)
    _legend(figure, activity, bounds)
    return figure


def _cells(axes: Axes, activity: Activity, bounds: tuple[int, ...]) -> None:
    from matplotlib.colors import ListedColormap

    palette = (NOTHING, *colours(len(bounds)))
    shades = [[shade(row[hour], bounds) for row in activity.counts] for hour in range(HOURS)]
    edges = [[place - 0.5 for place in range(number + 1)] for number in (len(activity.days), HOURS)]
    axes.pcolormesh(
        *edges, shades, cmap=ListedColormap(palette), vmin=-0.5, vmax=len(palette) - 0.5, edgecolors=GROUND,
        linewidth=GAP,
    )  # fmt: skip
    axes.set_xlim(-0.8, len(activity.days) - 0.2)
    axes.set_ylim(HOURS - 0.3, -0.7)


def colours(number: int) -> tuple[str, ...]:
    """Return so many shades, evenly out of all."""
    last = len(SHADES) - 1
    return tuple(SHADES[last if number == 1 else round(place * last / (number - 1))] for place in range(number))


def _frame(axes: Axes, activity: Activity) -> None:
    """Draw a line around the cells of the episode, hours that follow each other in one frame."""
    from matplotlib.patches import Rectangle

    for column, first, last in _runs(activity):
        box = Rectangle(
            (column - 0.5, first - 0.5), 1, last - first + 1, fill=False, edgecolor=MARK, linewidth=FRAME, zorder=3
        )
        axes.add_patch(box)


def _runs(activity: Activity) -> Iterable[tuple[int, int, int]]:
    """Yield column, first and last hour of each stretch of marked hours of a day."""
    marked: frozenset[Cell] = activity.marked
    for column, day in enumerate(activity.days):
        hours = [hour for hour in range(HOURS) if (day, hour) in marked]
        begins = [hour for hour in hours if hour - 1 not in hours]
        ends = [hour for hour in hours if hour + 1 not in hours]
        for begin, end in zip(begins, ends, strict=True):
            yield column, begin, end


def _axes(axes: Axes, activity: Activity) -> None:
    mondays = [column for column, day in enumerate(activity.days) if day.weekday() == 0]
    axes.set_xticks(mondays, [f"{activity.days[column]:%a\n%-d %b}" for column in mondays])
    hours = range(0, HOURS, 3)
    axes.set_yticks(hours, [f"{hour:02}:00" for hour in hours])
    axes.set_xlabel(
        f"Each column is a day, each row an hour, {drawable(zone_name(activity.zone))}",
        fontsize=8,
        color=FAINT,
        loc="left",
    )


def _legend(figure: Figure, activity: Activity, bounds: tuple[int, ...]) -> None:
    from matplotlib.patches import Patch

    patches = [Patch(facecolor=NOTHING, label="none")]
    labels = shade_labels(bounds, activity.most)
    patches += [
        Patch(facecolor=colour, label=label) for colour, label in zip(colours(len(bounds)), labels, strict=True)
    ]
    if activity.marked:
        patches.append(Patch(facecolor=GROUND, edgecolor=MARK, linewidth=FRAME, label="this episode"))
    figure.legend(
        handles=patches, loc="outside lower left", ncols=len(patches), fontsize=8, frameon=False, labelcolor=INK,
        title="Events in the hour", title_fontsize=8, alignment="left", handlelength=1.2, columnspacing=1.2,
    )  # fmt: skip
