"""Cleans text that strangers wrote, so that nothing of it acts or deceives in Slack."""

from __future__ import annotations

import re
import unicodedata

NAME_LENGTH = 120  # characters of one name that people get to see
NOTHING_VISIBLE = "(no visible characters)"

_HIDDEN_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})  # control, bidi, zero-width, surrogates
_HIDDEN_LETTERS = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")  # look like nothing, count as letters
_VARIATION = re.compile("[\ufe00-\ufe0f\U000e0100-\U000e01ef]")
_MARKS_IN_A_ROW = 2  # more combining marks than any orthography stacks would spill over the neighbours
_SPACE = re.compile(r"\s+")
_EMOJI_CODE = re.compile(r":([\w+'-]{1,100}):")
_LINK = re.compile(r":(?=//)")
_COLON = "\u2236"  # looks like a colon, starts neither a link nor an emoji


def clean(text: str, limit: int = NAME_LENGTH) -> str:
    """Return one line of visible characters, at most `limit` of them, cut with an ellipsis."""
    seen = _visible(_SPACE.sub(" ", text[: limit * 20])).strip()
    return cut(_SPACE.sub(" ", seen), limit) or NOTHING_VISIBLE


def clean_lines(text: str, limit: int) -> str:
    """Return the same for text of several lines, whose line ends stay."""
    lines = [_visible(line.replace("\t", " ")).rstrip() for line in text[: limit * 20].splitlines()]
    return cut("\n".join(lines).strip("\n"), limit) or NOTHING_VISIBLE


def cut(text: str, limit: int) -> str:
    """Return at most `limit` characters; what is cut shows as an ellipsis."""
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "…"


def defuse(text: str) -> str:
    """Return text for Slack's `text` field in which nothing is read as a mention, a link, an emoji or a format.

    `mrkdwn: false` must go with it: that alone keeps the stars and backticks of names what they are.
    """
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _LINK.sub(_COLON, _EMOJI_CODE.sub(rf"{_COLON}\1{_COLON}", text))


def typed(text: str) -> str:
    """Return what a person typed after a command: Slack sends `&`, `<` and `>` as entities."""
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def _visible(text: str) -> str:
    """Drop what cannot be seen, and marks that pile up on one letter."""
    kept: list[str] = []
    marks = 0
    for character in _VARIATION.sub("", text):
        category = unicodedata.category(character)
        if category in _HIDDEN_CATEGORIES or character in _HIDDEN_LETTERS:
            continue
        marks = marks + 1 if category in ("Mn", "Me") else 0
        if marks <= _MARKS_IN_A_ROW:
            kept.append(character)
    return "".join(kept)
