"""A naive reading of what a burst is: event by event, window by window, in plain Python."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import Any

from bot.detect.match import Burst
from bot.detect.rules import DEFAULT_PER
from tests.rule_random import Correlated, Event, Group, Item, Plain, Spec, holds


def item_matches(item: Item, event: Event) -> bool:
    """Return whether an event satisfies one line of a selection."""
    answers = [_value_matches(item, event, value) for value in item.values]
    answer = all(answers) if "all" in item.modifiers else any(answers)
    return not answer if "neq" in item.modifiers else answer


def _value_matches(item: Item, event: Event, value: Any) -> bool:
    actual, modifiers = event[item.field], set(item.modifiers)
    if "exists" in modifiers:
        return bool((actual is not None) == value)
    if value is None or actual is None:
        return value is None and actual is None
    for name, compare in _ORDERS.items():
        if name in modifiers:
            return compare(actual, value)
    if "cidr" in modifiers:
        return ip_address(actual) in ip_network(value)
    if "re" in modifiers:
        return re.search(value, actual, re.IGNORECASE if "i" in modifiers else 0) is not None
    if not isinstance(actual, str):
        return bool(actual == value)
    return _text_matches(actual, event[value] if "fieldref" in modifiers else value, modifiers)


_ORDERS: dict[str, Callable[[Any, Any], bool]] = {
    "lt": lambda a, b: bool(a < b),
    "lte": lambda a, b: bool(a <= b),
    "gt": lambda a, b: bool(a > b),
    "gte": lambda a, b: bool(a >= b),
}


def _text_matches(actual: str, value: str | None, modifiers: set[str]) -> bool:
    if value is None:
        return False
    pattern = re.escape(value) if "fieldref" in modifiers else _wildcards(value)
    before = ".*" if modifiers & {"contains", "endswith"} else ""
    after = ".*" if modifiers & {"contains", "startswith"} else ""
    return (
        re.fullmatch(before + pattern + after, actual, re.DOTALL | (0 if "cased" in modifiers else re.IGNORECASE))
        is not None
    )


def _wildcards(value: str) -> str:
    tokens = re.findall(r"\\[*?\\]|.", value, re.DOTALL)
    special = {"*": ".*", "?": "."}
    return "".join(special.get(token) or re.escape(token[-1]) for token in tokens)


def plain_matches(spec: Plain, event: Event) -> bool:
    """Return whether an event matches a plain rule."""
    answers = {name: all(item_matches(item, event) for item in items) for name, items in spec.selections.items()}
    return holds(spec.condition, answers.__getitem__, list(answers))


@dataclass
class Entry:
    """A matching event of a group, with the numbers of the rules that it matches and the values that they count."""

    event: Event
    slots: set[int]
    values: set[tuple[Any, ...]]

    @property
    def time(self) -> int:
        return int(self.event["time"])


def naive_bursts(
    spec: Spec, events: Sequence[Event], since: int | None = None, until: int | None = None
) -> list[Burst]:
    """Return the bursts as the definition says it, event by event."""
    found: list[Burst] = []
    join = spec.quiet if isinstance(spec, Plain) else spec.timespan
    for group, entries in naive_groups(spec, events).items():
        anchors = [entry for entry in naive_anchors(spec, entries) if _inside(entry.time, since, until)]
        runs: list[list[Entry]] = []
        for anchor in anchors:
            if runs and anchor.time - runs[-1][-1].time <= join:
                runs[-1].append(anchor)
            else:
                runs.append([anchor])
        found += [_burst(spec, group, entries, run[0], run[-1]) for run in runs]
    return sorted(found, key=lambda burst: (burst.first, burst.last, burst.group))


def _inside(moment: int, since: int | None, until: int | None) -> bool:
    return (since is None or moment >= since) and (until is None or moment <= until)


def _burst(spec: Spec, group: Group, entries: Sequence[Entry], first: Entry, last: Entry) -> Burst:
    begin = first.time if isinstance(spec, Plain) else min(entry.time for entry in _window(spec, entries, first))
    inside = [entry for entry in entries if begin <= entry.time <= last.time]
    actors = {entry.event["actor"] for entry in inside}
    addresses = [entry.event["ip"] for entry in inside if entry.event["ip"] is not None]
    shown = dict.fromkeys((0, (len(inside) - 1) // 2, len(inside) - 1))
    values = set().union(*(entry.values for entry in inside)) if _counts_values(spec) else ()
    return Burst(
        group,
        begin,
        last.time,
        len(inside),
        _named_actor(spec, group) or (actors.pop() if len(actors) == 1 else None),
        addresses[-1] if addresses else None,
        tuple(int(inside[place].event["id"]) for place in shown),
        len(values),
    )


def _named_actor(spec: Spec, group: Group) -> str | None:
    """Return the value that is an actor's for one of the rules, whatever the group calls it."""
    if isinstance(spec, Plain):
        return None
    fields = {word: set(spec.aliases[word].values()) if word in spec.aliases else {word} for word in spec.group_by}
    return next((value for word, value in group if "actor" in fields[word]), None)


