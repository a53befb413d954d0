"""Reads what Slack sends about a click or a submitted form."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bot.slack.desk import Gesture
from bot.slack.forms import entered
from bot.slack.guard import Person


def pressed(body: Mapping[str, Any], person: Person | None) -> Gesture:
    """Return a press of a button or a choice in a menu; in a modal its value is the modal's."""
    action, view = body["actions"][0], body.get("view") or {}
    chosen = action.get("selected_option") or {}
    value = str(view.get("private_metadata") or "") if view else str(chosen.get("value") or action.get("value") or "")
    return Gesture(
        str(action["action_id"]), value, str(body["user"]["id"]), person, str(body.get("trigger_id") or ""),
        entered(view), view,
    )  # fmt: skip


def submitted(body: Mapping[str, Any], person: Person | None) -> Gesture:
    """Return a submitted form."""
    view = body["view"]
    return Gesture(
        str(view["callback_id"]), str(view.get("private_metadata") or ""), str(body["user"]["id"]), person,
        str(body.get("trigger_id") or ""), entered(view), view,
    )  # fmt: skip
