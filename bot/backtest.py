"""The back-test: what rules would have found in the stored history."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from bot import rulebook
from bot.answer import span
from bot.app import opened
from bot.detect import facts
from bot.detect.match import Burst, Evaluation
from bot.detect.rules import CompiledRule, RuleSet
from bot.errors import ConfigError
from bot.settings import Settings
from bot.show import lines, progress, table
from bot.times import DAY, iso


@dataclass(frozen=True)
class Found:
    """The bursts of one rule."""

    rule: CompiledRule
    bursts: list[Burst]


def backtest(settings: Settings, rule_ids: Iterable[str], since: str | None, until: str | None, format_: str) -> None:
    """Print the bursts of the rule files over the stored history, as a table by rule or one JSON object a burst."""
    book = rulebook.read_rulebook(settings.rules)
    chosen = choose(book.rules, rule_ids)
    settings_of_facts = settings.fact_settings(book.sensitive)
    begin, end = span(since, until, settings_of_facts)
    with opened(settings.db) as store:
        lookback = max((rule.lookback for rule in chosen), default=0)
        where = "e.time BETWEEN ? AND ?"
        columns = facts.read(store, settings_of_facts, where, (begin - lookback, end))
        evaluation = Evaluation(columns)
        with progress("Back-testing") as seen:
            found = []
            for place, rule in enumerate(chosen, 1):
                found.append(Found(rule, evaluation.bursts(rule, begin, end)))
                if seen:
                    seen(place, len(chosen), len(columns))
    days = (int(columns.time[-1]) - int(columns.time[0])) / DAY if len(columns) else 0.0
    if format_ == "jsonl":
        lines(as_lines(found))
    else:
        title = f"{len(columns):,} events in {days:.0f} days"
        table(HEADS, summary(found, max(days / 7, 1 / 7)), title, "There are no rules.")


def choose(rules: RuleSet, rule_ids: Iterable[str]) -> list[CompiledRule]:
    """Return the rules of these ids, or all that report. Raises ConfigError for an unknown id."""
    chosen = []
    for rule_id in rule_ids:
        rule = rules.get(rule_id)
        if rule is None:
            raise ConfigError(f"There is no rule {rule_id}: `audit-bot rules list` shows the ids.")
        chosen.append(rule)
    return chosen or [rule for rule in rules.rules if rule.reports]


def as_lines(found: Iterable[Found]) -> Iterator[dict[str, Any]]:
    """Yield the bursts as machine output has them."""
    for one in found:
        for burst in one.bursts:
            yield {
                "rule": one.rule.id,
                "title": one.rule.rule.title,
                "level": one.rule.rule.level.name,
                "group": dict(burst.group),
                "first_event": iso(burst.first),
                "last_event": iso(burst.last),
                "count": burst.count,
            }


HEADS = ("rule", "level", "bursts", "entities", "a week", "noisiest", "")


def summary(found: Iterable[Found], weeks: float) -> Iterator[tuple[Any, ...]]:
    """Yield a row for each rule, the busiest first."""
    for one in sorted(found, key=lambda one: -len(one.bursts)):
        groups = Counter(burst.group for burst in one.bursts)
        noisiest = "" if not groups else _say_group(*groups.most_common(1)[0])
        rule, count = one.rule.rule, len(one.bursts)
        shadow = "shadow" if rule.shadow else ""
        yield rule.title, rule.level.name, count, len(groups), f"{count / weeks:.1f}", noisiest, shadow


def _say_group(group: tuple[tuple[str, str], ...], count: int) -> str:
    return f"{' '.join(value for _, value in group) or 'all together'} ({count})"