def _counts_values(spec: Spec) -> bool:
    return isinstance(spec, Correlated) and spec.kind == "value_count"


def naive_groups(spec: Spec, events: Sequence[Event]) -> dict[Group, list[Entry]]:
    """Return the matching events of each group, in order."""
    groups: dict[Group, dict[int, Entry]] = {}
    if isinstance(spec, Plain):
        for event in events:
            if plain_matches(spec, event):
                groups.setdefault(_plain_group(spec, event), {})[event["id"]] = Entry(event, {0}, set())
    else:
        for slot, rule in enumerate(spec.rules):
            for event in naive_matches(rule, events):
                _enter(spec, groups, slot, rule.name, event)
    return {group: [found[number] for number in sorted(found)] for group, found in groups.items()}


def _enter(spec: Correlated, groups: dict[Group, dict[int, Entry]], slot: int, rule: str, event: Event) -> None:
    def value(word: str) -> Any:
        return event[spec.aliases[word][rule] if word in spec.aliases else word]

    pairs = tuple((word, value(word)) for word in spec.group_by)
    if any(text is None for _, text in pairs):
        return
    entry = groups.setdefault(pairs, {}).setdefault(event["id"], Entry(event, set(), set()))
    entry.slots.add(slot)
    values = tuple(value(word) for word in spec.counted)
    if values and None not in values:
        entry.values.add(values)


def _plain_group(spec: Plain, event: Event) -> Group:
    pairs = tuple((name, event[name]) for name in spec.per or DEFAULT_PER if event[name] is not None)
    return pairs if spec.per else pairs[:1]


def naive_matches(spec: Spec, events: Sequence[Event]) -> list[Event]:
    """Return what a correlation counts of a rule: matching events, or anchors."""
    if isinstance(spec, Plain):
        return [event for event in events if plain_matches(spec, event)]
    groups = naive_groups(spec, events)
    anchors = [anchor for entries in groups.values() for anchor in naive_anchors(spec, entries)]
    return list({anchor.event["id"]: anchor.event for anchor in anchors}.values())


def naive_anchors(spec: Spec, entries: Sequence[Entry]) -> list[Entry]:
    """Return the entries of a group at which the window satisfies the condition."""
    if isinstance(spec, Plain):
        return list(entries)
    return [entry for entry in entries if _satisfied(spec, _window(spec, entries, entry))]


def _window(spec: Correlated, entries: Sequence[Entry], anchor: Entry) -> list[Entry]:
    return [entry for entry in entries if anchor.time - spec.timespan <= entry.time <= anchor.time]


def _satisfied(spec: Correlated, window: Sequence[Entry]) -> bool:
    slots = set().union(*(entry.slots for entry in window))
    names = {rule.name for number, rule in enumerate(spec.rules) if number in slots}
    if spec.expression:
        wanted = [number for number, rule in enumerate(spec.rules) if ("name", rule.name) in spec.expression]
        possible = spec.kind == "temporal" or _in_order(wanted, window)
        return possible and holds(spec.expression, names.__contains__)
    if spec.kind == "temporal_ordered":
        return any(_in_order(some, window) for some in itertools.combinations(range(len(spec.rules)), spec.number))
    values = set().union(*(entry.values for entry in window))
    seen = {"event_count": len(window), "value_count": len(values), "temporal": len(slots)}[spec.kind]
    return {"gte": seen >= spec.number, "gt": seen > spec.number, "eq": seen == spec.number}[spec.operator]


def _in_order(slots: Iterable[int], window: Sequence[Entry]) -> bool:
    after = -1
    for slot in slots:
        times = [entry.time for entry in window if slot in entry.slots and entry.time > after]
        if not times:
            return False
        after = min(times)
    return True
