"""Collecting what is wrong in rule files, so that all of it can be told at once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from difflib import get_close_matches

from bot.errors import Problem


@dataclass
class Report:
    """The problems found so far. `at` gives the same list with another file or rule."""

    file: str = ""
    rule_id: str = ""
    problems: list[Problem] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)

    def at(self, file: str, rule_id: str = "") -> Report:
        """Return a report that adds to the same lists, for another place."""
        return Report(file, rule_id, self.problems, self.warnings)

    def error(self, line: int, text: str, hint: str = "") -> None:
        """Note a mistake."""
        self.problems.append(Problem(self.file, line, text, hint, self.rule_id))

    def warn(self, line: int, text: str, hint: str = "") -> None:
        """Note what is allowed, but not good."""
        self.warnings.append(Problem(self.file, line, text, hint, self.rule_id))


def did_you_mean(word: str, choices: Iterable[str]) -> str:
    """Return a hint with the nearest of the choices, or all of them where they are few and none is near."""
    choices = list(choices)
    near = get_close_matches(word.lower(), choices, n=1)
    if near:
        return f"did you mean {near[0]}?"
    return f"one of {', '.join(choices)}" if 0 < len(choices) <= 12 else ""
