"""Findings to alerts, in the transaction of the pass that found them: place, judge, queue what is to be posted."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from bot.alert.decide import EPISODE, LATE, decide, entity_of, gathered, opened
from bot.alert.routing import Routing
from bot.model import Alert, Finding
from bot.store import alerts, outbox
from bot.store.schema import Store


@dataclass
class Report:
    """What one pass did: alerts newly posted, updated, and kept quiet with the reason."""

    posted: list[int] = field(default_factory=list)
    updated: list[int] = field(default_factory=list)
    quiet: list[tuple[int, str]] = field(default_factory=list)


def run_once(store: Store, changed: Iterable[Finding], routing: Routing, now: int, *, history: bool) -> Report:
    """Take the findings that are new or changed to their alerts. Has to run inside the pass's transaction."""
    report = Report()
    touched: dict[int, int] = {}  # alert: how late its newest finding came
    for finding in sorted(changed, key=lambda one: (one.first, one.id)):
        placed = _place(store, finding, now)
        if placed is not None:
            late_by = 0 if history else max(0, now - finding.last)
            touched[placed] = min(late_by, touched.get(placed, late_by))
    for alert_id, late_by in touched.items():
        _judge(store, alert_id, late_by, routing, now, report, history=history)
    return report


def _place(store: Store, finding: Finding, now: int) -> int | None:
    """Return the alert that a finding belongs to, or None where nothing is to be done about it."""
    if finding.alert_id is not None:
        return finding.alert_id
    if finding.hidden not in ("", "history") or finding.state != "open":
        return None
    entity = entity_of(finding)
    nearest = alerts.nearest(store, entity, finding.first, finding.last)
    decision = decide(finding, nearest, _rules(store, nearest))
    if decision.alert is None:
        home = alerts.insert_alert(store, opened(entity, finding, now), 0).id
    else:
        home = decision.alert.id
        alerts.extend(store, home, finding.first, finding.last)
    hidden = decision.reason if decision.action == "continue" else finding.hidden
    alerts.update_finding(store, replace(finding, alert_id=home, hidden=hidden), now)
    return home


def _rules(store: Store, alert: Alert | None) -> frozenset[str]:
    if alert is None:
        return frozenset()
    return frozenset(row[0] for row in store.rows("SELECT DISTINCT rule FROM findings WHERE alert = ?", (alert.id,)))


def _judge(
    store: Store, alert_id: int, late_by: int, routing: Routing, now: int, report: Report, *, history: bool
) -> None:
    before = alerts.alert(store, alert_id)
    if before is None:
        return
    findings = alerts.findings(store, "alert = ? AND state = 'open'", (alert_id,))
    shown = [finding for finding in findings if finding.hidden in ("", "history")]
    after = gathered(before, shown, history=history, late_by=late_by, post_from=routing.post_from)
    alerts.update_alert(store, replace(after, last=max([after.last, *(finding.last for finding in findings)])))
    if not after.posted:
        report.quiet.append((alert_id, after.decision))
    elif not before.posted:
        with store.write() as connection:
            connection.execute(
                "UPDATE alerts SET late_by = ? WHERE id = ?", (late_by if late_by > LATE else 0, alert_id)
            )
        outbox.put(store, "post", now, alert=alert_id, urgency=int(after.level))
        report.posted.append(alert_id)
    elif _news(before, after):
        outbox.put_update(store, alert_id, now)
        report.updated.append(alert_id)


def _news(before: Alert, after: Alert) -> bool:
    """Tell whether the message has to be drawn again: when its episode is over, mere going on is no news."""
    if after.last > after.first + EPISODE:
        return (after.level, after.points) != (before.level, before.points)
    return after != before
