"""rules/sensitive.yml: the patterns of sensitive types."""

from __future__ import annotations

from bot.errors import RuleError
from bot.fields import SENSITIVE_TYPES
from bot.strict.readers import optional, read_table, read_texts
from bot.strict.report import Report
from bot.strict.yaml_lines import read_documents


def parse_sensitive(text: str, file: str) -> tuple[str, ...]:
    """Return the patterns that a sensitive.yml lists, the built-in ones for an empty text. Raises RuleError."""
    report = Report(file)
    patterns: tuple[str, ...] = SENSITIVE_TYPES
    for document in read_documents(text, report):
        table = read_table(document, report, file, ("types",))
        patterns = (table and optional(table, "types", read_texts, report)) or patterns
    if report.problems:
        raise RuleError(tuple(report.problems))
    return patterns
