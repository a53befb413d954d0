"""Exceptions that people ask for in Slack: in force at once, or only when a second person has approved.

A proposal goes waiting -> approved, withdrawn or lapsed; one that needs nobody else is approved from the start.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from bot.errors import ConfigError
from bot.model import ExceptionKind, Level
from bot.query import names_nothing, parse_condition
from bot.store import journal
from bot.store.alerts import Outcome
from bot.store.messages import outbox
from bot.store.people import exceptions
from bot.store.people.coverage import Preview
from bot.store.people.exceptions import TimedException
from bot.store.schema import Store
from bot.times import DAY, MINUTE, iso, say_duration

ALONE = 7 * DAY  # what lasts longer needs a second person
PATIENCE = DAY  # so long a proposal waits
MOST_EACH = 20  # exceptions that one person may have in force, or waiting, at a time
OWN_PROPOSAL = "You asked for this yourself: a second person has to approve it."

State = Literal["waiting", "approved", "withdrawn", "lapsed"]
_FIELDS = (
    "id, kind, alert, rule, condition, reason, author, created, expires, up_to, findings, alerts, why, state, decided,"
    " decided_by, exception, channel, ts"
)


@dataclass(frozen=True)
class Proposal:
    """An exception that somebody asked for. Times in microseconds; `why` names why a second person is needed, or "".

    `findings` and `alerts` are how many it would have hidden in the 30 days before. `exception` is what it became.
    """

    id: int
    kind: ExceptionKind
    alert: int
    rule: str | None
    condition: str
    reason: str
    author: str
    created: int
    expires: int
    up_to: Level
    findings: int = 0
    alerts: int = 0
    why: str = ""
    state: State = "waiting"
    decided: int | None = None
    decided_by: str | None = None
    exception: int | None = None
    channel: str | None = None
    ts: str | None = None

    def as_exception(self) -> TimedException:
        """Return the exception that it asks for."""
        return TimedException(
            self.exception or 0, self.rule, self.condition, self.reason, self.author, self.created, self.expires,
            kind=self.kind, up_to=self.up_to, alert=self.alert,
        )  # fmt: skip


def why_second(one: TimedException, level: Level) -> str:
    """Return why an exception made from an alert of a level needs a second person, "" where it does not."""
    if one.expires - one.created > ALONE:
        return "it lasts longer than 7 days"
    if one.kind == "expected" and names_nothing(parse_condition(one.condition)):
        return "it holds for whatever the rule finds"
    return "the alert is critical" if level >= Level.critical else ""


EVERYTHING = "*"  # the condition of an exception that holds for a whole rule


def propose(store: Store, one: TimedException, preview: Preview, why: str, now: int) -> Proposal:
    """Ask for an exception; it is in force at once unless `why` names a reason to wait. Raises ConfigError, QueryError.

    The channel is told in any case.
    """
    one = exceptions.checked(store, one)
    fresh = Proposal(
        0, one.kind, int(one.alert or 0), one.rule, one.condition, one.reason, one.author, now, one.expires,
        Level(one.up_to or 0), preview.findings, preview.alerts, why,
    )  # fmt: skip
    row = {name: value for name, value in fresh.__dict__.items() if name != "id"} | {"up_to": int(fresh.up_to)}
    with store.write() as connection:
        _check_twice(store, fresh, now)
        _check_number(store, one.author, now)
        number = connection.execute(
            f"INSERT INTO proposals ({', '.join(row)}) VALUES ({', '.join(f':{name}' for name in row)})", row
        ).lastrowid
        fresh = replace(fresh, id=int(number or 0))
        if why:
            detail = {"proposal": fresh.id, "alert": fresh.alert, "condition": fresh.condition, "rule": fresh.rule}
            journal.write(store, now, fresh.author, "proposed", detail | {"expires": iso(fresh.expires), "why": why})
            said = f"wants to {_what(fresh)}; a second person has to approve it, because {why}."
            _tell(store, fresh, now, said, fresh.author)
        else:
            _enact(store, fresh, None, now)
        return get(store, fresh.id) or fresh


def approve(store: Store, number: int, who: str, now: int) -> Outcome:
    """Let a proposal come into force, by anybody but its author, while it waits and has not expired."""
    with store.write():
        one = get(store, number)
        if one is None or one.state != "waiting":
            return _settled(one)
        if one.author == who:
            return Outcome(False, OWN_PROPOSAL)
        if now - one.created >= PATIENCE or one.expires <= now:
            return Outcome(False, "This proposal has lapsed: ask for it anew.")
        try:
            _enact(store, one, who, now)
        except ConfigError as error:
            return Outcome(False, f"It cannot come into force any more: {error}")
    return Outcome(True, "Approved.")


def withdraw(store: Store, number: int, who: str, now: int) -> Outcome:
    """Take a proposal back: by its author, or by whoever is against it."""
    with store.write():
        one = get(store, number)
        if one is None or one.state != "waiting":
            return _settled(one)
        _settle(store, one, "withdrawn", who, now, "withdrew the exception that was asked for.", who)
    return Outcome(True, "Withdrawn.")


def lapse(store: Store, now: int) -> int:
    """End the proposals for which nobody was found in time; return how many."""
    waiting = ("state = 'waiting' AND (created <= ? OR expires <= ?)", (now - PATIENCE, now))
    if not _all(store, *waiting):
        return 0
    with store.write():
        due = _all(store, *waiting)
        for one in due:
            _settle(store, one, "lapsed", "bot", now, "Nobody approved the exception in time: it has lapsed.", "")
    return len(due)


def get(store: Store, number: int) -> Proposal | None:
    """Return one proposal."""
    found = _all(store, "id = ?", (number,))
    return found[0] if found else None


def placed(store: Store, one: Proposal, channel: str, ts: str) -> None:
    """Record where a proposal's message stands."""
    with store.write() as connection:
        connection.execute("UPDATE proposals SET channel = ?, ts = ? WHERE id = ?", (channel, ts, one.id))


