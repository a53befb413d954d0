"""One line of a selection, `field|modifiers: values`, checked and compiled."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import sigma.exceptions
from sigma.modifiers import modifier_mapping
from sigma.rule import SigmaDetectionItem
from sigma.types import (
    CompareOperators,
    SigmaBool,
    SigmaCasedString,
    SigmaCIDRExpression,
    SigmaCompareExpression,
    SigmaExists,
    SigmaFieldReference,
    SigmaNull,
    SigmaNumber,
    SigmaRegularExpression,
    SigmaRegularExpressionFlag,
    SigmaString,
    SigmaType,
    SpecialChars,
)

from bot.detect.columns import Columns, encode
from bot.detect.conditions import (
    BoolTest,
    Condition,
    How,
    MissingTest,
    Negation,
    NetworkTest,
    NumberTest,
    Order,
    SameTest,
    TextTest,
    View,
    WildcardTest,
    compile_regex,
    read_network,
)
from bot.fields import FIELDS, Field
from bot.strict.readers import read_field
from bot.strict.report import Report, did_you_mean
from bot.strict.yaml_lines import Items, Node, Text, Value

PLACES = ("contains", "startswith", "endswith")
FLAGS = ("i", "ignorecase", "m", "multiline", "s", "dotall")
ORDERS = ("lt", "lte", "gt", "gte")
# What each leading modifier goes together with; "" stands for a plain comparison.
TOGETHER: dict[str, tuple[str, ...]] = {
    "": (*PLACES, "cased", "all", "neq"),
    "re": (*FLAGS, "all", "neq"),
    "cidr": ("all", "neq"),
    "fieldref": (*PLACES, "neq"),
    "exists": ("neq",),
    **dict.fromkeys(ORDERS, ("neq",)),
}
LEADING = {"text": ("", "re", "cidr", "fieldref", "exists"), "number": ("", *ORDERS, "fieldref", "exists")}
MODIFIERS = tuple(dict.fromkeys([*TOGETHER, *(name for names in TOGETHER.values() for name in names)]))[1:]

_HOW: dict[tuple[bool, bool], How] = {
    (False, False): "equals",
    (True, True): "contains",
    (True, False): "startswith",
    (False, True): "endswith",
}
_ORDER: dict[CompareOperators, Order] = {
    CompareOperators.LT: "lt",
    CompareOperators.LTE: "lte",
    CompareOperators.GT: "gt",
    CompareOperators.GTE: "gte",
}
_FLAG = {
    SigmaRegularExpressionFlag.IGNORECASE: "i",
    SigmaRegularExpressionFlag.MULTILINE: "m",
    SigmaRegularExpressionFlag.DOTALL: "s",
}
_MAX_REGEX = 1_000


def read_item(key: str, line: int, node: Node, report: Report) -> SigmaDetectionItem | None:
    """Return pysigma's form of one line of a selection, None after telling what is wrong with it."""
    name, *modifiers = key.split("|")
    if not name:
        report.error(line, f"{key!r} names no field, and events have no keywords", "write field|contains: value")
        return None
    if not read_field(name, line, report, "detection") or not _check_modifiers(FIELDS[name], modifiers, line, report):
        return None
    nodes = node.items if isinstance(node, Items) else [node]
    if not nodes:
        report.error(line, f"{key} has an empty list of values", "null stands for no value")
        return None
    before = len(report.problems)
    values = [_read_value(FIELDS[name], modifiers, item, report) for item in nodes]
    if len(report.problems) > before:
        return None
    try:
        item = SigmaDetectionItem.from_mapping(key, list(values))
        for value, place, said in zip(item.value, nodes, values, strict=True):
            _check_value(FIELDS[name], modifiers, value, str(said), report, place.line)
    except sigma.exceptions.SigmaError as error:
        report.error(line, f"{key}: {error.args[0]}")
        return None
    return item


def _check_modifiers(field: Field, modifiers: Sequence[str], line: int, report: Report) -> bool:
    for modifier in modifiers:
        if modifier not in MODIFIERS:
            known = modifier in modifier_mapping
            text = f"the modifier {modifier!r} does not fit this log" if known else f"unknown modifier {modifier!r}"
            report.error(line, text, _instead(modifier) or did_you_mean(modifier, MODIFIERS))
            return False
    leading = [modifier for modifier in modifiers if modifier in TOGETHER] or [""]
    fit = LEADING.get(field.kind, ("", "fieldref", "exists"))
    for lead in leading:
        if lead not in fit:
            plain = PLACES if field.kind == "text" else ()
            hint = f"what applies: {', '.join([*plain, *fit[1:]])}"
            report.error(line, f"{field.name} is a {field.kind}, and {lead} does not apply to it", hint)
            return False
    others = [modifier for modifier in modifiers if modifier != leading[0]]
    wrong = [modifier for modifier in others if modifier not in TOGETHER[leading[0]]]
    if field.kind != "text":
        wrong += [modifier for modifier in others if modifier in (*PLACES, "cased")]
    places = [modifier for modifier in modifiers if modifier in PLACES]
    if wrong or len(places) > 1 or len(set(modifiers)) < len(modifiers):
        report.error(
            line, f"the modifiers {'|'.join(modifiers)} do not go together on {field.name}", _advice(leading[0])
        )
        return False
    return True


