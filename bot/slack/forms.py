"""Builds modals out of Block Kit, and reads what was entered in them. Pure; names of strangers go into words only."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from bot.slack import blocks
from bot.slack.blocks import Json, Piece, text_sizes
from bot.slack.text import clean, cut

MAX_TITLE, MAX_LABEL, MAX_OPTION, MAX_ENTRY, MAX_PRIVATE = 24, 75, 75, 3_000, 3_000
MAX_BLOCKS = 100

Choice = tuple[str, str]  # value and text


def words(name: str, *pieces: Piece) -> Json:
    """Return a paragraph; `name` tells it from the other blocks, so that it can change while a form is filled in."""
    return blocks.drawn(blocks.paragraph(*pieces), name)


def text_field(
    name: str, label: str, *, most: int, lines: bool = False, optional: bool = False, hint: str = "",
    watch: bool = False,
) -> Json:  # fmt: skip
    """Return a field for a text of up to `most` characters; when `watch`, the bot hears of Enter."""
    element = {"type": "plain_text_input", "multiline": lines, "max_length": most}
    return _field(name, label, element, optional=optional, hint=hint, watch=watch)


def menu_field(
    name: str, label: str, choices: Sequence[Choice], chosen: str | None = None, *, watch: bool = False
) -> Json:
    """Return a menu; when `watch`, the bot hears of each change."""
    element: Json = {"type": "static_select", "options": _options(choices), **_chosen(choices, chosen)}
    return _field(name, label, element, watch=watch)


def radio_field(
    name: str, label: str, choices: Sequence[Choice], chosen: str | None = None, *, watch: bool = False
) -> Json:
    """Return choices of which all are seen."""
    element: Json = {"type": "radio_buttons", "options": _options(choices), **_chosen(choices, chosen)}
    return _field(name, label, element, watch=watch)


def person_field(name: str, label: str) -> Json:
    """Return a field for one user."""
    return _field(name, label, {"type": "users_select"})


def channel_field(name: str, label: str) -> Json:
    """Return a field for one channel that the person may write to."""
    only = {"filter": {"include": ["public", "private"], "exclude_bot_users": True}}
    return _field(name, label, {"type": "conversations_select", **only})


def modal(title: str, parts: Iterable[Json], *, callback: str = "", private: str = "", submit: str = "") -> Json:
    """Return a modal; one without `submit` only says something."""
    view: Json = {
        "type": "modal", "title": _plain(title), "blocks": list(parts), "private_metadata": private,
        "callback_id": callback, "close": _plain("Cancel" if submit else "Close"),
    }  # fmt: skip
    return view | ({"submit": _plain(submit)} if submit else {})


def notice(title: str, sentence: str) -> Json:
    """Return a modal that says one sentence of the program's own."""
    return modal(title, [words("said", *blocks.mentions(clean(sentence, MAX_ENTRY)))])


def entered(view: Mapping[str, Any]) -> dict[str, str]:
    """Return what was entered in a view, by action id; what was left empty is not there."""
    found: dict[str, str] = {}
    for fields in ((view.get("state") or {}).get("values") or {}).values():
        for name, state in fields.items():
            option = state.get("selected_option") or {}
            value = option.get("value") or state.get("value") or _picked(state)
            if value and str(value).strip():
                found[name] = str(value).strip()
    return found


def check_view(view: Json) -> list[str]:
    """Return what Slack would refuse about a modal, in words; empty where it may be opened."""
    parts = view["blocks"]
    ids = [part["block_id"] for part in parts]
    found = {
        "a title, or a button's text, is too long": any(
            len(view[name]["text"]) > MAX_TITLE for name in ("title", "submit", "close") if name in view
        ),
        "private metadata is too long": len(view["private_metadata"]) > MAX_PRIVATE,
        f"{len(parts)} blocks, over {MAX_BLOCKS}": len(parts) > MAX_BLOCKS,
        "a block id stands twice": len(ids) != len(set(ids)),
        "an empty text": 0 in text_sizes(parts),
        "a text is too long": any(size > MAX_ENTRY for size in text_sizes(parts)),
        "fields but no way to submit": "submit" not in view and any(part["type"] == "input" for part in parts),
    }
    return [problem for problem, holds in found.items() if holds]


def _field(
    name: str, label: str, element: Json, *, optional: bool = False, watch: bool = False, hint: str = ""
) -> Json:
    field: Json = {
        "type": "input", "block_id": name, "label": _plain(cut(label, MAX_LABEL)), "optional": optional,
        "element": {"action_id": name, **element}, "dispatch_action": watch,
    }  # fmt: skip
    return field | ({"hint": _plain(hint)} if hint else {})


def _options(choices: Sequence[Choice]) -> list[Json]:
    return [{"text": _plain(clean(text, MAX_OPTION)), "value": value} for value, text in choices]


def _chosen(choices: Sequence[Choice], value: str | None) -> Json:
    found = [option for option in _options(choices) if option["value"] == value]
    return {"initial_option": found[0]} if found else {}


def _plain(text: str) -> Json:
    return {"type": "plain_text", "text": text, "emoji": False}


def _picked(state: Mapping[str, Any]) -> str | None:
    return state.get("selected_user") or state.get("selected_conversation") or state.get("selected_date")
