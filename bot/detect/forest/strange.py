"""The forest over the store: strange hours become findings of the rule `forest`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import chain

import numpy as np

from bot.detect.columns import Columns
from bot.detect.forest import waiting
from bot.detect.forest.budget import Episode
from bot.detect.forest.config import ForestConfig
from bot.detect.forest.deeds import EntityKind, WindowKey
from bot.detect.forest.fits import Fits
from bot.detect.forest.reading import Reader
from bot.detect.forest.watcher import Strange, Watcher
from bot.errors import StoreError
from bot.fields import FactSettings
from bot.heap import give_back
from bot.model import FOREST, Finding
from bot.store import alerts, reasons, spoken
from bot.store.log.events import Added
from bot.store.people import judgements
from bot.store.schema import Store
from bot.times import DAY, HOUR

WARMING = "warming up: it reads the log, and will score then what comes meanwhile; rules watch"
LONGEST = 7 * DAY  # of a confirmed finding: more hours than that are not left out
TITLE = {"actor": "Unusual hour of an actor", "ip": "Unusual hour of an address"}
_ENTITY = {
    "actor": "e.actor = (SELECT id FROM actors WHERE name = ?)",
    "ip": "e.ip = (SELECT id FROM addresses WHERE name = ?)",
}


@dataclass
class ForestWatch:
    """Holds the watcher in memory, built from the store: by `build` before a pass, or by `warm` beside passes.

    What passes add while `warm` builds waits in the store and is scored by the next pass after it.
    """

    store: Store
    facts: FactSettings
    config: ForestConfig = field(default_factory=ForestConfig)
    post_from: int = 30  # points, as in rules/routing.yml
    fits: Fits = field(default_factory=Fits)
    _watcher: Watcher | None = field(default=None, init=False)
    _warmed_up: Watcher | None = field(default=None, init=False)  # by `warm`, for the next pass to take
    _failed: Exception | None = field(default=None, init=False)  # what building it raised
    _said: str = field(default="", init=False)  # of its state, to the store
    _judged: int = field(default=-1, init=False)  # the newest judgement that the watcher knows of

    def reset(self) -> None:
        """Forget what is in memory: a pass that it has seen was rolled back."""
        self._watcher, self._said = None, ""

    def run_once(self, added: Added, now: int, fresh: Columns | None = None) -> list[Finding]:
        """Return the findings that are new or changed by what was added, or waits. Has to run inside the pass's
        transaction. `fresh` is what was added, where somebody has read it already."""
        failed, self._failed = self._failed, None
        if failed is not None:
            raise failed
        watcher = self._watcher = self._watcher or self._take_over() or self._warmed(added.after, now)
        for key in self._confirmed():
            watcher.exclude(*key)
        newest = self._newest()
        waits = waiting.any_waits(self.store)
        spans = waiting.spans(self.store) if waits else []
        waited = (page for span in spans for page in self._reader.by_arrival(*span))
        added_now = self._reader.by_arrival(added.after, newest) if fresh is None else [self._reader.arrived(fresh)]
        strange = watcher.observe(chain(waited, added_now if added.count else ()), now)
        if waits:
            waiting.forget(self.store)
        if self._said != (said := watcher.state()):
            self.store.set_meta("forest", said)
            self._said = said
        self.store.set_meta("forest_seen", str(newest))
        return [finding for one in strange for finding in self._finding(one, now)]

    def wait(self, added: Added) -> None:
        """Let what was added wait until `warm` has done. Has to run inside the pass's transaction."""
        newest = self._newest()
        waiting.note(self.store, added.after, newest)
        if self.store.meta("forest_seen") == str(added.after):
            self.store.set_meta("forest_seen", str(newest))

    @property
    def _reader(self) -> Reader:
        return Reader(self.store, self.facts)

    @property
    def ready(self) -> bool:
        """Tell whether it can score at once."""
        return not (self._watcher is None and self._warmed_up is None and self._failed is None)

    @property
    def behind(self) -> bool:
        """Tell whether it can score at once what could not be scored so far."""
        return self.ready and waiting.any_waits(self.store)

    def build(self, now: int) -> None:
        """Build what is held in memory, where it is not there: to be called outside of the transaction of a pass.

        Nothing may add events until the pass begins.
        """
        if not self.ready and (newest := self._newest()):
            self._watcher = self._attempt(lambda: self._warmed(newest, now))

    def warm(self, now: int, turn: Callable[[], bool]) -> None:
        """Build the same beside passes, in another thread than theirs.

        `turn` is called before each page of events: it may wait, and tells whether to go on.
        """
        with self.store.write():  # no pass is half done
            newest = self._newest()
            if self.ready or not newest:
                return
            waiting.begin(self.store)
            base = self._base(newest)
            self.store.set_meta("forest_seen", str(newest))
            self.store.set_meta("forest", WARMING)
            self._said = ""
            reading = self._pages(base, newest)
        with suppress(_StoppedError):
            self._warmed_up = self._attempt(lambda: self._watcher_of(_in_turn(reading, turn), now))
        self.store.forget_pages()
        give_back()  # 40 of 227 MB after a million events

    def _attempt(self, build: Callable[[], Watcher]) -> Watcher | None:
        """Build the watcher outside of a pass; what that raises is told by the next pass that looks at events."""
        try:
            return build()
        except (StoreError, _StoppedError):
            raise
        except Exception as error:  # noqa: BLE001 -- kept in `_failed`, and told like all that the forest raises
            self._failed = error
            return None

    def _take_over(self) -> Watcher | None:
        found, self._warmed_up = self._warmed_up, None
        return found

    def _newest(self) -> int:
        return int(self.store.value("SELECT coalesce(max(id), 0) FROM events"))

    def _warmed(self, after: int, now: int) -> Watcher:
        """Build the watcher from the store, up to an event."""
        return self._watcher_of(self._pages(self._base(after), after), now)

    def _watcher_of(self, pages: Iterable[Columns], now: int) -> Watcher:
        told = [_key(one) for one in alerts.findings(self.store, "rule = ? AND state = 'open'", (FOREST,))]
        self._judged = -1
        watcher = Watcher(self.config, self._confirmed(), self._spoken, self.fits)
        watcher.warm(pages, now, told)
        return watcher

    def _pages(self, base: int, newest: int) -> Iterator[Columns]:
        """Return all events up to one: those there at first in order of time, what came since as it came.

        What waits is left out.
        """
        spans = waiting.spans(self.store)
        for page in chain(self._reader.by_time(base), self._reader.by_arrival(base, newest)):
            waits = [(page.id > after) & (page.id <= last) for after, last in spans]
            yield page.take(np.flatnonzero(~np.logical_or.reduce(waits))) if spans else page

    def _confirmed(self) -> list[WindowKey]:
        """Return the hours of alerts that people said were right since this was last asked: they teach nothing."""
        found, self._judged = judgements.confirmed(self.store, self._judged)
        return [
            WindowKey("actor" if kind == "actor" else "ip", entity, hour)
            for kind, entity, first, last in found
            for hour in range(first // HOUR * HOUR, min(last, first + LONGEST) + 1, HOUR)
        ]

    def _base(self, newest: int) -> int:
        """Return up to which event all is read in order of time: what is imported comes in any order."""
        base, seen = (int(self.store.meta(name) or -1) for name in ("forest_base", "forest_seen"))
        if seen != newest or base < 0:
            base = newest
            self.store.set_meta("forest_base", str(base))
        return base

    def _spoken(self, since: int) -> list[Episode]:
        """Return what posted rules told of actors and addresses."""
        said = spoken.by_rules(self.store, since, self.post_from)
        return [Episode("actor" if kind == "actor" else "ip", name, first, last) for kind, name, first, last in said]

    def _finding(self, one: Strange, now: int) -> list[Finding]:
        """Return the finding of a strange hour where it is new or has changed; the same hour updates its finding."""
        fresh = Finding(
            0, FOREST, TITLE[one.kind], one.level, {one.kind: one.entity}, one.first, one.last, one.events,
            one.entity if one.kind == "actor" else None, one.ip, self._evidence(one), one.reasons,
        )  # fmt: skip
        stored = alerts.findings(
            self.store,
            "rule = ? AND grp = ? AND state = 'open' AND first < ? AND last >= ?",
            (FOREST, alerts.group_key(fresh.group.items()), one.hour + HOUR, one.hour),
        )
        if not stored:
            new = alerts.insert_finding(self.store, fresh, now)
            reasons.note(self.store, new.id, one.groups)
            return [new]
        before = stored[-1]
        after = replace(fresh, id=before.id, alert_id=before.alert_id, hidden=before.hidden)
        if after == before:
            return []
        alerts.update_finding(self.store, after, now)
        reasons.note(self.store, after.id, one.groups)
        return [after]

    def _evidence(self, one: Strange) -> tuple[int, ...]:
        """Return up to three events of the hour: the first, one in the middle, the last."""
        rows = self.store.rows(
            f"SELECT e.id FROM events e WHERE {_ENTITY[one.kind]} AND e.time BETWEEN ? AND ? ORDER BY e.time, e.id",
            (one.entity, one.first, one.last),
        )
        ids = [row[0] for row in rows]
        return tuple(dict.fromkeys((ids[0], ids[(len(ids) - 1) // 2], ids[-1]))) if ids else ()


class _StoppedError(Exception):
    """Whoever builds beside passes was told to stop."""


def _in_turn(pages: Iterator[Columns], turn: Callable[[], bool]) -> Iterator[Columns]:
    """Yield pages as long as it is their turn. Raises _StoppedError."""
    while turn():
        page = next(pages, None)
        if page is None:
            return
        yield page
    raise _StoppedError


def _key(finding: Finding) -> WindowKey:
    """Return the window of a finding of the forest."""
    kind: EntityKind = "actor" if "actor" in finding.group else "ip"
    return WindowKey(kind, finding.group[kind], finding.first // HOUR * HOUR)
