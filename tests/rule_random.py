"""Random events and random rules for tests: as columns, as data, and as rule files."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any
from uuid import UUID

import numpy as np
import yaml

from bot.detect.columns import BoolColumn, Column, Columns, NumberColumn, encode
from bot.detect.rules import RuleSet
from bot.detect.sigma.load import load_rules
from bot.times import HOUR, SECOND

Event = Mapping[str, Any]  # id, time, and each field with a value or None
Group = tuple[tuple[str, str], ...]
Tree = tuple[Any, ...]  # ("name", x), ("not", tree), ("and", trees...), ("or", trees...), ("of", quantifier, pattern)

VALUES: dict[str, tuple[Any, ...]] = {
    "action": ("CREATE", "UPDATE", "DELETE"),
    "actor": ("eve@example.com", "bob@example.com", "ci_key", "svc-1", None),
    "ip": ("10.0.0.1", "10.0.1.7", "192.168.3.4", "2001:db8::1", "2001:db9::1", None),
    "object": ("svc-1", "svc-2", "a%b", "a*b", "SVC_3", "bob@example.com"),
    "type": ("SERVICE", "API_KEY", "PERSONAL_API_KEY"),
    "weekday": ("mon", "tue", "wed", None),
    "hour": (0, 3, 12, 23, None),
    "actor_age_days": (0.0, 0.5, 14.0, 400.25, None),
    "actor_new": (True, False, None),
    "type_sensitive": (True, False),
}
TEXTS = ("action", "actor", "ip", "object", "type")
NUMBERS = ("hour", "actor_age_days")
BOOLS = ("actor_new", "type_sensitive")


def random_events(rnd: Random, most: int = 40, horizon: int = 200) -> list[Event]:
    """Return events sorted by (time, id), whole seconds apart, with ties."""
    times = sorted(rnd.randint(0, horizon) for _ in range(rnd.randint(0, most)))
    return [
        {"id": number, "time": at * SECOND, **{name: rnd.choice(values) for name, values in VALUES.items()}}
        for number, at in enumerate(times)
    ]


def as_columns(events: Sequence[Event]) -> Columns:
    """Return events in the form that matching takes."""
    fields: dict[str, Column] = {name: encode(event[name] for event in events) for name in (*TEXTS, "weekday")}
    for name in NUMBERS:
        numbers = [np.nan if event[name] is None else float(event[name]) for event in events]
        fields[name] = NumberColumn(np.array(numbers, dtype=np.float64))
    for name in BOOLS:
        truths = [-1 if event[name] is None else int(event[name]) for event in events]
        fields[name] = BoolColumn(np.array(truths, dtype=np.int8))
    ids, times = ([event[key] for event in events] for key in ("id", "time"))
    return Columns(np.array(ids, dtype=np.int64), np.array(times, dtype=np.int64), fields)


@dataclass(frozen=True)
class Item:
    """One line of a selection: `field|modifiers: values`."""

    field: str
    modifiers: tuple[str, ...]
    values: tuple[Any, ...]

    @property
    def key(self) -> str:
        return "|".join((self.field, *self.modifiers))


@dataclass(frozen=True)
class Plain:
    """A plain rule."""

    name: str
    selections: Mapping[str, tuple[Item, ...]]
    condition: Tree
    per: tuple[str, ...] = ()
    quiet: int = HOUR


@dataclass(frozen=True)
class Correlated:
    """A correlation over rules; `aliases` says for each rule what the words of `group_by` and `counted` stand for."""

    name: str
    kind: str
    rules: tuple[Spec, ...]
    group_by: tuple[str, ...]
    timespan: int
    operator: str = "gte"
    number: int = 1
    counted: tuple[str, ...] = ()
    expression: Tree = ()
    aliases: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


Spec = Plain | Correlated


@dataclass(frozen=True)
class Allowed:
    """What random rules may use: the oracle knows less than the bot."""

    negated_windows: bool = True
    many_counted: bool = True
    depth: int = 2
    same_groups: bool = False
    counted_chains: bool = True


def random_item(rnd: Random) -> Item:
    """Return a random line of a selection."""
    name = rnd.choice((*TEXTS, *TEXTS, "weekday", *NUMBERS, *BOOLS))
    value = rnd.choice(VALUES[name])
    negated = ("neq",) if rnd.random() < 0.15 else ()
    if rnd.random() < 0.1:
        return Item(name, ("exists",), (rnd.random() < 0.5,))
    if value is None or name in BOOLS or name == "weekday":
        return Item(name, negated, (value,))
    if name in NUMBERS:
        return Item(name, (*rnd.choice(((), ("lt",), ("lte",), ("gt",), ("gte",))), *negated), (value,))
    return _random_text_item(rnd, name, str(value), negated)


def _random_text_item(rnd: Random, name: str, value: str, negated: tuple[str, ...]) -> Item:
    how = rnd.choice(("equals", "equals", "place", "place", "cased", "list", "all", "re", "cidr", "fieldref", "wild"))
    part = value[rnd.randint(0, len(value) - 1) :][: rnd.randint(1, 6)]
    if how == "place":
        return Item(name, (rnd.choice(("contains", "startswith", "endswith")), *negated), (_escaped(part),))
    if how == "cased":
        text = _escaped(rnd.choice((part, part.lower(), part.upper())))
        return Item(name, (rnd.choice(("contains", "startswith", "endswith")), "cased", *negated), (text,))
    if how == "list":
        values = [_shouted(rnd, _escaped(text)) for text in rnd.sample(VALUES[name], 2) if text is not None]
        return Item(name, negated, tuple(values))
    if how == "all":
        return Item(name, ("contains", "all", *negated), (_escaped(part), _escaped(value[0])))
    if how == "re":
        return Item(
            name, ("re", *rnd.choice(((), ("i",))), *negated), (re.escape(part) + rnd.choice(("", "$", ".*1")),)
        )
    if how == "cidr":
        networks = ("10.0.0.0/8", "10.0.0.0/24", "192.168.0.0/16", "10.0.0.1/32", "2001:db8::/32")
        return Item("ip", ("cidr", *negated), tuple(rnd.sample(networks, rnd.randint(1, 2))))
    if how == "fieldref":
        places = rnd.choice(((), ("contains",), ("startswith",), ("endswith",)))
        return Item(name, ("fieldref", *places, *negated), (rnd.choice([other for other in TEXTS if other != name]),))
    if how == "wild":
        place = rnd.randint(0, len(value) - 1)
        wild = _escaped(value[:place]) + rnd.choice("*?") + _escaped(value[place + 1 :])
        return Item(name, negated, (wild,))
    return Item(name, negated, (_shouted(rnd, _escaped(value)),))


def _escaped(text: str) -> str:
    return text.replace("*", r"\*").replace("?", r"\?")


def _shouted(rnd: Random, text: str) -> str:
    return rnd.choice((text, text.lower(), text.upper()))


def random_plain(rnd: Random, name: str) -> Plain:
    """Return a random plain rule."""
    names = ["sel_a", "sel_b", "other"][: rnd.randint(1, 3)]
    selections = {each: tuple(_different(random_item(rnd) for _ in range(rnd.randint(1, 2)))) for each in names}
    per = rnd.choice(((), (), ("actor",), ("ip",), ("actor", "type")))
    return Plain(name, selections, _random_condition(rnd, names), per, rnd.choice((1, 5, 20, 3600)) * SECOND)


def _different(items: Iterable[Item]) -> list[Item]:
    return list({item.key: item for item in items}.values())


def _random_condition(rnd: Random, names: Sequence[str]) -> Tree:
    if len(names) > 1 and rnd.random() < 0.25:
        return ("of", rnd.choice(("1", "all")), "them")
    trees: list[Tree] = [("not", ("name", each)) if rnd.random() < 0.3 else ("name", each) for each in names]
    while len(trees) > 1:
        left, right = trees.pop(), trees.pop()
        joined: Tree = (rnd.choice(("and", "or")), left, right)
        trees.append(("not", joined) if rnd.random() < 0.15 else joined)
    return trees[0]


def random_correlation(rnd: Random, name: str, allowed: Allowed, depth: int = 1) -> Correlated:
    """Return a random correlation of random rules, perhaps of other correlations."""
    kind = rnd.choice(("event_count", "value_count", "temporal", "temporal_ordered"))
    count = rnd.randint(2, 3) if kind.startswith("temporal") else rnd.randint(1, 2)
    countable = allowed.counted_chains or kind.startswith("temporal") or (kind == "event_count" and count == 1)
    chained = [countable and depth < allowed.depth and rnd.random() < 0.3 for _ in range(count)]
    group_by = tuple(rnd.sample(("actor", "ip", "type"), rnd.randint(0, 2)))
    rules: list[Spec] = []
    for number, chain in enumerate(chained):
        inner = f"{name}_{number}"
        made: Spec = random_correlation(rnd, inner, allowed, depth + 1) if chain else random_plain(rnd, inner)
        if allowed.same_groups and isinstance(made, Correlated):
            made = _regrouped(made, group_by)
        rules.append(made)
    timespan = rnd.choice((1, 5, 20, 60)) * SECOND
    plan = Correlated(name, kind, tuple(rules), group_by, timespan)
    plan = _with_condition(rnd, plan, allowed)
    if group_by and count > 1 and not (allowed.same_groups and any(chained)) and rnd.random() < 0.3:
        alias = {rule.name: rnd.choice(("actor", "object", "ip")) for rule in rules}
        plan = replace(plan, group_by=("who", *group_by[1:]), aliases={"who": alias})
    return plan


def _regrouped(plan: Correlated, group_by: tuple[str, ...]) -> Correlated:
    rules = tuple(_regrouped(rule, group_by) if isinstance(rule, Correlated) else rule for rule in plan.rules)
    return replace(plan, group_by=group_by, aliases={}, rules=rules)


def _with_condition(rnd: Random, plan: Correlated, allowed: Allowed) -> Correlated:
    size, names = len(plan.rules), [rule.name for rule in plan.rules]
    if plan.kind == "event_count":
        change: dict[str, Any] = {"number": rnd.randint(1, 5), "operator": rnd.choice(("gte", "gt", "eq"))}
    elif plan.kind == "value_count":
        counted = tuple(rnd.sample(("object", "ip", "type"), rnd.randint(1, 2 if allowed.many_counted else 1)))
        change = {"number": rnd.randint(1, 3), "operator": rnd.choice(("gte", "gt", "eq")), "counted": counted}
    elif allowed.negated_windows and rnd.random() < 0.4:
        change = {"expression": _random_expression(rnd, names, plan.kind), "number": 0}
    else:
        change = {"number": rnd.randint(1, size) if rnd.random() < 0.4 else size}
    return replace(plan, **change)


def _random_expression(rnd: Random, names: Sequence[str], kind: str) -> Tree:
    if kind == "temporal_ordered":  # one alternative only: the naive reading knows no other
        first, *others = (("name", name) for name in names)
        return ("and", first, *(("not", other) if rnd.random() < 0.4 else other for other in others))
    wanted, others = ("name", names[0]), [("name", name) for name in names[1:]]
    if rnd.random() < 0.5:
        return ("or", wanted, *others) if rnd.random() < 0.3 else ("or", wanted, _random_expression(rnd, names, ""))
    parts = [("not", other) if rnd.random() < 0.6 else other for other in others]
    return ("and", wanted, parts[0] if len(parts) == 1 else (rnd.choice(("and", "or")), *parts))


def holds(tree: Tree, true: Callable[[str], bool], names: Sequence[str] = ()) -> bool:
    """Return the truth of a boolean expression over names."""
    if tree[0] == "name":
        return true(tree[1])
    if tree[0] == "of":
        return (any if tree[1] == "1" else all)(true(name) for name in names)
    parts = [holds(part, true, names) for part in tree[1:]]
    return not parts[0] if tree[0] == "not" else all(parts) if tree[0] == "and" else any(parts)


def as_yaml(spec: Spec) -> str:
    """Return the rule and all that it names as a rule file."""
    return yaml.safe_dump_all(_documents(spec), sort_keys=False, allow_unicode=True)


def _documents(spec: Spec) -> list[dict[str, Any]]:
    head: dict[str, Any] = {
        "title": spec.name,
        "id": str(UUID(int=abs(hash(("rule", *spec.name.encode()))) % 2**128)),
        "name": spec.name,
        "status": "test",
        "level": "low",
        "description": "made up",
    }
    if isinstance(spec, Plain):
        return [head | _plain_body(spec)]
    inner = [document for rule in spec.rules for document in _documents(rule)]
    return [*inner, head | {"correlation": _correlation_body(spec)}]


def _plain_body(spec: Plain) -> dict[str, Any]:
    detection: dict[str, Any] = {
        name: {item.key: item.values[0] if len(item.values) == 1 else list(item.values) for item in items}
        for name, items in spec.selections.items()
    }
    alert: dict[str, Any] = {"quiet_for": f"{spec.quiet // SECOND}s", **({"per": list(spec.per)} if spec.per else {})}
    return {
        "logsource": {"product": "cortex", "service": "audit"},
        "detection": detection | {"condition": say(spec.condition)},
        "alert": alert,
    }


def _correlation_body(spec: Correlated) -> dict[str, Any]:
    body: dict[str, Any] = {"type": spec.kind, "rules": [rule.name for rule in spec.rules]}
    body |= {"group-by": list(spec.group_by)} if spec.group_by else {}
    body |= {"timespan": f"{spec.timespan // SECOND}s"}
    body |= {"aliases": {alias: dict(mapping) for alias, mapping in spec.aliases.items()}} if spec.aliases else {}
    if spec.expression:
        return body | {"condition": say(spec.expression)}
    counted = {"field": list(spec.counted) if len(spec.counted) > 1 else spec.counted[0]} if spec.counted else {}
    return body | {"condition": {spec.operator: spec.number, **counted}}


def say(tree: Tree) -> str:
    """Return a boolean expression as Sigma writes it."""
    if tree[0] == "name":
        return str(tree[1])
    if tree[0] == "of":
        return f"{tree[1]} of {tree[2]}"
    if tree[0] == "not":
        return f"not ({say(tree[1])})"
    return f" {tree[0]} ".join(f"({say(part)})" for part in tree[1:])


def load(spec: Spec) -> RuleSet:
    """Return the checked rules of a random rule."""
    return load_rules({"random.yml": as_yaml(spec)})