def _instead(modifier: str) -> str:
    times = ("minute", "hour", "day", "week", "month", "year")
    return "the fields hour, weekday and off_hours say when" if modifier in times else ""


def _advice(leading: str) -> str:
    return "in a regex, ^ and $ say where" if leading == "re" else ""


def _read_value(field: Field, modifiers: Sequence[str], node: Node, report: Report) -> Value:
    """Return a value as pysigma wants it: of the field's kind, a truth after `exists`, a name after `fieldref`."""
    if not isinstance(node, Text):
        report.error(node.line, f"{field.name} is compared with a list or a mapping", "write one value, or a flat list")
        return None
    kind = "bool" if "exists" in modifiers else "text" if "fieldref" in modifiers else field.kind
    if node.is_null:
        if set(modifiers) - {"neq", "all"}:
            report.error(
                node.line, f"{'|'.join(modifiers)} cannot be asked of no value", "write a value, or field: null"
            )
        return None
    value: Value = {"bool": node.truth, "number": node.number}.get(kind, lambda: node.text)()
    if value is None:
        wanted = "true or false, without quotes" if kind == "bool" else "a number, without quotes"
        report.error(node.line, f"{field.name} is compared with {node.text!r}", f"write {wanted}")
    elif value == "" and set(modifiers) & {*PLACES, "re"}:
        report.error(node.line, f"{'|'.join(modifiers)} of an empty text is true of everything")
    elif "re" in modifiers:
        _check_regex(node.text, node.line, report)
    return value


def _check_value(
    field: Field, modifiers: Sequence[str], value: SigmaType, said: str, report: Report, line: int
) -> None:
    """Tell of a value that can never match, or that everything matches."""
    if isinstance(value, SigmaFieldReference):
        _check_reference(field, value.field, line, report)
        return
    test = compile_value(field.name, value)
    if isinstance(test, WildcardTest) and set(modifiers) & set(PLACES) and set(test.pieces) == {None}:
        report.error(line, f"{'|'.join(modifiers)} of * is true of everything")
    if field.values and isinstance(test, TextTest | WildcardTest):
        none = np.zeros(len(field.values), dtype=np.int64)
        if not test.decide(View(Columns(none, none, {field.name: encode(field.values)}))).any():
            report.error(line, f"{field.name} is never {said!r}", did_you_mean(said, field.values))


def _check_reference(field: Field, other: str, line: int, report: Report) -> None:
    if not read_field(other, line, report, "fieldref"):
        return
    if other == field.name or FIELDS[other].kind != field.kind:
        kinds = f"{field.name} is a {field.kind}, {other} a {FIELDS[other].kind}"
        report.error(line, f"{field.name} cannot be compared with {other}", "" if other == field.name else kinds)


def _check_regex(pattern: str, line: int, report: Report) -> None:
    if len(pattern) > _MAX_REGEX:
        report.error(line, f"the regex has {len(pattern):,} characters", f"at most {_MAX_REGEX:,}")
        return
    try:
        compile_regex(pattern)
    except ValueError as error:
        report.error(
            line, f"RE2 does not take the regex {pattern!r}: {error}", "it has no look-around, no back-references"
        )


def compile_value(field: str, value: SigmaType) -> Condition:
    """Return the test of a field against one of pysigma's values."""
    if isinstance(value, SigmaString):
        return _compile_text(field, value)
    if isinstance(value, SigmaRegularExpression):
        return TextTest(field, "regex", _regex(value), cased=True)
    if isinstance(value, SigmaExists):
        missing = MissingTest(field)
        return Negation(missing) if value.exists else missing
    if isinstance(value, SigmaNull):
        return MissingTest(field)
    if isinstance(value, SigmaFieldReference):
        return SameTest(field, _HOW[value.starts_with, value.ends_with], value.field)
    return _compile_other(field, value)


def _compile_other(field: str, value: SigmaType) -> Condition:
    if isinstance(value, SigmaBool):
        return BoolTest(field, value.boolean)
    if isinstance(value, SigmaNumber):
        return NumberTest(field, "equals", float(value.number))
    if isinstance(value, SigmaCompareExpression):
        return NumberTest(field, _ORDER[value.op], float(value.number.number))
    network = read_network(value.cidr) if isinstance(value, SigmaCIDRExpression) else None
    if network is None:
        raise TypeError(f"no test for {value!r}")
    return NetworkTest(field, network)


def _compile_text(field: str, value: SigmaString) -> Condition:
    """Return the cheapest test that says the same as a text with wildcards."""
    cased, parts = isinstance(value, SigmaCasedString), list(value.s)
    many = SpecialChars.WILDCARD_MULTI
    before, after = bool(parts) and parts[0] == many, len(parts) > 1 and parts[-1] == many
    inner = parts[before : len(parts) - after]
    if len(inner) == 1 and isinstance(inner[0], str):
        how: How = _HOW[after, before] if before != after else _HOW[before, after]
        return TextTest(field, how, inner[0], cased)
    if not parts:
        return TextTest(field, "equals", "", cased)
    pieces = (part if isinstance(part, str) else None if part == many else "" for part in parts)
    return WildcardTest(field, tuple(pieces), cased)


def _regex(value: SigmaRegularExpression) -> str:
    flags = "".join(sorted(_FLAG[flag] for flag in value.flags))
    return f"(?{flags}){value.regexp}" if flags else str(value.regexp)
