"""Makes up realistic logs of any size: seeded, in order of time, streamed a day at a time.

Ninety days of a company with 500 actors: people work in sessions at the hours of their office, keys run round the
clock, objects are created, changed and deleted, addresses change, and now and then somebody deletes in bulk.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bot.times import DAY, HOUR, SECOND, iso, parse_time

DAYS = 90  # unless told otherwise
BEGIN = parse_time("2026-01-05T00:00:00Z")  # a Monday
PEOPLE, KEYS, OFFICES = 430, 70, 12
FIRST_OBJECTS = 2_000
NOBODY = 0.02  # share of events without actor and address
BY_KEYS = 0.6
TYPES = (
    "SERVICE", "CATALOG", "WORKFLOW", "SCORECARD", "RESOURCE", "TEAM", "DOMAIN", "API", "INITIATIVE", "PLUGIN",
    "API_KEY", "GITHUB_CONFIGURATION", "USER", "ROLE", "SECRET", "IP_ALLOW_LIST", "SSO_CONFIGURATION",
)  # fmt: skip
TYPE_SHARES = np.array([380, 200, 120, 90, 80, 50, 25, 20, 12, 8, 4, 3, 3, 2, 2, 0.5, 0.5])
ACTIONS = ("CREATE", "UPDATE", "DELETE", "READ")
CREATE, DELETE = 0, 2
ACTION_SHARES = np.array([9, 83, 7, 1])
WORDS = """
payment checkout search identity mobile ledger invoice catalog shipping pricing customer order stock gateway audit
report mail push cache index session token profile media upload export import billing fraud risk
""".split()  # noqa: SIM905 -- a list of thirty quoted words is harder to read
PARTS = ("api", "worker", "db", "ui", "job", "proxy", "sync", "cron")
Ints = NDArray[np.int64]


@dataclass
class _Company:
    """Who there is, and what exists so far; `objects` counts all that were ever created."""

    dice: np.random.Generator
    objects: int = FIRST_OBJECTS
    carry: float = 0.0  # of an event, so that days add up to the number asked for

    def __post_init__(self) -> None:
        self.people = [f"{_word(n)}.{_word(n * 7 + 3)}{n}@corp.example" for n in range(PEOPLE)]
        self.keys = [f"{_word(n)}-{PARTS[n % len(PARTS)]}-key-{n}" for n in range(KEYS)]
        self.busy = {PEOPLE: _zipf(PEOPLE, 0.8), KEYS: _zipf(KEYS, 1.1)}
        self.type_shares = TYPE_SHARES / TYPE_SHARES.sum()

    def address(self, actor: int, day: int, place: int) -> str:
        """Return where an actor's session of that day comes from; `place` is chance from 0 to 999."""
        if actor >= PEOPLE:
            return f"203.0.{113 + actor % 2}.{actor % 250 + 1}"
        if place < 550:
            return f"198.51.{100 + actor % OFFICES}.{actor % 8 + 1}"
        if place < 985:
            host = (actor * 31 + day // 30 * 7) % 250 + 1
            return f"2001:db8:{actor:x}::{host:x}" if actor % 3 == 0 else f"198.18.{actor % 256}.{host}"
        return f"198.19.{(actor * 13 + day * 7 + place) % 256}.{place % 15 + day + 1}"


def lines(events: int, seed: int = 1, days: int = DAYS) -> Iterator[bytes]:
    """Yield that many events, oldest first, as the API's records, a line each; twins do occur."""
    company = _Company(np.random.default_rng(seed))
    week = np.array([1, 1.1, 1.1, 1.05, 0.9, 0.25, 0.2])
    shares = week[np.arange(days) % 7]
    bounds = np.round(np.cumsum(shares) / shares.sum() * events).astype(int)
    for day, count in enumerate(np.diff(bounds, prepend=0).tolist()):
        yield from _day(company, day, count)


def write(target: Path, events: int, seed: int = 1, days: int = DAYS) -> Path:
    """Write a log into a file, which is not made again if it is there."""
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        waiting = target.with_suffix(".part")
        with waiting.open("wb", buffering=1 << 20) as file:
            file.writelines(lines(events, seed, days))
        waiting.rename(target)
    return target


def _day(company: _Company, day: int, count: int) -> Iterator[bytes]:
    dice = company.dice
    session = _sessions(dice, count)
    sessions = int(session[-1]) + 1 if count else 0
    by_key = dice.random(sessions) < BY_KEYS
    actor = np.where(
        by_key,
        PEOPLE + dice.choice(KEYS, sessions, p=company.busy[KEYS]),
        dice.choice(PEOPLE, sessions, p=company.busy[PEOPLE]),
    )
    hour = np.where(by_key, dice.uniform(0, 24, sessions), (8 + dice.normal(4.5, 2.4, sessions) + actor % 3 * 6) % 24)
    nobody, bulk = dice.random(sessions) < NOBODY, dice.random(sessions) < 0.0004
    place = dice.integers(0, 1000, sessions)
    gap = np.where(by_key, 2, 35) * SECOND
    steps = dice.exponential(1.0, count) * gap[session]
    start = (hour * HOUR).astype(np.int64)[session]
    time = np.minimum(start + _since_start(session, steps), DAY - 1)
    action = dice.choice(len(ACTIONS), count, p=ACTION_SHARES / ACTION_SHARES.sum())
    action[bulk[session]] = DELETE
    type_ = dice.choice(len(TYPES), count, p=company.type_shares)
    # what was made last is used most, but the old never goes quite away
    back = np.minimum(dice.exponential(0.2, count), 0.999)
    order = np.argsort(time, kind="stable")
    for i in order.tolist():
        if action[i] == CREATE:
            number, company.objects = company.objects, company.objects + 1
        else:
            number = int(company.objects * (1 - back[i]))
        s = int(session[i])
        yield _line(company, day, int(time[i]), int(actor[s]), bool(nobody[s]), int(place[s]),
                    ACTIONS[action[i]], TYPES[type_[i]], number)  # fmt: skip


def _line(
    company: _Company, day: int, time: int, actor: int, nobody: bool, place: int, action: str, type_: str, number: int
) -> bytes:
    name = None if nobody else company.keys[actor - PEOPLE] if actor >= PEOPLE else company.people[actor]
    moment = BEGIN + day * DAY + time // 1000 * 1000
    return (
        b'{"action":"%s","actorIdentifier":%s,"ipAddress":%s,"objectIdentifier":"%s","objectType":"%s","timestamp":"%s"}\n'
        % (
            action.encode(),
            json.dumps(name).encode(),
            b"null" if nobody else b'"%s"' % company.address(actor, day, place).encode(),
            object_name(number).encode(),
            type_.encode(),
            iso(moment).encode(),
        )
    )


def object_name(number: int) -> str:
    """Return the name of the object that was created as number so and so."""
    return f"{_word(number)}-{PARTS[number // 32 % len(PARTS)]}-{number:05d}"


def _word(number: int) -> str:
    return WORDS[number * 7919 % len(WORDS)]


def _zipf(size: int, power: float) -> NDArray[np.float64]:
    shares = 1.0 / np.arange(1, size + 1) ** power
    return shares / shares.sum()


def _sessions(dice: np.random.Generator, count: int) -> Ints:
    """Return to which session each event belongs; a session has eight events in the mean."""
    return np.cumsum(dice.random(count) < 1 / 8) if count else np.zeros(0, dtype=np.int64)


def _since_start(session: Ints, steps: NDArray[np.float64]) -> Ints:
    """Return how long after the start of its session each event happens."""
    total = np.cumsum(steps)
    first = np.flatnonzero(np.diff(session, prepend=-1))
    return (total - total[first][np.searchsorted(first, np.arange(len(session)), "right") - 1]).astype(np.int64)
