"""The people and keys of a made-up company, with the habits that make their activity look real."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache, lru_cache
from zoneinfo import ZoneInfo

from bot.times import DAY, EPOCH, HOUR, MINUTE, SECOND

ADMIN_AREA = "platform"
ADMINS = 3  # only the first so many people of the platform team touch credentials
CLOSED = frozenset({(12, 24), (12, 25), (12, 26), (12, 31), (1, 1)})  # month and day on which nobody works

NAMES = """
anna.schmidt oluwaseun.adeyemi mei.tanaka carlos.ramirez priya.nair lukas.weber fatima.alzahra jonas.berg
aisha.mohammed tomasz.kowalski ngoc.tran sofia.rossi kwame.mensah hannah.fischer diego.fernandez yuki.sato
leila.haddad patrick.oconnor ananya.iyer mateusz.nowak grace.wanjiru emre.yilmaz chloe.martin rafael.souza
ingrid.larsen arjun.mehta zanele.dlamini viktor.petrov maria.silva daniel.cohen siti.rahman erik.johansson
isabel.costa hiro.nakamura rebecca.levy samuel.osei camila.torres niko.virtanen deepika.rao marc.dubois
amina.diallo james.wright bruna.oliveira wei.zhang olena.shevchenko liam.murphy nadia.karimi pedro.alves
kavya.reddy stefan.ionescu thandiwe.ncube
""".split()  # noqa: SIM905 -- a list of fifty quoted names is harder to read


def dice(*about: object) -> random.Random:
    """Return a generator of chance that depends on nothing but `about`."""
    return random.Random("/".join(map(str, about)))  # noqa: S311 -- a story that can be told again, not a secret


def monday_based(day: int) -> int:
    """Return the weekday of a day since 1970: 0 is Monday."""
    return (day + 3) % 7


@dataclass(frozen=True)
class Office:
    """A site: its zone, and the addresses that the portal sees."""

    zone: str
    addresses: tuple[str, ...]


OFFICES = {
    "berlin": Office("Europe/Berlin", ("198.51.100.10", "198.51.100.11", "2001:db8:b1::5")),
    "london": Office("Europe/London", ("198.51.100.40", "2001:db8:10::5")),
    "new york": Office("America/New_York", ("198.51.100.70", "198.51.100.71")),
    "san francisco": Office("America/Los_Angeles", ("198.51.100.100",)),
    "bangalore": Office("Asia/Kolkata", ("198.51.100.130", "198.51.100.131")),
    "singapore": Office("Asia/Singapore", ("198.51.100.160", "2001:db8:65::5")),
    "são paulo": Office("America/Sao_Paulo", ("198.51.100.190",)),
}
TEAMS = {
    ADMIN_AREA: ("berlin", 6),
    "payments": ("london", 6),
    "checkout": ("new york", 5),
    "search": ("san francisco", 5),
    "identity": ("berlin", 5),
    "mobile": ("new york", 5),
    "data": ("bangalore", 5),
    "logistics": ("singapore", 5),
    "growth": ("são paulo", 5),
    "security": ("london", 4),
}


@cache
def _midnight(zone: str, day: int) -> int:
    local = (EPOCH + timedelta(days=day)).replace(tzinfo=ZoneInfo(zone))
    return (local - EPOCH) // timedelta(microseconds=1)


@dataclass(frozen=True, eq=False)
class Person:
    """Someone who uses the portal by hand. Hours count from midnight of the office's zone; 0 is Monday."""

    seed: int
    name: str
    team: str
    office: Office
    number: int
    starts: float
    hours: float
    weekdays: frozenset[int]
    home_days: frozenset[int]
    pace: float
    actor_type: str = "OAUTH2"
    request_type: str | None = None

    def at_work(self, day: int) -> bool:
        """Say whether the person works on a day since 1970; weekends are rare, holidays are kept."""
        when = date(1970, 1, 1) + timedelta(days=day)
        if (when.month, when.day) in CLOSED or when.timetuple().tm_yday in _holidays(self.seed, self.name, when.year):
            return False
        return monday_based(day) in self.weekdays or dice(self.seed, "call", self.name, day).random() < 0.02

    def moment(self, day: int, rng: random.Random) -> int:
        """Return a time of the person's working day, busiest in its middle."""
        hour = rng.triangular(self.starts, self.starts + self.hours)
        return _midnight(self.office.zone, day) + int(hour * HOUR)

    def address(self, day: int) -> str:
        """Return the address of that day: the office, home, or a place on the road now and then."""
        rng = dice(self.seed, "address", self.name, day)
        if rng.random() < 0.006:
            return f"198.19.{rng.randrange(256)}.{rng.randrange(1, 255)}"
        if monday_based(day) in self.home_days or monday_based(day) > 4:
            return self._home(day)
        return self.desk

    def _home(self, day: int) -> str:
        """Half of the homes have IPv6 with a new host part each day, half a line that is dialled anew each month."""
        if self.number % 2:
            host = dice(self.seed, "host", self.name, day).randrange(1, 65535)
            return f"2001:db8:{0x1000 + self.number:x}::{host:x}"
        return f"198.18.{self.number}.{dice(self.seed, 'line', self.name, day // 30).randrange(1, 255)}"

    @property
    def desk(self) -> str:
        """The office address behind which the person sits."""
        return self.office.addresses[self.number % len(self.office.addresses)]


