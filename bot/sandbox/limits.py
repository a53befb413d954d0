"""Checks a message or view as Slack does, and answers with its error word; written apart from the bot's own check.

Only what Slack takes at each place today is taken; what the bot never sends is refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from bot.sandbox.checks import RefusalError, list_of, need, text
from bot.sandbox.elements import MAX_ID, MENUS, PICKERS, STATEFUL, check_element, interactive

MAX_BLOCKS, MAX_ATTACHMENTS = 50, 100
MAX_TEXT, MAX_BLOCK_TEXT = 40_000, 11_000
MAX_SECTION, MAX_FIELDS, MAX_FIELD, MAX_HEADER = 3_000, 10, 2_000, 150
MAX_CONTEXT, MAX_ACTIONS, MAX_LABEL = 10, 25, 2_000
MAX_VIEW_BLOCKS, MAX_TITLE, MAX_PRIVATE = 100, 24, 3_000
MAX_ROWS, MAX_COLUMNS = 100, 20
INLINE = {
    "text": "text",
    "link": "url",
    "user": "user_id",
    "channel": "channel_id",
    "emoji": "name",
    "usergroup": "usergroup_id",
}
CONTAINERS = ("rich_text_section", "rich_text_list", "rich_text_preformatted", "rich_text_quote")
COLOR = re.compile(r"#[0-9a-fA-F]{6}$|good$|warning$|danger$")

Json = Mapping[str, Any]


def refusal(message: Json) -> tuple[str, str] | None:
    """Return Slack's error word and a detail for a message it would refuse, None for one it takes."""
    blocks, attachments = message.get("blocks") or [], message.get("attachments") or []
    if not message.get("text") and not blocks and not attachments:
        return "no_text", "neither text nor blocks"
    if len(str(message.get("text") or "")) > MAX_TEXT:
        return "msg_too_long", f"text over {MAX_TEXT}"
    checks: tuple[tuple[str, Callable[[], None]], ...] = (
        ("invalid_blocks", lambda: _blocks(blocks)),
        ("invalid_attachments", lambda: _attachments(attachments)),
        ("invalid_blocks", lambda: _whole(blocks, attachments)),
        ("invalid_metadata_format", lambda: _metadata(message.get("metadata"))),
    )
    for word, check in checks:
        try:
            check()
        except RefusalError as reason:
            return word, str(reason)
    size = sum(_lengths([blocks, attachments]))
    return ("msg_blocks_too_long", f"{size} characters in blocks") if size > MAX_BLOCK_TEXT else None


def view_refusal(view: Json) -> str | None:
    """Return why Slack would refuse a modal or a Home view with `invalid_arguments`, None for one it takes."""
    try:
        _view(view)
    except RefusalError as reason:
        return str(reason)
    return None


def _view(view: Json) -> None:
    need(view.get("type") in ("modal", "home"), "/type: modal or home")
    modal, blocks = view["type"] == "modal", view.get("blocks")
    for name in ("title", "submit", "close") if modal else ():
        if view.get(name) or name == "title":
            text(view.get(name), MAX_TITLE, ("plain_text",))
    need(modal or not {"title", "submit", "close"} & set(view), "a Home view has no title and no buttons of its own")
    need(len(str(view.get("private_metadata") or "")) <= MAX_PRIVATE, "private_metadata is too long")
    need(len(str(view.get("callback_id") or "")) <= MAX_ID, "callback_id is too long")
    _blocks(blocks, NOT_IN_VIEWS, MAX_VIEW_BLOCKS)
    need(bool(blocks), "blocks are needed")
    need(not modal or "submit" in view or all(block["type"] != "input" for block in blocks or ()), "submit is needed")
    _unique([block["block_id"] for block in blocks or () if block.get("block_id")], "block_id")
    _unique([element["action_id"] for _, element in interactive(blocks or ())], "action_id")


def _unique(names: Sequence[str], what: str) -> None:
    need(len(names) == len(set(names)), f"{what} stands twice")


def _blocks(blocks: Any, without: frozenset[str] = frozenset(), most: int = MAX_BLOCKS) -> None:
    need(isinstance(blocks, list), "blocks must be a list")
    need(len(blocks) <= most, f"no more than {most} blocks allowed")
    for number, block in enumerate(blocks):
        kind = block.get("type") if isinstance(block, dict) else None
        need(kind in KINDS and kind not in without, f"/blocks/{number}: {kind!r} is no block of this place")
        need(len(str(block.get("block_id") or "")) <= MAX_ID, f"/blocks/{number}: block_id is too long")
        try:
            KINDS[str(kind)](block)
        except RefusalError as reason:
            raise RefusalError(f"/blocks/{number}: {reason}") from reason


