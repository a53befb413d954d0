"""The forest over the store: strange hours become findings of the rule `forest`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import chain

from bot.detect.forest.budget import Episode
from bot.detect.forest.config import ForestConfig
from bot.detect.forest.watcher import Strange, Watcher
from bot.detect.forest.windows import EntityKind, Seen, WindowKey
from bot.fields import FactSettings
from bot.model import FOREST, Finding
from bot.store import alerts, judgements, reasons, spoken
from bot.store.events import Added
from bot.store.schema import Store
from bot.store.views import FACT_SQL
from bot.times import DAY, HOUR

LONGEST = 7 * DAY  # of a confirmed finding: more hours than that are not left out
TITLE = {"actor": "Unusual hour of an actor", "ip": "Unusual hour of an address"}
_ENTITY = {
    "actor": "e.actor = (SELECT id FROM actors WHERE name = ?)",
    "ip": "e.ip = (SELECT id FROM addresses WHERE name = ?)",
}


@dataclass
class ForestWatch:
    """Holds the watcher in memory; it is rebuilt from the store when first needed."""

    store: Store
    facts: FactSettings
    config: ForestConfig = field(default_factory=ForestConfig)
    post_from: int = 30  # points, as in rules/routing.yml
    _watcher: Watcher | None = field(default=None, init=False)
    _judged: int = field(default=-1, init=False)  # the newest judgement that the watcher knows of

    def reset(self) -> None:
        """Forget what is in memory: a pass that it has seen was rolled back."""
        self._watcher = None

    def run_once(self, added: Added, now: int) -> list[Finding]:
        """Return the findings that are new or changed by what was added. Has to run inside the pass's transaction."""
        watcher = self._watcher = self._watcher or self._warmed(added.after, now)
        for key in self._confirmed():
            watcher.exclude(*key)
        strange = watcher.observe(list(self._seen("e.id > ?", added.after, "e.id")), now)
        self.store.set_meta("forest", watcher.state())
        self.store.set_meta("forest_seen", str(self.store.value("SELECT max(id) FROM events")))
        return [finding for one in strange for finding in self._finding(one, now)]

    def build(self, now: int) -> None:
        """Build what is held in memory, where it is not there: to be called outside of the transaction of a pass.

        Nothing may add events until the pass begins.
        """
        newest = self.store.value("SELECT max(id) FROM events")
        if self._watcher is None and newest is not None:
            self._watcher = self._warmed(int(newest), now)

    def _warmed(self, after: int, now: int) -> Watcher:
        """Build the watcher from the store: what was there at first in order of time, what came since as it came."""
        told = [_key(one) for one in alerts.findings(self.store, "rule = ? AND state = 'open'", (FOREST,))]
        self._judged = -1
        watcher = Watcher(self.config, self._confirmed(), spoken=self._spoken)
        base = self._base(after)
        first = self._seen("e.id <= ?", base, "e.time, e.id")
        then = self._seen(f"e.id > ? AND e.id <= {int(after)}", base, "e.id")
        watcher.warm(chain(first, then), now, told)
        return watcher

    def _confirmed(self) -> list[WindowKey]:
        """Return the hours of alerts that people said were right since this was last asked: they teach nothing."""
        found, self._judged = judgements.confirmed(self.store, self._judged)
        return [
            WindowKey("actor" if kind == "actor" else "ip", entity, hour)
            for kind, entity, first, last in found
            for hour in range(first // HOUR * HOUR, min(last, first + LONGEST) + 1, HOUR)
        ]

    def _base(self, after: int) -> int:
        """Return up to which event all is read in order of time: what is imported comes in any order."""
        base, seen = (int(self.store.meta(name) or -1) for name in ("forest_base", "forest_seen"))
        if seen != after or base < 0:
            base = after
            self.store.set_meta("forest_base", str(base))
        return base

    def _spoken(self, since: int) -> list[Episode]:
        """Return what posted rules told of actors and addresses."""
        said = spoken.by_rules(self.store, since, self.post_from)
        return [Episode("actor" if kind == "actor" else "ip", name, first, last) for kind, name, first, last in said]

    def _seen(self, where: str, parameter: int, order: str) -> Iterator[Seen]:
        """Yield the events that satisfy an SQL condition as the forest sees them."""
        sensitive: dict[str, bool] = {}
        rows = self.store.stream(
            "SELECT e.time, a.name, i.name, w.name, o.name, t.name, n.name,"
            f" {FACT_SQL['actor_kind']} FROM events e JOIN objects o ON o.id = e.object JOIN types t ON t.id = e.type"
            " JOIN actions n ON n.id = e.action LEFT JOIN actors a ON a.id = e.actor"
            " LEFT JOIN addresses i ON i.id = e.ip LEFT JOIN networks w ON w.id = i.network"
            f" WHERE {where} ORDER BY {order}",
            (parameter,),
        )
        for time, actor, ip, network, object_, type_, action, kind in rows:
            if type_ not in sensitive:
                sensitive[type_] = self.facts.type_sensitive(type_)
            yield Seen(time, actor, ip, network, object_, type_, action, kind, sensitive[type_])

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


def _key(finding: Finding) -> WindowKey:
    """Return the window of a finding of the forest."""
    kind: EntityKind = "actor" if "actor" in finding.group else "ip"
    return WindowKey(kind, finding.group[kind], finding.first // HOUR * HOUR)
