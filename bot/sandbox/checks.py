"""The three questions that every check of a payload asks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


class RefusalError(ValueError):
    """A part of a message or view that Slack would not take; the text says where and why."""


def need(holds: bool, why: str) -> None:
    """Refuse what does not hold."""
    if not holds:
        raise RefusalError(why)


def text(value: Any, most: int, kinds: Sequence[str] = ("plain_text", "mrkdwn")) -> None:
    """Refuse what is no text object of these kinds, with 1 to `most` characters."""
    need(isinstance(value, dict) and value.get("type") in kinds, f"a text object of {kinds} is needed")
    need(
        isinstance(value.get("text"), str) and 0 < len(value["text"]) <= most, f"text must have 1 to {most} characters"
    )


def list_of(value: Any, most: int, what: str) -> list[Any]:
    """Return a list of 1 to `most` things; refuse anything else."""
    need(isinstance(value, list) and 0 < len(value) <= most, f"1 to {most} {what} are needed")
    return list(value)
