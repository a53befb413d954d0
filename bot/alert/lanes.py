"""How an alert that is worth posting reaches people: by itself, or in a notice; each way has a named reason. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from bot.alert.routing import Routing
from bot.model import Alert, Finding, Level

Lane = Literal["own", "storm", "rate", "held"]
IN_A_STORM = "posted, in a storm"
NOISY_RULE = "posted, its rule is noisy"
HELD = "posted, held until"  # and the time of day
MOST = 200  # characters of a title or reason in a thread


@dataclass(frozen=True)
class Traffic:
    """What was told before, this alert left out: of its level or worse in its channel lately; by its rule in a day."""

    told: int = 0
    of_rule: int = 0


@dataclass(frozen=True)
class Way:
    """The lane that an alert takes, and the named reason."""

    lane: Lane
    reason: str


def choose(
    level: Level, reason: str, traffic: Traffic, routing: Routing, *, held_until: str | None, one_rule: bool
) -> Way:
    """Return how an alert reaches people. `reason` is why it is posted, `held_until` the end of quiet hours for it.

    `one_rule`: nothing but its worst rule speaks for it. Critical alerts know one limit only, that of a storm.
    """
    if held_until is not None and level < Level.high:
        return Way("held", f"{HELD} {held_until}")
    storm, rate = routing.storm, routing.rate
    if storm and traffic.told >= (storm.critical if level == Level.critical else storm.more_than):
        return Way("storm", IN_A_STORM)
    if rate and one_rule and level < Level.critical and traffic.of_rule >= rate.more_than:
        return Way("rate", NOISY_RULE)
    return Way("own", reason)


def leaves(before: Lane, after: Lane) -> bool:
    """Tell whether an alert that got worse leaves its notice: for a message of its own, or for one that is not held."""
    return before != "own" and (after == "own" or (before == "held" and after != "held"))


def left(before: Alert, after: Alert) -> str:
    """Return the named reason of an alert that got worse and so left its notice."""
    return f"posted, rose to {after.level.name}" if after.level > before.level else "posted, another rule found it too"


def worse(before: Alert, after: Alert) -> bool:
    """Tell whether an alert rose in level or points."""
    return (after.level, after.points) > (before.level, before.points)


def news(before: Alert, after: Alert, fresh: Sequence[Finding], withdrawn: Sequence[Finding]) -> list[str]:
    """Return the lines that an alert's thread gets: what is new, what rose, what no longer holds."""
    lines = [f"Now {after.level.name}, it was {before.level.name}."] if after.level > before.level else []
    lines += [f"New: {_say(finding)}" for finding in fresh]
    lines += [f"No longer holds: {_flat(finding.title)}." for finding in withdrawn]
    return lines


def say_joined(alert: Alert, findings: Sequence[Finding]) -> str:
    """Return the line that names an alert in the thread of the notice that it joined."""
    title = f", {_flat(findings[0].title)}" if findings else ""
    return f"{alert.name} ({alert.level.name}): {_flat(str(alert.entity))}{title}."


def _say(finding: Finding) -> str:
    why = f": {_flat(finding.reasons[0]).rstrip('.')}" if finding.reasons else ""
    return f"{_flat(finding.title)} ({finding.level.name}){why}."


def _flat(text: str) -> str:
    return " ".join(text.split())[:MOST]
