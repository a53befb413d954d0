"""Pictures: what they show is there when decoded, they are small, and the colour-blind can read them."""

from __future__ import annotations

import io
import itertools
from datetime import UTC
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageColor

from bot.activity import gather
from bot.charts import drawing
from bot.charts.bars import bars
from bot.charts.bursts import bursts_by_rule
from bot.charts.columns import columns
from bot.charts.drawing import GROUND, INK, MARK, NOTHING, SHADES, Picture
from bot.charts.heat import colours, heat_map
from bot.model import Level, Rule
from bot.times import DAY, HOUR, MINUTE, parse_time

END = parse_time("2026-11-23T12:00:00Z")
MONDAY = parse_time("2026-11-23T00:00:00Z")
SMALL = 60_000  # bytes


def pixels(picture: Picture) -> Any:
    """Return a picture's RGB values, having checked that it is a PNG of decent size that is not blank."""
    assert picture.png.startswith(b"\x89PNG")
    assert len(picture.png) < SMALL
    with Image.open(io.BytesIO(picture.png)) as decoded:
        decoded.load()
        rgb = np.asarray(decoded.convert("RGB")).astype(int)
    assert rgb.shape[0] > 100
    assert rgb.shape[1] >= 800
    assert len(np.unique(rgb.reshape(-1, 3), axis=0)) > 10
    return rgb


def box(rgb: Any, *of: str, least: int = 6) -> tuple[int, int, int, int]:
    """Return left, top, right and bottom of where some colours are, in lines that hold at least a few such pixels."""
    hit = np.zeros(rgb.shape[:2], bool)
    for colour in of:
        hit |= np.abs(rgb - np.array(ImageColor.getrgb(colour))).max(axis=2) <= 5
    xs, ys = (np.nonzero(hit.sum(axis=axis) >= least)[0] for axis in (0, 1))
    return int(xs.min()), int(ys.min()), int(xs.max()), int(ys.max())


@pytest.mark.slow
@pytest.mark.parametrize(("column", "hour", "hours"), [(29, 3, 2), (0, 23, 1)])
def test_the_episode_is_framed_where_it_was(column: int, hour: int, hours: int) -> None:
    """The frame stands around its own cells, and the busiest of them is the darkest."""
    first = MONDAY - (29 - column) * DAY + hour * HOUR
    events = [(first, 40), (END - 9 * DAY, 3), (END - 2 * DAY, 12)]
    picture = heat_map(gather(events, "eve", UTC, END, (first, first + (hours - 1) * HOUR + MINUTE)))
    rgb = pixels(picture)
    grid = rgb[: int(rgb.shape[0] * 0.85)]  # without the legend
    left, top, right, bottom = box(grid, NOTHING, *SHADES, least=150)
    wide, high = (right - left) / 30, (bottom - top) / 24
    x0, y0, x1, y1 = box(grid, MARK)
    assert (x0 + x1) / 2 == pytest.approx(left + (column + 0.5) * wide, abs=wide * 0.4)
    assert (y0 + y1) / 2 == pytest.approx(top + (hour + hours / 2) * high, abs=high * 0.4)
    assert y1 - y0 == pytest.approx(hours * high, abs=high * 0.5)
    dark = box(grid, SHADES[-1])
    assert (dark[0] + dark[2]) / 2 == pytest.approx(left + (column + 0.5) * wide, abs=wide * 0.4)
    assert (dark[1] + dark[3]) / 2 == pytest.approx(top + (hour + 0.5) * high, abs=high * 0.4)


@pytest.mark.slow
def test_without_an_episode_nothing_is_framed_and_nobody_is_fine_too() -> None:
    """An actor without events gives an empty map, not an error."""
    rgb = pixels(heat_map(gather([], "nobody", UTC, END)))
    assert not (np.abs(rgb - np.array(ImageColor.getrgb(MARK))).max(axis=2) <= 12).any()


def test_bars_are_as_long_as_their_counts() -> None:
    """Half as many events, half as long a bar; and the words name the first of them."""
    picture = bars([("a", 100), ("b", 50)], "Events by actor")
    rgb = pixels(picture)
    hit = np.abs(rgb - np.array(ImageColor.getrgb(drawing.BAR))).max(axis=2) <= 12
    lengths = [int(row.sum()) for row in hit if row.sum() > 20]
    assert min(lengths) / max(lengths) == pytest.approx(0.5, abs=0.02)
    assert picture.alt == "Events by actor: a 100, b 50."
    many = bars([(f"n{i}", 30 - i) for i in range(25)], "Events")
    assert many.alt.endswith(f"15 more with {sum(30 - i for i in range(5, 20))} together.")
    assert bars([], "Events").alt == "Events: nothing."