@lru_cache(maxsize=1000)
def _holidays(seed: int, name: str, year: int) -> frozenset[int]:
    """Return the days of the year that a person is away: three or four blocks of one or two weeks."""
    rng = dice(seed, "holidays", name, year)
    blocks = [(rng.randrange(1, 366), rng.choice((5, 7, 9, 12, 14))) for _ in range(rng.randint(3, 4))]
    return frozenset(day for first, length in blocks for day in range(first, first + length))


@dataclass(frozen=True)
class Key:
    """An automation with a rhythm: every so many minutes, with `chance`, it touches `batch` objects of `types`.

    `rest` scales the chance at night and on weekends. One without name and address stands for GitOps.
    """

    name: str | None
    actor_type: str
    every: int
    chance: float
    batch: tuple[int, int]
    types: tuple[str, ...]
    egress: tuple[str, ...] = ()
    rest: float = 1.0
    offset: int = 0
    request_type: str | None = None

    def ticks(self, day: int, rng: random.Random) -> list[int]:
        """Return the times of a UTC day at which it finds something to do, seconds of jitter included."""
        times = []
        for minute in range(self.offset, 24 * 60, self.every):
            idle = monday_based(day) > 4 or not 6 * 60 <= minute < 21 * 60
            if rng.random() < self.chance * (self.rest if idle else 1.0):
                times.append(day * DAY + minute * MINUTE + rng.randrange(SECOND, 20 * SECOND))
        return times

    def moment(self, day: int, rng: random.Random) -> int:
        """Return any time of the UTC day."""
        return day * DAY + rng.randrange(DAY)

    def address(self, day: int) -> str | None:
        """Return the egress address of that day; None for GitOps."""
        return self.egress[day % len(self.egress)] if self.egress else None


GITOPS = Key(None, "ANONYMOUS", 30, 0.6, (1, 3), ("SERVICE", "CATALOG", "WORKFLOW", "SCORECARD"), rest=0.25)
KEYS = (
    Key("deploy-bot", "API_KEY", 20, 0.4, (1, 2), ("SERVICE",), ("203.0.113.20", "203.0.113.21"), rest=0.3),
    Key("backstage-sync", "BACKSTAGE", 60, 0.9, (1, 2), ("CATALOG", "SERVICE"), ("203.0.113.40",), offset=5),
    Key("ci-terraform", "API_KEY", 120, 0.6, (1, 5), ("RESOURCE", "SERVICE"), ("203.0.113.60", "203.0.113.61")),
    Key("k8s-discovery", "API_KEY", 60, 0.7, (1, 1), ("SERVICE",), ("203.0.113.80",), offset=12),
    Key("scorecard-nightly", "API_KEY", 1440, 1.0, (5, 9), ("SCORECARD",), ("203.0.113.100",), offset=125),
    Key("pagerduty-sync", "API_KEY", 360, 0.9, (1, 2), ("TEAM",), ("203.0.113.120",), offset=30),
    Key("cost-report", "PERSONAL_API_KEY", 1440, 0.9, (1, 2), ("CATALOG",), ("203.0.113.140",), offset=400),
    Key("jira-webhook", "ANONYMOUS", 60, 0.3, (1, 1), ("WORKFLOW",), ("203.0.113.160",), 0.2, 41, "ATLASSIAN_WEBHOOK"),
    GITOPS,
)
Actor = Person | Key


@dataclass(frozen=True, eq=False)
class Workforce:
    """Everyone who changes things in the portal; the same for the same `seed`."""

    seed: int
    people: tuple[Person, ...]
    keys: tuple[Key, ...]

    def team(self, name: str) -> tuple[Person, ...]:
        """Return the people of a team."""
        return tuple(person for person in self.people if person.team == name)

    @property
    def admins(self) -> tuple[Person, ...]:
        """The few who may touch credentials, roles and the allow list."""
        return self.team(ADMIN_AREA)[:ADMINS]

    def key(self, name: str) -> Key:
        """Return the key of that name. Raises StopIteration where there is none."""
        return next(key for key in self.keys if key.name == name)


@lru_cache(maxsize=16)
def workforce(seed: int) -> Workforce:
    """Return the company of a seed: who is in which team, and who has which habits, is up to the seed."""
    names = dice(seed, "names").sample(NAMES, len(NAMES))
    places = [(team, OFFICES[office]) for team, (office, size) in TEAMS.items() for _ in range(size)]
    people = tuple(_person(seed, n, name, *place) for n, (name, place) in enumerate(zip(names, places, strict=True)))
    return Workforce(seed, people, KEYS)


def _person(seed: int, number: int, name: str, team: str, office: Office) -> Person:
    rng = dice(seed, "habits", name)
    return Person(
        seed,
        f"{name}@corp.example",
        team,
        office,
        number,
        starts=rng.choice((7.0, 8.0, 8.5, 9.0, 9.0, 9.5, 10.0, 11.0)),
        hours=rng.uniform(7.5, 9.5),
        weekdays=frozenset(rng.choice(((0, 1, 2, 3, 4),) * 5 + ((0, 1, 2, 3), (1, 2, 3, 4)))),
        home_days=frozenset(rng.sample(range(5), rng.choice((0, 1, 2, 2, 3)))),
        pace=rng.choice((0.7, 1.2, 1.6, 2.0, 2.6)),
    )


def on_duty(rng: random.Random, people: Sequence[Person], day: int) -> Person:
    """Return one of the people who works on that day; when nobody does, someone comes in."""
    return rng.choice([person for person in people if person.at_work(day)] or people)
