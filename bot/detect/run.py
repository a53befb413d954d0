"""One pass of detection: what events that came or changed mean for the findings of each rule."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TypeVar

import numpy as np

from bot.detect import facts
from bot.detect.columns import Columns
from bot.detect.dictionary import Names
from bot.detect.groups import Group, plain_entries, slot_entries
from bot.detect.loads import MANY, Loader, Task
from bot.detect.match import Burst, Evaluation, region
from bot.detect.rules import CompiledRule
from bot.detect.words import reasons
from bot.errors import StoreError
from bot.fields import FACTS, FactSettings
from bot.model import Finding
from bot.store import alerts
from bot.store.log import blocks
from bot.store.log.events import Added
from bot.store.schema import Store

T = TypeVar("T")
FACT_NAMES = frozenset(field.name for field in FACTS)


@dataclass
class Report:
    """What one pass found: the findings that are new or changed, and the rules that raised, each with the error.

    `fresh` are the new events, where they are not too many to be read as one.
    """

    changed: list[Finding] = field(default_factory=list)
    failed: list[tuple[str, str]] = field(default_factory=list)
    fresh: Columns | None = None


@dataclass
class Detector:
    """Evaluates rules where events came or changed; the same whether live, late, imported or tried again."""

    store: Store
    settings: FactSettings
    many: int = MANY

    def __post_init__(self) -> None:
        self._loader = Loader(self.store, self.settings, self.many)

    def run_once(self, rules: Iterable[CompiledRule], added: Added, now: int, *, history: bool) -> Report:
        """Bring the findings up to date with what was added. Has to run inside the pass's transaction."""
        report = Report()
        if not added.count:
            return report
        self._loader.kinds.refresh()
        self._loader.recent.end()
        if self._loader.many_of("id > ?", added.after):
            tasks = [task for rule in rules for task in self._guarded(report, rule, partial(self._all, rule, added))]
            self._evaluate(tasks, report, now, history)
            return report
        names = Names(self.store, self._loader.kinds.names)
        rows = blocks.rows(self.store, "e.id > ?", (added.after,))
        self._loader.recent.begin(added.after, rows)
        report.fresh = facts.from_rows(self.store, self.settings, rows, names=names)
        new = Evaluation(report.fresh)
        affected = Evaluation(self._changed_by_late(added)) if added.late else new
        tasks = []
        for rule in rules:
            by_fact = bool(rule.fields & FACT_NAMES) and added.late
            look_at = affected if by_fact else new
            if self._loader.kinds.apart(rule, look_at.kinds):
                continue
            tasks += self._guarded(report, rule, partial(self._task, rule, look_at, all_groups=by_fact))
        self._evaluate(tasks, report, now, history, names)
        return report

    def run_span(self, rules: Iterable[CompiledRule], since: int, until: int, now: int, *, history: bool) -> Report:
        """Bring the findings up to date with all events of a span: for what an earlier pass could not look at, or what
        has changed."""
        report = Report()
        self._loader.kinds.refresh()
        self._loader.recent.changed(since)
        span = Evaluation(facts.read(self.store, self.settings, "e.time BETWEEN ? AND ?", (since, until)))
        tasks = []
        for rule in rules:
            tasks += self._guarded(report, rule, partial(self._task, rule, span, all_groups=True))
        self._evaluate(tasks, report, now, history)
        return report

    # -- what to look at again ---------------------------------------------------------------------------------
    def _changed_by_late(self, added: Added) -> Columns:
        """Return the new events and those whose facts they may have changed: later ones of the same actor, address or
        object, or of the same type and no actor, and all in the learning time that an older beginning of the log moved.
        """
        same = " OR ".join(
            f"e.{name} IN (SELECT {name} FROM events WHERE id > :after)" for name in ("actor", "ip", "object")
        )
        same += " OR e.actor IS NULL AND e.type IN (SELECT type FROM events WHERE id > :after AND actor IS NULL)"
        return facts.read(
            self.store,
            self.settings,
            f"e.id > :after OR (e.time >= :since AND ({same})) OR e.time BETWEEN :since AND :until",
            {"after": added.after, "since": added.since, "until": added.until},
        )

    def _task(self, rule: CompiledRule, evaluation: Evaluation, *, all_groups: bool) -> list[Task]:
        """Return what has to be evaluated again, nothing where the events do not concern the rule.

        With `all_groups` an event counts even if the rule does not match it (any more): its facts may have changed, and
        where groups are made of facts, it may have left one that its fields no longer name.
        """
        affected, kinds = evaluation.columns, evaluation.kinds
        if kinds is not None and not self._loader.kinds.may_concern(rule, kinds):
            return []
        matched = np.ones(len(affected), dtype=np.bool_) if all_groups else evaluation.matching(rule)
        rows = np.flatnonzero(matched)  # in order of time, as the events are
        if not len(rows):
            return []
        known = rule.same_groups and not (all_groups and FACT_NAMES.intersection(rule.group_by))
        groups = _groups(rule, evaluation, affected, all_groups=all_groups) if known else None
        return [self._again(rule, groups, *affected.time[rows[[0, -1]]].tolist())]

    def _all(self, rule: CompiledRule, added: Added) -> list[Task]:
        """Return that all groups have to be evaluated again, from the first to the last event that may matter; nothing
        where the rule concerns no kind of event that there is."""
        if not self._loader.kinds.may_concern(rule, self._loader.kinds.all):
            return []
        by_fact = bool(rule.fields & FACT_NAMES) and added.late
        until = self.store.value("SELECT max(time) FROM events") if by_fact else added.until
        return [self._again(rule, None, added.since, until)]

    def _again(self, rule: CompiledRule, groups: frozenset[Group] | None, t0: int, t1: int) -> Task:
        """Return what to evaluate again because of events between two times.

        Findings that ended before are read only where one that is touched reaches back to them: groups with months of
        findings cost a third of a pass.
        """
        lo, since = t0 - rule.join, t0
        while lo < since:
            since = lo
            stored = self._stored(rule, groups, since)
            lo, hi, places = region(rule, t0, t1, [(f.first, f.last) for f in stored])
        return Task(rule, groups, lo, hi, tuple(stored[place] for place in places))

    def _stored(self, rule: CompiledRule, groups: frozenset[Group] | None, since: int) -> list[Finding]:
        if groups is None:
            return alerts.findings(self.store, "rule = ? AND last >= ? AND state = 'open'", (rule.id, since))
        keys = json.dumps([alerts.group_key(group) for group in groups])
        return alerts.findings(
            self.store,
            "rule = ? AND grp IN (SELECT value FROM json_each(?)) AND last >= ? AND state = 'open'",
            (rule.id, keys, since),
        )

    # -- evaluating --------------------------------------------------------------------------------------------
    def _evaluate(
        self, tasks: Sequence[Task], report: Report, now: int, history: bool, names: Names | None = None
    ) -> None:
        found: dict[CompiledRule, list[Burst]] = {}
        for columns, some in self._loader.loads(tasks, names):
            evaluation = Evaluation(columns, [task.rule for task in some])
            for task in some:
                before = len(report.failed)
                bursts = self._guarded(report, task.rule, partial(evaluation.bursts, task.rule, task.lo, task.hi))
                if len(report.failed) == before:
                    found[task.rule] = [burst for burst in bursts if task.groups is None or burst.group in task.groups]
        for task in tasks:  # in the order of rules, whatever was read together
            if task.rule in found:
                report.changed += self._reconcile(task, found[task.rule], now, history)

    def _guarded(self, report: Report, rule: CompiledRule, compute: Callable[[], list[T]]) -> list[T]:
        """Compute, or note that this rule raised: one rule's fault must stop neither the events nor other rules."""
        try:
            return compute()
        except StoreError:
            raise
        except Exception as error:  # noqa: BLE001 -- whatever a rule or a fact raises, the events have to be stored
            report.failed.append((rule.id, f"{type(error).__name__}: {error}"))
            return []

    # -- findings ----------------------------------------------------------------------------------------------
    def _reconcile(self, task: Task, bursts: Sequence[Burst], now: int, history: bool) -> list[Finding]:
        """Make the stored findings of a task what its bursts say; return those that are new or changed.

        A burst takes over the oldest finding that overlaps it; further ones are merged into that; a finding that no
        burst overlaps is withdrawn.
        """
        changed: list[Finding] = []
        free: dict[frozenset[tuple[str, str]], list[Finding]] = {}
        for finding in sorted(task.stored, key=lambda f: f.id):
            free.setdefault(frozenset(finding.group.items()), []).append(finding)
        for burst in bursts:
            fresh, mine = _finding(task.rule, burst, history), frozenset(burst.group)
            overlapping = [f for f in free.get(mine, ()) if f.first <= burst.last and f.last >= burst.first]
            if overlapping:
                free[mine] = [f for f in free[mine] if f not in overlapping]
            if not overlapping:
                changed.append(alerts.insert_finding(self.store, fresh, now))
                continue
            oldest, *others = overlapping
            hidden = "" if oldest.hidden == "history" and not history and burst.last > oldest.last else oldest.hidden
            after = replace(fresh, id=oldest.id, hidden=hidden, alert_id=oldest.alert_id)
            changed += self._update([(oldest, after)] + [(f, replace(f, state="merged")) for f in others], now)
        rest = sorted((f for some in free.values() for f in some), key=lambda f: f.id)
        return changed + self._update([(f, replace(f, state="withdrawn")) for f in rest], now)

    def _update(self, pairs: Iterable[tuple[Finding, Finding]], now: int) -> list[Finding]:
        different = [after for before, after in pairs if after != before]
        for finding in different:
            alerts.update_finding(self.store, finding, now)
        return different


def _finding(rule: CompiledRule, burst: Burst, history: bool) -> Finding:
    hidden = "shadow" if rule.rule.shadow else "history" if history else ""
    return Finding(
        0,
        rule.id,
        rule.rule.title,
        rule.rule.level,
        dict(burst.group),
        burst.first,
        burst.last,
        burst.count,
        burst.actor,
        burst.ip,
        burst.evidence,
        reasons(rule, burst),
        hidden=hidden,
    )


def _groups(rule: CompiledRule, evaluation: Evaluation, columns: Columns, *, all_groups: bool) -> frozenset[Group]:
    """Return the groups of the events that a rule looks at, or of all events."""
    everything = np.ones(len(columns), dtype=np.bool_)
    if rule.correlation is None:
        entries = plain_entries(rule, columns, everything if all_groups else evaluation.matching(rule))
    else:
        slots = rule.correlation.slots
        matched = [everything if all_groups else evaluation.matching(slot.rule) for slot in slots]
        entries = slot_entries(rule.correlation.group_by, slots, matched, columns)
    return frozenset(entries.groups(columns, entries.line.firsts))
