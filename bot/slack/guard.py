"""Decides who may use the bot, with a named reason; knows Slack's answers only through a directory."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeVar

from bot.errors import DeliveryError
from bot.model import AlertView
from bot.times import HOUR, MINUTE

FRESH, USABLE = (
    5 * MINUTE,
    HOUR,
)  # an answer of Slack is asked for anew after the first, and trusted no longer after the second
UNGUARDED = ("event_callback", "url_verification")  # no person asks for anything there

Kind = Literal["command", "action", "view", "shortcut", "other"]
Why = Literal["allowed", "not set up", "not listed", "guest", "foreign workspace", "cannot check", "nobody"]
T = TypeVar("T")

REFUSALS: Mapping[Why, str] = {
    "not set up": (
        "Nobody may use this bot yet: AUDIT_BOT_ALLOWED is not set. Whoever runs the bot sets it to the ids of users"
        " or user groups, separated by commas, like AUDIT_BOT_ALLOWED=U012ABC,S034DEF, and starts it again."
    ),
    "not listed": (
        "You may not use this bot. Ask whoever runs it to add you, or one of your user groups, to AUDIT_BOT_ALLOWED."
    ),
    "guest": "Guests may not use this bot.",
    "foreign workspace": "This bot answers only members of its own workspace.",
    "cannot check": "I cannot check right now whether you may do that, so I will not. Please try again in a minute.",
    "nobody": "This request does not say who asks.",
}
OWN_ALERT = "This alert is about you, so somebody else has to decide it."


@dataclass(frozen=True)
class Person:
    """What Slack says of a user; `email` is None where the scope for it is missing, `tz` where no zone was chosen."""

    id: str
    team: str
    email: str | None = None
    guest: bool = False
    tz: str | None = None
    name: str = ""
    picture: str = ""


class Directory(Protocol):
    """What has to be asked of Slack; each raises DeliveryError where there is no answer."""

    def team(self) -> str:
        """Return the id of the bot's own workspace."""
        ...

    def person(self, user_id: str) -> Person:
        """Return a user."""
        ...

    def members(self, group_id: str) -> frozenset[str]:
        """Return the user ids in a user group."""
        ...

    def by_email(self, email: str) -> Person | None:
        """Return the user with an e-mail address, None where there is none."""
        ...


@dataclass(frozen=True)
class Asker:
    """Who asks for what: `teams` are all workspaces that the request names, `what` is the command or action id."""

    user: str
    teams: frozenset[str]
    kind: Kind
    what: str


@dataclass(frozen=True)
class Verdict:
    """Whether somebody may, and why not; `person` is there where it was looked up."""

    why: Why
    person: Person | None = None

    @property
    def allowed(self) -> bool:
        """Whether the request goes on."""
        return self.why == "allowed"

    @property
    def text(self) -> str:
        """What the refused one is told."""
        return REFUSALS.get(self.why, "")


class Cached:
    """A directory that remembers answers for 5 minutes, and lives on old ones for an hour while Slack is silent."""

    def __init__(self, directory: Directory, now: Callable[[], int]) -> None:
        self._directory, self._now = directory, now
        self._known: dict[tuple[str, str], tuple[int, Any]] = {}
        self._lock = threading.Lock()

    def team(self) -> str:
        """Return the id of the bot's own workspace."""
        return self._ask(("team", ""), self._directory.team)

    def person(self, user_id: str) -> Person:
        """Return a user."""
        return self._ask(("person", user_id), lambda: self._directory.person(user_id))

    def members(self, group_id: str) -> frozenset[str]:
        """Return the user ids in a user group."""
        return self._ask(("group", group_id), lambda: self._directory.members(group_id))

    def by_email(self, email: str) -> Person | None:
        """Return the user with an e-mail address, None where there is none."""
        return self._ask(("email", email.casefold()), lambda: self._directory.by_email(email))

    def _ask(self, key: tuple[str, str], fetch: Callable[[], T]) -> T:
        now = self._now()
        with self._lock:
            known = self._known.get(key)
        if known and now - known[0] < FRESH:
            return known[1]  # type: ignore[no-any-return]  # stored under the same key, so of the same type
        try:
            answer = fetch()
        except DeliveryError:
            if known is None or now - known[0] >= USABLE:
                raise
            return known[1]  # type: ignore[no-any-return]  # as above
        with self._lock:
            self._known[key] = (now, answer)
        return answer


