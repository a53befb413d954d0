"""Who may use the bot: listed people and groups of the own workspace, nobody when nothing is set, closed in doubt."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from bot.errors import DeliveryError
from bot.model import Alert, AlertView, Entity, Level
from bot.slack.guard import FRESH, USABLE, Asker, Cached, Guard, Person, concerns, who_asks
from tests.slack_lab import NOW
from tests.test_slack_messages import finding

TEAM = "T0OWN"
ASKER = Asker("U0ANN", frozenset({TEAM}), "command", "/audit")


class Book:
    """A directory that counts how often it is asked, and can fall silent."""

    def __init__(self) -> None:
        self.people = {"U0ANN": Person("U0ANN", TEAM, "ann@corp.example")}
        self.groups = {"S0SEC": frozenset({"U0ANN"})}
        self.asked = 0
        self.silent = False

    def team(self) -> str:
        self._note()
        return TEAM

    def person(self, user_id: str) -> Person:
        self._note()
        return self.people[user_id]

    def members(self, group_id: str) -> frozenset[str]:
        self._note()
        return self.groups[group_id]

    def by_email(self, email: str) -> Person | None:
        self._note()
        return next((person for person in self.people.values() if person.email == email), None)

    def _note(self) -> None:
        self.asked += 1
        if self.silent:
            raise DeliveryError("ratelimited", permanent=False)


@pytest.mark.parametrize("allowed", [("U0ANN",), ("S0SEC",), ("U0BOB", "S0SEC")])
def test_a_listed_user_or_a_member_of_a_listed_group_may(allowed: tuple[str, ...]) -> None:
    assert Guard(allowed, Book()).verdict(ASKER).allowed


def test_nothing_set_means_nobody_and_says_how_to_set_it() -> None:
    verdict = Guard((), Book()).verdict(ASKER)
    assert verdict.why == "not set up"
    assert "AUDIT_BOT_ALLOWED=U012ABC,S034DEF" in verdict.text


@pytest.mark.parametrize(
    ("asker", "why"),
    [
        (replace(ASKER, user="U0EVE"), "not listed"),
        (replace(ASKER, user=""), "nobody"),
        (replace(ASKER, teams=frozenset({"T0OTHER"})), "foreign workspace"),
        (replace(ASKER, teams=frozenset({TEAM, "T0OTHER"})), "foreign workspace"),
        (replace(ASKER, teams=frozenset()), "foreign workspace"),
    ],
)
def test_others_may_not_and_the_reason_has_a_name(asker: Asker, why: str) -> None:
    verdict = Guard(("U0ANN",), Book()).verdict(asker)
    assert verdict.why == why
    assert verdict.text


def test_a_guest_may_not_even_when_listed() -> None:
    book = Book()
    book.people["U0ANN"] = Person("U0ANN", TEAM, guest=True)
    assert Guard(("U0ANN", "S0SEC"), book).verdict(ASKER).why == "guest"


def test_a_member_of_another_workspace_may_not_whatever_the_request_says() -> None:
    book = Book()
    book.people["U0ANN"] = Person("U0ANN", "T0OTHER")
    assert Guard(("U0ANN",), book).verdict(ASKER).why == "foreign workspace"


def test_what_cannot_be_checked_is_refused() -> None:
    book = Book()
    book.silent = True
    assert Guard(("U0ANN",), book).verdict(ASKER).why == "cannot check"


def test_answers_are_remembered_then_asked_for_anew_then_trusted_no_longer() -> None:
    """Five minutes without asking, up to an hour on the old answer while Slack is silent, then closed."""
    book, now = Book(), [NOW]
    guard = Guard(("S0SEC",), Cached(book, lambda: now[0]))
    assert guard.verdict(ASKER).allowed
    first = book.asked
    now[0] += FRESH - 1
    assert guard.verdict(ASKER).allowed
    assert book.asked == first
    book.silent = True
    now[0] += 2
    assert guard.verdict(ASKER).allowed
    assert book.asked > first
    now[0] = NOW + USABLE
    assert guard.verdict(ASKER).why == "cannot check"
    book.silent, book.groups["S0SEC"] = False, frozenset()
    assert guard.verdict(ASKER).why == "not listed"


@pytest.mark.parametrize(
    ("body", "asker"),
    [
        (
            {"command": "/audit", "user_id": "U1", "team_id": "T1"},
            Asker("U1", frozenset({"T1"}), "command", "/audit"),
        ),
        (
            {"type": "block_actions", "user": {"id": "U1", "team_id": "T2"}, "team": {"id": "T1"},
             "actions": [{"action_id": "go"}]},
            Asker("U1", frozenset({"T1", "T2"}), "action", "go"),
        ),
        (
            {"type": "view_submission", "user": {"id": "U1"}, "team": {"id": "T1"}, "view": {"callback_id": "snooze"}},
            Asker("U1", frozenset({"T1"}), "view", "snooze"),
        ),
        (
            {"type": "message_action", "user": {"id": "U1"}, "team": None, "callback_id": "look_up"},
            Asker("U1", frozenset(), "shortcut", "look_up"),
        ),
        ({"type": "something_new"}, Asker("", frozenset(), "other", "something_new")),
        ({"type": "event_callback", "team_id": "T1"}, None),
        ({"type": "url_verification"}, None),
    ],
)  # fmt: skip
def test_every_request_but_an_event_has_an_asker(body: dict[str, Any], asker: Asker | None) -> None:
    assert who_asks(body) == asker


@pytest.mark.parametrize(
    ("entity", "email", "about"),
    [
        (Entity("actor", "Ann@Corp.example"), "ann@corp.example", True),
        (Entity("actor", "bob@corp.example"), "ann@corp.example", False),
        (Entity("actor", "ann@corp.example"), None, False),
        (Entity("ip", "ann@corp.example"), "ann@corp.example", False),
    ],
)
def test_an_alert_is_about_somebody_by_e_mail_address(entity: Entity, email: str | None, about: bool) -> None:
    alert = Alert(1, entity, Level.high, 60, "open", "posted", NOW, NOW, NOW, 1)
    view = AlertView(alert, (finding(actor=None),), {}, ())
    assert concerns(view, Person("U0ANN", TEAM, email)) is about


def test_an_alert_about_an_address_is_also_about_whoever_its_findings_name() -> None:
    alert = Alert(1, Entity("ip", "192.0.2.66"), Level.high, 60, "open", "posted", NOW, NOW, NOW, 1)
    view = AlertView(alert, (finding(actor="ann@corp.example"),), {}, ())
    assert concerns(view, Person("U0ANN", TEAM, "ann@corp.example"))
    assert not concerns(view, None)
