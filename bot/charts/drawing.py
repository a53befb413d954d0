"""What all pictures share: colours, letters, and the way from a figure to a small PNG."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from bot.model import Level

if TYPE_CHECKING:  # matplotlib takes half a second to import: only who draws waits for it
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# An opaque light ground reads well inside a dark page too. That the colour-blind tell these apart is held by a test.
GROUND, INK, FAINT, LINE = "#f6f7f9", "#1f2933", "#5b6672", "#dde1e7"
BAR = "#2f6db3"
MARK = "#d1480b"
NOTHING = "#e9ecf0"
SHADES = ("#b9d3ec", "#86b3de", "#4f8ac6", "#2460a5", "#0a3468")  # of a heat map, from little to much
LEVELS = {
    Level.informational: "#7f8c8d",
    Level.low: "#3b82c4",
    Level.medium: "#d9a400",
    Level.high: "#e0641e",
    Level.critical: "#8e0e34",
}
DPI = 100
COLOURS = 192  # of a finished picture: anti-aliased letters need some
_DRAWING = threading.Lock()  # matplotlib promises nothing to several threads


@dataclass(frozen=True)
class Picture:
    """A PNG, a title of one line, and in words what it shows, for whoever cannot see it."""

    png: bytes
    title: str
    alt: str


def render(draw: Callable[[], Figure]) -> bytes:
    """Return as a PNG of few colours what a function draws."""
    from PIL import Image

    with _DRAWING:
        figure = draw()
        figure.set_facecolor(GROUND)
        raw = io.BytesIO()
        figure.savefig(raw, format="png", dpi=DPI, facecolor=GROUND)
    small = io.BytesIO()
    with Image.open(raw) as picture:
        picture.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE).save(small, "PNG", optimize=True)
    return small.getvalue()


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure of so many inches, belonging to no window and no global state."""
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    return Figure(figsize=(width, height), layout=ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.08))


def quiet(axes: Axes) -> None:
    """Take away what only distracts: the frame and the ticks' strokes."""
    axes.set_facecolor(GROUND)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0, labelsize=8, colors=FAINT)


def headline(axes: Axes, text: str) -> None:
    """Say above everything what is shown."""
    axes.set_title(drawable(text), loc="left", fontsize=10, color=INK, parse_math=False)


def drawable(text: str, longest: int = 120) -> str:
    """Return text with a box for each letter that the font has not, or that is no letter at all, cut when too long."""
    known = _letters()
    shown = "".join(one if ord(one) in known and one.isprintable() else "\N{WHITE SQUARE}" for one in text)
    return shown if len(shown) <= longest else shown[: longest - 1].rstrip() + "…"


@cache
def _letters() -> frozenset[int]:
    from matplotlib.font_manager import findfont, get_font

    return frozenset(get_font(findfont("DejaVu Sans")).get_charmap())
