"""What becomes of a finding: join an alert, open one, or stay quiet; each decision has a named reason. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from bot.model import ABOUT_THE_LOG, Alert, Entity, Finding, Level
from bot.times import DAY, HOUR, MINUTE, say_duration

JOIN_WITHIN = HOUR  # of the episode's last event
EPISODE = DAY
LATE = 15 * MINUTE  # a finding that we hear of so long after its last event is marked late

HISTORY = "history"
SHOWN = ("", HISTORY)  # a finding hidden for any other reason neither opens nor joins an alert
POSTED = "posted"
POSTED_LATE = "posted, late"


@dataclass(frozen=True)
class Decision:
    """What to do with a finding: `action` on `alert` (None when a new one is to be opened), and why."""

    action: str  # join, open, continue
    alert: Alert | None
    reason: str


def entity_of(finding: Finding) -> Entity:
    """Return whom a finding is about: an actor where all its events have one, else the address, else nobody known.

    What the log itself does is about the workspace.
    """
    if finding.rule_id in ABOUT_THE_LOG:
        return Entity("workspace", "")
    if name := finding.group.get("actor", finding.actor):
        return Entity("actor", name)
    if name := finding.group.get("ip"):
        return Entity("ip", name)
    return Entity("unknown", "")


def decide(finding: Finding, before: Alert | None, rules_before: frozenset[str]) -> Decision:
    """Place a finding, given the entity's latest alert and the rules that this alert already names."""
    if before is None:
        return Decision("open", None, "first of its episode")
    near = finding.first <= before.last + JOIN_WITHIN and finding.last >= before.first - JOIN_WITHIN
    if not near:
        return Decision("open", None, "the last episode ended")
    if before.state in ("open", "acknowledged") and finding.last <= before.first + EPISODE:
        return Decision("join", before, "same episode")
    if finding.level > before.level:
        return Decision("open", None, "goes on at a higher level")
    if finding.rule_id not in rules_before:
        return Decision("open", None, "goes on with a new rule")
    return Decision("continue", before, "goes on as before")


def hidden_now(finding: Finding, covered_by: str | None, *, told: bool, history: bool) -> str:
    """Return why a finding is hidden from now on ("" where it is not), given the exception that covers it.

    What people were told of already (`told`) stays, and what no exception covers any more is seen as if it were new.
    """
    if finding.excepted:
        return covered_by or (HISTORY if history else "")
    return covered_by if covered_by and finding.hidden in SHOWN and not told else finding.hidden


def opened(entity: Entity, finding: Finding, now: int) -> Alert:
    """Return a new alert for a finding, not judged yet."""
    return Alert(0, entity, finding.level, 0, "open", "", now, finding.first, finding.last, finding.count)


def gathered(alert: Alert, findings: Sequence[Finding], *, history: bool, late_by: int, post_from: int) -> Alert:
    """Return the alert as its findings now make it: level, points, span, events, and whether it is posted.

    Each rule counts once. What was posted stays posted.
    """
    if not findings:
        return replace(alert, points=0)
    points = risk(findings)
    return replace(
        alert,
        level=max(alert.floor, *(finding.level for finding in findings)),
        points=points,
        first=min(finding.first for finding in findings),
        last=max(finding.last for finding in findings),
        events=max(finding.count for finding in findings),
        decision=alert.decision
        if alert.posted
        else judge(points, history=history, late_by=late_by, post_from=post_from),
    )


def risk(findings: Iterable[Finding]) -> int:
    """Return the points of an episode: each rule counts once, at its highest level."""
    levels: dict[str, Level] = {}
    for finding in findings:
        levels[finding.rule_id] = max(finding.level, levels.get(finding.rule_id, Level.informational))
    return sum(level.risk for level in levels.values())


def judge(points: int, *, history: bool, late_by: int, post_from: int) -> str:
    """Return the named reason why an alert is or is not posted."""
    if history:
        return HISTORY
    if points < post_from:
        return f"quiet, {points} of {post_from} points"
    return POSTED_LATE if late_by > LATE else POSTED


def say_late(late_by: int) -> str:
    """Return the words that mark a late alert, or nothing."""
    return f"told {say_duration(late_by)} late" if late_by > LATE else ""
