"""How often the shipped rules fire on activity logs: findings a week by rule, and alerts after episodes.

usage: rates.py FILE...          API-shaped JSON lines, .gz too; one log each

Each log is imported into a database of its own, as `audit-bot import` does; the first 14 days, in which nothing can be
new yet, are left out. Prints the table of docs/rules.md.
"""

from __future__ import annotations

import sys
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from rich.progress import track

from bot.app import build
from bot.detect.rules import CompiledRule
from bot.fields import LEARNING_DAYS
from bot.poll.records import read_files
from bot.reading import opened
from bot.settings import Settings
from bot.store import alerts
from bot.times import DAY, WEEK


@dataclass(frozen=True)
class Rates:
    """What one log gave: findings a week by rule id, alerts a week, alerts in the worst week."""

    findings: dict[str, float]
    alerts: float
    worst: int


def measure(file: str) -> Rates:
    with tempfile.TemporaryDirectory() as folder, opened(Path(folder) / "audit.db", create=True) as store:
        app = build(Settings(AUDIT_BOT_RULES=Path("rules")), store)
        app.pipeline.take_file(read_files([file]))
        first, last = store.rows("SELECT min(time), max(time) FROM events")[0]
        begin = first + LEARNING_DAYS * DAY
        weeks = (last - begin) / WEEK
        found = Counter(one.rule_id for one in alerts.findings(store, "state = 'open' AND first >= ?", (begin,)))
        loud = alerts.alerts(store, "points >= ? AND first >= ?", (app.book.routing.post_from, begin))
        by_week = Counter((one.first - begin) // WEEK for one in loud)
        return Rates(
            {rule: n / weeks for rule, n in found.items()}, len(loud) / weeks, max(by_week.values(), default=0)
        )


def table(rules: list[CompiledRule], rates: dict[str, Rates]) -> str:
    lines = ["| rule | level | " + " | ".join(rates) + " |", "|---|---|" + "---|" * len(rates)]
    silent = 0
    for rule in sorted(rules, key=lambda one: -sum(rate.findings.get(one.id, 0) for rate in rates.values())):
        figures = [rate.findings.get(rule.id, 0.0) for rate in rates.values()]
        silent += not any(figures)
        level = rule.rule.level.name + ", shadow" * rule.rule.shadow
        if any(figures):
            lines.append(f"| {rule.rule.title} | {level} | " + " | ".join(f"{figure:.2f}" for figure in figures) + " |")
    lines.append("| **alerts, after episodes** | | " + " | ".join(f"**{r.alerts:.2f}**" for r in rates.values()) + " |")
    lines.append("| alerts in the worst week | | " + " | ".join(str(r.worst) for r in rates.values()) + " |")
    mean = sum(r.alerts for r in rates.values()) / len(rates)
    return "\n".join([*lines, "", f"{mean:.2f} alerts a week on average; {silent} rules did not fire at all."])


def main() -> None:
    files = sys.argv[1:]
    if not files:
        sys.exit(__doc__)
    rates = {
        Path(file).name.split(".")[0]: measure(file) for file in track(files, "logs", disable=not sys.stderr.isatty())
    }
    with tempfile.TemporaryDirectory() as folder, opened(Path(folder) / "none.db", create=True) as store:
        rules = [*build(Settings(AUDIT_BOT_RULES=Path("rules")), store).book.reporting]
    print(table(rules, rates))


if __name__ == "__main__":
    main()
