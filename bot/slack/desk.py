"""What clicks and forms have in common: whose they are, which alert they mean, whether that person may decide."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from bot.errors import DeliveryError
from bot.fields import FactSettings
from bot.model import AlertView, Finding
from bot.slack.blocks import Json, Message
from bot.slack.guard import OWN_ALERT, Person, Verdict, concerns
from bot.store import alerts, journal
from bot.store.schema import Store

GONE = "There is no such alert any more."
_ID = re.compile(r"\d{1,18}", re.ASCII)


class RefusedError(Exception):
    """The sentence that a person is told instead; the desk has it in the journal."""


@dataclass(frozen=True)
class Gesture:
    """One click, choice or submitted form: `what` is its action or callback id, `value` an id and no more.

    `values` are what was entered by action id; `person` is what Slack says of the user. `view` is the open modal.
    """

    what: str
    value: str
    user: str
    person: Person | None
    trigger: str = ""
    values: Mapping[str, str] = field(default_factory=dict)
    view: Mapping[str, Any] = field(default_factory=dict)


class Windows(Protocol):
    """What opens modals and posts files. Each raises DeliveryError."""

    def open_view(self, trigger: str, view: Json) -> str:
        """Open a modal; return its id."""
        ...

    def update_view(self, view_id: str, view: Json) -> None:
        """Replace what a modal shows."""
        ...

    def post_file(
        self, channel: str, name: str, content: bytes, title: str, *, alt: str = "", thread_ts: str | None = None
    ) -> None:
        """Upload a file into a channel or thread."""
        ...


@dataclass(frozen=True)
class Desk:
    """One store with the people at it. `poke` lets the outbox send at once; `member` says who may use the bot."""

    store: Store
    facts: FactSettings
    now: Callable[[], int]
    poke: Callable[[], None]
    windows: Windows
    member: Callable[[str], Verdict]
    two_person: bool = True

    def look(self, gesture: Gesture) -> AlertView:
        """Return the alert that a value names. Raises RefusedError."""
        value = gesture.value
        view = alerts.view(self.store, int(value), self.now()) if _ID.fullmatch(value) else None
        if view is None:
            raise self.refusal(gesture, GONE)
        return view

    def decide(self, gesture: Gesture) -> AlertView:
        """Return the same for somebody who wants to decide about it. Raises RefusedError where it is about them."""
        view = self.look(gesture)
        if concerns(view, gesture.person):
            raise self.refusal(gesture, OWN_ALERT)
        return view

    def settle(self, gesture: Gesture, outcome: alerts.Outcome) -> None:
        """Let the outbox tell of what was done. Raises RefusedError where nothing was."""
        if not outcome.done:
            raise self.refusal(gesture, outcome.reason)
        self.poke()

    def refusal(self, gesture: Gesture, reason: str) -> RefusedError:
        """Return the error to raise; the refusal is in the journal then."""
        detail = {"action": gesture.what, "alert": gesture.value[:20], "outcome": reason}
        journal.write(self.store, self.now(), gesture.user, "click", detail)
        return RefusedError(reason)

    def names(self, person: Person | None, findings: Iterable[Finding]) -> bool:
        """Tell whether any finding is about a person."""
        email = (person.email or "").casefold() if person else ""
        return bool(email) and any((one.actor or one.group.get("actor") or "").casefold() == email for one in findings)

    def open(self, gesture: Gesture, view: Json) -> str:
        """Open a modal; return its id. Raises RefusedError where Slack does not let us."""
        try:
            return self.windows.open_view(gesture.trigger, view)
        except DeliveryError as error:
            raise self.refusal(gesture, f"Slack did not open the form ({error.code}): please try again.") from error


Buttons = Mapping[str, Callable[[Gesture], Message | None]]
