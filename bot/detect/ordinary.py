"""Events of which nothing is known, or nothing that anybody named: what a condition says of them, it says of most."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from bot.detect.columns import BoolColumn, Column, Columns, NumberColumn, encode
from bot.detect.conditions import Condition, View
from bot.fields import FIELDS

UNHEARD = "\u241f"  # a text that no rule names


def columns(*events: Mapping[str, str]) -> Columns:
    """Return events that have these texts; all else is unknown."""
    rows = np.arange(len(events))
    return Columns(rows, rows, {name: _column(name, events) for name in FIELDS if name != "time"})


def narrows(condition: Condition) -> bool:
    """Tell whether a filter's condition leaves out events both with nothing that it names and with nothing at all."""
    unheard = {name: UNHEARD for name, field in FIELDS.items() if field.kind == "text"}
    return not View(columns(unheard, {})).mask(condition).any()


def _column(name: str, events: tuple[Mapping[str, str], ...]) -> Column:
    kind = FIELDS[name].kind
    if kind == "bool":
        return BoolColumn(np.full(len(events), -1, dtype=np.int8))
    if kind == "number":
        return NumberColumn(np.full(len(events), np.nan))
    return encode([event.get(name) for event in events])
