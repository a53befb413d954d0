"""Figures as JSON, as a table for the docs, and as pictures of how they grow."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Figure:
    """One measured thing: `name` at `size` events, in `unit`; `limit` is what it must not exceed, None: no limit.

    `value` is the median of `runs`, `spread` half the distance from least to greatest as a share of it. `cpu` is the
    median of the CPU time, in the same unit where that is a time.
    """

    name: str
    size: int
    value: float
    unit: str
    limit: float | None = None
    cpu: float | None = None
    spread: float = 0.0
    runs: int = 1
    note: str = ""
    least: bool = False  # the limit is what it must reach
    details: Mapping[str, Any] = field(default_factory=dict)

    @property
    def verdict(self) -> str:
        if self.limit is None:
            return ""
        good = self.value >= self.limit if self.least else self.value <= self.limit
        return "reached" if good else "missed"


def save(folder: Path, machine: Mapping[str, Any], figures: Iterable[Figure]) -> None:
    """Write results.json; figures measured before at other sizes, or of other names, stay."""
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / "results.json"
    before = json.loads(target.read_text()) if target.exists() else {"figures": []}
    fresh = [asdict(figure) for figure in figures]
    keys = {(one["name"], one["size"]) for one in fresh}
    kept = [one for one in before["figures"] if (one["name"], one["size"]) not in keys]
    whole = {"machine": dict(machine), "figures": [*kept, *fresh]}
    target.write_text(json.dumps(whole, indent=1) + "\n")


def read(folder: Path) -> list[Figure]:
    return [Figure(**one) for one in json.loads((folder / "results.json").read_text())["figures"]]


def table(figures: Iterable[Figure]) -> str:
    """Return a Markdown table."""
    lines = ["| what | events | measured | CPU | spread | target | |", "|---|---|---|---|---|---|---|"]
    for one in figures:
        target = "" if one.limit is None else f"{'at least' if one.least else 'at most'} {one.limit:,g} {one.unit}"
        cpu = "" if one.cpu is None else f"{one.cpu:,.3g}"
        spread = "one run" if one.runs == 1 else f"±{one.spread:.0%} of {one.runs}" if one.spread else f"of {one.runs}"
        value = f"{one.value:,.3g}" if one.value < 1000 else f"{one.value:,.0f}"
        note = f"{one.name} ({one.note})" if one.note else one.name
        lines.append(f"| {note} | {one.size:,} | {value} {one.unit} | {cpu} | {spread} | {target} | {one.verdict} |")
    return "\n".join(lines)


def draw(folder: Path, figures: Iterable[Figure]) -> Path:
    """Draw every figure that was measured at more than one size against the size, n log n beside it."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt
    import numpy as np

    by_name: dict[str, list[Figure]] = {}
    for one in figures:
        by_name.setdefault(one.name, []).append(one)
    grown = {name: sorted(some, key=lambda one: one.size) for name, some in by_name.items() if len(some) > 1}
    columns = 3
    rows = max(1, -(-len(grown) // columns))
    chart, axes = plt.subplots(rows, columns, figsize=(4 * columns, 3 * rows), squeeze=False, layout="constrained")
    for axis in axes.flat[len(grown) :]:
        axis.axis("off")
    for axis, (name, some) in zip(axes.flat, grown.items(), strict=False):
        sizes, values = np.array([one.size for one in some]), np.array([one.value for one in some])
        axis.plot(sizes, values, "o-", color="#1f77b4", label="measured")
        if some[0].unit in ("s", "ms"):
            shape = sizes * np.log(sizes)
            axis.plot(sizes, values[0] * shape / shape[0], ":", color="gray", label="n log n")
        if some[0].limit is not None:
            axis.plot([one.size for one in some], [one.limit or np.nan for one in some], "_", color="#d62728", ms=14,
                      label="target")  # fmt: skip
        axis.set(xscale="log", yscale="log", title=name, xlabel="events", ylabel=some[0].unit)
        axis.legend(fontsize=7)
    target = folder / "growth.png"
    chart.savefig(target, dpi=100)
    plt.close(chart)
    return target
