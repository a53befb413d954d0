"""Gathers what explains an alert or an event: its findings, its facts, and what the actor usually does."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta, tzinfo

from bot.activity import QUARTER, Activity, gather, shown_days, start_of
from bot.fields import FACTS, FactSettings
from bot.model import AlertView, Entity, Event, Finding
from bot.store import alerts
from bot.store.queries.search import events_by_id
from bot.store.schema import Store

FACT_NAMES = tuple(fact.name for fact in FACTS)
_OF_ENTITY = {
    "actor": "e.actor = (SELECT id FROM actors WHERE name = ?)",
    "ip": "e.ip = (SELECT id FROM addresses WHERE name = ?)",
    "unknown": "e.actor IS NULL AND e.ip IS NULL AND ? IS NOT NULL",
    "workspace": "? IS NOT NULL",
}
_NAMES = {"unknown": "nobody named", "workspace": "the whole workspace"}


@dataclass(frozen=True)
class AlertStory:
    """An alert with all its findings, hidden and withdrawn ones too, and the entity's 30 days with it marked."""

    view: AlertView
    findings: tuple[Finding, ...]
    activity: Activity


@dataclass(frozen=True)
class EventStory:
    """An event with all facts, the findings that it may be part of, and 30 days of its actor, else of its address."""

    event: Event
    findings: tuple[Finding, ...]
    activity: Activity


def alert_story(store: Store, alert_id: int, now: int, zone: tzinfo) -> AlertStory | None:
    """Return what explains an alert, None where there is no such alert."""
    view = alerts.view(store, alert_id, now)
    if view is None:
        return None
    alert = view.alert
    findings = alerts.findings(store, "alert = ?", (alert_id,))
    return AlertStory(view, tuple(findings), activity_of(store, alert.entity, zone, (alert.first, alert.last)))


def event_story(store: Store, event_id: int, facts: FactSettings) -> EventStory | None:
    """Return what explains an event, None where there is no such event."""
    found = events_by_id(store, (event_id,), facts, FACT_NAMES)
    if not found:
        return None
    event = found[0]
    near = alerts.findings(store, "first <= ? AND last >= ? AND state = 'open'", (event.time, event.time))
    mine = (one for one in near if event.id in one.evidence or (one.group and _is_in(event, one)))
    activity = activity_of(store, _entity(event), facts.zone, (event.time, event.time))
    return EventStory(event, tuple(mine), activity)


def activity_of(store: Store, entity: Entity, zone: tzinfo, episode: tuple[int, int]) -> Activity:
    """Return the events of an entity on the 30 days that end with an episode's last, the episode marked."""
    end = episode[1]
    days = shown_days(end, zone)
    since, until = start_of(days[0], zone), start_of(days[-1] + timedelta(days=1), zone)
    rows = store.rows(
        "SELECT (e.time - ?) / ?, count(*) FROM events e"
        f" WHERE e.time >= ? AND e.time < ? AND {_OF_ENTITY[entity.kind]} GROUP BY 1",
        (since, QUARTER, since, until, entity.name),
    )
    counted = ((since + quarter * QUARTER, events) for quarter, events in rows)
    return gather(counted, _NAMES.get(entity.kind, entity.name), zone, end, episode)


def _is_in(event: Event, finding: Finding) -> bool:
    return all(getattr(event, name, None) == value for name, value in finding.group.items())


def _entity(event: Event) -> Entity:
    if event.actor is not None:
        return Entity("actor", event.actor)
    return Entity("ip", event.ip) if event.ip is not None else Entity("unknown", "")