def test_columns_are_as_high_as_their_counts() -> None:
    """Hours say so, days say so; and an empty one is counted."""
    picture = columns([(END, 10), (END + HOUR, 0), (END + 2 * HOUR, 5)], UTC, "Events")
    rgb = pixels(picture)
    hit = np.abs(rgb - np.array(ImageColor.getrgb(drawing.BAR))).max(axis=2) <= 12
    heights = sorted({int(column.sum()) for column in hit.T if column.sum() > 20})
    assert heights[0] / heights[-1] == pytest.approx(0.5, abs=0.03)
    assert picture.alt == (
        "Events: 15 in 3 columns from Mon 23 Nov 12:00 to Mon 23 Nov 14:00 (UTC). Most: Mon 23 Nov 12:00, 10. Empty: 1."
    )
    assert columns([(END, 0)], UTC, "Events").alt == "Events: nothing."


@pytest.mark.slow
def test_bursts_are_counted_in_words() -> None:
    rows = [(Rule(str(i), f"Rule {i}", Level(i % 5)), [(END - n * DAY, END)] * 1 * i) for i in range(8) for n in (1,)]
    picture = bursts_by_rule(rows, (END - 28 * DAY, END), "4 weeks")
    pixels(picture)
    assert picture.alt.startswith("Bursts by rule, 4 weeks: 28 bursts of 7 rules. Rule 7 (medium) 7; Rule 6 (low) 6;")
    assert "2 more rules. Without bursts: 1 rule." in picture.alt


@pytest.mark.slow
def test_hostile_names_are_drawn_as_plain_text() -> None:
    """No formulas, no warnings about letters that the font lacks, no line ends, whatever the length."""
    name = "$x_1$ \\frac{ \u202e\u200b\n\x1b[31m漢字 " + "é" * 5_000
    pixels(heat_map(gather([(END, 1)], name, UTC, END)))
    pixels(bars([(name, 1)], name))


# -- colours ---------------------------------------------------------------------------------------------------------
# How colours look to people without one kind of cone (Machado, Oliveira, Fernandes 2009, severity 1), in linear RGB.
SIGHTS = {
    "all cones": np.eye(3),
    "no red": np.array([[0.152, 1.053, -0.205], [0.115, 0.786, 0.099], [-0.004, -0.048, 1.052]]),
    "no green": np.array([[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]]),
    "no blue": np.array([[1.256, -0.077, -0.179], [-0.078, 0.931, 0.148], [0.005, 0.691, 0.304]]),
    "grey only": np.tile([0.2126, 0.7152, 0.0722], (3, 1)),
}


def lab(colour: str, sight: str) -> Any:
    """Return how light (0 to 100) and of what hue a colour looks: CIE L*a*b*."""
    srgb = np.array(ImageColor.getrgb(colour)) / 255
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    seen = np.clip(SIGHTS[sight] @ linear, 0, 1)
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    x, y, z = np.cbrt(np.maximum(to_xyz @ seen / np.array([0.9505, 1, 1.089]), 0.0089))
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("sight", SIGHTS)
def test_more_events_are_darker_to_every_eye(sight: str) -> None:
    """Also where no colour is seen at all."""
    lightness = [lab(colour, sight)[0] for colour in (NOTHING, *SHADES)]
    assert all(a - b > 7 for a, b in itertools.pairwise(lightness))
    assert [colours(n) for n in (1, 2, 5)] == [(SHADES[4],), (SHADES[0], SHADES[4]), SHADES]


@pytest.mark.parametrize("sight", [sight for sight in SIGHTS if sight != "grey only"])
def test_levels_and_the_frame_are_told_apart_by_the_colour_blind(sight: str) -> None:
    pairs = [
        *itertools.combinations(drawing.LEVELS.values(), 2),
        *((MARK, shade) for shade in (*SHADES, NOTHING, GROUND)),
    ]
    assert min(np.linalg.norm(lab(a, sight) - lab(b, sight)) for a, b in pairs) > 12


@pytest.mark.parametrize("colour", [INK, drawing.FAINT])
def test_words_stand_out_from_the_ground(colour: str) -> None:
    """4.5 to 1, as WCAG asks of small print."""
    light, dark = ((lab(each, "all cones")[0] + 16) / 116 for each in (GROUND, colour))
    assert (light**3 + 0.05) / (dark**3 + 0.05) > 4.5
