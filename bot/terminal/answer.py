"""What the reading commands print: events, alerts, status."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from bot.ask.answer import (
    Alerts,
    Answer,
    Asking,
    Buckets,
    Exceptions,
    Export,
    Found,
    Help,
    Nothing,
    Number,
    Ranking,
    Rules,
)
from bot.ask.answer import answer as ask
from bot.ask.examples import EXAMPLES
from bot.ask.sheet import csv_lines, records
from bot.charts.heat import heat_map
from bot.errors import ConfigError
from bot.fields import FACTS, FactSettings
from bot.login import user
from bot.model import Alert, AlertView, Event, Rule
from bot.poll.records import to_json
from bot.query import BEGIN, END, Query, parse_command, parse_query
from bot.reading import fact_settings, now, opened
from bot.settings import Settings
from bot.show import lines, plain, say, table
from bot.store import alerts
from bot.store.care.locks import holder, standby
from bot.store.log import gaps
from bot.store.people import exceptions
from bot.store.queries.search import Page
from bot.store.schema import Store
from bot.store.status import Status, status
from bot.terminal.exceptions_commands import exception_row
from bot.terminal.explain import show_story
from bot.terminal.journaled import note_asked
from bot.terminal.plots import check_target, write_picture
from bot.times import iso, say_duration

SHORT = ("time", "action", "actor", "ip", "object", "type")
FACT_NAMES = tuple(fact.name for fact in FACTS)
MAX_LIMIT = 10_000
MAX_BUCKETS = 400
NOTHING = "Nothing matches."


def span(since: str | None, until: str | None, facts: FactSettings) -> tuple[int, int]:
    """Return the moments of --since and --until, both included; open where nothing is given. Raises QueryError."""
    words = [f'{name}:"{text}"' for name, text in (("since", since), ("until", until)) if text]
    found = parse_query(" ".join(words), now(), facts.zone, default_last=None)
    return found.since, found.until


def answer(settings: Settings, text: str, format_: str) -> None:
    """Print what `/audit` answers to one of its lines. Raises QueryError, ConfigError."""
    facts = fact_settings(settings)
    with_facts = FACT_NAMES if format_ == "jsonl" else ()
    asking = Asking(user(), now(), facts.zone, with_facts, MAX_BUCKETS)
    command = parse_command(text, asking.now, facts.zone, max_limit=MAX_LIMIT)
    with opened(settings.db) as store:
        note_asked(store, "query", text)
        if command.verb == "show" and format_ == "table":
            show_story(store, (command.argument or "").upper(), asking.now, facts)
        else:
            _print_answer(store, ask(store, command, facts, asking), facts, format_)


def _print_answer(store: Store, found: Answer, facts: FactSettings, format_: str) -> None:
    match found:
        case Found(query, page):
            _print_events(query, page, format_)
        case Ranking(query, counts):
            by = query.by or "actor"
            _print(format_, (by, "events"), [{by: name, "events": count} for name, count in counts], NOTHING)
        case Number(_, count):
            _print(format_, ("events",), [{"events": count}], "")
        case Buckets(_, counts):
            _print(format_, ("time", "events"), [{"time": iso(at), "events": count} for at, count in counts], NOTHING)
        case Event():
            lines([event_row(found)])
        case Export(query):
            sys.stdout.buffer.writelines(csv_lines(records(store, query, facts)))
        case _:
            _print_listing(store, found, format_)


def _print_listing(store: Store, found: Answer, format_: str) -> None:
    match found:
        case AlertView(alert):
            lines([_alert_row(store, alert)])
        case Alerts(_, listed):
            _print_alerts([_alert_row(store, one) for one in listed], format_)
        case Rules(listed):
            heads = ("level", "title", "status", "rule", "file")
            _print(format_, heads, [_rule_row(rule) for rule in listed], "There are no rules.")
        case Status():
            _print_status(found, format_, store.path)
        case Exceptions():
            _print_exceptions(found, format_)
        case Help():
            _print(format_, ("query", "meaning"), [{"query": text, "meaning": what} for text, what in EXAMPLES], "")
        case Nothing(what):
            raise ConfigError(f"There is no {what}.")


def _print_events(query: Query, page: Page, format_: str) -> None:
    if format_ == "jsonl":
        lines(map(event_row, page.events))
        return
    table(("id", *SHORT), map(_row, page.events), empty=NOTHING)
    total = f"more than {page.total:,}" if page.more else f"{page.total:,}"
    say(f"\n{len(page.events):,} of {total} events from {_moment(query.since)} to {_moment(query.until)} (UTC)")


def event_row(event: Event) -> dict[str, Any]:
    """Return an event as machine output has it: the short names, then the facts, and the id."""
    texts = (iso(event.time), event.action, event.actor, event.ip, event.object, event.type)
    return dict(zip(SHORT, texts, strict=True)) | dict(event.facts) | {"id": event.id}


def _row(event: Event) -> tuple[str | None, ...]:
    return (str(event.id), _short(event.time), event.action, event.actor, event.ip, event.object, event.type)


def _short(time: int) -> str:
    """Return a moment as people read it, to the second, in UTC."""
    return iso(time)[:19].replace("T", " ")


def _moment(time: int) -> str:
    return "the beginning" if time <= BEGIN else "now" if time >= END else _short(time)


def export_lines(
    settings: Settings, since: str | None, until: str | None, query: str | None, format_: str
) -> Iterator[bytes]:
    """Yield the stored events, the oldest first, as the API's records or as CSV. Raises QueryError."""
    facts = fact_settings(settings)
    begin, end = span(since, until, facts)
    asked = parse_query(query or "", now(), facts.zone, default_last=None)
    begin, end = max(begin, asked.since), min(end, asked.until)
    with opened(settings.db) as store:
        given = {"since": since, "until": until, "query": query}
        note_asked(store, "export", " ".join(f"--{name} {value}" for name, value in given.items() if value))
        found = records(store, replace(asked, since=begin, until=end), facts)
        if format_ == "csv":
            yield from csv_lines(found)
        else:
            for one in found:
                yield to_json(one) + b"\n"