def _all(store: Store, where: str, parameters: tuple[object, ...]) -> list[Proposal]:
    rows = store.rows(f"SELECT {_FIELDS} FROM proposals WHERE {where} ORDER BY id", parameters)
    return [replace(Proposal(*row), up_to=Level(row[9])) for row in rows]


def _check_twice(store: Store, one: Proposal, now: int) -> None:
    """Refuse what the same person asked for within the minute: a second click on the same form."""
    again = store.value(
        "SELECT count(*) FROM proposals WHERE alert = ? AND kind = ? AND author = ? AND condition = ? AND rule IS ?"
        " AND created > ? AND state IN ('waiting', 'approved')",
        (one.alert, one.kind, one.author, one.condition, one.rule, now - MINUTE),
    )
    if again:
        raise ConfigError("You asked for the same a moment ago: see the channel.")


def _check_number(store: Store, author: str, now: int) -> None:
    held = store.value(
        "SELECT (SELECT count(*) FROM proposals WHERE author = :who AND state = 'waiting')"
        " + (SELECT count(*) FROM exceptions WHERE author = :who AND removed IS NULL AND expires > :now)",
        {"who": author, "now": now},
    )
    if held >= MOST_EACH:
        raise ConfigError(f"You have {held} exceptions in force or waiting: end one of them first.")


def _enact(store: Store, one: Proposal, second: str | None, now: int) -> None:
    made = exceptions.add(
        store, one.condition, reason=one.reason, author=one.author, now=now, expires=one.expires, rule=one.rule,
        kind=one.kind, up_to=one.up_to, alert=one.alert,
    )  # fmt: skip
    with store.write() as connection:
        connection.execute("UPDATE proposals SET exception = ? WHERE id = ?", (made.id, one.id))
    said = "approved it: the exception is in force." if second else f"chose to {_what(one)}."
    _settle(store, one, "approved", second, now, said, second or one.author)


def _settle(store: Store, one: Proposal, state: State, who: str | None, now: int, said: str, whose: str) -> None:
    """Let it be decided; `said` and `whose` are for the alert's thread."""
    with store.write() as connection:
        connection.execute(
            "UPDATE proposals SET state = ?, decided = ?, decided_by = ? WHERE id = ?", (state, now, who, one.id)
        )
        if who is not None:
            journal.write(store, now, who, state, {"proposal": one.id, "alert": one.alert})
    _tell(store, one, now, said, whose)


def _tell(store: Store, one: Proposal, now: int, said: str, whose: str) -> None:
    outbox.put_card(store, "proposal", one.id, now, alert=one.alert)
    outbox.put_update(store, one.alert, now, at_once=True)
    outbox.put(store, "reply", now, alert=one.alert, body=said, mention=(whose,) if whose else ())


def _what(one: Proposal) -> str:
    whole = "whatever the rule finds" if one.condition == EVERYTHING else "this"
    doing = "snooze this" if one.kind == "snooze" else f"expect {whole}"
    return f"{doing} for {say_duration(one.expires - one.created)}: {one.reason}"


def _settled(one: Proposal | None) -> Outcome:
    if one is None:
        return Outcome(False, "There is no such proposal any more.")
    by = f" by <@{one.decided_by}>" if one.decided_by and one.decided_by != "bot" else ""
    return Outcome(False, f"It is already {one.state}{by}: nothing was changed.")
