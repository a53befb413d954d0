"""A file through the whole pipeline in event time, as if it had come live."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

from bot import rulebook
from bot.alert.outbox import Channels, Postman
from bot.alert.routing import Routing
from bot.detect.foresight import foresee
from bot.detect.forest.ahead import fits_ahead
from bot.detect.forest.strange import ForestWatch
from bot.detect.rules import CompiledRule
from bot.fields import FactSettings
from bot.model import AlertView, Broken, Record
from bot.pipeline import Pipeline, Report
from bot.poll.records import read_files
from bot.reading import opened
from bot.rulebook import Rulebook
from bot.settings import Settings
from bot.show import lines, plain, progress, table
from bot.store import alerts
from bot.store.messages import deliveries, notices
from bot.store.messages.cards import Card, Placed
from bot.store.messages.digest import Digest
from bot.store.messages.notices import NoticeView
from bot.store.schema import Store
from bot.times import MINUTE, iso, parse_time

STEP = 5 * MINUTE  # of events in one pass
HEADS = ("alert_id", "time", "level", "actor", "ip", "events")


@dataclass
class Printer:
    """The Sender of a replay: remembers a line for each message that would be posted or updated.

    What a notice stands for has its lines too: one for each alert that is new in it or has grown.
    """

    store: Store
    now: int = 0
    told: list[dict[str, Any]] = field(default_factory=list)
    noticed: dict[int, int] = field(default_factory=dict)  # up to when, by notice

    def post_alert(self, channel: str, view: AlertView, repeat: bool) -> tuple[str, str]:
        """Remember the message."""
        self.told.append(as_line(view, self.now))
        return channel, view.alert.name

    def update_alert(self, channel: str, ts: str, view: AlertView) -> None:
        """Remember the message as it is now."""
        self.told.append(as_line(view, self.now))

    def post_notice(self, channel: str, view: NoticeView, repeat: bool) -> tuple[str, str]:
        """Remember the alerts that the notice stands for."""
        self._note(view)
        return channel, view.notice.name

    def update_notice(self, channel: str, ts: str, view: NoticeView) -> None:
        """Remember those that are new in it or have grown."""
        self._note(view)

    def _note(self, view: NoticeView) -> None:
        number = view.notice.id
        for alert in deliveries.changed_in(self.store, number, self.noticed.get(number, -1)):
            if one := alerts.view(self.store, alert, self.now):
                self.told.append(as_line(one, self.now))
        self.noticed[number] = self.now

    def post_text(self, channel: str, text: str, thread_ts: str | None = None, mention: tuple[str, ...] = ()) -> str:
        """Do nothing: words and replies are no alerts."""
        return ""

    def draw_card(self, channel: str, card: Card, *, repeat: bool) -> Placed:
        """Nothing asks for cards in a replay."""
        return Placed(channel, "")

    def post_digest(self, channel: str, found: Digest, repeat: bool) -> tuple[str, str]:
        """Do nothing: a replay has no mornings."""
        return channel, ""

    def find_alert(self, channel: str, alert_id: int, since: int) -> str | None:
        """Find nothing: nothing is ever cut off."""
        return None

    def find_notice(self, channel: str, notice_id: int, since: int) -> str | None:
        """Find nothing either."""
        return None


@dataclass
class Asked:
    """The Book of a replay: the rules that are asked in the step at hand."""

    routing: Routing
    reporting: tuple[CompiledRule, ...] = ()


def as_line(view: AlertView, time: int) -> dict[str, Any]:
    """Return a message as machine output has it; `time` is the clock of the pass that posts."""
    alert = view.alert
    newest = max(view.findings, key=lambda finding: finding.last)
    return {
        "alert_id": alert.name,
        "time": iso(time),
        "level": alert.level.name,
        "actor": alert.entity.name if alert.entity.kind == "actor" else None,
        "ip": alert.entity.name if alert.entity.kind == "ip" else newest.ip,
        "rules": list(dict.fromkeys(finding.rule_id for finding in view.findings)),
        "reasons": list(dict.fromkeys(reason for finding in view.findings for reason in finding.reasons)),
        "first_event": iso(alert.first),
        "last_event": iso(max(finding.last for finding in view.findings)),
        "events": alert.events,
    }


def replay(settings: Settings, file: Path, begin: str, format_: str) -> None:
    """Print a line for each message that would be posted or updated after `begin`."""
    book = rulebook.read_rulebook(settings.rules)
    start = read_begin(begin)
    records = read_records(file)
    facts, batches = settings.fact_settings(book.sensitive), dict(steps(records, start))
    foreseen = foresee_steps(records, facts, book, list(batches))
    with (
        tempfile.TemporaryDirectory() as folder,
        opened(Path(folder) / "replay.db", create=True, durable=False) as store,
        fits_ahead() as fits,
        progress("Replaying") as seen,
    ):
        printer, asked = Printer(store), Asked(book.routing)
        clock = lambda: printer.now  # noqa: E731 -- the event clock, moved by the loop below
        forest = ForestWatch(store, facts, book.forest, book.routing.post_from, fits)
        pipeline = Pipeline(store, facts, lambda: asked, clock, forest)
        postman = Postman(store, printer, Channels("replay", "replay"), lambda: book.routing, clock)
        done = Report()
        for (at, batch), rules in zip(batches.items(), foreseen, strict=True):
            printer.now, asked.reporting = at, rules
            pipeline.take(batch, done, history=at <= start)
            send(postman, store)
            if seen:
                seen(done.events, len(records), done.events)
            if format_ == "jsonl":
                lines(printer.told)
                printer.told.clear()
        for held in notices.open_notices(store):  # what would come when the quiet hours end after the last event
            printer.now = max(printer.now, held.due)
            send(postman, store)
        if format_ == "jsonl":
            lines(printer.told)
    if format_ == "table":
        table((*HEADS, "reasons"), map(_row, printer.told), empty="No alerts.")


def read_records(file: Path) -> list[Record]:
    """Return the records of a file in order of time; say on stderr how many lines are none."""
    read = list(read_files([str(file)]))
    broken = [one for one in read if isinstance(one, Broken)]
    if broken:
        sys.stderr.write(
            f"Left out are {len(broken):,} of {len(read):,} lines, which are no records; the first of them:"
            f" {plain(broken[0].raw[:60])} ({plain(broken[0].reason)}). `audit-bot import` would keep them apart.\n"
        )
    return sorted((one for one in read if isinstance(one, Record)), key=lambda one: one.time)


def foresee_steps(
    records: Sequence[Record], facts: FactSettings, book: Rulebook, ends: Sequence[int]
) -> list[tuple[CompiledRule, ...]]:
    """Return the rules that may have something to say in each step: few have, and the others need not be asked."""
    with (
        tempfile.TemporaryDirectory() as folder,
        opened(Path(folder) / "all.db", create=True, durable=False) as store,
        progress("Looking ahead") as seen,
    ):
        Pipeline(store, facts, lambda: Asked(book.routing), lambda: 0).take_file(records, seen)
        return foresee(store, facts, book.reporting, ends, STEP)


def send(postman: Postman, store: Store) -> None:
    """Send all that is due by the postman's clock."""
    notices.release(store, postman.now())
    while postman.run_once().sent:
        pass


def read_begin(text: str) -> int:
    """Return the moment that --from names. Raises ConfigError."""
    from bot.errors import ConfigError

    try:
        return parse_time(text)
    except ValueError as error:
        raise ConfigError(f"--from: {error}.") from error


def steps(records: Iterable[Record], start: int) -> Iterator[tuple[int, list[Record]]]:
    """Yield (clock, records) of each pass: all history as one, then every 5 minutes in which there is something."""
    for at, some in groupby(records, key=lambda one: start if one.time <= start else -(-one.time // STEP) * STEP):
        yield at, list(some)


def _row(line: dict[str, Any]) -> tuple[Any, ...]:
    return (*(line[name] for name in HEADS), "; ".join(line["reasons"]))
