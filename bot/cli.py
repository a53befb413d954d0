"""The command line: what each command takes and prints; the work is done elsewhere."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bot.errors import ApiError, AuditBotError, QueryError
from bot.heap import collect_rarely
from bot.terminal.exceptions_commands import exceptions_cli
from bot.terminal.rules_commands import rules_cli

if TYPE_CHECKING:  # heavy modules are imported by the commands that need them, so that --help is quick
    from bot.settings import Settings


cli = typer.Typer(
    no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain text: drawn by rich, --help takes .4 s instead of .2
    help="Watches the audit log of a Cortex workspace, alerts a security team in Slack, answers /audit.\n\n"
    "Try it without any credentials: `audit-bot demo`. Settings come from the environment or a `.env` file;"
    " README.md lists them.",
)  # fmt: skip
cli.add_typer(rules_cli, name="rules")
cli.add_typer(exceptions_cli, name="exceptions")

Db = Annotated[Path | None, typer.Option("--db", help="The database file (AUDIT_BOT_DB).", show_default=False)]
Rules = Annotated[
    Path | None, typer.Option("--rules", help="The folder of rule files (AUDIT_BOT_RULES).", show_default=False)
]
Format = Annotated[str, typer.Option("--format", help="`table` for people, `jsonl` for programs.")]
Since = Annotated[
    str | None, typer.Option(help="From this moment on: ISO 8601, or 7d for a week ago.", show_default=False)
]
Until = Annotated[str | None, typer.Option(help="Up to and including this moment.", show_default=False)]


def main() -> None:
    """Run a command; every error that the bot raises on purpose becomes one readable text and an exit code."""
    collect_rarely()
    try:
        cli()
    except ApiError as error:
        _stop(error, 1)
    except AuditBotError as error:
        _stop(error, 2)
    except BrokenPipeError:  # `| head` has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except KeyboardInterrupt:
        sys.exit(130)


def _stop(error: AuditBotError, code: int) -> None:
    from bot.show import say_query_error

    text = say_query_error(error) if isinstance(error, QueryError) else str(error)
    sys.stderr.write(text.rstrip() + "\n")
    sys.exit(code)


def settings(db: Path | None, rules: Path | None, *require: str) -> Settings:
    """Return the settings, those of the command line first."""
    from bot.settings import load

    return load(require, AUDIT_BOT_DB=db, AUDIT_BOT_RULES=rules)


@cli.command()
def poll(db: Db = None, rules: Rules = None) -> None:
    """Read the portal's audit log until up to date, and detect.

    Fills the outbox for the service to send, and prints a report.
    """
    from bot.app import writing
    from bot.show import progress, report

    chosen = settings(db, rules, "CORTEX_API_KEY")
    with writing(chosen, "poll") as app, progress("Reading the audit log") as seen:
        portal = app.portal()
        done = app.pipeline.poll(
            portal, overlap=app.overlap, backfill=app.backfill, types=app.type_reader(portal), progress=seen
        )
        portal.close()
        app.pipeline.upkeep()
    report(done)


@cli.command("import")
def import_(
    files: Annotated[list[str], typer.Argument(help="Files of API-shaped records, JSON lines, .gz too; - is stdin.")],
    db: Db = None,
    rules: Rules = None,
) -> None:
    """Store records from files. All of it is history: findings are listed, never posted."""
    from bot.app import writing
    from bot.login import user
    from bot.poll.records import read_files
    from bot.reading import now
    from bot.show import progress, report
    from bot.store import journal

    with writing(settings(db, rules), "import") as app, progress("Importing") as seen:
        done = app.pipeline.take_file(read_files(files), seen)
        journal.write(app.store, now(), user(), "import", {"files": files, "events": done.events, "from": "terminal"})
    report(done)


@cli.command()
def export(
    since: Since = None,
    until: Until = None,
    query: Annotated[
        str | None, typer.Option(help="Only events that match, as in `audit-bot query`.", show_default=False)
    ] = None,
    format_: Annotated[str, typer.Option("--format", help="`jsonl` (the API's own shape) or `csv`.")] = "jsonl",
    db: Db = None,
    rules: Rules = None,
) -> None:
    """Write every stored event in the API's own record shape. The oldest first, twins included."""
    from bot.terminal.answer import export_lines

    _choose(format_, "jsonl", "csv")
    for line in export_lines(settings(db, rules), since, until, query, format_):
        sys.stdout.buffer.write(line)


