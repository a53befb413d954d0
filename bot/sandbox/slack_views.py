"""Modals and Home views as Slack keeps them: opened by a click's trigger, a stack for each person, and their state."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from bot.sandbox.elements import STATEFUL, Entered, EntryError, entered, initial, interactive, is_empty
from bot.sandbox.errors import SlackError
from bot.sandbox.limits import view_refusal
from bot.times import SECOND

TRIGGER_AGE = 3 * SECOND
MAX_STACK = 3
REQUIRED = "Please complete this required field."
KEPT = ("type", "title", "submit", "close", "blocks", "private_metadata", "callback_id", "external_id",
        "clear_on_close", "notify_on_close", "submit_disabled")  # fmt: skip

Json = dict[str, Any]


@dataclass
class OpenView:
    """A view that somebody has on the screen; `errors` by block id are what the app said about the last submission."""

    id: str
    user: str
    root: str
    content: Json
    hash: str = ""
    errors: dict[str, str] = field(default_factory=dict)


class Views:
    """All open views. `changed` is called after each change, `ids` tell the app apart from others."""

    def __init__(self, clock: Callable[[], int], changed: Callable[[], None], ids: Mapping[str, str]) -> None:
        self._clock, self._changed, self._ids = clock, changed, ids
        self._count = itertools.count(1)
        self._triggers: dict[str, tuple[str, int]] = {}
        self._stacks: dict[str, list[OpenView]] = {}
        self._homes: dict[str, OpenView] = {}
        self._lock = threading.RLock()
        self.refused: list[str] = []

    # -- what people see

    def top(self, user: str) -> OpenView | None:
        """Return the modal that a person has before them."""
        with self._lock:
            stack = self._stacks.get(user)
            return stack[-1] if stack else None

    def home(self, user: str) -> OpenView | None:
        """Return what was published on a person's Home tab."""
        return self._homes.get(user)

    def find(self, user: str, view_id: str) -> OpenView:
        """Return a view that a person has open."""
        with self._lock:
            home = self._homes.get(user)
            for view in self._stacks.get(user, []) + ([home] if home else []):
                if view.id == view_id:
                    return view
        raise SlackError("view_not_found", view_id)

    # -- what the app does

    def new_trigger(self, user: str, trigger: str) -> str:
        """Remember that this person just did something: the app may open one modal for it within three seconds."""
        with self._lock:
            self._triggers[trigger] = (user, self._clock())
        return trigger

    def open(self, trigger: str, content: Json, *, push: bool = False) -> Json:
        """Show a modal: alone, or on top of the one that is open."""
        self._check(content, "modal")
        user = self._take(trigger)
        with self._lock:
            stack = self._stacks.get(user, []) if push else []
            if len(stack) >= MAX_STACK:
                raise SlackError("push_limit_reached")
            view = self._new(user, content, stack[0].id if stack else None)
            self._stacks[user] = [*stack, view]
        return self._done(view)

    def update(self, content: Json, view_id: str, expected: str | None = None, external_id: str | None = None) -> Json:
        """Replace what a view shows; what was entered stays where the block's and the element's ids stay."""
        with self._lock:
            every = [view for stack in self._stacks.values() for view in stack] + list(self._homes.values())
            found = [
                v for v in every if v.id == view_id or (external_id and v.content.get("external_id") == external_id)
            ]
            if not found:
                raise SlackError("not_found", view_id or str(external_id))
            [view] = found[:1]
            self._check(content, str(view.content["type"]))
            if expected and expected != view.hash:
                raise SlackError("hash_conflict")
            self._show(view, content)
        return self._done(view)

    def publish(self, user: str, content: Json) -> Json:
        """Put a view on a person's Home tab."""
        self._check(content, "home")
        with self._lock:
            before = self._homes.get(user)
            if before:
                self._show(before, content)
            view = self._homes[user] = before or self._new(user, content, None)
        return self._done(view)

    def close(self, user: str, view_id: str, *, everything: bool = False) -> None:
        """Take a modal from the screen, and what lies on it, or all of them."""
        with self._lock:
            stack = self._stacks.get(user, [])
            place = next((n for n, view in enumerate(stack) if view.id == view_id), len(stack))
            self._stacks[user] = [] if everything else stack[:place]
        self._changed()

    def complain(self, view: OpenView, errors: Mapping[str, str]) -> None:
        """Show the app's words under the fields."""
        view.errors = dict(errors)
        self._changed()

    # -- what the app is told

    def payload(self, view: OpenView, values: Mapping[str, Entered]) -> Json:
        """Return a view as the app gets it back, with what was entered by action id. Raises EntryError."""
        state: dict[str, Json] = {}
        for block, element in interactive(view.content["blocks"]):
            if element["type"] in STATEFUL:
                name = str(element["action_id"])
                entry = entered(element, values[name]) if name in values else initial(element)
                state.setdefault(str(block["block_id"]), {})[name] = dict(entry)
        return self.described(view) | {"state": {"values": state}}

    def missing(self, view: OpenView, values: Mapping[str, Entered]) -> dict[str, str]:
        """Return by block id what keeps Slack itself from submitting."""
        wrong: dict[str, str] = {}
        for block, element in interactive(view.content["blocks"]):
            name = str(element["action_id"])
            if element["type"] not in STATEFUL:
                continue
            try:
                state = entered(element, values[name]) if name in values else initial(element)
            except EntryError as error:
                wrong[str(block["block_id"])] = str(error)
                continue
            if block["type"] == "input" and not block.get("optional") and is_empty(state):
                wrong[str(block["block_id"])] = REQUIRED
        return wrong

    def described(self, view: OpenView) -> Json:
        """Return a view as the Web API describes it."""
        return {
            "private_metadata": "", "callback_id": "", **view.content, "id": view.id, "hash": view.hash,
            "root_view_id": view.root, "previous_view_id": None, "state": {"values": {}}, **self._ids,
        }  # fmt: skip

    def _take(self, trigger: str) -> str:
        with self._lock:
            if trigger not in self._triggers:
                raise SlackError("invalid_trigger_id")
            user, made = self._triggers[trigger]
            if made < 0:
                raise SlackError("exchanged_trigger_id")
            self._triggers[trigger] = (user, -1)
            if self._clock() - made > TRIGGER_AGE:
                raise SlackError("expired_trigger_id")
            return user

    def _check(self, content: Json, kind: str) -> None:
        wrong = view_refusal(content) or ("" if content["type"] == kind else f"/type: {kind} is needed")
        if wrong:
            self.refused.append(wrong)
            raise SlackError("invalid_arguments", wrong)

    def _new(self, user: str, content: Json, root: str | None) -> OpenView:
        number = f"V{next(self._count):06d}"
        view = OpenView(number, user, root or number, {})
        self._show(view, content)
        return view

    def _show(self, view: OpenView, content: Json) -> None:
        kept = {name: content[name] for name in KEPT if content.get(name) is not None}
        kept["blocks"] = [{"block_id": f"own{n}", **block} for n, block in enumerate(content["blocks"])]
        view.content, view.errors = kept, {}
        view.hash = f"{next(self._count)}.{view.id}"

    def _done(self, view: OpenView) -> Json:
        self._changed()
        return {"view": self.described(view)}
