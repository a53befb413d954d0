"""What time alone brings about: notices that come or end, reminders, escalation. One verb, run every few seconds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import tzinfo

from bot.alert.deliver import Courier
from bot.alert.escalation import REMINDED_FROM, Step, Waiting, due_steps
from bot.alert.quiet_hours import quiet_until
from bot.alert.routing import Routing
from bot.alert.routing_keys import STORM
from bot.model import Level
from bot.store import journal
from bot.store.messages import notices, outbox, steps
from bot.store.messages.steps import Waiter
from bot.store.schema import Store
from bot.times import DAY, WEEK


@dataclass
class Report:
    """What one run did: alerts that left their notice, notices released and ended, steps taken as subject and step."""

    risen: int = 0
    released: int = 0
    ended: int = 0
    steps: list[tuple[str, str]] = field(default_factory=list)


def run_once(store: Store, routing: Routing, now: int, zone: tzinfo) -> Report:
    """Do what is due. Everything follows from the store: cut off anywhere, or late by days, it just goes on.

    Where nothing is due nothing is written, so that a long pass is not waited for.
    """
    report = Report(Courier(store, routing, now, zone).rise(), len(notices.release(store, now)))
    report.ended = _end_notices(store, routing, now)
    for waiter in _waiting(store, routing, now):
        if quiet_until(routing.quiet_hours, waiter.level, now, zone) is not None:
            continue  # who need not hear of it at night need not be reminded of it either
        for step in due_steps(_in_words(store, waiter), routing, now):
            with store.write():
                if steps.take(store, waiter, step.name, step.number, now):
                    _say(store, waiter, step, now)
                    report.steps.append((waiter.subject, step.name))
    return report


def _end_notices(store: Store, routing: Routing, now: int) -> int:
    """End the notices that have been calm, or open, for long enough."""
    calm, ended = (routing.storm or STORM).within, 0
    for notice in notices.open_notices(store):
        over = notice.kind == "storm" and notice.last + calm <= now
        if over or (notice.kind != "held" and notice.opened + DAY <= now):
            notices.close(store, notice, now)
            ended += 1
    return ended


def _waiting(store: Store, routing: Routing, now: int) -> Iterator[Waiter]:
    levels = {level for level in Level if level >= REMINDED_FROM} | set(routing.escalation)
    yield from steps.open_alerts(store, levels, now)
    yield from steps.open_notices(store, now - 2 * WEEK)
    yield from steps.acknowledged_alerts(store, now)


def _in_words(store: Store, waiter: Waiter) -> Waiting:
    what = f"A notice of several alerts, the worst {waiter.level.name}"
    if waiter.entity is not None:
        what = f"{waiter.subject} ({waiter.level.name}) about {waiter.entity}, {waiter.title}"
    return Waiting(
        waiter.subject, " ".join(what.split())[:300], waiter.level, waiter.state == "acknowledged", waiter.since,
        waiter.owner, steps.taken(store, waiter),
    )  # fmt: skip


def _say(store: Store, waiter: Waiter, step: Step, now: int) -> None:
    """Queue what a step says, and write it into the journal; a click before it is sent calls it off."""
    look = f" /audit show {waiter.subject} shows it." if waiter.alert else " /audit alerts lists them."
    outbox.put(
        store, "notice" if step.channel else "reply", now, alert=waiter.alert, notice=waiter.notice,
        body=step.text + look if step.channel else step.text,
        channel=step.channel, mention=step.mention, only_while=waiter.state if waiter.alert else None,
        urgency=int(waiter.level),
    )  # fmt: skip
    word = "escalated" if step.name in ("mention", "second channel") else "reminded"
    detail = {"of": waiter.subject, "step": step.name, "to": [*step.mention, *filter(None, [step.channel])]}
    journal.write(store, now, "bot", word, detail)
