"""The records that cross modules: events, rules, findings, alerts, and what Slack needs to show them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Literal, NamedTuple


class Level(IntEnum):
    """How bad a finding is, as Sigma says it; the order is the order of badness."""

    informational = 0
    low = 1
    medium = 2
    high = 3
    critical = 4

    @property
    def risk(self) -> int:
        """Points that one rule of this level adds to an alert."""
        return (0, 10, 30, 60, 100)[self.value]


class Record(NamedTuple):
    """One well-formed audit record as the portal sent it. `shape` tells what was absent, as opposed to null.

    `identity` is the text that two records share if and only if they are twins.
    """

    time: int
    action: str
    actor: str | None
    ip: str | None
    object: str
    type: str
    raw_time: str
    shape: int
    identity: bytes


ACTOR_ABSENT, IP_ABSENT = 1, 2  # bits of Record.shape


@dataclass(frozen=True)
class Broken:
    """A record that cannot be read: its raw text, and why."""

    raw: str
    reason: str


@dataclass(frozen=True, order=True)
class Event:
    """One stored audit record; `time` in microseconds. `facts` holds what was asked for, by name."""

    time: int
    id: int
    action: str
    actor: str | None
    ip: str | None
    object: str
    type: str
    facts: Mapping[str, str | float | bool | None] = field(default_factory=dict, compare=False)


Status = Literal["stable", "test", "experimental", "deprecated", "unsupported"]
FOREST = "forest"  # the rule id of the forest's findings
SILENCE, TAMPERING = ABOUT_THE_LOG = (  # rule ids of the findings about the log itself
    "ae41f15e-efd5-46f0-ae4e-7cef10c8f017",
    "8df09d7d-4238-43d4-8f5d-35c18f0b86ee",
)


@dataclass(frozen=True)
class Rule:
    """What people read of a rule; the compiled condition lives in `detect`."""

    id: str
    title: str
    level: Level
    status: Status = "stable"
    description: str = ""
    tags: tuple[str, ...] = ()
    references: tuple[str, ...] = ()
    falsepositives: tuple[str, ...] = ()
    author: str = ""
    channel: str | None = None
    runbook: str = ""
    ask_actor: bool = False
    file: str = ""
    line: int = 0

    @property
    def shadow(self) -> bool:
        """Whether findings are stored and counted but never posted."""
        return self.status == "experimental"


EXCEPTION = "exception "  # begins the name of an exception, as `Finding.hidden` has it: exception 3
FindingState = Literal["open", "withdrawn", "merged", "removed"]


@dataclass(frozen=True)
class Finding:
    """One burst of one rule and group, as stored. Times in microseconds; `evidence` holds up to three event ids.

    `actor` is the one actor of all its events, None where there are several or none; `ip` is the latest address.
    `hidden` names why it is never posted ("" where it may be). `reasons` are sentences for people.
    """

    id: int
    rule_id: str
    title: str
    level: Level
    group: Mapping[str, str]
    first: int
    last: int
    count: int
    actor: str | None = None
    ip: str | None = None
    evidence: tuple[int, ...] = ()
    reasons: tuple[str, ...] = ()
    state: FindingState = "open"
    hidden: str = ""
    alert_id: int | None = None

    @property
    def excepted(self) -> bool:
        """Whether an exception hides it; `hidden` names that one."""
        return self.hidden.startswith(EXCEPTION)


EntityKind = Literal["actor", "ip", "unknown", "workspace"]
AlertState = Literal["open", "acknowledged", "resolved", "removed"]  # removed: its rule is no more


@dataclass(frozen=True)
class Entity:
    """Whom an alert is about: an actor, an address, events with neither, or the log itself."""

    kind: EntityKind
    name: str

    def __str__(self) -> str:
        return {"actor": self.name, "ip": self.name, "unknown": "unknown actor", "workspace": "workspace"}[self.kind]


@dataclass(frozen=True)
class Alert:
    """One Slack message: the findings of one entity in one episode. Times in microseconds.

    `decision` is the named reason why it is or is not posted (`alert/decide.py` lists them). `owner` is the Slack user
    who acknowledged or resolved it, `owned_at` when. `channel` and `ts` name the message once it is posted. `floor` is
    the least level that it has, whatever its findings say.
    """

    id: int
    entity: Entity
    level: Level
    points: int
    state: AlertState
    decision: str
    opened: int
    first: int
    last: int
    events: int
    owner: str | None = None
    owned_at: int | None = None
    channel: str | None = None
    ts: str | None = None
    floor: Level = Level.informational

    @property
    def name(self) -> str:
        """What people call it: A12."""
        return f"A{self.id}"

    @property
    def posted(self) -> bool:
        """Whether people get to see it in a channel."""
        return self.decision.startswith("posted")


Verdict = Literal["right", "wrong", "expected"]
ExceptionKind = Literal["expected", "snooze", "answer"]  # answer: the person behind the actor said yes
InquiryState = Literal["waiting", "asked", "silent", "unreachable", "yes", "no"]


@dataclass(frozen=True)
class Judgement:
    """What a person said of an alert when closing it; `note` may be empty."""

    verdict: Verdict
    note: str
    who: str
    time: int


@dataclass(frozen=True)
class Quiet:
    """An exception that was made from an alert and is in force."""

    exception: int
    kind: ExceptionKind
    rule: str | None
    who: str
    expires: int


@dataclass(frozen=True)
class Inquiry:
    """The question "was this you?" about an alert, to the person behind its actor. Times in microseconds.

    `person` is the Slack user who was asked, once found; `due` is when silence is told.
    """

    id: int
    alert: int
    email: str
    asked_by: str
    created: int
    state: InquiryState
    person: str | None = None
    asked: int | None = None
    due: int | None = None
    answered: int | None = None
    reason: str = ""
    channel: str | None = None
    ts: str | None = None


@dataclass(frozen=True)
class Standing:
    """Where an alert stands with people, beside its state: who gave it to its owner, how it was judged, what is quiet
    until when, what the person behind the actor was asked, and how many exceptions wait for a second person.
    """

    assigned_by: str | None = None
    judgement: Judgement | None = None
    quiet: tuple[Quiet, ...] = ()
    inquiry: Inquiry | None = None
    proposed: int = 0


@dataclass(frozen=True)
class AlertView:
    """All that a message about an alert shows: the alert, its findings worst first, rules by id, evidence rows.

    `first_seen` tells when each address of the evidence was first seen at all, `places` where it is and whose.
    """

    alert: Alert
    findings: tuple[Finding, ...]
    rules: Mapping[str, Rule]
    evidence: tuple[Event, ...]
    late_by: int = 0  # microseconds between the last event and the pass that found it, where that is long
    standing: Standing = Standing()
    first_seen: Mapping[str, int] = field(default_factory=dict)
    places: Mapping[str, str] = field(default_factory=dict)
