"""What the doctor says: one line for each thing looked at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Verdict = Literal["ok", "warn", "bad"]


@dataclass(frozen=True)
class Line:
    """One thing looked at: `warn` works but could be better, `bad` does not work. `remedy` says what to do."""

    verdict: Verdict
    what: str
    text: str
    remedy: str = ""


def ok(what: str, text: str) -> Line:
    """Return a line for what is as it should be."""
    return Line("ok", what, text)


def warn(what: str, text: str, remedy: str) -> Line:
    """Return a line for what works, but could be better."""
    return Line("warn", what, text, remedy)


def bad(what: str, text: str, remedy: str) -> Line:
    """Return a line for what does not work."""
    return Line("bad", what, text, remedy)
