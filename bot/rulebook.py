"""What is in force: the rule files and the settings files beside them, or the last good set kept in the store."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from bot.alert.routing import Routing, parse_routing
from bot.detect.forest.config import ForestConfig, parse_config
from bot.detect.log.watch import BUILT_IN
from bot.detect.minimum import with_minimum
from bot.detect.rules import CompiledRule, RuleSet
from bot.detect.sigma.files import gather
from bot.detect.sigma.load import load_rules
from bot.detect.sigma.sensitive import parse_sensitive
from bot.errors import AuditBotError, ConfigError, Problem, RuleError
from bot.fields import SENSITIVE_TYPES
from bot.reading import DEFAULT_RULES, SENSITIVE, SHIPPED, rules_folder
from bot.store.alerts import remember_rules
from bot.store.schema import Store

ROUTING, FOREST = "routing.yml", "forest.yml"
HOME = "rules_home"  # where the rules in force were read from
CHOOSE = "Set AUDIT_BOT_RULES, or give --rules, to say which."
SETTINGS_FILES = (ROUTING, FOREST, SENSITIVE)


@dataclass(frozen=True)
class Rulebook:
    """Checked rules, where alerts go, the forest's budget, sensitive types; and the texts all this was read from."""

    rules: RuleSet
    routing: Routing = field(default_factory=Routing)
    forest: ForestConfig = field(default_factory=ForestConfig)
    sensitive: tuple[str, ...] = SENSITIVE_TYPES
    files: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def reporting(self) -> tuple[CompiledRule, ...]:
        """The rules that give findings of their own, never without bulk delete."""
        return with_minimum(self.rules)


def refuse_writable(path: Path) -> None:
    """Raise ConfigError where others than the owner may write rule files: whoever can may blind the bot."""
    inside = [path, *(path.rglob("*") if path.is_dir() else ())]
    open_ones = sorted(str(one) for one in inside if not one.is_symlink() and one.stat().st_mode & 0o022)
    if open_ones:
        more = f" and {len(open_ones) - 1} more" if len(open_ones) > 1 else ""
        raise ConfigError(f"Others may write {open_ones[0]}{more}. Take that away (chmod -R go-w {path}).")


def read_rulebook(path: Path) -> Rulebook:
    """Read and check everything at a path. Raises RuleError with all problems of all files, ConfigError."""
    return check(*gather(rules_folder(path)))


def read_texts(path: Path) -> dict[str, str]:
    """Return all texts at a path, by file name relative to it. Raises RuleError, ConfigError."""
    texts, problems = gather(rules_folder(path))
    if problems:
        raise RuleError(tuple(problems))
    return texts


def check(texts: Mapping[str, str], unreadable: Iterable[Problem] = ()) -> Rulebook:
    """Return what the texts say. Raises RuleError with all problems of all files, those of other files among them."""
    problems = list(unreadable)
    routing, forest, rules = Routing(), ForestConfig(), RuleSet((), {})
    sensitive: tuple[str, ...] = SENSITIVE_TYPES
    try:
        rule_texts = {name: text for name, text in texts.items() if name not in SETTINGS_FILES}
        rules = load_rules(rule_texts, whole=not problems)
    except RuleError as error:
        problems += error.problems
    try:
        routing = parse_routing(texts.get(ROUTING, ""), ROUTING)
    except RuleError as error:
        problems += error.problems
    try:
        forest = parse_config(texts.get(FOREST, ""), FOREST)
    except RuleError as error:
        problems += error.problems
    try:
        sensitive = parse_sensitive(texts.get(SENSITIVE, ""), SENSITIVE)
    except RuleError as error:
        problems += error.problems
    if problems:
        raise RuleError(tuple(sorted(problems, key=lambda problem: (problem.file, problem.line))))
    return Rulebook(rules, routing, forest, sensitive, dict(texts))


def keep(store: Store, book: Rulebook, now: int) -> None:
    """Keep a good set in the store, so that neither a bad edit nor a restart leaves us without rules."""
    with store.write() as connection:
        newest = store.value("SELECT files FROM rule_sets ORDER BY id DESC LIMIT 1")
        text = _as_kept(book)
        if newest != text:
            connection.execute(
                "INSERT INTO rule_sets (digest, taken, files) VALUES (?, ?, ?)", (book.rules.digest, now, text)
            )
        rules = [rule.rule for rule in (*book.rules.rules, *book.reporting)]
        remember_rules(store, [*rules, *BUILT_IN])
        store.set_meta("rules_state", f"{len(book.reporting)} rules in force")


def last_good(store: Store, known: Rulebook | None = None) -> Rulebook | None:
    """Return the last good set that the store keeps, None where there never was one.

    Where it is the one that is `known` already, it is not read again: .06 s of a start.
    """
    text = store.value("SELECT files FROM rule_sets ORDER BY id DESC LIMIT 1")
    if known is not None and text == _as_kept(known):
        return known
    return None if text is None else check(json.loads(text))


def _as_kept(book: Rulebook) -> str:
    return json.dumps(dict(sorted(book.files.items())), ensure_ascii=False)


def settle_home(store: Store, chosen: Path, *, named: bool) -> tuple[Path, str]:
    """Return where the rules come from, and a sentence where somebody has to know of it.

    Where nobody named a place, a start from another working directory would find the shipped rules, or other ones, and
    close the alerts of the team's. So the place that was in force last counts; if that is gone, what is found now,
    unless that is the shipped rules: then the last good set runs.
    """
    if named and (chosen.exists() or chosen != DEFAULT_RULES):
        return chosen.absolute(), ""
    found = (chosen if chosen.exists() or not SHIPPED.exists() else SHIPPED).absolute()
    last = Path(store.meta(HOME) or SHIPPED)
    if last == SHIPPED or found.resolve() == last.resolve():
        return found, ""
    if last.exists():
        return last, f"The rules are still those of {last}, though this start would find {found}. {CHOOSE}"
    if found == SHIPPED:
        return last, f"The rules of {last} are gone, so the last good set runs, not the shipped rules. {CHOOSE}"
    return found, f"The rules of {last} are gone; those of {found} are in force. {CHOOSE}"


def in_force(store: Store, path: Path) -> tuple[Rulebook, AuditBotError | None]:
    """Return the rules to run with: the files where they are good, else the last good set, and what is wrong.

    Raises RuleError, ConfigError where the files are broken, or gone, and there never was a good set.
    """
    try:
        book = read_rulebook(path)
    except (RuleError, ConfigError) as error:
        before = last_good(store)
        if before is None:
            raise
        return before, error
    return book, None
