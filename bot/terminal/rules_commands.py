"""The commands about rule files: `audit-bot rules check`, `test`, `list`, `new`, `schema`."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

if TYPE_CHECKING:  # heavy modules are imported by the commands that need them, so that --help is quick
    from bot.detect.rules import CompiledRule
    from bot.detect.sigma.run_tests import Outcome
    from bot.errors import Problem
    from bot.rulebook import Rulebook
    from bot.settings import Settings
    from bot.store.rule_stats import RuleStats

rules_cli = typer.Typer(no_args_is_help=True, help="Check, test, list and start rule files.")

Db = Annotated[Path | None, typer.Option("--db", help="The database file (AUDIT_BOT_DB).", show_default=False)]
Rules = Annotated[
    Path | None, typer.Option("--rules", help="The folder of rule files (AUDIT_BOT_RULES).", show_default=False)
]
What = Annotated[
    Path | None,
    typer.Argument(metavar="[PATH]", help="A file or a folder; without it, the whole --rules folder.", exists=True),
]


# Of `rules list`: what comes from the database, and the columns of the table with what each shows.
LIST_COUNTS = ("findings_7d", "findings_30d", "alerts_30d", "right", "wrong", "precision", "noisy", "never_fired")
LIST_HEADS = {
    "level": "level", "status": "status", "title": "title", "7 days": "findings_7d", "30 days": "findings_30d",
    "alerts": "alerts_30d", "right": "right", "wrong": "wrong", "precision": "precision", "cost ms": "cost_ms",
    "last fired": "last_fired", "": "marks", "id": "id",
}  # fmt: skip

LevelName = Literal["informational", "low", "medium", "high", "critical"]
Kind = Literal["plain", "count", "distinct"]


@rules_cli.command()
def check(path: What = None, db: Db = None, rules: Rules = None) -> None:
    """Say what is wrong with rule files and the settings beside them.

    One `file:line: text (hint)` a line.

    Exit 1 where anything is wrong; rules without tests are only warned of.
    """
    book, problems, read = _read(_settings(db, rules), path)
    if book is None:
        _print_problems(problems, read)
        sys.exit(1)
    mine = [rule for rule in book.rules.rules if _chosen(read, rule.rule.file)]
    warnings = [warning for warning in book.rules.warnings if _chosen(read, warning.file)]
    _print_problems(warnings, read, "warning: ")
    files = len({rule.rule.file for rule in mine})
    sys.stderr.write(f"Nothing is wrong. Rules: {len(mine)}, files: {files}, warnings: {len(warnings)}.\n")


@rules_cli.command("test")
def run_the_tests(path: What = None, db: Db = None, rules: Rules = None) -> None:
    """Run the tests that stand in the rule files. Exit 1 where one fails, or a file is broken."""
    from bot.detect.sigma.run_tests import run_tests
    from bot.fields import FactSettings
    from bot.show import say, table

    book, problems, read = _read(_settings(db, rules), path)
    if book is None:
        _print_problems(problems, read)
        sys.exit(1)
    mine = [rule for rule in book.rules.rules if _chosen(read, rule.rule.file)]
    outcomes = list(run_tests(mine, FactSettings(sensitive=book.sensitive)))
    if path is not None and path.is_file():
        table(("rule", "test", "fires", "got", ""), map(_outcome_row, outcomes), empty="There are no tests.")
    else:
        table(("rule", "file", "tests", "failed", ""), _tally(mine, outcomes), empty="There are no rules.")
    failed = [outcome for outcome in outcomes if not outcome.passed]
    for outcome in failed:
        say("\n" + "\n".join(_say_failure(outcome, read)))
    untested = [rule.rule.title for rule in mine if rule.reports and not rule.tests]
    if untested:
        say("\nWithout tests:\n  " + "\n  ".join(untested))
    say(f"\n{len(outcomes) - len(failed)} of {len(outcomes)} tests pass.")
    sys.exit(1 if failed else 0)


@rules_cli.command("list")
def list_(
    cost: Annotated[bool, typer.Option("--cost", help="Measure each rule over the last 7 days of the log.")] = False,
    format_: Annotated[str, typer.Option("--format", help="`table` for people, `jsonl` for programs.")] = "table",
    db: Db = None,
    rules: Rules = None,
) -> None:
    """List the rules in force.

    Where there is a database, with what they found and what people thought of it.

    "noisy" marks more than 3 alerts a week (of a shadow rule: findings), "never fired" what never found anything.
    """
    from bot.show import lines, table

    if format_ not in ("table", "jsonl"):
        raise typer.BadParameter(f"{format_!r} is none of table, jsonl", param_hint="--format")
    settings = _settings(db, rules)
    book, problems, read = _read(settings, None)
    if book is None:
        from bot.errors import RuleError

        raise RuleError(tuple(problems))
    known, taken = _records(settings, book, cost=cost)
    shown = sorted(book.reporting, key=lambda rule: (-rule.rule.level, rule.rule.title, rule.id))
    rows = [_list_row(rule, known.get(rule.id), taken.get(rule.id), read) for rule in shown]
    if format_ == "jsonl":
        lines(rows)
    else:
        heads = [head for head in LIST_HEADS if cost or head != "cost ms"]
        table(heads, [[_list_cell(row, LIST_HEADS[head]) for head in heads] for row in rows], empty="No rules.")


@rules_cli.command()
def new(
    path: Annotated[
        Path | None,
        typer.Argument(metavar="[PATH]", help="The file to write; without it, the title's words in --rules."),
    ] = None,
    title: Annotated[str, typer.Option(prompt="What happened, in a few words (the title)", help="What happened.")] = "",
    level: Annotated[LevelName, typer.Option(prompt="How bad is it", help="How bad it is.")] = "medium",
    kind: Annotated[
        Kind,
        typer.Option(
            prompt="Does it look at single events (plain), how many (count), or how many different (distinct)",
            help="What it looks at: single events, how many events, or how many different values.",
        ),
    ] = "plain",
    db: Db = None,
    rules: Rules = None,
) -> None:
    """Write a new rule with comments and a test.

    It passes `rules check` and `rules test` as it stands.
    """
    from uuid import uuid4

    from bot.detect.sigma.template import new_rule, slug
    from bot.reading import rules_folder

    title = " ".join(title.split())
    if not 0 < len(title) <= 200 or not title.isprintable():
        raise typer.BadParameter("a title has 1 to 200 printable characters", param_hint="--title")
    target = path or rules_folder(_settings(db, rules).rules) / f"{slug(title)}.yml"
    if target.suffix not in (".yml", ".yaml"):
        raise typer.BadParameter("a rule file is named *.yml", param_hint="PATH")
    _write_new(target, new_rule(title, level, kind, str(uuid4()), str(uuid4())))
    sys.stdout.write(f"{target} is written. Edit it, then: audit-bot rules test {target}\n")


@rules_cli.command()
def schema(db: Db = None, rules: Rules = None) -> None:
    """Print the JSON Schema of rule files, for editors.

    Like this: `audit-bot rules schema > rule.schema.json`.
    """
    import json

    from bot.detect.sigma.editor_schema import editor_schema

    sys.stdout.write(json.dumps(editor_schema(), indent=2) + "\n")


# -- reading what was asked for --------------------------------------------------------------------------------------
class _Read:
    """What was read: the folder (or file) at `root`, and the one file in it that was asked for, if it was one."""

    def __init__(self, root: Path, only: str | None = None) -> None:
        self.root, self.only = root, only


def _settings(db: Path | None, rules: Path | None) -> Settings:
    from bot.settings import load

    return load((), AUDIT_BOT_DB=db, AUDIT_BOT_RULES=rules)


def _read(settings: Settings, path: Path | None) -> tuple[Rulebook | None, list[Problem], _Read]:
    """Return the rules at a path, None where they are broken; what is wrong with them; and what was read.

    Of one file of the rules folder, what is wrong with other files is told only where this one is fine by itself.
    """
    from bot.errors import RuleError
    from bot.reading import SHIPPED
    from bot.rulebook import SETTINGS_FILES, check, read_rulebook, read_texts

    read = _place(settings, path)
    try:
        if read.only is None and read.root.name in SETTINGS_FILES and read.root.is_file():
            read.only = read.root.name  # no rules beside it: the shipped ones stand in
            text = read.root.read_text(encoding="utf-8", errors="replace")
            return check({**read_texts(SHIPPED), read.only: text}), [], read
        return read_rulebook(read.root), [], read
    except RuleError as error:
        mine = [one for one in error.problems if _chosen(read, one.file) or f"{read.only}:" in one.text]
        return None, mine or list(error.problems), read


def _place(settings: Settings, path: Path | None) -> _Read:
    """Return what to read: a file of the rules folder with all the folder, since rules name each other across files."""
    from bot.reading import rules_folder

    if path is None:
        return _Read(rules_folder(settings.rules))
    folder, file = settings.rules.resolve(), path.resolve()
    if path.is_file() and folder.is_dir() and file.is_relative_to(folder):
        inside = file.relative_to(folder)
        hidden = any(part.startswith(".") for part in inside.parts)
        if inside.suffix in (".yml", ".yaml") and not hidden:
            return _Read(settings.rules, inside.as_posix())
    return _Read(path)


def _chosen(read: _Read, file: str) -> bool:
    return read.only is None or file == read.only


def _shown(read: _Read, file: str) -> str:
    """Return the path of a file as one would type it here."""
    place = read.root / file if read.root.is_dir() else read.root
    return str(place if os.path.lexists(place) else file)


def _print_problems(problems: Sequence[Problem], read: _Read, mark: str = "") -> None:
    from bot.show import say

    for problem in problems:
        hint = f" ({problem.hint})" if problem.hint else ""
        say(f"{_shown(read, problem.file)}:{problem.line}: {mark}{problem.text}{hint}")


# -- rows ------------------------------------------------------------------------------------------------------------
def _outcome_row(outcome: Outcome) -> tuple[str, ...]:
    verdict = "passed" if outcome.passed else "FAILED"
    return outcome.rule.rule.title, outcome.test.name, outcome.expected, str(outcome.got), verdict


def _tally(rules: Sequence[CompiledRule], outcomes: Sequence[Outcome]) -> Iterator[tuple[str | int, ...]]:
    failed = Counter(outcome.rule.id for outcome in outcomes if not outcome.passed)
    for rule in rules:
        if rule.reports or rule.tests:
            verdict = "FAILED" if failed[rule.id] else "passed" if rule.tests else "no tests"
            yield rule.rule.title, rule.rule.file, len(rule.tests), failed[rule.id], verdict


def _say_failure(outcome: Outcome, read: _Read) -> Iterator[str]:
    rule = outcome.rule.rule
    yield f"{_shown(read, rule.file)}:{outcome.test.line}: {rule.title}: {outcome.test.name}"
    yield f"  - fires: {outcome.expected}"
    yield f"  + fires: {outcome.got}"
    yield from (f"    {line}" for line in outcome.explanation)


def _list_row(rule: CompiledRule, stats: RuleStats | None, cost: float | None, read: _Read) -> dict[str, Any]:
    from bot.times import iso

    one = rule.rule
    fired = None if stats is None else stats.last_fired
    return {
        "id": one.id,
        "level": one.level.name,
        "status": one.status,
        "title": one.title,
        "file": _shown(read, one.file) if one.file else "",
        "line": one.line,
        "tests": len(rule.tests),
        **{name: None if stats is None else getattr(stats, name) for name in LIST_COUNTS},
        "cost_ms": None if cost is None else round(cost, 3),
        "last_fired": None if fired is None else iso(fired),
    }


def _list_cell(row: dict[str, Any], name: str) -> Any:
    """Return what people are shown of a row."""
    if name == "marks":
        return ", ".join(mark for mark in ("noisy", "never fired") if row[mark.replace(" ", "_")])
    value = row[name]
    if name == "precision" and value is not None:
        return f"{value:.0%}"
    return value[:10] if name == "last_fired" and value is not None else value


def _records(settings: Settings, book: Rulebook, *, cost: bool) -> tuple[dict[str, RuleStats], dict[str, float]]:
    """Return what the database knows of each rule and, where asked for, what each costs; nothing without one."""
    from bot.reading import now, opened
    from bot.store.rule_stats import stats
    from bot.terminal.rule_costs import costs

    if not settings.db.exists():
        return {}, {}
    with opened(settings.db) as store:
        known = stats(store, [rule.rule for rule in book.reporting], now())
        facts = settings.fact_settings(book.sensitive)
        return known, costs(store, facts, book.reporting, now) if cost else {}


def _write_new(target: Path, text: str) -> None:
    """Write a file that is not there yet. Raises ConfigError."""
    from bot.errors import ConfigError

    try:
        with target.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError as error:
        raise ConfigError(f"{target} exists already: give another PATH.") from error
    except OSError as error:
        raise ConfigError(f"{target}: {error.strerror}. Give a PATH in a folder that you can write to.") from error