@cli.command(context_settings={"ignore_unknown_options": True})
def query(
    q: Annotated[
        str, typer.Argument(metavar="QUERY", help="As in /audit: `actor:eve@x.com -type:SERVICE last:7d`")
    ] = "",
    format_: Format = "table",
    db: Db = None,
    rules: Rules = None,
) -> None:
    """Search the stored events: what `/audit` answers. Without a time: the last 24 hours."""
    from bot.terminal.answer import answer

    _choose(format_, "table", "jsonl")
    answer(settings(db, rules), q, format_)


@cli.command()
def backtest(
    rule_ids: Annotated[
        list[str] | None, typer.Argument(metavar="[RULE_ID]...", help="All rules, unless some are named.")
    ] = None,
    since: Since = None,
    until: Until = None,
    compare: Annotated[
        Path | None,
        typer.Option(help="An edited rule file or folder: show what it would add and take away.", exists=True),
    ] = None,
    plot: Annotated[Path | None, typer.Option(help="A PNG file to draw a timeline of the bursts into.")] = None,
    format_: Format = "table",
    db: Db = None,
    rules: Rules = None,
) -> None:
    """Show what the rules would have found in the stored history. Changes nothing."""
    from bot.terminal.backtest import backtest as run
    from bot.terminal.what_if import what_if

    _choose(format_, "table", "jsonl")
    if compare is None:
        run(settings(db, rules), rule_ids or [], since, until, format_, plot)
    else:
        what_if(settings(db, rules), compare, rule_ids or [], since, until, format_, plot)


@cli.command()
def replay(
    file: Annotated[Path, typer.Argument(help="API-shaped records, JSON lines, .gz too.")],
    begin: Annotated[str, typer.Option("--from", help="Before this moment it only learns; after it, it alerts.")],
    format_: Format = "table",
    db: Db = None,
    rules: Rules = None,
) -> None:
    """Run a file through the whole pipeline, as if live. In event time, in a temporary database of its own."""
    from bot.replay import replay as run

    _choose(format_, "table", "jsonl")
    run(settings(db, rules), file, begin, format_)


def _choose(value: str, *choices: str) -> None:
    if value not in choices:
        raise typer.BadParameter(f"{value!r} is none of {', '.join(choices)}", param_hint="--format")


@cli.command()
def alerts(format_: Format = "table", db: Db = None, rules: Rules = None) -> None:
    """List the alerts, and why each was or was not posted. The newest first."""
    from bot.terminal.answer import list_alerts

    _choose(format_, "table", "jsonl")
    list_alerts(settings(db, rules), format_)


@cli.command()
def explain(
    what: Annotated[str, typer.Argument(metavar="ALERT|EVENT", help="An alert like A12, or an event's id.")],
    plot: Annotated[Path | None, typer.Option(help="A PNG file to draw the actor's last 30 days into.")] = None,
    db: Db = None,
    rules: Rules = None,
) -> None:
    """Say why an alert was raised, or what is known of an event.

    With --plot it also draws what the actor usually does.
    """
    from bot.terminal.answer import explain as run

    run(settings(db, rules), what, plot)


@cli.command()
def status(format_: Format = "table", db: Db = None, rules: Rules = None) -> None:
    """Say how far the log is read, and how the bot is doing.

    What is missing, what is queued, what the rules and the forest do.
    """
    from bot.terminal.answer import show_status

    _choose(format_, "table", "jsonl")
    show_status(settings(db, rules), format_)


@cli.command()
def gaps(format_: Format = "table", db: Db = None, rules: Rules = None) -> None:
    """List the windows of the log that could not be read. They are tried again."""
    from bot.terminal.answer import show_gaps

    _choose(format_, "table", "jsonl")
    show_gaps(settings(db, rules), format_)


