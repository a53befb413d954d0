"""Says a condition of the /audit grammar as a Sigma filter."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from typing import Any

from bot.errors import ConfigError
from bot.query import Condition
from bot.query.tree import And, Compare, Flag, Match, Not, Or, Pattern, Within, Word, worth

Selection = dict[str, Any] | list[dict[str, Any]]  # a list: one of them holds

_OPERATORS = {">": "gt", ">=": "gte", "<": "lt", "<=": "lte"}
_SPECIAL = re.compile(r"([\\*?])")


def filter_block(condition: Condition, rules: Iterable[str]) -> dict[str, Any]:
    """Return the `filter:` block that leaves out, of these rules, the events that satisfy a condition.

    Raises ConfigError where the condition holds for events that have nothing of what it names: Sigma's filters leave
    out what they name, and never everything else.
    """
    if worth(condition, lambda _: False):
        raise ConfigError("it is true of everything but what it names, and a filter leaves out only what it names")
    selections: dict[str, Selection] = {}
    expression = _expression(condition, selections)
    return {"rules": list(rules), **selections, "condition": f"not {_grouped(expression)}"}


def _expression(condition: Condition, selections: dict[str, Selection]) -> str:
    """Return the condition over selections, which are put where they are collected."""
    selection = _selection(condition)
    if selection is not None:
        name = f"expected_{len(selections) + 1}"
        selections[name] = selection
        return name
    match condition:
        case And(parts):
            return " and ".join(_grouped(_expression(part, selections)) for part in parts)
        case Or(parts):
            return " or ".join(_grouped(_expression(part, selections)) for part in parts)
        case Not(Not(part)):
            return _expression(part, selections)
        case Not(part):
            return f"not {_grouped(_expression(part, selections))}"
        case _:
            raise TypeError(f"no selection for {condition!r}")


def _grouped(expression: str) -> str:
    return f"({expression})" if " " in expression else expression


def _selection(condition: Condition) -> Selection | None:
    """Return a condition as one selection, None where it takes several and a condition over them."""
    match condition:
        case Word(pattern):
            return [{"object": _text(pattern)}, {"actor": _text(pattern)}]
        case Match(field, patterns):
            return {field: _single([_text(pattern) for pattern in patterns])}
        case Within(networks):
            return {"ip|cidr": _single([str(network) for network in networks])}
        case Compare():
            return _comparison(condition)
        case Flag(field, value):
            return {field: value}
        case Or(parts):
            return _either([_selection(part) for part in parts])
        case And(parts):
            return _together([_selection(part) for part in parts])
        case Not():
            return None


def _either(parts: list[Selection | None]) -> Selection | None:
    found: list[dict[str, Any]] = []
    for part in parts:
        if part is None:
            return None
        found += part if isinstance(part, list) else [part]
    return found


def _together(parts: list[Selection | None]) -> Selection | None:
    """Return one mapping of all; a key can stand in it only once."""
    found: dict[str, Any] = {}
    for part in parts:
        if not isinstance(part, dict) or part.keys() & found.keys():
            return None
        found |= part
    return found


def _comparison(asked: Compare) -> Selection:
    if math.isinf(asked.number):
        return {f"{asked.field}|exists": True}
    number = int(asked.number) if asked.number.is_integer() else asked.number
    return {asked.field if asked.op == "=" else f"{asked.field}|{_OPERATORS[asked.op]}": number}


def _text(pattern: Pattern) -> str:
    return "*".join(_SPECIAL.sub(r"\\\1", part) for part in pattern.parts)


def _single(values: list[str]) -> str | list[str]:
    return values[0] if len(values) == 1 else values
