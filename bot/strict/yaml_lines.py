"""A strict YAML reader that keeps the line of everything and turns nothing into what it does not say.

Only `null`, truths and decimal numbers are more than text, and only where the rule's reader asks for them: elsewhere
`no`, `12:30` and `0x1F` stay as written. Tags, merge keys, duplicate keys and endless aliases are refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NoReturn

import yaml

from bot.strict.report import Report

MAX_DEPTH = 20
MAX_ALIASES = 100
MAX_NODES = 50_000  # of one document, with aliases written out
MAX_ITEMS = 2_000  # of one list or mapping

_NUMBER = re.compile(r"[-+]?(0|[1-9]\d*)(\.\d+)?([eE][-+]?\d+)?\Z", re.ASCII)
_NULLS = ("", "~", "null", "Null", "NULL")
_TRUTHS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}

Value = str | int | float | bool | None


@dataclass
class Text:
    """A scalar as written; `plain` where it has no quotes."""

    line: int
    text: str
    plain: bool
    size: int = 1

    @property
    def is_null(self) -> bool:
        """Whether it says that there is no value."""
        return self.plain and self.text in _NULLS

    def number(self) -> int | float | None:
        """Return the number that it says, None where it says none."""
        if not self.plain or len(self.text) > 30 or not _NUMBER.match(self.text):
            return None
        return float(self.text) if set(self.text) & set(".eE") else int(self.text)

    def truth(self) -> bool | None:
        """Return the truth that it says (true, false, yes, no, on, off), None where it says none."""
        return _TRUTHS.get(self.text.lower()) if self.plain else None


@dataclass
class Items:
    """A list."""

    line: int
    items: list[Node] = field(default_factory=list)
    size: int = 1


@dataclass
class Table:
    """A mapping with the line of each key."""

    line: int
    entries: dict[str, Node] = field(default_factory=dict)
    lines: dict[str, int] = field(default_factory=dict)
    size: int = 1

    def get(self, key: str) -> Node | None:
        """Return the value of a key, None where there is no such key."""
        return self.entries.get(key)

    def line_of(self, key: str) -> int:
        """Return the line of a key, the mapping's own where there is no such key."""
        return self.lines.get(key, self.line)


Node = Text | Items | Table


class _StopError(Exception):
    """The file cannot be read any further; the report says why."""


def read_documents(text: str, report: Report) -> list[Node]:
    """Return the documents of a file; what is wrong with it goes to the report, and ends the reading where it must."""
    documents: list[Node] = []
    try:
        text.encode()
    except UnicodeEncodeError as error:
        report.error(text.count("\n", 0, error.start) + 1, "half of a surrogate pair, which is no text")
        return documents
    try:
        _Composer(text, report, documents).run()
    except yaml.MarkedYAMLError as error:
        report.error(_line(error.problem_mark or error.context_mark), f"not YAML: {error.problem or error.context}")
    except yaml.reader.ReaderError as error:
        line = text.encode()[: error.position].count(b"\n") + 1
        report.error(line, f"not YAML: the character {chr(error.character)!r}", "it is not allowed there")
    except _StopError:
        pass
    return documents


def _line(mark: object) -> int:
    return int(getattr(mark, "line", 0)) + 1


class _Composer:
    """Builds documents from the events of PyYAML's parser, without recursion and within limits."""

    def __init__(self, text: str, report: Report, documents: list[Node]) -> None:
        self._events: Iterator[yaml.Event] = yaml.parse(text, Loader=yaml.CSafeLoader)
        self._report, self._documents = report, documents
        self._open: list[Items | Table] = []
        self._keys: list[str | None] = []  # of each open mapping, the key that waits for its value
        self._anchors: dict[str, Node] = {}
        self._aliases = 0
        self._start = 1

    def run(self) -> None:
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent):
                self._anchors, self._start = {}, _line(event.start_mark)
            elif isinstance(event, yaml.AliasEvent):
                self._place(self._alias(event), _line(event.start_mark))
            elif isinstance(event, yaml.ScalarEvent):
                self._check_tag(event)
                node = Text(_line(event.start_mark), event.value, plain=event.implicit[0])
                self._name(event, node)
                self._place(node, node.line)
            elif isinstance(event, yaml.SequenceStartEvent | yaml.MappingStartEvent):
                self._begin(event)
            elif isinstance(event, yaml.SequenceEndEvent | yaml.MappingEndEvent):
                self._end()

    def _begin(self, event: yaml.SequenceStartEvent | yaml.MappingStartEvent) -> None:
        self._check_tag(event)
        line = _line(event.start_mark)
        if self._open and isinstance(self._open[-1], Table) and self._keys[-1] is None:
            self._stop(line, "a key is a list or a mapping", "keys are words")
        if len(self._open) >= MAX_DEPTH:
            self._stop(line, f"nested deeper than {MAX_DEPTH} levels")
        node = Items(line) if isinstance(event, yaml.SequenceStartEvent) else Table(line)
        self._name(event, node)
        self._open.append(node)
        self._keys.append(None)

    def _end(self) -> None:
        node = self._open.pop()
        self._keys.pop()
        self._place(node, node.line)

    def _place(self, node: Node, line: int) -> None:
        """Put a finished node where it belongs: the document, the open list, the key or the value of a mapping."""
        if not self._open:
            if isinstance(node, Text) and not node.text:
                node.line = self._start  # nothing has no place of its own
            self._documents.append(node)
            return
        parent = self._open[-1]
        if isinstance(parent, Table) and self._keys[-1] is None:
            self._keys[-1] = self._key(parent, node, line)
            return
        parent.size += node.size
        if parent.size > MAX_NODES:
            self._stop(line, f"more than {MAX_NODES:,} values with aliases written out")
        if isinstance(parent, Items):
            parent.items.append(node)
        else:
            parent.entries[self._keys[-1] or ""] = node
            self._keys[-1] = None
        if len(parent.items if isinstance(parent, Items) else parent.entries) > MAX_ITEMS:
            self._stop(
                parent.line, f"a list or mapping of more than {MAX_ITEMS:,} entries", "split it over several rules"
            )

    def _key(self, table: Table, node: Node, line: int) -> str:
        if not isinstance(node, Text):
            self._stop(line, "a key is a list or a mapping", "keys are words")
        if node.text in table.lines:
            self._report.error(
                line, f"the key {node.text!r} stands here twice", f"first in line {table.lines[node.text]}"
            )
        table.lines[node.text] = line
        return node.text

    def _alias(self, event: yaml.AliasEvent) -> Node:
        line = _line(event.start_mark)
        self._aliases += 1
        if self._aliases > MAX_ALIASES:
            self._stop(line, f"more than {MAX_ALIASES} aliases", "write the values out")
        node = self._anchors.get(event.anchor or "")
        if node is None:
            self._stop(line, f"the alias *{event.anchor} names nothing that stands before it")
        if any(node is parent for parent in self._open):
            self._stop(line, f"the alias *{event.anchor} stands inside of what it names")
        return node

    def _name(self, event: yaml.NodeEvent, node: Node) -> None:
        if event.anchor is not None:
            self._anchors[event.anchor] = node

    def _check_tag(self, event: yaml.ScalarEvent | yaml.SequenceStartEvent | yaml.MappingStartEvent) -> None:
        if event.tag is not None:
            self._stop(_line(event.start_mark), f"the tag {event.tag} is not supported", "remove it")

    def _stop(self, line: int, text: str, hint: str = "") -> NoReturn:
        self._report.error(line, text, hint)
        raise _StopError
