"""Was this you? The question to the person behind an alert's actor, and what their answer does.

An inquiry goes waiting -> asked -> yes or no, or is silent in between; unreachable where Slack knows nobody.
"""

from __future__ import annotations

from typing import Any

from bot.errors import ConfigError, QueryError
from bot.model import AlertView, Inquiry, Level
from bot.store import alerts, journal
from bot.store.alerts import Outcome
from bot.store.messages import outbox
from bot.store.people import exceptions
from bot.store.people.exceptions import MAX_REASON
from bot.store.people.standing import INQUIRY
from bot.store.schema import Store
from bot.times import HOUR

PATIENCE = 2 * HOUR
QUIET = 21 * HOUR  # what somebody said yes to stays quiet for so long: by the same time tomorrow it counts again
CLOSES_UP_TO = Level.medium  # what a yes closes; a session thief would say yes too
NOT_YOURS = "This question was asked of somebody else."


def may_ask(view: AlertView) -> bool:
    """Tell whether the person behind an alert's actor may be asked: a rule says so, and nobody was asked yet."""
    alert = view.alert
    a_person = alert.entity.kind == "actor" and "@" in alert.entity.name.strip("@")
    unasked = view.standing.inquiry is None and alert.state in ("open", "acknowledged")
    return unasked and a_person and bool(asking_rules(view))


def asking_rules(view: AlertView) -> list[str]:
    """Return the rules of an alert that want the person asked, each once."""
    rules = dict.fromkeys(found.rule_id for found in view.findings)
    return [rule for rule in rules if rule in view.rules and view.rules[rule].ask_actor]


def ask(store: Store, alert_id: int, who: str, now: int) -> Outcome:
    """Queue the question; nobody is asked twice about the same alert."""
    with store.write() as connection:
        view = alerts.view(store, alert_id, now)
        if view is None:
            return Outcome(False, f"There is no alert A{alert_id}.")
        if view.standing.inquiry is not None:
            return Outcome(False, "That was asked already: the message says what came of it.")
        if not may_ask(view):
            return Outcome(False, "Nobody can be asked about this alert: it is closed, or no rule of it says so.")
        number = connection.execute(
            "INSERT INTO inquiries (alert, email, asked_by, created, state) VALUES (?, ?, ?, ?, 'waiting')",
            (alert_id, view.alert.entity.name, who, now),
        ).lastrowid
        journal.write(store, now, who, "asked", {"alert": alert_id, "inquiry": number})
        outbox.put_card(store, "inquiry", int(number or 0), now, alert=alert_id)
        outbox.put_update(store, alert_id, now, at_once=True)
    return Outcome(True, "The question is on its way.")


def get(store: Store, number: int) -> Inquiry | None:
    """Return one inquiry."""
    rows = store.rows(f"SELECT {INQUIRY} FROM inquiries WHERE id = ?", (number,))
    return Inquiry(*rows[0]) if rows else None


def delivered(store: Store, one: Inquiry, person: str, channel: str, ts: str, now: int) -> None:
    """Record who got the question, where it stands, and until when an answer is waited for."""
    _set(store, one, now, state="asked", person=person, channel=channel, ts=ts, asked=now, due=now + PATIENCE)
    _say(
        store,
        one,
        now,
        "The person behind the actor was asked: was this you? Without an answer in 2 h it is said here.",
    )


def unreachable(store: Store, one: Inquiry, why: str, now: int) -> None:
    """Record that nobody could be asked."""
    _set(store, one, now, state="unreachable")
    _say(store, one, now, f"Nobody could be asked whether it was them: Slack says {why}.")