def _attachments(attachments: Any) -> None:
    need(isinstance(attachments, list) and len(attachments) <= MAX_ATTACHMENTS, f"over {MAX_ATTACHMENTS} attachments")
    for attachment in attachments:
        need(COLOR.match(str(attachment.get("color") or "good")) is not None, "color is no colour")
        _blocks(attachment.get("blocks") or [])


def _whole(blocks: Sequence[Json], attachments: Sequence[Json]) -> None:
    """Check what holds over the whole message: ids stand once, tables too, and 50 blocks are the most."""
    every = [*blocks, *(block for attachment in attachments for block in attachment.get("blocks") or [])]
    ids = [block["block_id"] for block in every if block.get("block_id")]
    need(len(every) <= MAX_BLOCKS, f"no more than {MAX_BLOCKS} blocks allowed")
    need(len(ids) == len(set(ids)), "block_id stands twice")
    need(sum(block["type"] == "table" for block in every) <= 1, "only_one_table_allowed")


def _metadata(data: Any) -> None:
    if data is None:
        return
    need(isinstance(data, dict) and set(data) >= {"event_type", "event_payload"}, "event_type and event_payload needed")
    need(isinstance(data["event_type"], str) and isinstance(data["event_payload"], dict), "wrong types")


def _section(block: Json) -> None:
    need(bool(block.get("text") or block.get("fields")), "text or fields needed")
    if block.get("text"):
        text(block["text"], MAX_SECTION)
    for field in list_of(block["fields"], MAX_FIELDS, "fields") if block.get("fields") else ():
        text(field, MAX_FIELD)
    if block.get("accessory"):
        check_element(block["accessory"], {"button", "image", "overflow", *MENUS, *PICKERS})


def _header(block: Json) -> None:
    text(block.get("text"), MAX_HEADER, ("plain_text",))


def _context(block: Json) -> None:
    for element in list_of(block.get("elements"), MAX_CONTEXT, "elements"):
        if isinstance(element, dict) and element.get("type") == "image":
            check_element(element, {"image"})
        else:
            text(element, MAX_FIELD)


def _actions(block: Json) -> None:
    elements = list_of(block.get("elements"), MAX_ACTIONS, "elements")
    for element in elements:
        check_element(element, {"button", "overflow", *MENUS, *PICKERS})
    _unique([element["action_id"] for element in elements], "action_id")


def _input(block: Json) -> None:
    text(block.get("label"), MAX_LABEL, ("plain_text",))
    if block.get("hint"):
        text(block["hint"], MAX_LABEL, ("plain_text",))
    check_element(block.get("element"), STATEFUL)


def _image(block: Json) -> None:
    check_element(block, {"image"})
    if block.get("title"):
        text(block["title"], MAX_LABEL, ("plain_text",))


def _rich_text(block: Json) -> None:
    for element in list_of(block.get("elements"), MAX_TEXT, "elements"):
        need(isinstance(element, dict) and element.get("type") in CONTAINERS, "unknown rich text element")
        inner = list_of(element.get("elements"), MAX_TEXT, "elements")
        for part in inner:
            if element["type"] == "rich_text_list":
                need(part.get("type") == "rich_text_section", "a list holds sections")
                _inline(list_of(part.get("elements"), MAX_TEXT, "elements"))
            else:
                _inline([part])


def _inline(parts: Sequence[Any]) -> None:
    for part in parts:
        need(isinstance(part, dict) and part.get("type") in INLINE, "unknown inline element")
        value = part.get(INLINE[part["type"]])
        need(isinstance(value, str) and value != "", f"{part['type']} is empty")


def _table(block: Json) -> None:
    rows = list_of(block.get("rows"), MAX_ROWS, "rows")
    for row in rows:
        for cell in list_of(row, MAX_COLUMNS, "cells"):
            need(isinstance(cell, dict) and cell.get("type") in ("raw_text", "rich_text"), "unknown cell")
            if cell["type"] == "rich_text":
                _rich_text(cell)
            else:
                need(isinstance(cell.get("text"), str) and cell["text"] != "", "a cell is empty")
    need(len(block.get("column_settings") or []) <= MAX_COLUMNS, "too many column_settings")


KINDS: dict[str, Callable[[Json], None]] = {
    "section": _section, "header": _header, "context": _context, "actions": _actions, "rich_text": _rich_text,
    "table": _table, "input": _input, "image": _image, "divider": lambda _: None,
}  # fmt: skip
NOT_IN_VIEWS = frozenset({"table"})


def _lengths(value: Any) -> list[int]:
    if isinstance(value, dict):
        own = [len(value["text"])] if isinstance(value.get("text"), str) else []
        return own + [length for name, part in value.items() if name != "fallback" for length in _lengths(part)]
    return [length for part in value for length in _lengths(part)] if isinstance(value, list) else []