@cli.command()
def backup(
    path: Annotated[Path, typer.Argument(help="Where to; an existing file is not overwritten.")],
    db: Db = None,
    rules: Rules = None,
) -> None:
    """Copy the database, whole and consistent. The service may run meanwhile."""
    from bot.reading import opened
    from bot.store.care.backup import backup as run
    from bot.terminal.journaled import note_asked

    with opened(settings(db, rules).db) as store:
        note_asked(store, "backup", str(path))
        pages = run(store, path)
    sys.stdout.write(f"{path}: {pages:,} pages, checked.\n")


journal_cli = typer.Typer(no_args_is_help=True, help="The record of what people and the bot did.")
cli.add_typer(journal_cli, name="journal")


@journal_cli.command("verify")
def journal_verify(
    anchor: Annotated[
        str | None, typer.Option(help="A hash noted down earlier; shows cuts at the end.", show_default=False)
    ] = None,
    db: Db = None,
    rules: Rules = None,
) -> None:
    """Check that no entry was changed or cut. A cut of the newest entries shows only against an anchor."""
    from bot.reading import opened
    from bot.store.journal import verify

    with opened(settings(db, rules).db) as store:
        good, wrong = verify(store, anchor)
    if wrong:
        sys.stderr.write(f"The journal does not hold: {wrong}.\n")
        sys.exit(1)
    sys.stdout.write(f"{good:,} entries hold.\n")


@journal_cli.command("export")
def journal_export(db: Db = None, rules: Rules = None) -> None:
    """Write every entry as a JSON line, the oldest first, with its hash."""
    from bot.reading import opened
    from bot.show import lines
    from bot.store.journal import entries

    with opened(settings(db, rules).db) as store:
        lines(entries(store))


@cli.command()
def run(db: Db = None, rules: Rules = None) -> None:
    """Run the service, until it is told to stop. It polls, detects, alerts in Slack, answers /audit."""
    from bot.daemon import serve

    needed = ("CORTEX_API_KEY", "SLACK_BOT_TOKEN", "SLACK_APP_TOKEN|SLACK_SIGNING_SECRET", "AUDIT_BOT_CHANNEL")
    sys.exit(serve(settings(db, rules, *needed)))


@cli.command()
def demo(
    port: Annotated[int, typer.Option(help="Where the Slack console page is served, on this machine only.")] = 8025,
    fast: Annotated[bool, typer.Option("--fast", help="The attacks come sooner.")] = False,
    db: Db = None,
    rules: Rules = None,
) -> None:
    """Show everything without credentials.

    A simulated portal, the real bot, and a Slack page to look at.
    """
    from bot.demo import demo as run_demo

    run_demo(settings(db, rules), port, db, fast=fast)


@cli.command()
def simulate(
    port: Annotated[int, typer.Option(help="Where the API is served, on this machine only.")] = 8026,
    seed: Annotated[int, typer.Option(help="The same seed tells the same story.")] = 1,
    key: Annotated[str, typer.Option(help="The API key that it accepts.")] = "demo-key",
    db: Db = None,
    rules: Rules = None,
) -> None:
    """Serve only the simulated audit-log API. 90 days of a workforce, going on live."""
    from bot.demo import simulate as run_simulate

    run_simulate(port, seed, key)


@cli.command()
def doctor(
    repair: Annotated[
        bool, typer.Option("--repair", help="First mend what can be mended without losing anything.")
    ] = False,
    format_: Format = "table",
    db: Db = None,
    rules: Rules = None,
) -> None:
    """Check everything, and say what to do. Posts nothing.

    Looks at settings, key, scopes, channels, clock, disk, database and rules.
    """
    from bot.doctor.run import doctor as run_doctor
    from bot.settings import survey

    _choose(format_, "table", "jsonl")
    chosen, errors = survey(AUDIT_BOT_DB=db, AUDIT_BOT_RULES=rules)
    sys.exit(run_doctor(chosen, errors, format_, mend=repair))
