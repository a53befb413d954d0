"""Where somebody is in an answer, as the value of a button: numbers only, read again and checked at the click."""

from __future__ import annotations

import re
from dataclasses import dataclass

from bot.store.queries.search import Page, Part

_VALUE = re.compile(r"(\d{1,15})(?::([np]):(-?\d{1,19}):(\d{1,18}):(\d{1,9}))?", re.ASCII)


@dataclass(frozen=True)
class Place:
    """A page of the answer to the question `question`: its first, or the one of `part`, with `start` events ahead."""

    question: int
    part: Part | None = None
    start: int = 0

    def __str__(self) -> str:
        if self.part is None:
            return str(self.question)
        way = "p" if self.part.before else "n"
        return f"{self.question}:{way}:{self.part.time}:{self.part.id}:{self.start}"


def read_place(value: str) -> Place | None:
    """Return what a button's value says, None where it says nothing of the kind."""
    found = _VALUE.fullmatch(value)
    if not found:
        return None
    question, way, time, number, start = found.groups()
    if way is None or not int(start):
        return Place(int(question))  # whatever leads to the beginning is the first page
    return Place(int(question), Part(int(time), int(number), before=way == "p"), int(start))


def following(question: int, page: Page, start: int, limit: int) -> Place | None:
    """Return the page after one that begins behind `start` events, None where there is none."""
    end = start + len(page.events)
    if len(page.events) < limit or (end >= page.total and not page.more):
        return None
    last = page.events[-1]
    return Place(question, Part(last.time, last.id), end)


def preceding(question: int, page: Page, start: int, limit: int) -> Place | None:
    """Return the page before one that begins behind `start` events, None where there is none."""
    if not start:
        return None
    if not page.events or start <= limit:
        return Place(question)
    first = page.events[0]
    return Place(question, Part(first.time, first.id, before=True), start - limit)
