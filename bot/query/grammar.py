"""Reads the query language: text to conditions and settings, or to a mistake that knows its correction."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable
from typing import Any, cast

from lark import Lark, Token, Transformer, UnexpectedToken

from bot.query.terms import MistakeError, Setting, pattern_of, quoted, read_term, start_of
from bot.query.tree import Condition, Not, Pattern, Word, all_of, any_of

MAX_CHARACTERS, MAX_LEVELS = 2_000, 50
END_OF_TEXT = 2 * MAX_CHARACTERS  # for edits: beyond any text

# Quotes and parentheses are known to be balanced before this grammar sees a text.
GRAMMAR = r"""
start: [or_]
or_: and_ (_OR and_)*
and_: part (_AND? part)*
part: [DASH | NOT] _atom
_atom: group | term | word
group: "(" or_ ")"
term: KEY [COMPARE] _value (_COMMA _value)*
word: WORD | QUOTED
_value: BARE | QUOTED

// An operator is upper case and stands alone: ORDER is a word, and so is or.
_OR: /OR(?![^\s()"])/
_AND: /AND(?![^\s()"])/
NOT: /NOT(?![^\s()"])/
DASH: /-(?=\S)/
KEY.2: /[^\s():",-][^\s():",]*:(?=[^\s),])/
WORD.1: /(?!(?:OR|AND|NOT)(?![^\s()"]))[^\s():",-][^\s():"]*/
COMPARE.2: />=|<=|>|</
BARE.1: /[^\s(),"]+/
QUOTED.3: /"(?:\\.|[^"\\])*"/s
_COMMA: ","
%ignore /\s+/
"""

# what chat clients make of what people type; one character for one, so that positions stay
_TYPOGRAPHY = str.maketrans("“”„‟‘’‚‛‐‑‒–—―−\u00a0\u2007\u2009\u202f", '"' * 4 + "'" * 4 + "-" * 7 + " " * 4)
_PIECES = re.compile(r'"(?:\\.|[^"\\])*"|[^"]+|"', re.DOTALL)
_SHAPE = re.compile(r'"(?:\\.|[^"\\])*"|["()]', re.DOTALL)
_DANGLING = re.compile(r"(?:OR|AND|NOT|[-,(]|[<>]=?)\s*$")
_COLON = re.compile(r"(?P<key>(?<=[^\s():\",]))?:(?P<blank>[\s,]*)(?P<value>[^\s,)])?")

Node = Condition | Setting | Token  # a token is a word that may still turn out to be a bare `last 7d`


def normalise(text: str) -> str:
    """Turn curly quotes, long dashes and hard spaces back, character by character.

    A text in straight quotes has not been through a client that makes them, so what is inside stays as it is.
    """

    def turn_back(found: re.Match[str]) -> str:
        is_literal = len(found[0]) > 1 and found[0].startswith('"')
        return found[0] if is_literal else found[0].translate(_TYPOGRAPHY)

    return _PIECES.sub(turn_back, text)


def read(text: str) -> list[list[Node]]:
    """Return the branches of the top level's OR, each a list of what stands in it. Raises MistakeError."""
    _check_shape(text)
    try:
        return cast(list[list[Node]], _parser().parse(text))
    except UnexpectedToken as error:
        raise _syntax_mistake(text, error.token) from None


def settle(branches: Iterable[Iterable[Node]]) -> Condition:
    """Return the condition of branches in which no settings are left."""
    return any_of(all_of(map(_settled, branch)) for branch in branches)


def _settled(node: Node) -> Condition:
    if isinstance(node, Setting):
        moved = f" {node.name}:{quoted(node.value)}"
        text = f"`{node.name}:` goes with the whole query: write it outside parentheses."
        raise MistakeError(text, node.start, node.cut, (END_OF_TEXT, END_OF_TEXT, moved))
    return Word(Pattern(("", *pattern_of(node).parts, ""))) if isinstance(node, Token) else node


def _check_shape(text: str) -> None:
    """Refuse what is too long or deep and what is unbalanced, before any parser has to."""
    if len(text) > MAX_CHARACTERS:
        message = f"A query may have {MAX_CHARACTERS:,} characters; this one has {len(text):,}."
        raise MistakeError(message, MAX_CHARACTERS)
    opened: list[int] = []
    for found in _SHAPE.finditer(text):
        if found[0] == "(":
            opened.append(found.start())
        elif found[0] == ")":
            if not opened:
                raise MistakeError("Nothing opens this parenthesis.", found.start(), (*found.span(), ""))
            opened.pop()
        elif found[0] == '"':
            raise MistakeError("This quote is never closed.", found.start(), (END_OF_TEXT, END_OF_TEXT, '"'))
        if len(opened) > MAX_LEVELS:
            raise MistakeError(f"Parentheses may be {MAX_LEVELS} deep.", found.start())
    if opened:
        raise MistakeError("This parenthesis is never closed.", opened[-1], (END_OF_TEXT, END_OF_TEXT, ")"))


class _Reader(Transformer[Token, Any]):
    """Makes nodes while the text is being parsed; the methods are named after the rules of the grammar."""

    def start(self, children: list[Any]) -> list[list[Node]]:
        return children[0] or []

    def or_(self, children: list[list[Node]]) -> list[list[Node]]:
        return children

    def and_(self, children: list[Node]) -> list[Node]:
        return children

    def part(self, children: list[Any]) -> Node:
        sign, node = children
        if sign is None:
            return cast(Node, node)
        if isinstance(node, Setting):
            edit = (start_of(sign), node.start, "")
            raise MistakeError(f"`{node.name}:` cannot be negated.", start_of(sign), edit)
        return Not(_settled(node))

    def group(self, children: list[list[list[Node]]]) -> Condition:
        return settle(children[0])

    def word(self, children: list[Token]) -> Token:
        return children[0]

    def term(self, children: list[Any]) -> Condition | Setting:
        key, op, *values = children
        return read_term(key, op, values)


@functools.cache
def _parser() -> Lark:
    return Lark(GRAMMAR, parser="lalr", lexer="contextual", transformer=_Reader())


def _syntax_mistake(text: str, token: Token) -> MistakeError:
    """Return what is wrong where the grammar could not go on."""
    at = len(text.rstrip()) if token.type == "$END" else start_of(token)
    if token.type in ("$END", "RPAR") and (dangling := _DANGLING.search(text, 0, at)):
        start, what = dangling.start(), dangling[0].strip()
        if what == "(":
            return MistakeError("There is nothing in these parentheses.", start, (start, at + 1, ""))
        return MistakeError(f"Something is missing after `{what}`.", start, (start, at, ""))
    if colon := _COLON.match(text, at):
        return _colon_mistake(colon)
    if loose := re.compile(r"-\s+").match(text, at):
        return MistakeError("Write `-` right before what it leaves out.", at, (*loose.span(), "-"))
    what = "-" if text[at] == "-" else str(token)
    return MistakeError(f"`{what}` cannot stand here.", at, (at, at + len(what), " "))


def _colon_mistake(colon: re.Match[str]) -> MistakeError:
    """Return what is wrong with a colon that follows no key, or that no value follows."""
    at = colon.start()
    if colon["key"] is not None and (colon["blank"] or not colon["value"]):
        edit = (at, colon.end("blank"), ":" if colon["value"] else ":*")
        return MistakeError("The value has to follow right after the colon.", at, edit)
    return MistakeError("This colon follows no key; a text with a colon needs quotes.", at, (at, at + 1, " "))
