"""What a made-up company does in its portal, day by day: a log that reads like a real one, the same for a seed."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from bot.sandbox.objects import VAULT, Area, Thing, areas
from bot.sandbox.workforce import (
    ADMIN_AREA,
    GITOPS,
    Actor,
    Key,
    Person,
    Workforce,
    dice,
    monday_based,
    on_duty,
    workforce,
)
from bot.times import DAY, MINUTE, SECOND, iso

LATE, LATEST = 0.03, 60 * SECOND  # the share of events that the portal shows late, and by how much at most
TWINS = 0.012  # the share of automatic changes that are logged several times over

Record = Mapping[str, str | None]


@dataclass(frozen=True)
class Told:
    """One event of the story: the record as the portal shows it, and what only its filters know of the actor."""

    time: int
    record: Record
    actor_type: str
    visible_at: int
    request_type: str | None = None


def tell(time: int, action: str, actor: Actor, ip: str | None, thing: Thing, late: int = 0) -> Told:
    """Return the event of an actor who did something to a thing, shown `late` microseconds afterwards."""
    time -= time % 1000  # the portal's timestamps have milliseconds
    fields = {
        "action": action,
        "actorIdentifier": actor.name,
        "ipAddress": ip,
        "objectIdentifier": thing.name,
        "objectType": thing.type,
        "timestamp": iso(time),
    }
    nulls = time % 5000 == 0  # the portal leaves most unknown fields out, and writes some as null
    record = {name: value for name, value in fields.items() if value is not None or nulls}
    return Told(time, record, actor.actor_type, time + late, actor.request_type)


def history(seed: int, until: int, days: int = 90) -> list[Told]:
    """Return what happened in the `days` before `until`, oldest first. Times in microseconds."""
    return live(seed, until - days * DAY, until)


def live(seed: int, start: int, end: int) -> list[Told]:
    """Return what happens in `[start, end)`, oldest first: slices of any size join to the same whole."""
    days = range(start // DAY - 1, end // DAY + 2)  # a day in Tokyo or San Francisco lies across two in UTC
    found = [told for day in days for told in _day(seed, day) if start <= told.time < end]
    return sorted(found, key=lambda told: told.time)


@lru_cache(maxsize=16)
def _day(seed: int, day: int) -> tuple[Told, ...]:
    force, places = workforce(seed), areas(seed)
    events = [told for person in force.people for told in _person_day(person, places, day)]
    events += [told for key in force.keys for told in _key_day(seed, key, places, day)]
    events += [told for area in places.values() for told in _area_day(force, area, day)]
    return tuple(events) + tuple(_vault_day(force, places[VAULT], day))


def _shown(rng: random.Random) -> int:
    return rng.randrange(SECOND, LATEST) if rng.random() < LATE else 0


def _person_day(person: Person, places: Mapping[str, Area], day: int) -> Iterator[Told]:
    """Tell a working day: some sittings, each on one object or a few, minutes apart."""
    if not person.at_work(day):
        return
    rng, ip = dice(person.seed, "day", person.name, day), person.address(day)
    for _ in range(min(6, int(rng.expovariate(1 / person.pace)))):
        time, thing = person.moment(day, rng), _favourite(person, places, day, rng)
        for _ in range(rng.choice((1, 1, 2, 2, 3, 4, 6))):
            yield tell(time, "UPDATE", person, ip, thing, _shown(rng))
            time += rng.randrange(15 * SECOND, 6 * MINUTE)
            if rng.random() < 0.4:
                thing = _favourite(person, places, day, rng)


def _favourite(person: Person, places: Mapping[str, Area], day: int, rng: random.Random) -> Thing:
    """Choose what a person works on: mostly their own few things, else the team's, seldom another team's service."""
    area, chance = places[person.team], rng.random()
    if chance < 0.55:
        return rng.choice(_own(person, area))
    if chance < 0.93:
        return rng.choice(area.at(day))
    other = rng.choice([place for name, place in places.items() if name not in (VAULT, person.team)])
    return rng.choice([thing for thing in other.standing if thing.type == "SERVICE"])


@lru_cache(maxsize=1000)
def _own(person: Person, area: Area) -> Sequence[Thing]:
    return dice(person.seed, "own", person.name).sample(area.standing, 4)


def _key_day(seed: int, key: Key, places: Mapping[str, Area], day: int) -> Iterator[Told]:
    """Tell a day of an automation: batches at its rhythm, seconds apart, now and then with twins."""
    rng, ip = dice(seed, "key", key.name, day), key.address(day)
    for tick in key.ticks(day, rng):
        area, time = places[rng.choice([name for name in places if name != VAULT])], tick
        things = [thing for thing in area.at(day) if thing.type in key.types]
        for _ in range(rng.randint(*key.batch)):
            told = tell(time, "UPDATE", key, ip, rng.choice(things), _shown(rng))
            yield from [told] * (rng.randint(2, 4) if rng.random() < TWINS else 1)
            time += rng.randrange(200_000, 8 * SECOND)


def _area_day(force: Workforce, area: Area, day: int) -> Iterator[Told]:
    """Tell what is created, and finished within the hour, and what is deleted."""
    rng, (created, deleted) = dice(force.seed, "lives", area.name, day), area.changes(day)
    for thing in created:
        actor = _maker(force, area, day, rng)
        time, ip = actor.moment(day, rng), _address(actor, area, day)
        yield tell(time, "CREATE", actor, ip, thing, _shown(rng))
        for _ in range(rng.choice((0, 1, 1, 2, 3))):
            time += rng.randrange(MINUTE, 12 * MINUTE)
            yield tell(time, "UPDATE", actor, ip, thing, _shown(rng))
    for thing in deleted:
        actor = _maker(force, area, day, rng)
        yield tell(actor.moment(day, rng), "DELETE", actor, _address(actor, area, day), thing, _shown(rng))


def _maker(force: Workforce, area: Area, day: int, rng: random.Random) -> Actor:
    if area.name == VAULT:
        return on_duty(rng, force.admins, day)
    return GITOPS if rng.random() < 0.35 else on_duty(rng, force.team(area.name), day)


def _address(actor: Actor, area: Area, day: int) -> str | None:
    """Credentials are touched from the office only, by rule of the house."""
    return actor.desk if area.name == VAULT and isinstance(actor, Person) else actor.address(day)


def _vault_day(force: Workforce, vault: Area, day: int) -> Iterator[Told]:
    """Tell the seldom rotation of a credential, role or allow-list entry by one of the few who may."""
    rng = dice(force.seed, ADMIN_AREA, VAULT, day)
    if monday_based(day) > 4 or rng.random() > 0.45:
        return
    admin = on_duty(rng, force.admins, day)
    duties = vault.standing[force.admins.index(admin) :: len(force.admins)]
    time = admin.moment(day, rng)
    for _ in range(rng.choice((1, 1, 2))):
        yield tell(time, "UPDATE", admin, _address(admin, vault, day), rng.choice(duties), _shown(rng))
        time += rng.randrange(MINUTE, 20 * MINUTE)
