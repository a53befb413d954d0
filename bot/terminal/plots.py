"""Pictures for files: the timeline of bursts by rule; matplotlib's home."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bot.errors import ConfigError
from bot.model import Level, Rule
from bot.times import HOUR

if TYPE_CHECKING:  # matplotlib takes half a second to import: only who draws waits for it
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Span = tuple[int, int]  # the first and the last event of a burst, in microseconds
Row = tuple[Rule, Sequence[Span]]

COLOURS = {
    Level.informational: "#7f8c8d",
    Level.low: "#3b82c4",
    Level.medium: "#d9a400",
    Level.high: "#e0641e",
    Level.critical: "#b3123f",
}
# What a tick says at each unit (years, months, days, hours, minutes, seconds), and where the unit begins anew.
TICKS = ("%Y", "%b", "%d %b", "%H:%M", "%H:%M", "%H:%M:%S")
TICKS_AT_ZERO = ("", "%b\n%Y", "%d %b", "%d %b", "%H:%M", "%H:%M")
MOST_ROWS = 50
LONGEST_TITLE = 58  # characters
WIDTH, ROW_HEIGHT, MARGINS = 13.0, 0.27, 1.35  # inches
DPI = 100
THINNEST = 1 / 450  # of the axis: a burst of a moment has to be seen too
BAR = 0.62  # of a row's height


def check_target(target: Path | None) -> None:
    """Refuse, before any work, a target that cannot become a picture. Raises ConfigError."""
    if target is None:
        return
    if target.suffix.lower() != ".png":
        raise ConfigError(f"{target} is no PNG file: give --plot a name like out.png.")
    if not target.parent.is_dir():
        raise ConfigError(f"{target}: there is no folder {target.parent}.")


def plot(target: Path, rows: Iterable[Row], span: Span, title: str) -> None:
    """Write a PNG with a line for each rule that has bursts in a span, the worst and then the busiest on top.

    Raises ConfigError where the file cannot be written.
    """
    some = list(rows)
    fired = sorted((row for row in some if row[1]), key=lambda row: (-row[0].level, -len(row[1]), row[0].title))
    shown = fired[:MOST_ROWS]
    more = f"{len(fired) - MOST_ROWS} more rules are left out. " if len(fired) > MOST_ROWS else ""
    silent = len(some) - len(fired)
    note = more + (f"Without bursts: {silent} {'rule' if silent == 1 else 'rules'}." if silent else "")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing", UserWarning)  # a box will do, for letters of rare scripts
        figure = _figure(shown, span, title, note)
        try:
            figure.savefig(target, format="png", dpi=DPI)
        except OSError as error:
            raise ConfigError(f"{target}: {error.strerror}. Give --plot a file that you can write to.") from error


def _figure(rows: Sequence[Row], span: Span, title: str, note: str) -> Figure:
    from matplotlib.figure import Figure  # not pyplot: no global state, no window
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    height = MARGINS + ROW_HEIGHT * max(len(rows), 3)
    figure = Figure(figsize=(WIDTH, height), layout=ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.08))
    axes = figure.add_subplot()
    axes.set_title(title, loc="left", fontsize=10, parse_math=False)
    _time_axis(axes, [span, *(burst for _, spans in rows for burst in spans)])
    for place, (rule, spans) in enumerate(rows):
        _row(axes, place, rule, spans)
    _labels(axes, rows)
    if rows:
        _legend(figure, rows)
    else:
        axes.text(0.5, 0.5, "No bursts", transform=axes.transAxes, ha="center", va="center", color="#666666")
    axes.set_xlabel(f"UTC. {note}", fontsize=8, color="#555555", loc="left")
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
    axes.tick_params(axis="x", labelsize=8)
    axes.grid(axis="x", color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)


def _dates(times: Sequence[int]) -> tuple[float, ...]:
    from matplotlib.dates import date2num

    days = date2num(np.array(times, dtype="datetime64[us]"))  # type: ignore[no-untyped-call]  # has no types
    return tuple(days.tolist())


def _row(axes: Axes, place: int, rule: Rule, spans: Sequence[Span]) -> None:
    """Draw the bursts of one rule; those of a shadow rule are lighter, in a hatched lane."""
    colour = COLOURS[rule.level]
    left, right = axes.get_xlim()
    least = (right - left) * THINNEST
    bars = [(begin, max(end - begin, least)) for begin, end in zip(*map(_dates, zip(*spans, strict=True)), strict=True)]
    if rule.shadow:
        lane = [(left, right - left)]
        axes.broken_barh(lane, (place - 0.5, 1), facecolor="none", edgecolor="#e4e4e4", hatch="////", linewidth=0)
    axes.broken_barh(
        bars, (place - BAR / 2, BAR), facecolor=colour, alpha=0.4 if rule.shadow else 0.8, edgecolor=colour,
        linewidth=0.4,
    )  # fmt: skip


def _labels(axes: Axes, rows: Sequence[Row]) -> None:
    """Name each line at its left, and say at its right how many bursts it has."""
    axes.set_ylim(max(len(rows), 1) - 0.5, -0.5)
    places = range(len(rows))
    titles = [_short(rule.title) + (" (shadow)" if rule.shadow else "") for rule, _ in rows]
    axes.set_yticks(places, titles, fontsize=8, parse_math=False)
    for label, (rule, _) in zip(axes.get_yticklabels(), rows, strict=True):
        label.set_color("#777777" if rule.shadow else "#222222")
    for place, (_, spans) in enumerate(rows):
        axes.annotate(
            f"{len(spans):,}", (1, place), (4, 0), ("axes fraction", "data"), textcoords="offset points",
            fontsize=8, va="center", color="#444444", annotation_clip=False,
        )  # fmt: skip
    axes.tick_params(axis="y", length=0)
    axes.spines[["top", "right", "left"]].set_visible(False)


def _legend(figure: Figure, rows: Sequence[Row]) -> None:
    from matplotlib.patches import Patch

    levels = sorted({rule.level for rule, _ in rows}, reverse=True)
    patches = [Patch(facecolor=COLOURS[level], label=level.name) for level in levels]
    if any(rule.shadow for rule, _ in rows):
        patches.append(Patch(facecolor="none", edgecolor="#bbbbbb", hatch="////", label="shadow: never posted"))
    figure.legend(handles=patches, loc="outside upper right", ncols=len(patches), fontsize=8, frameon=False)


def _short(title: str) -> str:
    return title if len(title) <= LONGEST_TITLE else title[: LONGEST_TITLE - 1].rstrip() + "…"
