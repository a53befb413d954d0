"""Detections: selections and their condition, read with pysigma, to conditions on events."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import accumulate
from typing import TypeVar, cast

import sigma.exceptions
from sigma.conditions import (
    ConditionAND,
    ConditionFieldEqualsValueExpression,
    ConditionIdentifier,
    ConditionItem,
    ConditionNOT,
    ConditionOR,
    ConditionSelector,
    SigmaCondition,
)
from sigma.rule import SigmaDetection, SigmaDetectionItem, SigmaDetections

from bot.detect.conditions import AnyOf, Condition, Every, Negation
from bot.detect.sigma.items import compile_value, read_item
from bot.strict.readers import read_text
from bot.strict.report import Report, did_you_mean
from bot.strict.yaml_lines import Items, Node, Table

Parsed = TypeVar("Parsed")

_NAME = re.compile(r"[A-Za-z0-9_-]+\Z", re.ASCII)
_RESERVED = ("not", "and", "or", "of", "them", "all", "any", "1")
_MAX_CONDITION, _MAX_DEPTH = 2_000, 20
_SPACES = re.compile(r"\s+")
_POSITION = re.compile(r",?\s*\((?:at char \d+|line:\d+, col:\d+)\)")


@dataclass(frozen=True)
class Detection:
    """A condition on events; `idle` is its answer to an event that no selection matches."""

    condition: Condition
    idle: bool


def read_detection(table: Table, report: Report, what: str, other_keys: tuple[str, ...] = ()) -> Detection | None:
    """Return the condition of a `detection:` or `filter:` mapping, None after telling what is wrong with it."""
    before = len(report.problems)
    selections: dict[str, SigmaDetection | None] = {}
    for name, node in table.entries.items():
        if name == "condition" or name in other_keys:
            continue
        if not _NAME.match(name) or name in _RESERVED:
            report.error(table.line_of(name), f"{name!r} cannot name a selection", "letters, digits, _ and -")
        selections[name] = _read_selection(node, report, f"{what} {name}")
    condition = table.get("condition")
    if condition is None:
        report.error(table.line, f"{what} has no condition", "like condition: selection")
    if not selections:
        report.error(table.line, f"{what} has no selection", "like selection: {action: DELETE}")
    if condition is None or not selections:
        return None
    tree = _read_condition(condition, selections, report)
    if tree is None or len(report.problems) > before:
        return None
    known = {name: selection for name, selection in selections.items() if selection is not None}
    detections = SigmaDetections(known, ["unused"])
    idle = _idle(tree)  # before the tree's names give way to what they stand for
    return Detection(_compile(tree.postprocess(detections)), idle)


def _read_selection(node: Node, report: Report, what: str) -> SigmaDetection | None:
    if isinstance(node, Table) and node.entries:
        items = [read_item(key, node.line_of(key), value, report) for key, value in node.entries.items()]
        return _joined(items)
    if isinstance(node, Items) and node.items and all(isinstance(item, Table) for item in node.items):
        return _joined([_read_selection(item, report, what) for item in node.items])
    if isinstance(node, Table):
        report.error(node.line, f"{what} is empty")
    else:
        report.error(node.line, f"{what} searches keywords, which events do not have", "write field: value pairs")
    return None


def _joined(parts: Iterable[SigmaDetectionItem | SigmaDetection | None]) -> SigmaDetection | None:
    known = [part for part in parts if part is not None]
    return SigmaDetection(known) if known else None


def _read_condition(node: Node, selections: Iterable[str], report: Report) -> ConditionItem | None:
    """Return the condition's tree, once every name in it is a selection and every selection is in it."""
    selections = list(selections)
    if isinstance(node, Items):
        report.error(node.line, "condition is a list", "write one condition, joined with or")
        return None
    text = read_text(node, report, "condition")
    if text is None:
        return None
    tree: ConditionItem | None = parse_with(lambda: _parse(text), node.line, text, report)
    if tree is None:
        return None
    used: set[str] = set()
    for leaf in _leaves(tree):
        named = _selected(leaf, selections)
        if not named:
            said = f"{leaf.args[0]} of {leaf.args[1]}" if isinstance(leaf, ConditionSelector) else leaf.args[0]
            report.error(
                node.line, f"the condition names no selection with {said!r}", did_you_mean(str(said), selections)
            )
        used.update(named)
    for name in selections:
        if name not in used:
            report.error(node.line, f"the selection {name!r} is not used in the condition", f"it is {text!r}")
    return tree


def parse_with(parse: Callable[[], Parsed], line: int, text: str, report: Report) -> Parsed | None:
    """Return what pysigma's parser makes of a condition, None after telling why it cannot be read."""
    if len(text) > _MAX_CONDITION:
        report.error(line, f"the condition has {len(text):,} characters", f"at most {_MAX_CONDITION:,}")
        return None
    if _depth(text) > _MAX_DEPTH or "not not not" in _SPACES.sub(" ", text):
        report.error(line, "the condition is nested too deeply", "give its parts selections of their own")
        return None
    try:
        return parse()
    except sigma.exceptions.SigmaError as error:
        reason = _POSITION.sub("", str(error.args[0]).removeprefix("Failed to parse extended condition expression: "))
        shouted = re.search(r"\b(AND|OR|NOT|OF)\b", text)
        hint = f"write {shouted[1].lower()} in small letters" if shouted else "like selection and not 1 of usual_*"
        report.error(line, f"cannot read the condition {text!r}: {reason}", hint)
    return None


def _depth(text: str) -> int:
    return max(accumulate((char == "(") - (char == ")") for char in text), default=0)


def _parse(text: str) -> ConditionItem:
    # pysigma wants the detections only to fill the tree, which comes later.
    return cast(ConditionItem, SigmaCondition(text, cast(SigmaDetections, None)).parse(postprocess=False))


def _leaves(tree: ConditionItem) -> Iterator[ConditionIdentifier | ConditionSelector]:
    if isinstance(tree, ConditionIdentifier | ConditionSelector):
        yield tree
        return
    for part in tree.args:
        yield from _leaves(cast(ConditionItem, part))


def _selected(leaf: ConditionIdentifier | ConditionSelector, selections: list[str]) -> list[str]:
    if isinstance(leaf, ConditionIdentifier):
        return [leaf.identifier] if leaf.identifier in selections else []
    pattern = ".*" if leaf.pattern == "them" else leaf.pattern.replace("*", ".*")
    # As pysigma does it: names that begin with _ are meant only by patterns that do.
    return [
        name
        for name in selections
        if re.fullmatch(pattern, name) and (leaf.pattern.startswith("_") or not name.startswith("_"))
    ]


def _idle(tree: ConditionItem) -> bool:
    """Return the condition's answer where every selection says no."""
    if isinstance(tree, ConditionIdentifier | ConditionSelector):
        return False
    parts = [_idle(cast(ConditionItem, part)) for part in tree.args]
    if isinstance(tree, ConditionNOT):
        return not parts[0]
    return all(parts) if isinstance(tree, ConditionAND) else any(parts)


def _compile(tree: object) -> Condition:
    if isinstance(tree, ConditionFieldEqualsValueExpression):
        return compile_value(tree.field, tree.value)
    if not isinstance(tree, ConditionAND | ConditionOR | ConditionNOT):
        raise TypeError(f"no condition on a field: {tree!r}")
    parts = tuple(_compile(part) for part in tree.args)
    if isinstance(tree, ConditionNOT):
        return Negation(parts[0])
    return Every(parts) if isinstance(tree, ConditionAND) else AnyOf(parts)
