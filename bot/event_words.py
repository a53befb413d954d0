"""An event's facts in words, and which of them are unusual. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from bot.activity import Activity, local, zone_name
from bot.fields import FACTS, LEARNING_DAYS
from bot.model import Event
from bot.times import DAY, say_duration

LONG_IDLE = 30  # days without a sign of the actor that are worth a mark
YOUNG = 14  # days: an actor known for less is new
FRESH = 1  # days: an address used for less is new to an actor who is not
REGULAR = 10  # days with activity, of 30, from which on an hour without any says something
_KINDS = {"person": "a person", "key": "a key", "webhook": "a webhook", "none": "nobody named"}


@dataclass(frozen=True)
class Said:
    """One sentence about an event; `unusual` where it is what a person should look at."""

    text: str
    unusual: bool = False


def event_words(event: Event, activity: Activity) -> tuple[Said, ...]:
    """Return what is known of an event, what is unusual first. Unknown facts are left out."""
    said = [*_who(event), *_where(event), *_place(event), *_what(event), *_when(event, activity), *_others(event)]
    if event.actor is not None and event.facts.get("actor_new") is None:
        said.append(Said(f"What is new for whom is not known in the first {LEARNING_DAYS} days of the log."))
    return tuple(sorted(said, key=lambda one: not one.unusual))


def headline(event: Event, activity: Activity) -> str:
    """Return what happened, in one sentence."""
    when = local(event.time, activity.zone)
    who, where = event.actor or "nobody named", f" from {event.ip}" if event.ip else ""
    what = f"{event.action} of {event.object} ({event.type})"
    return f"{what} by {who}{where}, {when:%a %-d %b %Y %H:%M:%S} {zone_name(activity.zone)}."


def _who(event: Event) -> Iterator[Said]:
    facts = event.facts
    if event.actor is None:
        yield Said("No actor is named.")
        return
    how = f", signed in as {facts['actor_type']}" if facts.get("actor_type") else ""
    yield Said(f"The actor is {_KINDS.get(str(facts.get('actor_kind')), 'of an unknown kind')}{how}.")
    age, idle = _number(event, "actor_age_days"), _number(event, "actor_idle_days")
    if facts.get("actor_new"):
        yield Said("It is the actor's first event ever.", unusual=True)
    elif age is not None:
        young = age < YOUNG and facts.get("actor_new") is not None
        yield Said(f"The actor's first event was {_days(age)} before.", unusual=young)
    if idle is not None:
        yield Said(f"The actor's previous event was {_days(idle)} before.", unusual=idle >= LONG_IDLE)


def _where(event: Event) -> Iterator[Said]:
    facts, age = event.facts, _number(event, "ip_age_days_for_actor")
    if event.ip is None:
        yield Said("No address is named.")
    elif facts.get("ip_new"):
        yield Said(f"It is the first event ever from {event.ip}.", unusual=True)
    elif facts.get("network_new_for_actor"):
        yield Said(f"It is the actor's first event from the network of {event.ip}.", unusual=True)
    elif facts.get("ip_new_for_actor"):
        yield Said(f"It is the actor's first event from {event.ip}, in a network that it has used before.")
    elif age is not None:
        fresh = age < FRESH and (_number(event, "actor_age_days") or 0) >= YOUNG
        yield Said(f"The actor's first event from {event.ip} was {_days(age)} before.", unusual=fresh)


def _place(event: Event) -> Iterator[Said]:
    where = [str(event.facts[name]) for name in ("country", "as_name") if event.facts.get(name)]
    if where:
        new = event.facts.get("country_new_for_actor") is True
        first = ": the actor's first event from this country" if new else ""
        yield Said(f"{event.ip} is in {', '.join(where)}{first}.", unusual=new)
    elif event.facts.get("ip_kind") == "private":
        yield Said(f"{event.ip} is an address of a private network.")


def _what(event: Event) -> Iterator[Said]:
    facts = event.facts
    if facts.get("type_sensitive"):
        yield Said(f"{event.type} is a sensitive type.", unusual=True)
    if facts.get("type_new_for_actor"):
        yield Said(f"It is the actor's first event on a {event.type}.", unusual=True)
    if facts.get("type_new_without_actor"):
        yield Said(f"It is the first event on a {event.type} that names no actor.", unusual=True)
    if facts.get("action_new_for_actor"):
        yield Said(f"It is the actor's first {event.action}.", unusual=True)
    if facts.get("object_by_other") is not None:
        other = bool(facts["object_by_other"])
        by = "another actor" if other else "the same actor"
        yield Said(f"The object was last created by {by}.", unusual=other and event.action.upper() == "DELETE")
    usual = _number(event, "usual_deletes")
    if usual is not None and event.action.upper() == "DELETE":
        yield Said(f"Usual for this actor: {usual:.2g} deletes a day.")


def _when(event: Event, activity: Activity) -> Iterator[Said]:
    when = f"{local(event.time, activity.zone):%a %H:%M}"
    if event.facts.get("unusual_hour"):
        yield Said(f"At {when}, an hour of the day at which the actor hardly ever does anything.", unusual=True)
    if event.facts.get("off_hours") is not None:
        off = bool(event.facts["off_hours"])
        yield Said(f"{when} is {'outside' if off else 'within'} working hours.", unusual=off)
    if activity.marked:
        usual = activity.usual
        never = usual is not None and usual.active >= REGULAR and not usual.events
        yield Said(activity.usual_words(), unusual=never)


def _others(event: Event) -> Iterator[Said]:
    """Say what else holds, in the words of the catalogue."""
    for fact in FACTS:
        if fact.kind == "bool" and fact.name not in _SAID and event.facts.get(fact.name) is True:
            yield Said(f"{fact.name}: {fact.meaning}.", unusual=True)


_SAID = frozenset(
    {
        "actor_new", "ip_new", "ip_new_for_actor", "network_new_for_actor", "type_new_for_actor", "off_hours",
        "action_new_for_actor", "type_new_without_actor", "object_by_other", "type_sensitive", "unusual_hour",
    }
)  # fmt: skip


def _number(event: Event, name: str) -> float | None:
    value = event.facts.get(name)
    return float(value) if isinstance(value, int | float) else None


def _days(days: float) -> str:
    return say_duration(round(days * DAY))