class Guard:
    """Says who may: listed users and members of listed groups, of the own workspace, no guests; unset means nobody."""

    def __init__(self, allowed: tuple[str, ...], directory: Directory) -> None:
        self._users = frozenset(name for name in allowed if not name.startswith("S"))
        self._groups = tuple(name for name in allowed if name.startswith("S"))
        self._directory = directory

    def verdict(self, asker: Asker) -> Verdict:
        """Return whether the asker may use the bot; whatever cannot be checked is refused."""
        if not self._users and not self._groups:
            return Verdict("not set up")
        if not asker.user:
            return Verdict("nobody")
        try:
            return self._checked(asker)
        except DeliveryError:
            return Verdict("cannot check")

    def member(self, user_id: str) -> Verdict:
        """Return whether somebody who did not ask for anything may use the bot: whom others may give an alert."""
        try:
            return self.verdict(Asker(user_id, frozenset({self._directory.team()}), "other", "member"))
        except DeliveryError:
            return Verdict("cannot check")

    def bystander(self, asker: Asker) -> Verdict:
        """Return whether somebody may answer what they were asked: anybody of the own workspace, listed or not."""
        if not asker.user:
            return Verdict("nobody")
        try:
            return Verdict("allowed" if asker.teams == {self._directory.team()} else "foreign workspace")
        except DeliveryError:
            return Verdict("cannot check")

    def _checked(self, asker: Asker) -> Verdict:
        own = self._directory.team()
        if not asker.teams or asker.teams != {own}:
            return Verdict("foreign workspace")
        if asker.user not in self._users and not any(asker.user in self._directory.members(g) for g in self._groups):
            return Verdict("not listed")
        person = self._directory.person(asker.user)
        if person.team != own:
            return Verdict("foreign workspace", person)
        return Verdict("guest" if person.guest else "allowed", person)


def who_asks(body: Mapping[str, Any]) -> Asker | None:
    """Return who asks for what in a request from Slack; None for events, in which nobody asks for anything."""
    kind = body.get("type")
    if kind in UNGUARDED or "ssl_check" in body:
        return None
    user, team = body.get("user") or {}, body.get("team") or {}
    teams = (team.get("id"), user.get("team_id"), body.get("team_id"), body.get("user_team_id"))
    if "command" in body:
        return Asker(str(body.get("user_id") or ""), _present(teams), "command", str(body["command"]))
    kinds: dict[Any, Kind] = {
        "block_actions": "action", "view_submission": "view", "view_closed": "view",
        "shortcut": "shortcut", "message_action": "shortcut",
    }  # fmt: skip
    return Asker(str(user.get("id") or ""), _present(teams), kinds.get(kind, "other"), _what(body))


def concerns(view: AlertView, person: Person | None) -> bool:
    """Tell whether an alert is about the person, as far as Slack lets the bot see the person's e-mail address."""
    if person is None or not person.email:
        return False
    about = {found.actor for found in view.findings}
    if view.alert.entity.kind == "actor":
        about.add(view.alert.entity.name)
    return person.email.casefold() in {name.casefold() for name in about if name}


def _present(teams: tuple[Any, ...]) -> frozenset[str]:
    return frozenset(str(team) for team in teams if team)


def _what(body: Mapping[str, Any]) -> str:
    actions = body.get("actions") or [{}]
    view = body.get("view") or {}
    return str(
        actions[0].get("action_id") or body.get("callback_id") or view.get("callback_id") or body.get("type") or ""
    )
