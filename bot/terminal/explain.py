"""Prints an alert with its reasons, or an event with its facts, and the actor's last 30 days."""

from __future__ import annotations

from bot.activity import Activity, local, zone_name
from bot.errors import ConfigError
from bot.event_words import event_words, headline
from bot.fields import FactSettings
from bot.model import FOREST, AlertView, Event, Finding, Rule
from bot.show import plain, say, table
from bot.store.queries.explain import AlertStory, EventStory, alert_story, event_story
from bot.store.schema import Store
from bot.terminal.heat_text import heat_lines
from bot.times import iso

HEADS = ("id", "time (UTC)", "action", "actor", "ip", "object", "type")


def show_story(store: Store, what: str, now: int, facts: FactSettings) -> Activity:
    """Print what is to be told of an alert (A12) or an event (its id); return the 30 days that were drawn.

    Raises ConfigError where there is no such thing.
    """
    if what.startswith("A"):
        alert = alert_story(store, int(what[1:]), now, facts.zone)
        if alert is None:
            raise ConfigError(f"There is no alert {what}: `audit-bot alerts` lists them.")
        return _explain_alert(alert)
    event = event_story(store, int(what), facts)
    if event is None:
        raise ConfigError(f"There is no event {what}: the ids are in the output of `audit-bot query`.")
    return _explain_event(event)


def _explain_alert(story: AlertStory) -> Activity:
    view, activity = story.view, story.activity
    one = view.alert
    say(f"{one.name}: {plain(one.entity)}, {one.level.name}, {one.points} points, {one.state}{_owner(view)}")
    say(f"Decision: {one.decision}. From {iso(one.first)} to {iso(one.last)}{_here(activity)}.")
    for finding in sorted(story.findings, key=lambda each: (each.state != "open", -each.level, each.first)):
        say("")
        _explain_finding(finding, view.rules.get(finding.rule_id))
    if view.evidence:
        say("\nEvidence")
        table(HEADS, map(_row, view.evidence))
    _draw(activity)
    return activity


def _owner(view: AlertView) -> str:
    owner = view.alert.owner
    return f" by {plain(owner)}" if owner else ""


def _here(activity: Activity) -> str:
    """Say when that was by the team's clocks, where these differ from UTC."""
    if activity.episode is None or zone_name(activity.zone) == "UTC":
        return ""
    first, last = (local(moment, activity.zone) for moment in activity.episode)
    until = f"{last:%H:%M}" if first.date() == last.date() else f"{last:%a %-d %b %H:%M}"
    return f" ({first:%a %-d %b %H:%M} to {until} {zone_name(activity.zone)})"


def _explain_finding(finding: Finding, rule: Rule | None) -> None:
    note = f" [{finding.state}]" if finding.state != "open" else f" [{finding.hidden}]" if finding.hidden else ""
    say(f"{plain(finding.title)} ({finding.level.name}){', by the forest' * (finding.rule_id == FOREST)}{note}")
    for reason in finding.reasons:
        say(f"  - {plain(reason)}")
    where = f", last from {plain(finding.ip)}" if finding.ip else ""
    many = "1 event" if finding.count == 1 else f"{finding.count:,} events"
    say(f"  {iso(finding.first)} to {iso(finding.last)}, {many}{where}")
    if rule is not None and rule.description:
        say(f"  {plain(rule.description)}")
    if rule is not None and rule.runbook:
        say(f"  Runbook: {plain(rule.runbook)}")


def _explain_event(story: EventStory) -> Activity:
    event, activity = story.event, story.activity
    say(f"Event {event.id}: {plain(headline(event, activity))}\n")
    said = event_words(event, activity)
    for one in said:
        say(f"{'! ' if one.unusual else '  '}{plain(one.text)}")
    say(f"\n{_count_unusual(sum(one.unusual for one in said))}")
    for finding in story.findings:
        place = f"A{finding.alert_id}" if finding.alert_id is not None else finding.hidden
        say(f"Part of: {plain(finding.title)} ({place})")
    known = ((name, value) for name, value in event.facts.items() if value is not None)
    say(f"Facts: {', '.join(f'{name}={plain(value)}' for name, value in known)}")
    _draw(activity)
    return activity


def _count_unusual(count: int) -> str:
    return f"Unusual: {count}, marked with !." if count else "Nothing that is known of it is unusual."


def _draw(activity: Activity) -> None:
    say(f"\n{plain(activity.who)}, {len(activity.days)} days by hour, {zone_name(activity.zone)}")
    for line in heat_lines(activity):
        say(line)
    say(f"\n{plain(activity.words())}")


def _row(event: Event) -> tuple[str | None, ...]:
    when = iso(event.time)[:19].replace("T", " ")
    return (str(event.id), when, event.action, event.actor, event.ip, event.object, event.type)
