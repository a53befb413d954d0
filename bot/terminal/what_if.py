"""What an edited rule file would add and take away: the back-test of two sets of rules, side by side."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from bot import rulebook
from bot.detect.groups import Group
from bot.detect.match import Burst
from bot.detect.rules import CompiledRule, RuleSet
from bot.errors import ConfigError
from bot.reading import opened
from bot.rule_changes import Changes, compare
from bot.rulebook import Rulebook
from bot.settings import Settings
from bot.show import lines, plain, say, table
from bot.store.schema import Store
from bot.terminal.answer import span
from bot.terminal.backtest import Found, Past, as_line, draw, evaluate, say_group
from bot.terminal.edited import with_edit
from bot.terminal.plots import check_target
from bot.times import iso

HEADS = ("rule", "level", "before", "after", "added", "gone", "moved", "entities", "")
BURST_HEADS = ("", "rule", "group", "first event", "last event", "events")
SHOWN_BURSTS = 12
SHOWN_LINES = 8  # of what was changed in one rule

Key = tuple[Group, int, int, int]


@dataclass(frozen=True, eq=False)
class Pair:
    """One rule in force and as edited, None where it is not there or reports nothing, with the bursts of both.

    A burst is the same only if group, first event, last event and count are: `added` and `gone` are exact.
    """

    before: Found | None
    after: Found | None

    @property
    def rule(self) -> CompiledRule:
        """The rule as edited, or as it was."""
        found = self.after or self.before
        if found is None:
            raise ValueError("a pair has at least one rule")
        return found.rule

    @cached_property
    def added(self) -> list[Burst]:
        """Bursts that only the edited rule gives."""
        return _only(self.after, self.before)

    @cached_property
    def gone(self) -> list[Burst]:
        """Bursts that only the rule in force gives."""
        return _only(self.before, self.after)

    @property
    def moved(self) -> int:
        """How many of the added ones overlap one of their group that is gone: the same doings, seen otherwise."""
        gone = defaultdict(list)
        for burst in self.gone:
            gone[burst.group].append(burst)
        return sum(
            any(old.first <= new.last and new.first <= old.last for old in gone[new.group]) for new in self.added
        )

    def changes(self) -> Iterator[tuple[str, Burst]]:
        """Yield all bursts of both by time, each with what becomes of it: added, gone or same."""
        gone = [("gone", burst) for burst in self.gone]
        fresh = set(map(_key, self.added))
        now = self.after.bursts if self.after else []
        rest = [("added" if _key(burst) in fresh else "same", burst) for burst in now]
        yield from sorted(gone + rest, key=lambda one: (one[1].first, one[1].last, one[1].group, one[0]))


def _key(burst: Burst) -> Key:
    return burst.group, burst.first, burst.last, burst.count


def _only(one: Found | None, other: Found | None) -> list[Burst]:
    known = set(map(_key, other.bursts)) if other else set()
    return [burst for burst in one.bursts if _key(burst) not in known] if one else []


def what_if(
    settings: Settings,
    path: Path,
    rule_ids: Iterable[str],
    since: str | None,
    until: str | None,
    format_: str,
    target: Path | None,
) -> None:
    """Print what the edited file or folder at `path` would add and take away; a `target` shows the edited rules."""
    check_target(target)
    before = rulebook.read_rulebook(settings.rules)
    after = with_edit(before.files, path, settings.rules)
    chosen = _chosen(before.rules, after.rules, rule_ids)
    begin, end = span(since, until, settings.fact_settings(after.sensitive))
    with opened(settings.db) as store:
        old, new = _evaluate(settings, store, (before, after), chosen, begin, end)
    pairs = _pairs(old, new)
    if format_ == "jsonl":
        lines(as_line(pair.rule, burst) | {"change": change} for pair in pairs for change, burst in pair.changes())
    else:
        _print(pairs, compare(before, after), new.title)
    draw(new, target, format_)


def _chosen(before: RuleSet, after: RuleSet, rule_ids: Iterable[str]) -> set[str]:
    """Return the ids to look at, all where none is given. Raises ConfigError for one that neither set knows."""
    chosen = {rule_id.lower() for rule_id in rule_ids}
    known = {rule.id.lower() for rules in (before, after) for rule in rules.rules}
    if unknown := sorted(chosen - known):
        raise ConfigError(f"There is no rule {unknown[0]}, neither in force nor as edited.")
    return chosen or known


def _evaluate(
    settings: Settings, store: Store, books: tuple[Rulebook, Rulebook], chosen: set[str], begin: int, end: int
) -> tuple[Past, Past]:
    """Back-test both sets: in one go where the same types are sensitive, so that what they share is computed once."""
    old, new = ([rule for rule in book.rules.rules if rule.reports and rule.id.lower() in chosen] for book in books)
    facts = [settings.fact_settings(book.sensitive) for book in books]
    if facts[0] != facts[1]:
        return evaluate(store, facts[0], old, begin, end), evaluate(store, facts[1], new, begin, end)
    both = evaluate(store, facts[0], [*old, *new], begin, end)
    first, second = both.found[: len(old)], both.found[len(old) :]
    return Past(first, both.since, both.until, both.events), Past(second, both.since, both.until, both.events)


def _pairs(old: Past, new: Past) -> list[Pair]:
    """Return the rules of both, in the order of the edited set, those that are gone at the end."""
    before = {one.rule.id: one for one in old.found}
    after = {one.rule.id: one for one in new.found}
    return [Pair(before.get(rule_id), after.get(rule_id)) for rule_id in (after | before)]


# -- for people ------------------------------------------------------------------------------------------------------
def _print(pairs: list[Pair], changes: Changes, title: str) -> None:
    """Print the rules that an edit touches, what was changed in each, and the first bursts that come or go."""
    touched = {*changes.changed, *(rule.id for rule in (*changes.added, *changes.removed, *changes.indirect))}
    shown = [pair for pair in pairs if pair.rule.id in touched or pair.added or pair.gone]
    empty = "No rule that reports is different from the one in force."
    table(HEADS, [_row(pair, changes) for pair in shown], title, empty)
    for pair in shown:
        _say_difference(pair.rule, changes)
    for name in changes.settings:
        say(f"\nChanged: {name}")
    different = [(pair, *one) for pair in shown for one in pair.changes() if one[0] != "same"]
    if different:
        say("")
        more = f", the first {SHOWN_BURSTS}" if len(different) > SHOWN_BURSTS else ""
        table(BURST_HEADS, map(_burst_row, different[:SHOWN_BURSTS]), f"{len(different):,} bursts added or gone{more}")


def _row(pair: Pair, changes: Changes) -> tuple[Any, ...]:
    rule, sides = pair.rule.rule, (pair.before, pair.after)
    before, after = (None if side is None else len(side.bursts) for side in sides)
    entities = [len(side.groups) for side in sides if side is not None]
    said = " → ".join(f"{count:,}" for count in dict.fromkeys(entities))
    added, gone = len(pair.added), len(pair.gone)
    return rule.title, rule.level.name, before, after, added, gone, pair.moved, said, _what(pair, changes)


def _what(pair: Pair, changes: Changes) -> str:
    """Return in a word or two why a rule is listed."""
    rule = pair.rule
    if rule.id in {one.id for one in changes.added}:
        word = "new"
    elif rule.id in {one.id for one in changes.removed}:
        word = "removed"
    elif pair.before is None or pair.after is None:
        word = "switched on" if pair.before is None else "switched off"
    elif rule.id in changes.changed:
        word = "changed"
    else:
        word = "counts a changed rule" if rule in changes.indirect else "by a filter or setting"
    return f"{word}, shadow" if rule.rule.shadow else word


def _say_difference(rule: CompiledRule, changes: Changes) -> None:
    difference = changes.changed.get(rule.id, ())
    if difference:
        more = [f"  and {len(difference) - SHOWN_LINES} more lines"] if len(difference) > SHOWN_LINES else []
        say(
            "\n".join(
                [f"\nChanged: {plain(rule.rule.title)}", *(f"  {one}" for one in difference[:SHOWN_LINES]), *more]
            )
        )


def _burst_row(one: tuple[Pair, str, Burst]) -> tuple[Any, ...]:
    pair, change, burst = one
    return change, pair.rule.rule.title, say_group(burst.group), _moment(burst.first), _moment(burst.last), burst.count


def _moment(time: int) -> str:
    return iso(time)[:19].replace("T", " ")
