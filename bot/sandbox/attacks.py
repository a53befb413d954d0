"""Attacks on the made-up company, told as stories in the portal's log, and the order in which the demo tells them."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from dataclasses import replace

from bot.sandbox.objects import VAULT, Area, Thing, areas
from bot.sandbox.story import Told, tell
from bot.sandbox.workforce import ADMIN_AREA, Key, Person, Workforce, dice, workforce
from bot.times import DAY, MINUTE, SECOND, iso

FAST = 5  # so many times quicker goes what lies ahead in a fast demo
STRANGE = ("192.0.2.66", "192.0.2.140", "2001:db8:dead::17", "192.0.2.201")  # networks that nobody of the company uses

STOLEN_KEY = "ci-terraform"
KILLED = 46
LEAVER_TEAM, LEAVER_DAYS = "search", (6, 9, 12, 14, 34)  # deletions on each of the last days
TELLING = 30  # so many deletions within 24 hours stand out from an actor who hardly ever deletes
NEW_ADMIN = "robin.vance@corp.example"
SHARERS = 5


def attack(name: str, start: int, rng: random.Random, force: Workforce) -> list[Told]:
    """Return the events of the attack called `name`, oldest first, from `start` on. Raises KeyError."""
    return sorted(ATTACKS[name](start, rng, force), key=lambda told: told.time)


def stolen_key(start: int, rng: random.Random, force: Workforce) -> list[Told]:
    """Tell of a pipeline key that leaked in a build log.

    Somebody on a network never seen before tries what the key may do: it touches a dozen kinds of objects and makes a
    second key to stay. Then it deletes service after service, all within four minutes.
    """
    key, places = force.key(STOLEN_KEY), areas(force.seed)
    victims = [thing for area in _teams(places)[4:] for thing in area.quiet]
    steps = [("UPDATE", thing) for thing in _one_of_each_kind(places)]
    steps += [("CREATE", Thing("API_KEY", "backup-sync-2"))]
    steps += [("DELETE", thing) for thing in rng.sample(victims, KILLED)]
    return _walk(start, rng, (2, 6), key, STRANGE[0], steps)


def leaving_employee(start: int, rng: random.Random, force: Workforce) -> list[Told]:
    """Tell of an employee who gave notice and takes things down on the way out, from the usual desk.

    A few services a day, a quarter of an hour apart, more on each day, so that no single hour looks like a purge.
    """
    person = force.team(LEAVER_TEAM)[-1]
    victims = [thing for area in _teams(areas(force.seed))[:4] for thing in area.quiet]
    rng.shuffle(victims)
    told: list[Told] = []
    for day, count in enumerate(LEAVER_DAYS):
        steps = [("DELETE", victims.pop()) for _ in range(count)]
        told += _walk(start + day * DAY, rng, (11 * 60, 16 * 60), person, person.desk, steps)
    return told


def new_admin(start: int, rng: random.Random, force: Workforce) -> list[Told]:
    """Tell of an administrator whom nobody knows, made by someone who took over the identity provider.

    The first acts open the allow list to the whole internet, give the account the role it lacks and make an API key.
    Minutes later the key rewires source control from yet another network.
    """
    person = replace(force.admins[0], name=NEW_ADMIN)
    steps = [
        ("CREATE", Thing("ALLOW_LIST_ENTRY", "0.0.0.0/0")),
        ("CREATE", Thing("ALLOW_LIST_ENTRY", "::/0")),
        ("UPDATE", Thing("USER_ROLE", NEW_ADMIN)),
        ("CREATE", Thing("API_KEY", "reporting-export")),
    ]
    told = _walk(start, rng, (8, 20), person, STRANGE[1], steps)
    key = Key("reporting-export", "API_KEY", 60, 1.0, (1, 1), ())
    rewired = [("UPDATE", thing) for thing in areas(force.seed)[VAULT].standing if "GITHUB" in thing.type]
    return told + _walk(told[-1].time + 45 * SECOND, rng, (5, 15), key, STRANGE[2], rewired)


def shared_address(start: int, rng: random.Random, force: Workforce) -> list[Told]:
    """Tell of a phishing page that relays the sessions of all who signed in on it through one address.

    Each account does little, and only things that it often does: the address is what they have in common.
    """
    victims = rng.sample([person for person in force.people if person.team != ADMIN_AREA], SHARERS)
    told: list[Told] = []
    for turn, person in enumerate(victims):
        things = rng.sample(areas(force.seed)[person.team].standing, rng.randint(2, 4))
        begin = start + turn * 2 * MINUTE + rng.randrange(MINUTE)
        told += _walk(begin, rng, (10, 50), person, STRANGE[3], [("UPDATE", thing) for thing in things])
    return told


ATTACKS: dict[str, Callable[[int, random.Random, Workforce], list[Told]]] = {
    "stolen-key": stolen_key,
    "leaving-employee": leaving_employee,
    "new-admin": new_admin,
    "shared-address": shared_address,
}


def demo(seed: int, start: int, fast: bool = False) -> list[Told]:
    """Return all attacks as the demo that begins at `start` shows them, oldest first.

    A stolen key after 15 s, a new admin after a minute, a shared address after two. The employee has been at it for
    days, and what gives that away happens after two and a half minutes. When `fast`, all that lies ahead comes sooner.
    """
    told = [
        *_demo_act("stolen-key", start + 15 * SECOND, seed),
        *_demo_act("new-admin", start + 60 * SECOND, seed),
        *_demo_act("shared-address", start + 120 * SECOND, seed),
        *_demo_act("leaving-employee", start + 150 * SECOND - _until_telling(seed), seed),
    ]
    sooner = [_sooner(event, start) for event in told] if fast else told
    return sorted(sooner, key=lambda event: event.time)


def _demo_act(name: str, start: int, seed: int) -> list[Told]:
    return attack(name, start, dice(seed, "demo", name), workforce(seed))


def _until_telling(seed: int) -> int:
    """Return how long after its start the employee's story becomes remarkable."""
    return _demo_act("leaving-employee", 0, seed)[sum(LEAVER_DAYS[:-1]) + TELLING - 1].time


def _sooner(told: Told, start: int) -> Told:
    if told.time <= start:
        return told
    time = start + (told.time - start) // FAST
    time -= time % 1000
    record = {**told.record, "timestamp": iso(time)}
    return replace(told, time=time, record=record, visible_at=time)


def _walk(
    time: int,
    rng: random.Random,
    pause: tuple[int, int],
    actor: Person | Key,
    ip: str,
    steps: Iterable[tuple[str, Thing]],
) -> list[Told]:
    """Return the steps of one actor from one address, a pause of so many seconds (from, to) after each."""
    told = []
    for action, thing in steps:
        told.append(tell(time, action, actor, ip, thing))
        time += rng.randrange(pause[0] * SECOND, pause[1] * SECOND)
    return told


def _teams(places: dict[str, Area]) -> list[Area]:
    return [area for name, area in places.items() if name != VAULT]


def _one_of_each_kind(places: dict[str, Area]) -> list[Thing]:
    kinds = {thing.type: thing for area in places.values() for thing in area.standing}
    return list(kinds.values())
