"""Typed reading of YAML nodes: each function returns what is wanted, or None after telling the report why not."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import TypeVar

from bot.fields import FIELDS
from bot.strict.report import Report, did_you_mean
from bot.strict.yaml_lines import Items, Node, Table, Text
from bot.times import parse_duration

T = TypeVar("T")


def read_table(node: Node, report: Report, what: str, keys: Collection[str]) -> Table | None:
    """Return a mapping; its unknown keys are told."""
    if not isinstance(node, Table):
        report.error(node.line, f"{what} is not a mapping", "write key: value pairs under it")
        return None
    for key, line in node.lines.items():
        if key not in keys:
            report.error(line, f"unknown key {key!r} in {what}", did_you_mean(key, keys))
    return node


def read_text(node: Node, report: Report, what: str) -> str | None:
    """Return a text that is not empty."""
    if not isinstance(node, Text) or node.is_null or not node.text.strip():
        report.error(node.line, f"{what} is {_say(node)}, not a text")
        return None
    return node.text.strip()


def read_texts(node: Node, report: Report, what: str) -> tuple[str, ...]:
    """Return a list of texts; one text alone is a list of one."""
    nodes = node.items if isinstance(node, Items) else [node]
    texts = (read_text(item, report, what) for item in nodes)
    return tuple(text for text in texts if text is not None)


def read_names(node: Node, report: Report, what: str) -> list[tuple[str, int]]:
    """Return a list of different words, each with its line."""
    nodes = node.items if isinstance(node, Items) else [node]
    if not nodes:
        report.error(node.line, f"{what} is an empty list")
    found: dict[str, int] = {}
    for item in nodes:
        name = read_text(item, report, what)
        if name is not None and name in found:
            report.error(item.line, f"{what} names {name!r} twice")
        elif name is not None:
            found[name] = item.line
    return list(found.items())


def read_choice(node: Node, report: Report, what: str, choices: Iterable[str]) -> str | None:
    """Return one of a few words."""
    text, choices = read_text(node, report, what), list(choices)
    if text is None or text in choices:
        return text
    report.error(node.line, f"{text!r} is no {what}", did_you_mean(text, choices))
    return None


def read_truth(node: Node, report: Report, what: str) -> bool | None:
    """Return true or false."""
    truth = node.truth() if isinstance(node, Text) else None
    if truth is None:
        report.error(node.line, f"{what} is {_say(node)}", "write true or false")
    return truth


def read_whole(node: Node, report: Report, what: str, least: int, most: int) -> int | None:
    """Return a whole number within limits."""
    number = node.number() if isinstance(node, Text) else None
    if isinstance(number, int) and least <= number <= most:
        return number
    report.error(node.line, f"{what} is {_say(node)}", f"write a whole number from {least} to {most:,}")
    return None


def read_duration(node: Node, report: Report, what: str, least: int, most: int) -> int | None:
    """Return microseconds within limits, from a duration like 90s, 10m, 24h, 7d or 2w."""
    text = read_text(node, report, what)
    if text is None:
        return None
    try:
        duration = parse_duration(text)
    except ValueError as error:
        report.error(node.line, f"{what}: {error}")
        return None
    if not least <= duration <= most:
        report.error(node.line, f"{what} {text} is too {'short' if duration < least else 'long'}")
        return None
    return duration


def read_field(name: str, line: int, report: Report, what: str) -> bool:
    """Return whether rules may use the name as a field; an unknown one is told with the nearest known."""
    if name in FIELDS and name != "time":
        return True
    if name == "time":
        report.error(line, f"{what} cannot use time", "the fields hour, weekday and off_hours say when")
    else:
        report.error(line, f"{what}: unknown field {name!r}", did_you_mean(name, FIELDS))
    return False


def read_text_field(name: str, line: int, report: Report, what: str) -> bool:
    """Return whether the name is a field that holds text, as groups need."""
    if not read_field(name, line, report, what):
        return False
    kind = FIELDS[name].kind
    if kind != "text":
        report.error(line, f"{what}: {name} is a {kind}, and groups are made of texts", "use a field that holds text")
    return kind == "text"


def optional(table: Table, key: str, read: Callable[[Node, Report, str], T | None], report: Report) -> T | None:
    """Return what `read` makes of a key's value, None where there is no such key."""
    node = table.get(key)
    return None if node is None else read(node, report, key)


def _say(node: Node) -> str:
    if isinstance(node, Text):
        return "empty" if node.is_null or not node.text.strip() else repr(node.text)
    return "a list" if isinstance(node, Items) else "a mapping"
