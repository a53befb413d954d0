"""Which findings exceptions cover: those of which every event satisfies the condition."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bot.errors import QueryError
from bot.fields import FactSettings
from bot.model import ABOUT_THE_LOG, FOREST, Finding
from bot.query import parse_condition
from bot.store import alerts, reasons
from bot.store.people.exceptions import TimedException
from bot.store.queries.conditions import Names, Sql, group_sql, prepare, sql_condition
from bot.store.schema import Store
from bot.times import DAY

PREVIEW = 30 * DAY
_SHOWN = "state = 'open' AND hidden IN ('', 'history')"


@dataclass(frozen=True)
class Preview:
    """What an exception would have hidden: findings, their events, alerts as a whole, and how many were posted."""

    findings: int
    events: int
    alerts: int
    posted: int


class Coverage:
    """Some exceptions, ready to be asked about findings; made for each pass, since names are looked up here, once."""

    def __init__(self, store: Store, some: Sequence[TimedException], facts: FactSettings) -> None:
        self._store, self._facts = store, facts
        self._conditions: list[tuple[TimedException, Sql]] = []
        if some:
            prepare(store.connection, facts)
        for one in some:
            try:
                condition = parse_condition(one.condition)
            except QueryError:
                continue  # of a grammar that is no more: what it hid is better shown than hidden for ever
            self._conditions.append((one, sql_condition(condition, facts, names=Names(store.connection))))

    def covering(self, finding: Finding) -> TimedException | None:
        """Return the oldest exception that covers a finding, None where none does; what the log itself does is never
        expected.
        """
        if finding.rule_id in ABOUT_THE_LOG:
            return None
        for one, condition in self._conditions:
            if _may_cover(one, finding) and self._same_reason(one, finding) and self._covers(condition, finding):
                return one
        return None

    def _same_reason(self, one: TimedException, finding: Finding) -> bool:
        """Tell whether a strange hour is strange in the way that was expected; one that no alert led to covers all."""
        if one.alert is None or one.rule != FOREST:
            return True
        return reasons.same_as_told(self._store, finding.id, one.alert)

    def _covers(self, condition: Sql, finding: Finding) -> bool:
        """Tell whether all events satisfy a condition that stand in the finding's span and have its group's values.

        These are the events that the rule matched, and perhaps more; were they fewer, the group would not tell which
        they are (or they are not stored any more), and nothing could be said.
        """
        sql, values = condition
        group, texts = group_sql(finding.group, self._facts)
        [(events, others)] = self._store.rows(
            f"SELECT count(*), total(({sql}) IS NOT TRUE) FROM events e WHERE e.time BETWEEN ? AND ? AND {group}",
            [*values, finding.first, finding.last, *texts],
        )
        return not others and bool(events >= max(1, finding.count))


def _may_cover(one: TimedException, finding: Finding) -> bool:
    return one.rule in (None, finding.rule_id) and (one.up_to is None or finding.level <= one.up_to)


def would_hide(store: Store, one: TimedException, facts: FactSettings, now: int) -> list[Finding]:
    """Return the findings of the last 30 days that an exception would have hidden."""
    coverage = Coverage(store, [one], facts)
    recent = alerts.findings(store, f"last >= ? AND {_SHOWN}", (now - PREVIEW,))
    return [finding for finding in recent if coverage.covering(finding)]


def preview(store: Store, one: TimedException, facts: FactSettings, now: int) -> Preview:
    """Return what an exception would have hidden in the last 30 days."""
    return summed_up(store, would_hide(store, one, facts, now))


def summed_up(store: Store, findings: Iterable[Finding]) -> Preview:
    """Return what findings that would have been hidden come to."""
    hidden = {finding.id: finding for finding in findings}
    touched = {finding.alert_id for finding in hidden.values()}
    gone = [
        alert
        for number in touched
        if number is not None and (alert := alerts.alert(store, number))
        if all(one.id in hidden for one in alerts.findings(store, f"alert = ? AND {_SHOWN}", (number,)))
    ]
    events = sum(finding.count for finding in hidden.values())
    return Preview(len(hidden), events, len(gone), sum(alert.posted for alert in gone))
