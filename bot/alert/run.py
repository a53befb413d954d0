"""Findings to alerts, in the transaction of the pass that found them: place, judge, queue what is to be posted."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from bot.alert.decide import JOIN_WITHIN, LATE, SHOWN, decide, entity_of, gathered, hidden_now, opened
from bot.alert.deliver import Courier, Touched
from bot.alert.routing import Routing
from bot.fields import FactSettings
from bot.model import Alert, Finding
from bot.store import alerts
from bot.store.people import exceptions
from bot.store.people.coverage import Coverage
from bot.store.schema import Store


@dataclass
class Report:
    """What one pass did: alerts newly posted, updated, and kept quiet with the reason."""

    posted: list[int] = field(default_factory=list)
    updated: list[int] = field(default_factory=list)
    quiet: list[tuple[int, str]] = field(default_factory=list)


def run_once(
    store: Store, changed: Iterable[Finding], routing: Routing, now: int, *, history: bool, facts: FactSettings
) -> Report:
    """Take the findings that are new or changed to their alerts. Has to run inside the pass's transaction.

    `facts` is what conditions of exceptions need to know.
    """
    report = Report()
    ordered = sorted(changed, key=lambda one: (one.first, one.id))
    if not ordered:
        return report
    touched: dict[int, Touched] = {}
    coverage = Coverage(store, exceptions.in_force(store, now), facts)
    for found in ordered:
        finding = _excepted(store, found, coverage, now, history=history)
        placed = _place(store, finding, now)
        if placed is not None:
            late_by = 0 if history else max(0, now - placed.last)
            touched.setdefault(placed.alert_id or 0, Touched()).take(placed, late_by, fresh=found.alert_id is None)
    courier = Courier(store, routing, now, facts.zone)
    for alert_id, how in touched.items():
        _judge(courier, alert_id, how, report, history=history)
    return report


def _excepted(store: Store, finding: Finding, coverage: Coverage, now: int, *, history: bool) -> Finding:
    """Return a finding as the exceptions in force leave it: hidden or shown, decided anew whenever it changes."""
    if finding.state != "open" or not (finding.excepted or finding.hidden in SHOWN):
        return finding
    covered_by = coverage.covering(finding)
    if covered_by is None and not finding.excepted:
        return finding
    home = None if finding.alert_id is None else alerts.alert(store, finding.alert_id)
    name = covered_by.name if covered_by else None
    hidden = hidden_now(finding, name, told=home is not None and home.posted, history=history)
    if hidden == finding.hidden:
        return finding
    decided = replace(finding, hidden=hidden)
    alerts.update_finding(store, decided, now)
    return decided


def _place(store: Store, finding: Finding, now: int) -> Finding | None:
    """Return the finding in the alert that it belongs to, or None where nothing is to be done about it."""
    if finding.alert_id is not None:
        return finding
    if finding.hidden not in SHOWN or finding.state != "open":
        return None
    entity = entity_of(finding)
    nearest = alerts.nearest(store, entity, finding.first, finding.last, JOIN_WITHIN)
    decision = decide(finding, nearest, _rules(store, nearest))
    if decision.alert is None:
        home = alerts.insert_alert(store, opened(entity, finding, now), 0).id
    else:
        home = decision.alert.id
        alerts.extend(store, home, finding.first, finding.last)
    hidden = decision.reason if decision.action == "continue" else finding.hidden
    placed = replace(finding, alert_id=home, hidden=hidden)
    alerts.update_finding(store, placed, now)
    return placed


def _rules(store: Store, alert: Alert | None) -> frozenset[str]:
    if alert is None:
        return frozenset()
    return frozenset(row[0] for row in store.rows("SELECT DISTINCT rule FROM findings WHERE alert = ?", (alert.id,)))


def _judge(courier: Courier, alert_id: int, how: Touched, report: Report, *, history: bool) -> None:
    store, post_from = courier.store, courier.routing.post_from
    before = alerts.alert(store, alert_id)
    if before is None:
        return
    late_by = how.late_by or 0
    findings = alerts.findings(store, "alert = ? AND state = 'open'", (alert_id,))
    shown = alerts.worst_first(finding for finding in findings if finding.hidden in SHOWN)
    after = gathered(before, shown, history=history, late_by=late_by, post_from=post_from)
    after = replace(after, last=max([after.last, *(finding.last for finding in findings)]))
    if not after.posted:
        report.quiet.append((alert_id, after.decision))
    elif not before.posted:
        after = courier.post(after, shown, late_by=late_by if late_by > LATE else 0)
        report.posted.append(alert_id)
    else:
        after, drawn = courier.go_on(before, after, shown, how)
        report.updated += [alert_id] * drawn
    alerts.update_alert(store, after)
