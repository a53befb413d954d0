"""Correlation blocks: read with pysigma's parsers into a plan, then bound to the rules that they name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import product
from typing import cast, get_args

import sigma.exceptions
from sigma.correlations import (
    CorrelationConditionAND,
    CorrelationConditionItem,
    CorrelationConditionNOT,
    SigmaCorrelationTimespan,
    SigmaExtendedCorrelationCondition,
    SigmaRuleReference,
)

from bot.detect.rules import CompiledRule, Correlation, CorrelationKind, Slot, Term
from bot.detect.sigma.detection import parse_with
from bot.fields import FIELDS
from bot.strict.readers import (
    optional,
    read_choice,
    read_field,
    read_names,
    read_table,
    read_text,
    read_text_field,
    read_truth,
    read_whole,
)
from bot.strict.report import Report, did_you_mean
from bot.strict.yaml_lines import Items, Node, Table, Text
from bot.times import SECOND

KINDS = get_args(CorrelationKind)
KEYS = ("type", "rules", "generate", "group-by", "timespan", "aliases", "condition")
OPERATORS = ("gte", "gt", "eq")
MAX_TIMESPAN = 366  # days
_BELOW = ("lt", "lte", "neq")
_MAX_RULES, _MAX_TERMS, _MAX_COUNT = 20, 500, 1_000_000
_UNSUPPORTED = ("value_sum", "value_avg", "value_percentile", "value_median")

Alternatives = list[tuple[frozenset[str], frozenset[str]]]  # names that must be there, names that must not


@dataclass(frozen=True)
class Plan:
    """A correlation block as read: rules by the names that it uses, each with its line."""

    kind: CorrelationKind
    rules: dict[str, int]
    generate: bool
    group_by: tuple[str, ...]
    counted: tuple[str, ...]
    timespan: int
    aliases: Mapping[str, Mapping[str, str]]  # alias -> rule as the block names it -> field
    least: int
    most: int | None
    terms: tuple[Term, ...]


@dataclass(frozen=True)
class _Threshold:
    least: int = 1
    most: int | None = None
    counted: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True)
class _Words:
    """The names that a block groups by and counts, each with its line, and its aliases."""

    group_by: Mapping[str, int]
    counted: Mapping[str, int]
    aliases: Mapping[str, Mapping[str, str]]

    def check(self, line: int, rules: Mapping[str, int], report: Report) -> None:
        """Check that every name is a field or an alias, and that every alias is one in each rule."""
        for name, place in self.group_by.items():
            if name not in self.aliases:
                read_text_field(name, place, report, "group-by")
        for name, place in self.counted.items():
            if name not in self.aliases:
                read_field(name, place, report, "condition")
        for alias, mapping in self.aliases.items():
            self._check_alias(alias, mapping, line, rules, report)

    def _check_alias(
        self, alias: str, mapping: Mapping[str, str], line: int, rules: Mapping[str, int], report: Report
    ) -> None:
        for rule in mapping:
            if rule not in rules:
                report.error(line, f"the alias {alias!r} names {rule!r}, not in rules", did_you_mean(rule, rules))
        lacking = [rule for rule in rules if rule not in mapping]
        if lacking and alias not in FIELDS:
            report.error(
                line, f"the alias {alias!r} says nothing for {', '.join(lacking)}", "name a field for each rule"
            )
            return
        if alias not in self.group_by and alias not in self.counted:
            report.error(line, f"the alias {alias!r} is not used", "in group-by, or as the field of the condition")
        kinds = {FIELDS[mapping.get(rule, alias)].kind for rule in rules}
        if len(kinds) > 1 or (alias in self.group_by and kinds != {"text"}):
            report.error(
                line, f"the alias {alias!r} stands for fields that do not compare", "use fields that hold text"
            )


def read_plan(node: Node, report: Report) -> Plan | None:
    """Return the plan of a `correlation:` block, None after telling what is wrong with it."""
    before = len(report.problems)
    block = read_table(node, report, "correlation", KEYS)
    if block is None:
        return None
    for key in ("type", "timespan"):
        if key not in block.entries:
            report.error(block.line, f"the correlation has no {key}")
    kind = cast(CorrelationKind | None, optional(block, "type", _read_kind, report))
    timespan = optional(block, "timespan", _read_timespan, report)
    generate = optional(block, "generate", read_truth, report) or False
    group_by = optional(block, "group-by", read_names, report) or []
    aliases = optional(block, "aliases", _read_aliases, report) or {}
    if kind is None:
        return None
    rules, threshold, terms = _read_logic(block, kind, report)
    words = _Words(dict(group_by), dict(threshold.counted), aliases)
    words.check(block.line_of("aliases"), rules, report)
    if timespan is None or len(report.problems) > before:
        return None
    places = {name: place for place, name in enumerate(rules)}
    bound = tuple(Term(*(tuple(sorted(places[name] for name in side)) for side in term)) for term in terms)
    limits = threshold.least, threshold.most
    return Plan(kind, rules, generate, tuple(words.group_by), tuple(words.counted), timespan, aliases, *limits, bound)


def bind(plan: Plan, rules: Mapping[str, CompiledRule]) -> Correlation:
    """Return the correlation with the rules that the plan names."""
    slots = []
    for name in plan.rules:
        fields = {alias: mapping[name] for alias, mapping in plan.aliases.items() if name in mapping}
        group_by = tuple(fields.get(word, word) for word in plan.group_by)
        slots.append(Slot(rules[name], group_by, tuple(fields.get(word, word) for word in plan.counted)))
    return Correlation(plan.kind, tuple(slots), plan.group_by, plan.timespan, plan.least, plan.most, plan.terms)


def _read_kind(node: Node, report: Report, what: str) -> str | None:
    if isinstance(node, Text) and node.text in _UNSUPPORTED:
        report.error(node.line, f"{node.text} adds up numbers, which events do not have", f"one of {', '.join(KINDS)}")
        return None
    return read_choice(node, report, f"correlation {what}", KINDS)


def _read_timespan(node: Node, report: Report, what: str) -> int | None:
    text = read_text(node, report, what)
    if text is None:
        return None
    try:
        seconds = SigmaCorrelationTimespan(text).seconds if len(text) < 10 else None
    except sigma.exceptions.SigmaTimespanError:
        seconds = None
    if seconds is None:
        report.error(node.line, f"{text!r} is no timespan", "like 90s, 10m, 24h, 7d or 2w")
    elif seconds > MAX_TIMESPAN * 86400:
        report.error(node.line, f"the timespan {text} is too long", f"at most {MAX_TIMESPAN}d")
        return None
    return seconds * SECOND if seconds is not None else None


def _read_logic(block: Table, kind: CorrelationKind, report: Report) -> tuple[dict[str, int], _Threshold, Alternatives]:
    """Return the rules in the order that counts, and either a threshold or the alternatives of a boolean condition."""
    rules, condition = dict(optional(block, "rules", read_names, report) or []), block.get("condition")
    if isinstance(condition, Text) and kind.startswith("temporal"):
        terms, rules = _read_terms(condition, rules, report)
        _check_rules(block, kind, rules, report)
        return rules, _Threshold(), terms
    _check_rules(block, kind, rules, report)
    return rules, _read_threshold(block, kind, len(rules), report) or _Threshold(), []


def _check_rules(block: Table, kind: str, names: Mapping[str, int], report: Report) -> None:
    if not names:
        report.error(block.line_of("rules"), "the correlation names no rules", "rules: [name of a rule]")
    elif kind.startswith("temporal") and len(names) < 2:
        report.error(block.line_of("rules"), f"{kind} needs two rules or more", "event_count counts one")
    elif len(names) > _MAX_RULES:
        report.error(block.line_of("rules"), f"the correlation names {len(names)} rules", f"at most {_MAX_RULES}")


def _read_threshold(block: Table, kind: CorrelationKind, rules: int, report: Report) -> _Threshold | None:
    """Return what the condition `{operator: count, field: name}` says; temporal ones may leave it out."""
    node = block.get("condition")
    if node is None and kind.startswith("temporal"):
        return _Threshold(rules, None, ())
    example = "like condition: {field: object, gte: 10}" if kind == "value_count" else "like condition: {gte: 10}"
    if node is None or isinstance(node, Text | Items):
        report.error(block.line_of("condition"), f"{kind} has no condition of the form {{gte: number}}", example)
        return None
    for operator in _BELOW:
        if operator in node.entries:
            line = node.line_of(operator)
            report.error(
                line, f"{operator}: a correlation cannot find too few events", "the silence detector does that"
            )
            return None
    table = read_table(node, report, "condition", (*OPERATORS, "field"))
    operators = [operator for operator in OPERATORS if operator in node.entries]
    if table is None or len(operators) != 1:
        report.error(node.line, f"the condition needs one of {', '.join(OPERATORS)}", example)
        return None
    count = read_whole(node.entries[operators[0]], report, operators[0], 0 if operators[0] == "gt" else 1, _MAX_COUNT)
    counted = tuple(optional(node, "field", read_names, report) or ())
    if (kind == "value_count") != bool(counted):
        text = "value_count needs the field whose values count" if kind == "value_count" else f"{kind} counts no field"
        report.error(node.line_of("field"), text, example)
    if count is None:
        return None
    least = count + 1 if operators[0] == "gt" else count
    _check_reach(node, kind, operators[0], least, rules, report)
    return _Threshold(least, count if operators[0] == "eq" else None, counted)


def _check_reach(node: Table, kind: str, operator: str, least: int, rules: int, report: Report) -> None:
    if kind.startswith("temporal") and least > rules:
        report.error(node.line, f"{least} different rules can never come together", f"it names {rules}")
    if kind == "temporal_ordered" and operator == "eq":
        report.error(node.line_of("eq"), "temporal_ordered cannot ask for an exact number", "write gte")


def _read_terms(node: Text, names: dict[str, int], report: Report) -> tuple[Alternatives, dict[str, int]]:
    """Return the alternatives of a boolean condition, and the rules in the order that counts."""
    parsed = parse_with(lambda: SigmaExtendedCorrelationCondition(node.text), node.line, node.text, report)
    if parsed is None:
        return [], names
    used = parsed.get_referenced_rules()
    names = names or dict.fromkeys(used, node.line)
    for name in used:
        if name not in names:
            report.error(node.line, f"the condition names {name!r}, which is not in rules", did_you_mean(name, names))
    for name, line in names.items():
        if name not in used:
            report.error(line, f"the rule {name!r} is not used in the condition", f"it is {node.text!r}")
    if len(used) > _MAX_RULES or not set(used) <= set(names):
        return [], names
    try:
        terms = _alternatives(parsed.parsed, negated=False)
    except OverflowError:
        report.error(node.line, f"the condition has more than {_MAX_TERMS} alternatives", "make two rules of it")
        return [], names
    if not any(present for present, _ in terms):
        report.error(node.line, f"the condition {node.text!r} asks for no event at all", "like a and not b")
    return terms, names


def _alternatives(tree: CorrelationConditionItem | SigmaRuleReference, *, negated: bool) -> Alternatives:
    """Return a boolean expression as a list of alternatives (disjunctive normal form), contradictions left out."""
    if isinstance(tree, SigmaRuleReference):
        one, none = frozenset((tree.reference,)), frozenset[str]()
        return [(none, one) if negated else (one, none)]
    if isinstance(tree, CorrelationConditionNOT):
        return _alternatives(tree.args[0], negated=not negated)
    parts = [_alternatives(part, negated=negated) for part in tree.args]
    if isinstance(tree, CorrelationConditionAND) == negated:
        return _limited(term for part in parts for term in part)
    found: Alternatives = [(frozenset(), frozenset())]
    for part in parts:
        joined = ((left[0] | right[0], left[1] | right[1]) for left, right in product(found, part))
        found = _limited(term for term in joined if not term[0] & term[1])
    return found


def _limited(terms: Iterable[tuple[frozenset[str], frozenset[str]]]) -> Alternatives:
    found = list(dict.fromkeys(terms))
    if len(found) > _MAX_TERMS:
        raise OverflowError
    return found


def _read_aliases(node: Node, report: Report, what: str) -> dict[str, dict[str, str]]:
    if not isinstance(node, Table):
        report.error(node.line, f"{what} is not a mapping", "like aliases: {who: {rule_a: actor, rule_b: object}}")
        return {}
    aliases: dict[str, dict[str, str]] = {}
    for alias, mapping in node.entries.items():
        if not isinstance(mapping, Table) or not mapping.entries:
            report.error(node.line_of(alias), f"the alias {alias!r} is not a mapping", "of rules to fields")
            continue
        aliases[alias] = {}
        for rule, value in mapping.entries.items():
            field = read_text(value, report, f"alias {alias}")
            if field is not None and read_field(field, value.line, report, f"alias {alias}"):
                aliases[alias][rule] = field
    return aliases
