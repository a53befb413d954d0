"""What stands in the made-up portal: its objects, and the days on which each is created and deleted."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from bot.sandbox.workforce import TEAMS, dice

VAULT = "vault"  # the area of credentials, roles and the allow list
SLOTS = 5  # at most so many objects are born in an area in a week
OLDEST = 40  # weeks that an object lives at most; shorter than the names take to come round again
MARGIN = 2  # days around birth and death in which only the one who creates or deletes touches an object: zones differ

NOUNS = """
ledger invoice refund cart session token profile catalog ranking feed label parcel route tariff ticket report
event metric coupon consent device payout address stock
""".split()  # noqa: SIM905 -- a list of quoted words is harder to read
ROLES = (
    "api",
    "worker",
    "gateway",
    "adapter",
    "sched",
    "exporter",
    "cache",
    "relay",
    "indexer",
    "ui",
    "stream",
    "cron",
)
FORMS = {
    "SERVICE": "{area}-{base}",
    "WORKFLOW": "provision-{area}-{base}",
    "SCORECARD": "{area}-{base}-readiness",
    "CATALOG": "{area}-{base}-catalog",
    "CATALOG_FILTER": "{area}-{base}-filter",
    "RESOURCE": "{area}-{base}-queue",
    "TEAM": "{area}-{base}-crew",
    "API_KEY": "{base}-key",
    "ALLOW_LIST_ENTRY": "198.19.{low}.{high}/28",
    "USER_ROLE": "{base}-maintainer",
}
KINDS = ("SERVICE",) * 6 + ("RESOURCE",) * 4 + ("WORKFLOW", "CATALOG", "SCORECARD", "CATALOG_FILTER")
VAULT_KINDS = ("API_KEY", "API_KEY", "ALLOW_LIST_ENTRY", "USER_ROLE")


class Thing(NamedTuple):
    """One object of the portal."""

    type: str
    name: str


class Life(NamedTuple):
    """An object with the days (since 1970) of its creation and deletion."""

    thing: Thing
    born: int
    dies: int


@dataclass(frozen=True, eq=False)
class Area:
    """The objects of a team: `standing` are always there, `quiet` too but nobody works on them, others come and go."""

    seed: int
    name: str
    kinds: tuple[str, ...]
    births: float
    standing: tuple[Thing, ...]
    quiet: tuple[Thing, ...] = ()

    def changes(self, day: int) -> tuple[list[Thing], list[Thing]]:
        """Return what is created and what is deleted on a day."""
        lives = _lives_around(self, _week(day))
        return [life.thing for life in lives if life.born == day], [life.thing for life in lives if life.dies == day]

    def at(self, day: int) -> tuple[Thing, ...]:
        """Return what can safely be worked on, wherever on earth that day begins."""
        return _at(self, day)


def _week(day: int) -> int:
    return (day + 3) // 7


@lru_cache(maxsize=2000)
def _at(area: Area, day: int) -> tuple[Thing, ...]:
    lives = _lives_around(area, _week(day))
    return area.standing + tuple(life.thing for life in lives if life.born + MARGIN <= day <= life.dies - MARGIN)


@lru_cache(maxsize=1000)
def _lives_around(area: Area, week: int) -> tuple[Life, ...]:
    return tuple(life for born in range(week - OLDEST, week + 1) for life in _births(area, born))


@lru_cache(maxsize=5000)
def _births(area: Area, week: int) -> tuple[Life, ...]:
    """Return the lives that begin in a week. Names walk through all combinations, so that none is alive twice."""
    rng, monday, lives = dice(area.seed, "births", area.name, week), week * 7 - 3, []
    for slot in range(SLOTS):
        kind, stays = rng.choice(area.kinds), min(OLDEST, 1 + int(rng.expovariate(1 / 12)))
        born, dies = monday + rng.randrange(5), monday + stays * 7 + rng.randrange(5)
        if rng.random() < area.births:
            lives.append(Life(Thing(kind, _name(kind, area.name, (week * SLOTS + slot) * 7)), born, dies))
    return tuple(lives)


def _name(kind: str, area: str, number: int) -> str:
    number %= len(NOUNS) * len(ROLES)
    base = f"{NOUNS[number % len(NOUNS)]}-{ROLES[number // len(NOUNS)]}"
    return FORMS[kind].format(area=area, base=base, low=number % 256, high=number // 256 * 16)


@lru_cache(maxsize=16)
def areas(seed: int) -> dict[str, Area]:
    """Return the area of each team, and the vault."""
    return {name: _team_area(seed, name) for name in TEAMS} | {VAULT: _vault(seed)}


def _team_area(seed: int, name: str) -> Area:
    services = [Thing("SERVICE", f"{name}-{noun}") for noun in NOUNS[:16]]
    others = [
        *(Thing("CATALOG", f"{name}-{word}") for word in ("services", "resources", "domain")),
        *(Thing("SCORECARD", f"{name}-{word}") for word in ("production-readiness", "security-baseline", "ownership")),
        *(Thing("WORKFLOW", f"{word}-{name}") for word in ("onboard", "rotate-oncall", "new-service")),
        *(Thing("RESOURCE", f"{name}-{word}") for word in ("postgres", "redis", "bucket")),
        *(Thing("TEAM", f"{word}-{name}") for word in ("team", "oncall")),
    ]
    quiet = tuple(Thing("SERVICE", f"{name}-{noun}-v1") for noun in NOUNS)
    return Area(seed, name, KINDS, 0.7, (*services, *others), quiet)


def _vault(seed: int) -> Area:
    standing = (
        *(Thing("AWS_CONFIGURATION", f"aws-{word}") for word in ("production", "staging", "sandbox")),
        *(Thing("GITHUB_CONFIGURATION", f"github-{word}") for word in ("corp", "open-source")),
        Thing("PAGERDUTY_CONFIGURATION", "pagerduty-corp"),
        Thing("SLACK_CONFIGURATION", "slack-corp"),
        *(Thing("ALLOW_LIST_ENTRY", entry) for entry in ("198.51.100.0/24", "203.0.113.0/25")),
        *(Thing("USER_ROLE", word) for word in ("admin", "editor", "viewer")),
    )
    return Area(seed, VAULT, VAULT_KINDS, 0.2, standing)
