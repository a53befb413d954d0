"""One pass: what was read goes to events, findings, alerts and outbox in one transaction."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from typing import Protocol

from bot.alert import run as alert_run
from bot.alert.routing import Routing
from bot.detect.forest.strange import ForestWatch
from bot.detect.log.watch import LogWatch
from bot.detect.rules import CompiledRule
from bot.detect.run import Detector
from bot.detect.run import Report as Detected
from bot.errors import StoreError
from bot.fields import ACTOR_TYPES, FactSettings
from bot.heap import without_collector
from bot.model import FOREST, Broken, Finding, Record
from bot.poll import run as poll_run
from bot.poll.client import Portal, Window
from bot.poll.sweep import Batch
from bot.store.log import blocks, events, gaps, sums
from bot.store.log.events import NOTHING, Added
from bot.store.log.twins import Twins
from bot.store.messages import outbox
from bot.store.schema import Connection, Store
from bot.times import DAY, SECOND, is_due, iso

IMPORT_BATCH = 30_000  # records in one transaction of an import
FEW = 2_000  # events: after a pass of so few, upkeep waits until people were told
UPKEEP = 16  # blocks in one go, each in a transaction of its own: 25 ms of SQLite's lock
ACTOR_TYPE_FIELDS = frozenset({"actor_type", "actor_kind"})


class Book(Protocol):
    """What is in force: the rules that report, and where alerts go."""

    @property
    def reporting(self) -> tuple[CompiledRule, ...]:
        """The rules that give findings of their own."""
        ...

    @property
    def routing(self) -> Routing:
        """From how many points on an alert is posted, and where to."""
        ...


@dataclass
class Report:
    """What one pass, poll or import did."""

    events: int = 0
    malformed: int = 0
    windows: int = 0
    gaps: int = 0
    findings: int = 0
    posted: int = 0
    quiet: int = 0
    failed_rules: list[str] = field(default_factory=list)


Progress = Callable[[int, int, int], None]  # (how far, of how much, events so far); far and much in any one unit


@dataclass
class Pipeline:
    """Ties the stages together over one store. `now` gives microseconds."""

    store: Store
    facts: FactSettings
    book: Callable[[], Book]
    now: Callable[[], int]
    forest: ForestWatch | None = None
    warms_apart: bool = False  # somebody calls `warm`, so that no pass waits for the forest

    def __post_init__(self) -> None:
        self._detector = Detector(self.store, self.facts)
        self._log = LogWatch(self.store, self.facts)
        self._turn = threading.Lock()  # held by passes; between its pages whoever warms the forest waits for it

    def use(self, settings: FactSettings, forest: ForestWatch) -> None:
        """Go on with other settings from the next pass on."""
        self.facts, self.forest = settings, forest
        self._detector = Detector(self.store, settings)

    # -- polling -----------------------------------------------------------------------------------------------
    def poll(
        self, portal: Portal, *, overlap: int, backfill: int, types: poll_run.TypeReader | None = None,
        progress: Progress | None = None,
    ) -> Report:  # fmt: skip
        """Sweep until up to date. Raises ApiError; what was read until then is stored, and the watermark says so."""
        report = Report()
        self.catch_up(report)
        self._forest_catches_up(report)
        what, live_since = self._plan(portal, overlap, backfill)
        fresh = NOTHING
        self._log.begin(what.until)
        for batch in poll_run.run_once(portal, what):
            added = self._take_batch(batch, report, history=batch.window.until <= live_since)
            fresh = fresh.merge(added)
            if progress:
                progress(batch.window.until - what.since, what.until - what.since, report.events)
        if types and fresh.count:
            self._learn_types(types, fresh, report)
        live = self.store.meta("live_since") is not None
        self._finish(what, live_since, report)
        if live:
            self._watch_log(what.until, report)
        return report

    def _plan(self, portal: Portal, overlap: int, backfill: int) -> tuple[poll_run.Plan, int]:
        """Return what to read, and up to when all is history: the beginning of the first poll that is completed."""
        watermark = self.store.meta_time("watermark")
        deep = self.store.meta_time("deep_sweep")
        if watermark is not None and is_due(deep, self._log.sweep_every(self.now()), self.now()):
            overlap = max(overlap, DAY)
        missing = [Window(since, until) for since, until, *_ in gaps.open_gaps(self.store)]
        what = poll_run.plan(portal, watermark, overlap, backfill, missing)
        live_since = self.store.meta_time("live_since")
        if live_since is None:
            live_since = what.until
        if overlap >= DAY or watermark is None:
            self.store.set_meta("deep_sweep_began", str(self.now()))
        return what, live_since

    def _take_batch(self, batch: Batch, report: Report, *, history: bool) -> Added:
        """Store one read of a window with all that follows from it; the watermark moves when the window is settled."""
        window = batch.window
        with self._pass(history=history):
            if batch.gap:
                gaps.note(self.store, window.since, window.until, batch.gap, self.now())
                report.gaps += 1
            report.malformed += events.keep_broken(
                self.store, batch.broken, window.since - SECOND, window.until, self.now()
            )
            added = self._take(batch.records, report, history=history)
            if batch.settled:
                self._log.note(batch.records, window.since, window.until)
                gaps.close(self.store, window.since, window.until, self.now())
                report.windows += 1
            if batch.settled or batch.gap:
                self._advance(window.until)
        return added

    def _advance(self, until: int) -> None:
        before = self.store.meta_time("watermark")
        if before is None or until > before:
            self.store.set_meta("watermark", str(until))

    def _finish(self, what: poll_run.Plan, live_since: int, report: Report) -> None:
        with self.store.write():
            self.store.set_meta("last_poll", str(self.now()))
            if began := self.store.meta("deep_sweep_began"):
                self.store.set_meta("deep_sweep", began)
                self.store.set_meta("deep_sweep_began", None)
            if self.store.meta("live_since") is None:
                self.store.set_meta("live_since", str(live_since))
                self._tell_history(f"The log was read from {iso(what.since)} on", report)

    def _watch_log(self, until: int, report: Report) -> None:
        """Look at the log itself; whatever that raises, the poll was good, and the ops channel is told once a day."""
        now = self.now()
        try:
            with self.store.write():
                self._alert(Detected(self._log.run_once(until, now)), report, history=False)
        except StoreError:
            raise
        except Exception as error:  # noqa: BLE001 -- as in Detector: detection never stops ingestion
            told = self.store.meta_time("told_log_watch")
            if is_due(told, DAY, now):
                self.store.set_meta("told_log_watch", str(now))
                text = f"Silence and vanished events could not be looked for: {type(error).__name__}: {error}"
                outbox.put(self.store, "ops", now, body=text)

    def _learn_types(self, types: poll_run.TypeReader, fresh: Added, report: Report) -> None:
        """Ask for the actor types of the new events, and look again with the rules that want to know."""
        window = Window(fresh.since // SECOND * SECOND, fresh.until // SECOND * SECOND + SECOND)
        found = types.read(window, self.now())
        if not found:
            return
        codes = {record: ACTOR_TYPES.index(name) + 1 for record, name in found.items()}
        with self.store.write():
            if events.set_actor_types(self.store, codes):
                curious = [rule for rule in self.book().reporting if rule.fields & ACTOR_TYPE_FIELDS]
                detected = self._detector.run_span(curious, window.since, window.until, self.now(), history=False)
                self._alert(detected, report, history=False)

    # -- importing ---------------------------------------------------------------------------------------------
    def take_file(self, lines: Iterable[Record | Broken], progress: Progress | None = None) -> Report:
        """Store records of a file, in any order; all of it is history. Detection follows when all are there."""
        report, twins, added = Report(), Twins(), NOTHING
        broken: list[Broken] = []
        with self.store.bulk(), without_collector():
            for batch in _batches(lines, IMPORT_BATCH):
                records = [one for one in batch if isinstance(one, Record)]
                broken += [one for one in batch if isinstance(one, Broken)]
                with self.store.write() as connection:
                    more = events.add(self.store, records, events.number_twins(self.store, records, twins))
                    self._settle(connection)
                    gaps.note_undetected(self.store, more, "imported", self.now())
                added = added.merge(more)
                report.events += more.count
                if progress:
                    progress(report.events, 0, report.events)
        report.malformed = events.keep_broken(self.store, broken, 0, 0, self.now())
        self.catch_up(report)
        if added.count:
            self._tell_history(f"{report.events:,} events were imported", report)
        return report

    def catch_up(self, report: Report) -> None:
        """Look at what an earlier pass stored but could not look at: an import, or a rule that raised."""
        for span in gaps.undetected(self.store, self.now()):
            rules = [rule for rule in self.book().reporting if span.rule in (None, rule.id)]
            with self.store.write():
                gaps.forget(self.store, span)
                added = Added(1, span.after, span.since, span.until, late=True)
                detected = self._detector.run_once(rules, added, self.now(), history=span.history)
                self._note_failed(detected, span, history=span.history)
                self._alert(detected, report, history=span.history)

    def take(self, records: Iterable[Record], report: Report, *, history: bool) -> None:
        """Run all stages over some records, in a transaction of their own."""
        with self._pass(history=history):
            self._take(records, report, history=history)

    @contextmanager
    def _pass(self, *, history: bool) -> Iterator[None]:
        """Run one transaction; where it is rolled back, the forest forgets what it has seen of it.

        The forest is built before, where it is needed: that takes long, and nobody could click meanwhile.
        """
        if self.forest is not None and not history and not self.warms_apart:
            self.forest.build(self.now())
        try:
            with self._turn, self.store.write():
                yield
        except BaseException:
            if self.forest is not None:
                self.forest.reset()
            raise

    # -- the stages --------------------------------------------------------------------------------------------
    def _take(self, records: Iterable[Record], report: Report, *, history: bool) -> Added:
        """Run the stages over records of one window. Has to run inside a transaction."""
        some = list(records)
        added = events.add(self.store, some, events.number_twins(self.store, some))
        report.events += added.count
        if added.count:
            if history or added.count > FEW:
                self._settle(self.store.connection)
            now = self.now()
            detected = self._detector.run_once(self.book().reporting, added, now, history=history)
            if not history:
                self._watch(added, now, detected)
            self._note_failed(detected, added, history=history)
            self._alert(detected, report, history=history)
        return added

    def _settle(self, connection: Connection, *most: int) -> bool:
        """Build blocks and sums that are missing, some of them; tell whether any were."""
        return bool(blocks.settle(connection, *most) + sums.settle(connection))

    def upkeep(self) -> None:
        """Do what a pass of few events leaves behind, so that nobody waits for it: blocks and sums of what has settled,
        and what the log of writes holds goes to the file. What is not done any more is done next time."""
        for _ in range(UPKEEP):
            with self.store.write() as connection:
                if not self._settle(connection, 1):
                    break
        self.store.checkpoint()

    def warm(self, stop: Callable[[], bool]) -> None:
        """Build the forest beside passes, where it is not there: to be called in another thread, again and again.

        A pass goes first: each row that SQLite reads lets another Python thread go on, and takes it 5 ms to come back.
        """
        forest = self.forest

        def turn() -> bool:
            with self._turn:
                return not stop() and self.forest is forest

        if forest is not None:
            forest.warm(self.now(), turn)

    def _forest_catches_up(self, report: Report) -> None:
        """Let the forest score what came while it was built, also where nothing comes any more."""
        if self.forest is not None and self.forest.behind:
            with self._pass(history=False):
                detected = Detected()
                self._watch(NOTHING, self.now(), detected)
                self._note_failed(detected, NOTHING, history=False)
                self._alert(detected, report, history=False)

    def _watch(self, added: Added, now: int, detected: Detected) -> None:
        """Let the forest look at what was added; whatever it raises, the events have to be stored."""
        if self.forest is None:
            return
        if self.warms_apart and not self.forest.ready:
            self.forest.wait(added)
            return
        try:
            detected.changed += self.forest.run_once(added, now, detected.fresh)
        except StoreError:
            raise
        except Exception as error:  # noqa: BLE001 -- as in Detector: detection never stops ingestion
            self.forest.reset()
            detected.failed.append((FOREST, f"{type(error).__name__}: {error}"))

    def _alert(self, detected: Detected, report: Report, *, history: bool) -> None:
        changed: list[Finding] = detected.changed
        report.findings += len(changed)
        report.failed_rules += [f"{rule}: {why}" for rule, why in detected.failed]
        told = alert_run.run_once(
            self.store, changed, self.book().routing, self.now(), history=history, facts=self.facts
        )
        report.posted += len(told.posted)
        report.quiet += len(told.quiet)

    def _note_failed(self, detected: Detected, span: Added | gaps.Span, *, history: bool) -> None:
        """Keep what rules could not look at for another try, and tell the ops channel the first time."""
        for text in gaps.note_failed(self.store, detected.failed, span, self.now(), history=history):
            outbox.put(self.store, "ops", self.now(), body=f"A rule could not be evaluated, and is tried again. {text}")

    def _tell_history(self, what: str, report: Report) -> None:
        outbox.put(
            self.store,
            "notice",
            self.now(),
            body=f"{what}: {report.events:,} events, {report.findings:,} findings in the history."
            " History is not news, so nothing of it is posted; `/audit alerts` lists it.",
            urgency=0,
        )


def _batches(lines: Iterable[Record | Broken], size: int) -> Iterator[list[Record | Broken]]:
    rest = iter(lines)
    while batch := list(islice(rest, size)):
        yield batch
