"""Makes queries of text: the condition, the range of time, the options; of every mistake a correction."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import tzinfo
from typing import TypeVar

from lark import Token

from bot.errors import QueryError
from bot.fields import TEXT_FIELDS
from bot.query.grammar import Node, normalise, read, settle
from bot.query.ranges import BEGIN, END, Frame, time_range
from bot.query.terms import MistakeError, Setting, closest, end_of, start_of
from bot.query.tree import Condition
from bot.times import DAY

MAX_LIMIT, DEFAULT_LIMIT = 10_000, 20
VERBS = ("search", "top", "count", "timeline", "show", "alerts", "rules", "status", "exceptions", "export", "help")

REPAIRS = 8  # mistakes corrected one after the other before a query's example becomes one of these
FALLBACKS = ("actor:eve@example.com last:7d", "actor:eve@example.com")
_VERB = re.compile(rf"\s*({'|'.join(VERBS)})(?!\S)", re.IGNORECASE)
EVENT_VERBS = ("search", "top", "count", "timeline", "export")  # without a time: the last 24 hours
STATES = ("open", "acknowledged", "resolved", "removed", "mine")  # with one of which `alerts` may begin
_REVOKE = re.compile(r"\s*revoke(?!\S)\s*#?(?P<number>[^\s#]*)\s*", re.IGNORECASE)
_NUMBER = re.compile(r"\d{1,18}", re.ASCII)
_ID = re.compile(r"\s*(A?\d{1,18})\s*", re.IGNORECASE | re.ASCII)
_WHOLE = re.compile(r"\d{1,9}", re.ASCII)
_BARE_DURATION = re.compile(r"\d{1,9}[a-z]", re.ASCII | re.IGNORECASE)

T = TypeVar("T")


@dataclass(frozen=True)
class Query:
    """What to look for, when (microseconds, both ends included), and how to list it. `text` is what was typed.

    Events with ids above `newest` came in after the question and do not belong to its answer.
    """

    condition: Condition | None
    since: int
    until: int
    limit: int = DEFAULT_LIMIT
    newest_first: bool = True
    by: str | None = None
    text: str = ""
    newest: int | None = None


@dataclass(frozen=True)
class Command:
    """A verb of `/audit`. `argument` is the id for `show` (12 or A12), what `alerts` and `exceptions` begin with."""

    verb: str
    query: Query
    argument: str | None = None


def parse_command(text: str, now: int, zone: tzinfo, max_limit: int = 50) -> Command:
    """Return the verb and the query of a line; without a verb it is a search. Raises QueryError."""
    return _corrected(text, functools.partial(_command, Frame(now, zone, max_limit, DAY)))


def parse_query(text: str, now: int, zone: tzinfo, max_limit: int = MAX_LIMIT, default_last: int | None = DAY) -> Query:
    """Return a query without a verb; where it names no time it goes back by `default_last`, with None over all.

    A range with `since:` or `until:` alone is open at its other end: END or BEGIN. Raises QueryError.
    """
    return _corrected(text, functools.partial(_query, Frame(now, zone, max_limit, default_last)))


def parse_condition(text: str) -> Condition:
    """Return a condition that says neither a time nor an option. Raises QueryError."""
    return _corrected(text, _condition)


def _corrected(text: str, read_text: Callable[[str], T]) -> T:
    """Read a text; make of its first mistake an error with an example that is known to be readable."""
    try:
        return read_text(text)
    except MistakeError as mistake:
        raise QueryError(str(mistake), text, mistake.position, _example(text, mistake, read_text)) from None


def _example(text: str, mistake: MistakeError, read_text: Callable[[str], object]) -> str:
    for _ in range(REPAIRS):
        text = mistake.correct(text)
        try:
            read_text(text)
        except MistakeError as another:
            mistake = another
        else:
            break
    else:
        text = ""
    return text.strip() or next(example for example in FALLBACKS if _is_readable(example, read_text))


def _is_readable(text: str, read_text: Callable[[str], object]) -> bool:
    try:
        read_text(text)
    except MistakeError:
        return False
    return True


def _command(frame: Frame, text: str) -> Command:
    found = _VERB.match(normalise(text))
    verb = found[1].lower() if found else "search"
    rest = " " * found.end() + text[found.end() :] if found else text  # blanks keep the positions
    everything = Query(None, BEGIN, END, text=text)
    if verb == "help":
        return Command(verb, everything, rest.strip() or None)
    if verb == "show":
        return Command(verb, everything, _id(rest))
    if verb == "exceptions" and (found := _REVOKE.fullmatch(rest)):
        return Command(verb, everything, _revoked(found))
    branches, settings = _split(normalise(rest))
    argument, branches = _taken(branches) if verb == "alerts" else (None, branches)
    frame = frame if verb in EVENT_VERBS else replace(frame, default_last=None)
    return Command(verb, _assembled(frame, text, branches, settings), argument)


def _taken(branches: Sequence[Sequence[Node]]) -> tuple[str | None, Sequence[Sequence[Node]]]:
    """Take out the state of alerts that a query begins with."""
    first = next(iter(branches[0]), None) if branches else None
    if not isinstance(first, Token) or first.type != "WORD" or first.lower() not in STATES:
        return None, branches
    rest = [branches[0][1:], *branches[1:]]
    return str(first).lower(), rest if rest[0] or len(rest) == 1 else branches


def _revoked(found: re.Match[str]) -> str:
    """Return what `exceptions revoke 3` asks for."""
    if not _NUMBER.fullmatch(found["number"]):
        edit = (found.start("number"), found.end(), "3" if found["number"] or found[0][-1:].isspace() else " 3")
        raise MistakeError("`revoke` needs the number of an exception, like 3.", found.start("number"), edit)
    return f"revoke {int(found['number'])}"


def _id(rest: str) -> str:
    found = _ID.fullmatch(rest)
    if not found:
        at = len(rest) - len(rest.lstrip())
        edit = (at, len(rest), "A12") if rest.strip() else (len(rest), len(rest), " A12")
        raise MistakeError("`show` needs the number of an event or alert, like 12 or A12.", at, edit)
    return found[1].upper()


def _query(frame: Frame, text: str) -> Query:
    return _assembled(frame, text, *_split(normalise(text)))


def _condition(text: str) -> Condition:
    branches, settings = _split(normalise(text))
    for setting in settings.values():
        message = f"`{setting.name}:` cannot stand here: this is a condition without time or options."
        raise MistakeError(message, setting.start, setting.cut)
    if not any(branches):
        raise MistakeError("There is no condition.", 0)
    return settle(branches)


def _assembled(frame: Frame, text: str, branches: Sequence[Sequence[Node]], settings: Mapping[str, Setting]) -> Query:
    since, until = time_range(frame, settings)
    limit = DEFAULT_LIMIT
    if setting := settings.get("limit"):
        limit = _limit(setting, frame.max_limit)
    order = _choice(settings.get("sort"), ("new", "old")) or "new"
    by = _choice(settings.get("by"), TEXT_FIELDS)
    condition = settle(branches) if any(branches) else None
    return Query(condition, since, until, min(limit, frame.max_limit), order == "new", by, text)


def _split(text: str) -> tuple[Sequence[Sequence[Node]], dict[str, Setting]]:
    """Part the settings, also those of a trailing `last 7d`, from what stands beside them."""
    branches = read(text)
    if branches:
        _read_bare_last(branches[-1])
    settings: dict[str, Setting] = {}
    for setting in (node for branch in branches for node in branch if isinstance(node, Setting)):
        if setting.name in settings:
            raise MistakeError(f"`{setting.name}:` stands here twice.", setting.start, setting.cut)
        settings[setting.name] = setting
    kept = [[node for node in branch if not isinstance(node, Setting)] for branch in branches]
    for branch, rest in zip(branches, kept, strict=True):
        if not rest and len(branches) > 1:
            raise _lonely_mistake(text, branch, is_first=branch is branches[0])
    return kept, settings


def _read_bare_last(branch: list[Node]) -> None:
    """Make a setting, in place, of the words `last 7d` behind which only settings stand."""
    places = [place for place, node in enumerate(branch) if not isinstance(node, Setting)][-2:]
    if len(places) < 2 or places[1] != places[0] + 1:
        return
    last, value = (branch[place] for place in places)
    if not (isinstance(last, Token) and isinstance(value, Token) and {last.type, value.type} == {"WORD"}):
        return
    if last.lower() == "last" and _BARE_DURATION.fullmatch(value):
        branch[places[0] : places[1] + 1] = [
            Setting("last", str(value), start_of(last), start_of(value), end_of(value))
        ]


def _lonely_mistake(text: str, branch: list[Node], *, is_first: bool) -> MistakeError:
    """Return that OR joins a setting, which holds for the whole query anyway."""
    first, last = (branch[0], branch[-1])
    assert isinstance(first, Setting) and isinstance(last, Setting)  # noqa: S101, PT018 -- nothing else is left of it
    place = text.index("OR", last.end) if is_first else text.rindex("OR", 0, first.start)
    message = f"`{first.name}:` goes with the whole query: OR cannot join it."
    return MistakeError(message, first.start, (place, place + 2, " "))


def _choice(setting: Setting | None, allowed: tuple[str, ...]) -> str | None:
    if setting is None:
        return None
    value = setting.value.lower()
    if value not in allowed:
        message = f"`{setting.name}:` is one of {', '.join(allowed)}."
        raise setting.mistake(message, closest(value, allowed) or allowed[0])
    return value


def _limit(setting: Setting, most: int) -> int:
    number = int(setting.value) if _WHOLE.fullmatch(setting.value) else 0
    if not 1 <= number <= most:
        raise setting.mistake(
            f"`limit:` is a number from 1 to {most:,}.", str(most if number else min(most, DEFAULT_LIMIT))
        )
    return number
