"""The commands about timed exceptions: `audit-bot exceptions list`, `add`, `remove`, `export`."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bot.login import user

if TYPE_CHECKING:  # heavy modules are imported by the commands that need them, so that --help is quick
    from bot.settings import Settings
    from bot.store.people.coverage import Preview
    from bot.store.people.exceptions import TimedException
    from bot.store.schema import Store

exceptions_cli = typer.Typer(
    no_args_is_help=True, help="List, approve and end timed exceptions. What is expected, and until when."
)

Db = Annotated[Path | None, typer.Option("--db", help="The database file (AUDIT_BOT_DB).", show_default=False)]
Rules = Annotated[
    Path | None, typer.Option("--rules", help="The folder of rule files (AUDIT_BOT_RULES).", show_default=False)
]
Number = Annotated[int, typer.Argument(metavar="ID", help="Its number, as in the list.", min=1, max=2**63 - 1)]

HEADS = ("id", "condition", "rule", "reason", "author", "until", "state", "findings", "events")


@exceptions_cli.command("list")
def list_(
    everything: Annotated[bool, typer.Option("--all", help="Those that have ended, too.")] = False,
    format_: Annotated[str, typer.Option("--format", help="`table` for people, `jsonl` for programs.")] = "table",
    db: Db = None,
    rules: Rules = None,
) -> None:
    """List the exceptions in force.

    With how many findings each hides, and how many events these have.
    """
    from bot.reading import now, opened
    from bot.show import lines, table
    from bot.store.alerts import rule_texts
    from bot.store.people import exceptions

    if format_ not in ("table", "jsonl"):
        raise typer.BadParameter(f"{format_!r} is none of table, jsonl", param_hint="--format")
    with opened(_settings(db, rules).db) as store:
        moment = now()
        found = exceptions.listing(store, moment, include_ended=everything)
        titles = {rule.id: rule.title for rule in rule_texts(store).values()}
    if format_ == "jsonl":
        lines(exception_row(one, moment) for one in found)
    else:
        shown = [_cells(one, moment, titles) for one in found]
        table(HEADS, shown, empty="There are no exceptions." if everything else "There are no exceptions in force.")


@exceptions_cli.command(context_settings={"ignore_unknown_options": True})
def add(
    condition: Annotated[str, typer.Argument(help="Events that are expected, as in /audit: `actor:ci-bot type:TEAM`")],
    reason: Annotated[str, typer.Option(help="Why this is expected.")],
    days: Annotated[float, typer.Option(help="For how long, at most 90 days.")],
    rule: Annotated[
        str | None, typer.Option(help="The id of one rule, or `forest`; otherwise all.", show_default=False)
    ] = None,
    author: Annotated[str | None, typer.Option(help="Who approves it; otherwise you.", show_default=False)] = None,
    db: Db = None,
    rules: Rules = None,
) -> None:
    """Approve what is expected, for a time.

    A finding is hidden where all of its events satisfy the condition.

    Prints what it would have hidden in the last 30 days. It is in force at once: the two-person rule holds in Slack,
    and what would have waited there for a second person is told in the channel.
    """
    from bot.errors import ConfigError
    from bot.reading import fact_settings, now, opened
    from bot.show import say
    from bot.store.people import coverage, exceptions
    from bot.times import DAY, iso

    if not math.isfinite(days):
        raise ConfigError("--days has to be a number of days, at most 90.")
    settings = _settings(db, rules)
    facts = fact_settings(settings)
    with opened(settings.db) as store:
        moment = now()
        expires = moment + round(min(max(days, 0), 1000) * DAY)
        one = exceptions.add(
            store, condition, reason=reason, author=author or user(), now=moment, expires=expires, rule=rule
        )
        would_have = coverage.preview(store, one, facts, moment)
        alone = _tell_if_alone(store, one, moment) if settings.two_person else ""
    say(f"Exception {one.id} is in force until {iso(one.expires)}.")
    say(_say_preview(would_have))
    if alone:
        say(alone)


@exceptions_cli.command()
def remove(number: Number, db: Db = None, rules: Rules = None) -> None:
    """End an exception now. What it hid is looked at again as soon as it goes on."""
    from bot.reading import now, opened
    from bot.show import say
    from bot.store.people import exceptions

    with opened(_settings(db, rules).db) as store:
        one = exceptions.remove(store, number, user(), now())
    say(f"Exception {one.id} has ended: {one.condition}")


@exceptions_cli.command()
def export(
    number: Annotated[
        int | None,
        typer.Argument(metavar="[ID]", help="One, ended or not; otherwise all in force.", min=1, max=2**63 - 1),
    ] = None,
    db: Db = None,
    rules: Rules = None,
) -> None:
    """Print exceptions as Sigma filters.

    For rules/exceptions/: reviewed, and without an end.
    """
    from bot.errors import ConfigError
    from bot.reading import now, opened
    from bot.rulebook import read_rulebook
    from bot.store.people import exceptions
    from bot.terminal.exception_files import filter_file

    settings = _settings(db, rules)
    with opened(settings.db) as store:
        chosen = exceptions.in_force(store, now()) if number is None else [exceptions.get(store, number)]
    book = read_rulebook(settings.rules)
    texts, errors = [], []
    for one in chosen:
        try:
            texts.append(filter_file(one, book))
        except ConfigError as error:
            errors.append(str(error))
    if errors:
        raise ConfigError("\n".join(errors))
    sys.stdout.write("---\n".join(texts))
    if not texts:
        sys.stderr.write("There are no exceptions in force.\n")


def _tell_if_alone(store: Store, one: TimedException, now: int) -> str:
    """Tell the channel of what would have needed a second person in Slack, and return what to say of it here."""
    from bot.model import Level
    from bot.store.messages import outbox
    from bot.store.people.proposals import why_second
    from bot.times import iso

    why = why_second(one, Level.low)
    if not why:
        return ""
    text = (
        f"Exception {one.id} was approved on the command line without a second person, though {why}:"
        f" {one.condition} until {iso(one.expires)}, by {one.author}. The reason given: {one.reason}"
    )
    outbox.put(store, "notice", now, body=text)
    return f"In Slack a second person would have had to approve it, since {why}: the channel is told of it."


def _settings(db: Path | None, rules: Path | None) -> Settings:
    from bot.settings import load

    return load((), AUDIT_BOT_DB=db, AUDIT_BOT_RULES=rules)


def exception_row(one: TimedException, now: int) -> dict[str, Any]:
    """Return an exception as machine output has it."""
    from bot.times import iso

    return {
        "id": one.id,
        "rule": one.rule,
        "condition": one.condition,
        "reason": one.reason,
        "author": one.author,
        "created": iso(one.created),
        "expires": iso(one.expires),
        "removed": None if one.removed is None else iso(one.removed),
        "removed_by": one.removed_by,
        "state": one.state(now),
        "findings": one.findings,
        "events": one.events,
        "kind": one.kind,
        "alert": one.alert,
    }


def _cells(one: TimedException, now: int, titles: dict[str, str]) -> tuple[Any, ...]:
    from bot.times import iso

    rule = "all" if one.rule is None else titles.get(one.rule, one.rule)
    until = iso(one.removed or one.expires)[:16].replace("T", " ")
    return one.id, one.condition, rule, one.reason, one.author, until, one.state(now), one.findings, one.events


def _say_preview(found: Preview) -> str:
    if not found.findings:
        return "In the last 30 days it would have hidden nothing."
    return (
        f"In the last 30 days it would have hidden {_many(found.findings, 'finding')} with"
        f" {_many(found.events, 'event')}, and so {_many(found.alerts, 'alert')}, {found.posted:,} of them posted."
    )


def _many(count: int, noun: str) -> str:
    return f"{count:,} {noun if count == 1 else noun + 's'}"
