"""What is due when nobody acknowledges, or nobody resolves: whom to call, what to say in the thread. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from bot.alert.routing import Routing
from bot.model import Level
from bot.times import say_duration

StepName = Literal["mention", "second channel", "reminder", "unresolved"]
REMINDED_FROM = Level.high  # of what nobody has acknowledged, where no escalation is set


@dataclass(frozen=True)
class Waiting:
    """An alert or notice that waits for somebody since a moment; `what` names it in words.

    `taken` are the steps taken already, as name and number; the number of a step is the level that it was taken for,
    and of reminders to resolve their count.
    """

    subject: str
    what: str
    level: Level
    acknowledged: bool
    since: int
    owner: str | None = None
    taken: frozenset[tuple[str, int]] = frozenset()


@dataclass(frozen=True)
class Step:
    """One thing to say: into the thread, or into `channel`."""

    name: StepName
    number: int
    text: str
    mention: tuple[str, ...] = ()
    channel: str | None = None


def due_steps(waiting: Waiting, routing: Routing, now: int) -> list[Step]:
    """Return the steps that are due and not taken yet."""
    steps = _unresolved(waiting, routing, now) if waiting.acknowledged else _unacknowledged(waiting, routing, now)
    return [step for step in steps if (step.name, step.number) not in waiting.taken]


def _unacknowledged(waiting: Waiting, routing: Routing, now: int) -> Iterator[Step]:
    waited, number = now - waiting.since, int(waiting.level)
    nobody = f"{waiting.what}: nobody has acknowledged it for {say_duration(waited)}."
    escalation = routing.escalation.get(waiting.level)
    if escalation is None:
        if waiting.level >= REMINDED_FROM and waited >= routing.reminders.unacknowledged:
            yield Step("reminder", number, nobody)
        return
    if escalation.mention and waited >= escalation.after:
        yield Step("mention", number, nobody, escalation.mention)
    if escalation.channel and escalation.then_after is not None and waited >= escalation.then_after:
        yield Step("second channel", number, nobody, (), escalation.channel)


def _unresolved(waiting: Waiting, routing: Routing, now: int) -> Iterator[Step]:
    """Yield the latest reminder that is due: after days without us, those between are not made up for."""
    waited = now - waiting.since
    number = (waited - routing.reminders.unresolved) // routing.reminders.again
    latest = max((count for name, count in waiting.taken if name == "unresolved"), default=-1)
    if number > latest:
        text = f"{waiting.what}: acknowledged {say_duration(waited)} ago, and not resolved yet."
        yield Step("unresolved", number, text, (waiting.owner,) if waiting.owner else ())
