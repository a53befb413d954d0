"""What one `key:value` of a query means: a condition by the kind of its field, or a setting."""

from __future__ import annotations

import difflib
import math
import operator
import re
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any, cast

from lark import Token

from bot.fields import FIELDS, Field
from bot.model import Level
from bot.query.tree import Compare, Condition, Flag, Match, Or, Pattern, Within, any_of

SETTINGS = ("last", "since", "until", "on", "limit", "sort", "by")
LEVELS = tuple(level.name for level in Level)
KEYS = {
    **{name: field for name, field in FIELDS.items() if name != "time"},
    "level": Field("level", "text", "level of a finding that the event belongs to", LEVELS),
    "rule": Field("rule", "text", "id or title of a rule with a finding that the event belongs to"),
}
_BOOLS = {"true": True, "yes": True, "false": False, "no": False}
_ORDER = {">": operator.gt, ">=": operator.ge, "<": operator.lt, "<=": operator.le}
_NUMBER = re.compile(r"[+-]?\d+(?:\.\d+)?", re.ASCII)
_NETWORK = re.compile(r"[\da-f:.]+/\d+", re.ASCII | re.IGNORECASE)


class MistakeError(Exception):
    """What is wrong, where, and the edits (from, to, new text) that correct it."""

    def __init__(self, text: str, position: int, *edits: tuple[int, int, str]) -> None:
        super().__init__(text)
        self.position, self.edits = position, edits

    def correct(self, query: str) -> str:
        """Return the query with the edits made."""
        for start, end, new in sorted(self.edits, reverse=True):
            query = query[:start] + new + query[end:]
        return query


@dataclass(frozen=True)
class Setting:
    """One `key:value` about time, order or number. It stands from `start` to `end`, its value from `at` on."""

    name: str
    value: str
    start: int
    at: int
    end: int

    @property
    def cut(self) -> tuple[int, int, str]:
        """The edit that takes it out."""
        return self.start, self.end, ""

    def mistake(self, text: str, new: str) -> MistakeError:
        """Return the error that the value is wrong and `new` would do."""
        return MistakeError(text, self.at, (self.at, self.end, new))


def read_term(key: Token, op: Token | None, values: list[Token]) -> Condition | Setting:
    """Return what a key, perhaps a comparison, and values ask for. Raises MistakeError."""
    name = key[:-1].lower()
    if name in SETTINGS:
        return _setting(name, key, op, values)
    field = KEYS.get(name)
    if field is None:
        raise _unknown_key(key, values[-1])
    if op is not None and field.kind != "number" and name != "level":
        raise MistakeError(f"`{name}` is no number: `{op}` cannot compare it.", start_of(op), _cut(op))
    if field.kind == "text":
        return _text_condition(field, op, values)
    if field.kind == "number":
        return any_of([_number(field, op, value) for value in values])
    return any_of([_flag(field, value) for value in values])


def _setting(name: str, key: Token, op: Token | None, values: list[Token]) -> Setting:
    first, *more = values
    if op is not None:
        raise MistakeError(f"`{name}:` takes a plain value.", start_of(op), _cut(op))
    if more:
        edit = (end_of(first), end_of(more[-1]), "")
        raise MistakeError(f"`{name}:` takes one value.", start_of(more[0]), edit)
    return Setting(name, "*".join(literals(first)), start_of(key), start_of(first), end_of(first))


def _unknown_key(key: Token, last: Token) -> MistakeError:
    name = key[:-1].lower()
    if name == "time":
        edit = (start_of(key), end_of(last), "last:7d")
        return MistakeError("Time is asked for by `last:`, `since:`, `until:` or `on:`.", start_of(key), edit)
    guess = closest(name, (*KEYS, *SETTINGS))
    if guess:
        edit = (start_of(key), end_of(key) - 1, guess)
        return MistakeError(f"There is no key `{name}`. Did you mean `{guess}`?", start_of(key), edit)
    return MistakeError(
        f"There is no key `{name}`. Keys are {', '.join(KEYS)}; a text with a colon needs quotes.", start_of(key),
        (start_of(key), start_of(key), '"'), (end_of(last), end_of(last), '"'),
    )  # fmt: skip


