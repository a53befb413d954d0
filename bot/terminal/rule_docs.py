"""The parts of the docs that the code knows best: `python -m bot.terminal.rule_docs` writes them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from bot.detect.rules import CompiledRule
from bot.fields import EVENT_FIELDS, FACTS, LEARNING_DAYS, Field
from bot.reading import SHIPPED
from bot.rulebook import read_rulebook

DOCS = SHIPPED.parent / "docs"
BEGIN, END = "<!-- the table is made by python -m bot.terminal.rule_docs -->", "<!-- end of the table -->"

_FIELDS_HEAD = """# Fields
<!-- made from bot/fields.py by python -m bot.terminal.rule_docs -->
The same names in rules, in `/audit`, in `audit-bot query` and in exports. A *text* compares without regard to case and
takes `*` and `?`; a *number* takes `lt`, `lte`, `gt`, `gte`; a *bool* is `true` or `false`. A field without a value
matches nothing but `null` and `exists: false`.
"""
_FACTS_HEAD = f"""
## Facts: what the whole log says about an event
They are computed from all events ever stored, so a late or imported event corrects them. Every `*_new` fact is true for
the very first such event only, and has no value in the first {LEARNING_DAYS} days of the log. To ask for "within its
first day", write `actor_age_days|lt: 1` or `ip_age_days_for_actor|lt: 1`.
"""


def fields_page() -> str:
    """Return docs/fields.md."""
    return f"{_FIELDS_HEAD}\n## The event itself\n{_fields(EVENT_FIELDS)}{_FACTS_HEAD}\n{_fields(FACTS)}"


def _fields(fields: Iterable[Field]) -> str:
    lines = ["| field | kind | meaning |", "|---|---|---|"]
    for field in fields:
        values = f" Values: {', '.join(f'`{value}`' for value in field.values)}." if field.values else ""
        lines.append(f"| `{field.name}` | {field.kind} | {field.meaning}.{values} |")
    return "\n".join(lines) + "\n"


def rules_table(rules: Iterable[CompiledRule]) -> str:
    """Return the table of rules that report, the worst first."""
    lines = ["| rule | level | ATT&CK | file | meaning |", "|---|---|---|---|---|"]
    for rule in sorted(rules, key=lambda rule: (-rule.rule.level, rule.rule.file, rule.rule.line)):
        one = rule.rule
        level = f"{one.level.name}, shadow" if one.shadow else one.level.name
        technique = ", ".join(tag[7:].upper() for tag in one.tags if re.match(r"attack\.t\d", tag))
        lines.append(f"| {one.title} | {level} | {technique} | `{one.file}` | {one.description} |")
    return "\n".join(lines) + "\n"


def with_table(page: str, table: str) -> str:
    """Return a page with the table between its two marks renewed. Raises ValueError where the marks are missing."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the page lacks {BEGIN} or {END}")
    return f"{before}{BEGIN}\n{table}{END}{after}"


def write(docs: Path = DOCS) -> None:
    """Write docs/fields.md, and the table of docs/rules.md."""
    (docs / "fields.md").write_text(fields_page(), encoding="utf-8")
    page = docs / "rules.md"
    table = rules_table(read_rulebook(SHIPPED).reporting)
    page.write_text(with_table(page.read_text(encoding="utf-8"), table), encoding="utf-8")


if __name__ == "__main__":
    write()
