"""A small steady workforce, as the forest sees it: people with hours, addresses and things of their own."""

from __future__ import annotations

import random
from collections.abc import Iterable

from bot.detect.forest.deeds import Seen, arrivals, together
from bot.detect.forest.window import Window
from bot.detect.forest.windows import Windows
from bot.times import DAY, HOUR, MINUTE, SECOND, parse_time

START = parse_time("2026-01-05T00:00:00Z")  # a Monday
TYPES = ("SERVICE", "SERVICE", "SERVICE", "DOMAIN", "TEAM", "SCORECARD", "API_KEY")
SENSITIVE = ("API_KEY", "USER_ROLE")
_NUMBERS: dict[str, int] = {}


def seen(
    time: int,
    actor: str | None = "ann@example.com",
    action: str = "UPDATE",
    thing: str = "svc-0",
    type_: str = "SERVICE",
    ip: str | None = "10.0.0.1",
) -> Seen:
    """Return one event of a person, or of nobody where `actor` is None."""
    network = None if ip is None else ip.rpartition(".")[0]
    kind = "none" if actor is None else "person" if "@" in actor else "key"
    return Seen(time, actor, ip, network, number_of(thing), type_, action, kind, type_ in SENSITIVE)


def number_of(thing: str) -> int:
    """Return the number of an object, as the store gives one to each name."""
    return _NUMBERS.setdefault(thing, len(_NUMBERS) + 1)


def take_in(windows: Windows, events: Iterable[Seen]) -> list[Window]:
    """Let windows take in events in order of arrival, and return those that they join, in order."""
    joined: list[Window] = []
    for hour, deeds in together(arrivals(events)):
        if hour > windows.hour:
            windows.advance(hour)
        joined += windows.join(deeds)
    return joined


def workforce(weeks: int, people: int = 12, seed: int = 1, start: int = START) -> list[Seen]:
    """Return the ordinary events of so many weeks, in order of time."""
    rng = random.Random(seed)
    events: list[Seen] = []
    for person in range(people):
        for day in range(weeks * 7):
            if day % 7 < 5:
                events += _working_day(rng, person, start + day * DAY)
    return sorted(events)


def _working_day(rng: random.Random, person: int, day: int) -> Iterable[Seen]:
    actor, address = f"p{person:02}@example.com", f"10.0.{person}.{1 + (rng.random() < 0.2)}"
    for hour in rng.sample(range(8 + person % 3, 17), 3):
        for _ in range(rng.choice((1, 1, 2, 3, 5))):
            number = rng.randrange(8)
            action = rng.choices(("UPDATE", "CREATE", "DELETE"), (0.9, 0.06, 0.04))[0]
            time = day + hour * HOUR + rng.randrange(HOUR // SECOND) * SECOND
            yield seen(time, actor, action, f"p{person}-{number}", TYPES[number % len(TYPES)], address)


def burst(begin: int, count: int, every: int = MINUTE, **what: str) -> list[Seen]:
    """Return so many events on different things of somebody else, one after the other."""
    fixed = {"actor": "p03@example.com", "ip": "10.0.3.1", **what}
    return [seen(begin + i * every, thing=f"p{i % 3 + 5}-{i}", **fixed) for i in range(count)]
