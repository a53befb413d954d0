"""Facts that hang on an event's moment, type or address alone, decided over columns: once for each distinct value."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from bot.fields import OF_ADDRESS, FactSettings
from bot.query.tree import Compare, Flag, Match
from bot.store.log.blocks import Ints, Part
from bot.store.schema import Connection
from bot.times import MINUTE, parse_time

Mask = NDArray[np.bool_]
Fact = Compare | Flag | Match
Value = str | int | bool | None
QUARTER = 15 * MINUTE  # since 2000 no zone changes its offset within one, and no work begins or ends
_SINCE = parse_time("2000-01-01")
_COMPARED: Mapping[str, Callable[[float, float], bool]] = {
    ">": operator.gt, ">=": operator.ge, "<": operator.lt, "<=": operator.le, "=": operator.eq,
}  # fmt: skip


def decided(connection: Connection, term: Fact, facts: FactSettings) -> Callable[[Part], Mask] | None:
    """Return what decides a term over columns, None where its fact hangs on more than one column."""
    of_moment: dict[str, Callable[[int], Value]] = {
        "hour": facts.hour, "weekday": facts.weekday, "off_hours": facts.off_hours,
    }  # fmt: skip
    if term.field in of_moment:
        ask = of_moment[term.field]
        return lambda part: _by_moment(part["time"], lambda moment: _holds(term, ask(moment)))
    if term.field == "type_sensitive":
        fit = _names(connection, "types", lambda name: _holds(term, facts.type_sensitive(name)))
        return lambda part: fit[part["type"]]
    if term.field in OF_ADDRESS:
        fit = _names(connection, "addresses", lambda name: _holds(term, facts.of_address(term.field, name)))
        return lambda part: fit[part["ip"]]
    return None


def _holds(term: Fact, value: Value) -> bool:
    """Tell whether a fact's value is what a term asks for; what is missing never is."""
    match term:
        case Compare(_, op, number):
            return isinstance(value, int) and _COMPARED[op](value, number)
        case Flag(_, wanted):
            return value is wanted
        case Match(_, patterns):
            return isinstance(value, str) and any(pattern.matches(value) for pattern in patterns)


def _by_moment(times: Ints, ask: Callable[[int], bool]) -> Mask:
    unit = QUARTER if len(times) and times.min() >= _SINCE else 1
    moments, place = np.unique(times // unit, return_inverse=True)
    return np.array([ask(moment * unit) for moment in moments.tolist()], dtype=np.bool_)[place]


def _names(connection: Connection, table: str, ask: Callable[[str], bool]) -> Mask:
    """Return by dictionary id whether a name fits; the last cell is for -1, no name."""
    rows = connection.execute(f"SELECT id, CAST(name AS BLOB) FROM {table}").fetchall()
    fit = np.zeros(max((number for number, _ in rows), default=0) + 2, dtype=np.bool_)
    for number, name in rows:
        fit[number] = ask(name.decode("utf-8", "surrogatepass"))
    return fit