def list_alerts(settings: Settings, format_: str) -> None:
    """Print the alerts, the newest first."""
    with opened(settings.db) as store:
        note_asked(store, "query", "alerts")
        rows = [_alert_row(store, one) for one in alerts.listing(store, limit=1000, posted_only=False)]
        excepted = sum(one.findings for one in exceptions.listing(store, now(), include_ended=True))
    _print_alerts(rows, format_)
    if excepted and format_ != "jsonl":
        say(f"\nHidden by exceptions: {excepted:,} findings; `audit-bot exceptions list --all` says by which.")


def _print_alerts(rows: list[dict[str, Any]], format_: str) -> None:
    heads = ("alert", "level", "who", "last_event", "events", "points", "state", "decision", "titles")
    shown = rows if format_ == "jsonl" else [row | {"last_event": _day_and_time(row["last_event"])} for row in rows]
    _print(format_, heads, shown, "There are no alerts.")


def _day_and_time(moment: str) -> str:
    return moment[:19].replace("T", " ")


def _rule_row(rule: Rule) -> dict[str, Any]:
    return {
        "rule": rule.id, "title": rule.title, "level": rule.level.name, "status": rule.status,
        "file": f"{rule.file}:{rule.line}" if rule.file else None,
    }  # fmt: skip


def _print_exceptions(found: Exceptions, format_: str) -> None:
    if found.revoked is not None and format_ != "jsonl":
        say(f"Exception {found.revoked.id} has ended: {plain(found.revoked.condition)}\n")
    rows = [exception_row(one, now()) for one in found.exceptions]
    heads = ("id", "condition", "rule", "reason", "author", "expires", "findings", "events")
    _print(format_, heads, rows, "There are no exceptions in force.")


def _alert_row(store: Store, one: Alert) -> dict[str, Any]:
    found = alerts.findings(store, "alert = ? AND state = 'open'", (one.id,))
    return {
        "alert": one.name,
        "level": one.level.name,
        "who": str(one.entity),
        "entity": {"kind": one.entity.kind, "name": one.entity.name},
        "first_event": iso(one.first),
        "last_event": iso(one.last),
        "events": one.events,
        "points": one.points,
        "state": one.state,
        "decision": one.decision,
        "rules": sorted({finding.rule_id for finding in found}),
        "titles": sorted({finding.title for finding in found}),
        "reasons": list(dict.fromkeys(reason for finding in found for reason in finding.reasons)),
    }


def explain(settings: Settings, what: str, target: Path | None) -> None:
    """Print why an alert was raised, or what is known of an event; draw the 30 days around it into a `target`.

    Raises ConfigError where there is no such thing.
    """
    check_target(target)
    number = what[1:] if what[:1] in "Aa" else what
    if not number.isascii() or not number.isdigit() or len(number) > 18:
        raise ConfigError(f"{what!r} is neither an alert like A12 nor the id of an event.")
    with opened(settings.db) as store:
        note_asked(store, "query", f"show {what}")
        activity = show_story(store, what.upper(), now(), fact_settings(settings))
    if target is not None:
        write_picture(target, heat_map(activity))
        say(f"\n{target} is written.")


def show_status(settings: Settings, format_: str) -> None:
    """Print the bot's own state."""
    with opened(settings.db) as store:
        _print_status(status(store, now()), format_, settings.db)


def _print_status(found: Status, format_: str, db: Path) -> None:
    running, waiting = holder(db), standby(db)
    if format_ == "jsonl":
        lines([{**found.as_json(), "running": running or None, "standby": waiting or None}])
        return
    age = "never" if found.last_poll is None else f"{say_duration(max(0, now() - found.last_poll))} ago"
    rows = [
        ("running", (running or "nothing") + (f"; {waiting} stands by" if waiting else "")),
        ("events", f"{found.events:,}, {found.malformed:,} malformed"),
        ("read until", plain(found.watermark and iso(found.watermark))),
        ("last poll", age),
        ("gaps", f"{len(found.gaps):,}"),
        ("outbox", f"{found.queue:,} waiting, {found.failed:,} failed"),
        ("rules", found.rules),
        ("findings in 7 days", f"{found.findings_7d:,}"),
        ("open alerts", f"{found.alerts_open:,}"),
        ("forest", found.forest),
    ]
    if found.learning_until is not None:
        rows.append(("learning", f"what is new for whom is unknown until {iso(found.learning_until)}"))
    table(("", ""), rows)


def show_gaps(settings: Settings, format_: str) -> None:
    """Print the windows that are still missing."""
    with opened(settings.db) as store:
        rows = [
            {"since": iso(since), "until": iso(until), "found": iso(found), "reason": reason, "tries": tries}
            for since, until, found, reason, tries in gaps.open_gaps(store)
        ]
    _print(format_, ("since", "until", "found", "reason", "tries"), rows, "Nothing is missing.")


def _print(format_: str, heads: tuple[str, ...], rows: list[dict[str, Any]], empty: str) -> None:
    if format_ == "jsonl":
        lines(rows)
    else:
        table(heads, [[_cell(row[head]) for head in heads] for row in rows], empty=empty)


def _cell(value: Any) -> Any:
    return "; ".join(value) if isinstance(value, list) else value