def _text_condition(field: Field, op: Token | None, values: list[Token]) -> Condition:
    patterns = tuple(map(pattern_of, values))
    for value, pattern in zip(values, patterns, strict=True):
        if field.values and not any(map(pattern.matches, field.values)):
            new = closest(value.lower(), field.values) or field.values[0]
            text = f"`{field.name}` is one of {', '.join(field.values)}."
            raise MistakeError(text, start_of(value), (start_of(value), end_of(value), new))
    if op is not None:
        return any_of([_level(op, value) for value in values])
    networks = tuple(net for net in map(_network, values) if net) if field.name == "ip" else ()
    texts = Match(field.name, patterns)
    return Or((Within(networks), texts)) if networks else texts


def _level(op: Token, value: Token) -> Match:
    name = "".join(literals(value)).lower()
    if name not in LEVELS:
        edit = (start_of(value), end_of(value), "high")
        raise MistakeError(f"`{op}` needs one level: {', '.join(LEVELS)}.", start_of(value), edit)
    fitting = (level for level in Level if _ORDER[op](level, Level[name]))
    return Match("level", tuple(Pattern((level.name,)) for level in fitting))


def _network(value: Token) -> IPv4Network | IPv6Network | None:
    text = "*".join(literals(value))
    try:
        network = ip_network(text, strict=False)
    except ValueError:
        if _NETWORK.fullmatch(text):
            edit = (start_of(value), end_of(value), "10.0.0.0/8")
            raise MistakeError(f"`{text}` is not a network.", start_of(value), edit) from None
        return None
    mapped = isinstance(network, IPv6Network) and network.prefixlen >= 96 and network.network_address.ipv4_mapped
    return IPv4Network((mapped, network.prefixlen - 96)) if mapped else network


def _number(field: Field, op: Token | None, value: Token) -> Condition:
    text = "*".join(literals(value))
    if op is None and text == "*":
        return Compare(field.name, ">=", -math.inf)  # any number, as long as there is one
    if not _NUMBER.fullmatch(text):
        new = found[0] if (found := _NUMBER.search(text)) else "7"
        text = f"`{field.name}` is a number: `{text}` is none."
        raise MistakeError(text, start_of(value), (start_of(value), end_of(value), new))
    return Compare(field.name, cast(Any, "=" if op is None else str(op)), float(text))


def _flag(field: Field, value: Token) -> Condition:
    text = "*".join(literals(value)).lower()
    if text == "*":
        return Or((Flag(field.name, True), Flag(field.name, False)))
    if text not in _BOOLS:
        edit = (start_of(value), end_of(value), "true")
        raise MistakeError(f"`{field.name}` is true or false.", start_of(value), edit)
    return Flag(field.name, _BOOLS[text])


def pattern_of(token: Token) -> Pattern:
    """Return what a value or word asks a text to be."""
    return Pattern(tuple(part.casefold() for part in literals(token)))


def literals(token: Token) -> list[str]:
    """Return what stands between the stars. In quotes a backslash makes a quote, a star or a backslash plain."""
    if token.type != "QUOTED":
        return token.split("*")
    parts = [""]
    for piece in re.split(r'(\\["*\\]|\*)', token[1:-1]):
        if piece == "*":
            parts.append("")
        else:
            parts[-1] += piece[1:] if re.fullmatch(r'\\["*\\]', piece) else piece
    return parts


def closest(word: str, words: Iterable[str]) -> str | None:
    """Return what was probably meant."""
    return next(iter(difflib.get_close_matches(word, tuple(words), 1)), None)


def quoted(value: str) -> str:
    """Return a value as a query has to spell it."""
    return value if re.fullmatch(r'[^\s(),"]+', value) else '"' + re.sub(r'(["\\])', r"\\\1", value) + '"'


def literal(value: str) -> str:
    """Return a value as a query has to spell it where nothing in it may stand for anything else."""
    return '"' + re.sub(r'(["*\\])', r"\\\1", value) + '"'


def start_of(token: Token) -> int:
    """Return where a token begins."""
    return cast(int, token.start_pos)


def end_of(token: Token) -> int:
    """Return where a token ends."""
    return cast(int, token.end_pos)


def _cut(token: Token) -> tuple[int, int, str]:
    return start_of(token), end_of(token), ""
