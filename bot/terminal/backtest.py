"""The back-test: what rules would have found in the stored history."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bot import rulebook
from bot.charts.bursts import bursts_by_rule
from bot.detect import facts
from bot.detect.groups import Group
from bot.detect.match import Burst, Evaluation
from bot.detect.rules import CompiledRule, RuleSet
from bot.errors import ConfigError
from bot.fields import FactSettings
from bot.reading import opened
from bot.settings import Settings
from bot.show import lines, progress, say, table
from bot.store.schema import Store
from bot.terminal.answer import span
from bot.terminal.plots import check_target, write_picture
from bot.times import DAY, WEEK, iso

HEADS = ("rule", "level", "bursts", "entities", "a week", "noisiest", "")


@dataclass(frozen=True)
class Found:
    """The bursts of one rule, by time."""

    rule: CompiledRule
    bursts: list[Burst]

    @property
    def groups(self) -> Counter[Group]:
        """How many bursts each group has, the first found first."""
        return Counter(burst.group for burst in self.bursts)


@dataclass(frozen=True)
class Past:
    """What rules found, and where: `since` to `until` (microseconds) is the asked-for span as far as the log reaches.

    `events` counts the events in it; those before, which windows look back on, do not count.
    """

    found: list[Found]
    since: int
    until: int
    events: int

    @property
    def weeks(self) -> float:
        """How long that is, a day at least, so that a rate means something."""
        return max(self.until - self.since, DAY) / WEEK

    @property
    def title(self) -> str:
        """The span in words."""
        return f"{self.events:,} events in {self.weeks * 7:.0f} days, {_day(self.since)} to {_day(self.until)} (UTC)"


def backtest(
    settings: Settings, rule_ids: Iterable[str], since: str | None, until: str | None, format_: str, target: Path | None
) -> None:
    """Print the bursts of the rule files over the stored history, as a table by rule or one JSON object a burst.

    With a `target` they are drawn into that PNG file too.
    """
    check_target(target)
    book = rulebook.read_rulebook(settings.rules)
    chosen = choose(book.rules, rule_ids)
    fact_settings = settings.fact_settings(book.sensitive)
    begin, end = span(since, until, fact_settings)
    with opened(settings.db) as store:
        past = evaluate(store, fact_settings, chosen, begin, end)
    if format_ == "jsonl":
        lines(as_line(one.rule, burst) for one in past.found for burst in one.bursts)
    else:
        table(HEADS, summary(past), past.title, "There are no rules.")
    draw(past, target, format_)


def choose(rules: RuleSet, rule_ids: Iterable[str]) -> list[CompiledRule]:
    """Return the rules of these ids, or all that report. Raises ConfigError for an unknown id."""
    chosen = {}
    for rule_id in rule_ids:
        rule = rules.get(rule_id)
        if rule is None:
            raise ConfigError(f"There is no rule {rule_id}: `audit-bot rules list` shows the ids.")
        chosen[rule.id] = rule
    return list(chosen.values()) or [rule for rule in rules.rules if rule.reports]


def evaluate(store: Store, settings: FactSettings, rules: Sequence[CompiledRule], begin: int, end: int) -> Past:
    """Return the bursts whose anchors lie in a span, both ends included; shows a bar that counts rules meanwhile.

    Windows of the first anchors reach back before the span, so that much more of the log is read.
    """
    lookback = max((rule.lookback for rule in rules), default=0)
    with progress("Back-testing") as seen:
        columns = facts.read_span(store, settings, begin - lookback, end)
        evaluation, found = Evaluation(columns, rules), []
        for place, rule in enumerate(rules, 1):
            found.append(Found(rule, evaluation.bursts(rule, begin, end)))
            if seen:
                seen(place, len(rules), len(columns))
    [(first, last)] = store.rows("SELECT coalesce(min(time), 0), coalesce(max(time), 0) FROM events")
    reached = max(begin, first)
    return Past(found, reached, max(reached, min(end, last)), int(np.count_nonzero(columns.time >= begin)))


def as_line(rule: CompiledRule, burst: Burst) -> dict[str, Any]:
    """Return a burst as machine output has it."""
    return {
        "rule": rule.id,
        "title": rule.rule.title,
        "level": rule.rule.level.name,
        "group": dict(burst.group),
        "first_event": iso(burst.first),
        "last_event": iso(burst.last),
        "count": burst.count,
    }


def summary(past: Past) -> Iterator[tuple[Any, ...]]:
    """Yield a row for each rule, the busiest first, then the worst."""
    for one in sorted(past.found, key=_busiest):
        rule, count, groups = one.rule.rule, len(one.bursts), one.groups
        noisiest = ""
        if groups:
            group, times = min(groups.items(), key=lambda item: (-item[1], item[0]))
            noisiest = f"{say_group(group)} ({times:,})"
        shadow = "shadow" if rule.shadow else ""
        yield rule.title, rule.level.name, count, len(groups), f"{count / past.weeks:.1f}", noisiest, shadow


def _busiest(one: Found) -> tuple[int, int, str, str]:
    return -len(one.bursts), -one.rule.rule.level, one.rule.rule.title, one.rule.id


def say_group(group: Group) -> str:
    """Return a group as people read it."""
    return " ".join(value for _, value in group) or "all together"


def draw(past: Past, target: Path | None, format_: str) -> None:
    """Draw the timeline where one was asked for, and tell people so. Raises ConfigError."""
    if target is None:
        return
    rows = [(one.rule.rule, [(burst.first, burst.last) for burst in one.bursts]) for one in past.found]
    write_picture(target, bursts_by_rule(rows, (past.since, past.until), past.title))
    if format_ == "table":
        say(f"\n{target} is written.")


def _day(time: int) -> str:
    return iso(time)[:10]
