"""Bars: the most frequent of something, the longest on top."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from bot.charts.drawing import BAR, FAINT, INK, Picture, drawable, headline, new_figure, quiet, render

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_BARS = 20
SAID = 5  # of them in words
WIDTH, ROW, MARGINS = 8.0, 0.28, 0.8  # inches
THICK = 0.66  # of a row
LONGEST_NAME = 44  # characters

Row = tuple[str, int]


def bars(rows: Sequence[Row], title: str) -> Picture:
    """Draw names with their counts, the order given; those beyond the twentieth are left out."""
    shown = rows[:MOST_BARS]
    return Picture(render(lambda: _figure(shown, title)), title, words(shown, title))


def words(rows: Sequence[Row], title: str) -> str:
    """Return what the bars show: the first few by name, and the others together."""
    if not rows:
        return f"{title}: nothing."
    named = ", ".join(f"{name} {count:,}" for name, count in rows[:SAID])
    rest = rows[SAID:]
    others = f"; {len(rest)} more with {sum(count for _, count in rest):,} together" if rest else ""
    return f"{title}: {named}{others}."


def _figure(rows: Sequence[Row], title: str) -> Figure:
    figure = new_figure(WIDTH, MARGINS + ROW * max(len(rows), 2))
    axes = figure.add_subplot()
    quiet(axes)
    headline(axes, title)
    places = range(len(rows))
    most = max((count for _, count in rows), default=0)
    axes.barh(places, [count for _, count in rows], THICK, color=BAR)
    axes.set_xlim(0, max(most, 1) * 1.12)
    axes.set_ylim(max(len(rows), 1) - 0.5, -0.5)
    axes.set_xticks([])
    axes.set_yticks(places, [drawable(name, LONGEST_NAME) for name, _ in rows], color=INK, parse_math=False)
    for place, (_, count) in zip(places, rows, strict=True):
        axes.annotate(
            f"{count:,}", (count, place), (4, 0), textcoords="offset points", fontsize=8, va="center", color=INK
        )
    if not rows:
        axes.text(0.5, 0.5, "Nothing", transform=axes.transAxes, ha="center", va="center", color=FAINT)
    return figure
