"""Vanished events: what polls have seen in the portal's log, and what is no longer there.

Each settled read is compared, over the last day at most, with what earlier settled reads held. A single look proves
nothing (a replica may lag behind): what is missing has to be missing still at a second look some minutes later.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from bot.model import Finding, Record, Rule
from bot.store import alerts
from bot.store.log import sightings
from bot.store.log.sightings import Sighting
from bot.store.schema import Store
from bot.times import DAY, HOUR, MINUTE, iso

# The ends of what was read are not compared: the portal may search by another moment than the one it shows.
FRESH, EDGE = 5 * MINUTE, MINUTE
CONFIRM = 5 * MINUTE  # from the first look at which something is missing to the one that tells it
NIGHTLY = 23 * HOUR  # what the last sweep of the last day has seen is looked at again before it is a day old
TOGETHER = HOUR  # what is found missing within so long is one finding


@dataclass
class Vanished:
    """Compares the passes over the portal with what was seen before."""

    store: Store
    rule: Rule
    _until: int = 0
    _seen: dict[tuple[int, int], int] = field(default_factory=dict, init=False)
    _windows: list[tuple[int, int]] = field(default_factory=list, init=False)

    def begin(self, until: int) -> None:
        """Forget what an earlier pass has seen; this one reads up to `until`."""
        self._until, self._seen, self._windows = until, {}, []

    def note(self, records: Iterable[Record], since: int, until: int) -> None:
        """Remember what a settled read of a window held. Has to run inside the transaction that stores the records."""
        if until <= self._until - DAY:
            return
        recent = [record for record in records if record.time >= self._until - DAY]
        seen = sightings.tally(self.store, recent)
        sightings.note(self.store, seen)
        for key, copies in seen.items():
            self._seen[key] = max(copies, self._seen.get(key, 0))
        self._windows.append((since, until))

    def sweep_every(self, now: int) -> int:
        """Return how long after one sweep of the last day the next is due, in microseconds.

        Sooner where something is missing: to be sure of it, and to see whether it comes back.
        """
        after = now - DAY + CONFIRM  # what is older may have left the last day before the sweep is over
        if sightings.suspected(self.store, after, now - CONFIRM):
            return CONFIRM
        return HOUR if sightings.told(self.store, after) else NIGHTLY

    def run_once(self, now: int) -> list[Finding]:
        """Compare a complete pass with what was seen before; return the findings that are new or changed."""
        changed = list(self._compare(now))
        touched = {one.finding for one in changed if one.finding is not None}
        sure = [one for one in changed if one.missing and one.finding is None and _lasting(one, now)]
        # What came back has to be missing twice again before it is told again.
        sightings.update(self.store, (one if one.missing else replace(one, finding=None) for one in changed))
        findings = self._tell(sure, touched, now)
        sightings.prune(self.store, self._until - DAY)
        return findings

    def _compare(self, now: int) -> Iterator[Sighting]:
        """Yield what is missing, or is so no longer, as it has to be remembered."""
        for since, until in self._spans():
            for one in sightings.between(self.store, since, until):
                missing = max(0, one.copies - self._seen.get((one.time, one.fingerprint), 0))
                if missing or one.missing:
                    yield replace(one, missing=missing, since=(one.since or now) if missing else None)

    def _spans(self) -> Iterator[tuple[int, int]]:
        """Yield what was read completely, less its ends."""
        joined: list[tuple[int, int]] = []
        for since, until in sorted(self._windows):
            if joined and since <= joined[-1][1]:
                joined[-1] = joined[-1][0], max(until, joined[-1][1])
            else:
                joined.append((since, until))
        for since, until in joined:
            yield max(since + EDGE, self._until - DAY), until - FRESH

    def _tell(self, sure: list[Sighting], touched: set[int], now: int) -> list[Finding]:
        """Put what is missing for certain into one finding, and bring those up to date of which something changed."""
        if sure:
            home = sightings.newest_finding(self.store, now - CONFIRM - TOGETHER)
            if home is None:
                rule, times = self.rule, [one.time for one in sure]
                fresh = Finding(0, rule.id, rule.title, rule.level, {}, min(times), max(times), len(sure))
                home = store_finding(self.store, fresh, now).id
            sightings.update(self.store, (replace(one, finding=home) for one in sure))
            touched = touched | {home}
        pairs = ((before, self._now(before)) for before in map(self._finding, sorted(touched)))
        return [store_finding(self.store, after, now) for before, after in pairs if after != before]

    def _finding(self, number: int) -> Finding:
        [found] = alerts.findings(self.store, "id = ?", (number,))
        return found

    def _now(self, before: Finding) -> Finding:
        """Return a finding as what is missing makes it."""
        gone = sightings.missing(self.store, before.id)
        if not gone:
            return replace(before, state="withdrawn")
        first, last, count = gone[0].time, gone[-1].time, sum(one.missing for one in gone)
        some = dict.fromkeys((gone[0], gone[(len(gone) - 1) // 2], gone[-1]))
        return replace(
            before, first=first, last=last, count=count, evidence=sightings.events_of(self.store, some),
            reasons=(_say(count, first, last),),
        )  # fmt: skip


def store_finding(store: Store, finding: Finding, now: int) -> Finding:
    """Store a finding that is new (id 0) or has changed, and return it with its id."""
    if not finding.id:
        return alerts.insert_finding(store, finding, now)
    alerts.update_finding(store, finding, now)
    return finding


def _lasting(one: Sighting, now: int) -> bool:
    return one.since is not None and one.since <= now - CONFIRM


def _say(count: int, first: int, last: int) -> str:
    if count == 1:
        return f"an event of {iso(first)} was in the portal's log, and is not there any more"
    return f"{count:,} events from {iso(first)} to {iso(last)} were in the portal's log, and are not there any more"