def answer(store: Store, number: int, user: str, *, yes: bool, reason: str, now: int) -> Outcome:
    """Take the answer of the person who was asked, once.

    "Yes" is evidence: it closes what is medium or less as expected, and quiets the same for 21 h. "No" raises the alert
    to high at least, and opens it again where it was closed.
    """
    reason = "".join(letter if letter.isprintable() else " " for letter in reason).strip()[:MAX_REASON]
    with store.write():
        one = get(store, number)
        if one is None or one.person != user:
            return Outcome(False, NOT_YOURS)
        if one.state not in ("asked", "silent"):
            return Outcome(False, "You have answered that already. Tell your security team if it was a mistake.")
        _set(store, one, now, state="yes" if yes else "no", answered=now, reason=reason)
        journal.write(store, now, user, "answered", {"alert": one.alert, "yes": yes, "reason": reason})
        outbox.put_card(store, "inquiry", one.id, now, alert=one.alert)
        view = alerts.view(store, one.alert, now)
        if view is not None:
            (_after_yes if yes else _after_no)(store, view, user, reason, now)
    return Outcome(True, "Thank you.")


def escalate(store: Store, now: int) -> int:
    """Tell of those who did not answer in time; return how many."""
    silent = f"SELECT {INQUIRY} FROM inquiries WHERE state = 'asked' AND due <= ? ORDER BY id"
    if not store.rows(silent, (now,)):
        return 0
    with store.write():
        rows = store.rows(silent, (now,))
        for one in (Inquiry(*row) for row in rows):
            _set(store, one, now, state="silent")
            found = alerts.alert(store, one.alert)
            whom = found.owner if found and found.owner else one.asked_by
            journal.write(store, now, "bot", "unanswered", {"alert": one.alert, "inquiry": one.id})
            text = "no answer to “was this you?” in 2 h: please look at it."
            outbox.put(store, "reply", now, alert=one.alert, body=text, mention=(whom,))
    return len(rows)


def _after_yes(store: Store, view: AlertView, user: str, reason: str, now: int) -> None:
    alert = view.alert
    quiet = [rule for rule in asking_rules(view) if _quieted(store, view, rule, user, now)]
    text = f"The person answered: yes, that was me{_because(reason)}. This is evidence, not proof."
    if quiet:
        text += " The same is quiet for 21 h."
    if (
        alert.level <= CLOSES_UP_TO
        and alerts.resolve(store, alert.id, "bot", now, "expected", "the person said yes").done
    ):
        text += " The alert is closed as expected."
    outbox.put(store, "reply", now, alert=alert.id, body=text)


def _after_no(store: Store, view: AlertView, user: str, reason: str, now: int) -> None:
    alert = view.alert
    whom = (
        alert.owner
        if alert.owner and alert.owner != "bot"
        else view.standing.inquiry and view.standing.inquiry.asked_by
    )
    if alert.level < Level.high or alert.state not in ("open", "acknowledged"):
        alerts.raise_level(store, alert.id, Level.high, now)
    text = f"the person answered: no, that was not me{_because(reason)}. The alert is high at least."
    outbox.put(store, "reply", now, alert=alert.id, body=text, mention=(str(whom),))


def _quieted(store: Store, view: AlertView, rule: str, user: str, now: int) -> bool:
    """Make the same quiet; tell whether that can be said of such a name, and such a rule."""
    level = max(found.level for found in view.findings if found.rule_id == rule)
    condition = exceptions.condition_of(view.alert.entity) or ""
    try:
        exceptions.add(
            store, condition, reason="the person said that it was them", author=user, now=now, expires=now + QUIET,
            rule=rule, kind="answer", up_to=level, alert=view.alert.id,
        )  # fmt: skip
    except (ConfigError, QueryError):
        return False
    return True


def _because(reason: str) -> str:
    return f" (“{reason}”)" if reason else ""


def _set(store: Store, one: Inquiry, now: int, **changes: Any) -> None:
    with store.write() as connection:
        assignments = ", ".join(f"{name} = :{name}" for name in changes)
        connection.execute(f"UPDATE inquiries SET {assignments} WHERE id = :id", {**changes, "id": one.id})
    outbox.put_update(store, one.alert, now, at_once=True)


def _say(store: Store, one: Inquiry, now: int, text: str) -> None:
    outbox.put(store, "reply", now, alert=one.alert, body=text)
