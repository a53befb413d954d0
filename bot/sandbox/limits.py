"""Checks a message as Slack does, and answers with Slack's error word; written apart from the bot's own check.

Only what Slack takes in messages today is taken; what the bot never sends (modals' inputs, files) is refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

MAX_BLOCKS, MAX_ATTACHMENTS = 50, 100
MAX_TEXT, MAX_BLOCK_TEXT = 40_000, 11_000
MAX_SECTION, MAX_FIELDS, MAX_FIELD, MAX_HEADER = 3_000, 10, 2_000, 150
MAX_CONTEXT, MAX_ACTIONS, MAX_BUTTON, MAX_VALUE, MAX_ID = 10, 25, 75, 2_000, 255
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


class RefusalError(ValueError):
    """A part of a message that Slack would not take; the text says where and why."""


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


def _need(holds: bool, why: str) -> None:
    if not holds:
        raise RefusalError(why)


def _text(value: Any, most: int, kinds: Sequence[str] = ("plain_text", "mrkdwn")) -> None:
    _need(isinstance(value, dict) and value.get("type") in kinds, f"a text object of {kinds} is needed")
    _need(
        isinstance(value.get("text"), str) and 0 < len(value["text"]) <= most, f"text must have 1 to {most} characters"
    )


def _list(value: Any, most: int, what: str) -> list[Any]:
    _need(isinstance(value, list) and 0 < len(value) <= most, f"1 to {most} {what} are needed")
    return list(value)


def _blocks(blocks: Any) -> None:
    _need(isinstance(blocks, list), "blocks must be a list")
    _need(len(blocks) <= MAX_BLOCKS, f"no more than {MAX_BLOCKS} blocks allowed")
    for number, block in enumerate(blocks):
        kind = block.get("type") if isinstance(block, dict) else None
        _need(kind in KINDS, f"/blocks/{number}: {kind!r} is no block of a message")
        _need(len(str(block.get("block_id") or "")) <= MAX_ID, f"/blocks/{number}: block_id is too long")
        try:
            KINDS[str(kind)](block)
        except RefusalError as reason:
            raise RefusalError(f"/blocks/{number}: {reason}") from reason


def _attachments(attachments: Any) -> None:
    _need(isinstance(attachments, list) and len(attachments) <= MAX_ATTACHMENTS, f"over {MAX_ATTACHMENTS} attachments")
    for attachment in attachments:
        _need(COLOR.match(str(attachment.get("color") or "good")) is not None, "color is no colour")
        _blocks(attachment.get("blocks") or [])


def _whole(blocks: Sequence[Json], attachments: Sequence[Json]) -> None:
    """Check what holds over the whole message: ids stand once, tables too, and 50 blocks are the most."""
    every = [*blocks, *(block for attachment in attachments for block in attachment.get("blocks") or [])]
    ids = [block["block_id"] for block in every if block.get("block_id")]
    _need(len(every) <= MAX_BLOCKS, f"no more than {MAX_BLOCKS} blocks allowed")
    _need(len(ids) == len(set(ids)), "block_id stands twice")
    _need(sum(block["type"] == "table" for block in every) <= 1, "only_one_table_allowed")


def _metadata(data: Any) -> None:
    if data is None:
        return
    _need(
        isinstance(data, dict) and set(data) >= {"event_type", "event_payload"}, "event_type and event_payload needed"
    )
    _need(isinstance(data["event_type"], str) and isinstance(data["event_payload"], dict), "wrong types")


def _section(block: Json) -> None:
    _need(bool(block.get("text") or block.get("fields")), "text or fields needed")
    if block.get("text"):
        _text(block["text"], MAX_SECTION)
    for field in _list(block["fields"], MAX_FIELDS, "fields") if block.get("fields") else ():
        _text(field, MAX_FIELD)
    if block.get("accessory"):
        _button(block["accessory"])


def _header(block: Json) -> None:
    _text(block.get("text"), MAX_HEADER, ("plain_text",))


def _context(block: Json) -> None:
    for element in _list(block.get("elements"), MAX_CONTEXT, "elements"):
        _text(element, MAX_FIELD)


def _actions(block: Json) -> None:
    elements = _list(block.get("elements"), MAX_ACTIONS, "elements")
    for element in elements:
        _button(element)
    ids = [element.get("action_id") for element in elements]
    _need(len(ids) == len(set(ids)), "action_id stands twice")


def _button(element: Any) -> None:
    _need(isinstance(element, dict) and element.get("type") == "button", "only buttons are known here")
    _text(element.get("text"), MAX_BUTTON, ("plain_text",))
    _need(0 < len(str(element.get("action_id") or "")) <= MAX_ID, "action_id is needed")
    _need(len(str(element.get("value") or "")) <= MAX_VALUE, "value is too long")
    _need(element.get("style") in (None, "primary", "danger"), "style is unknown")


def _rich_text(block: Json) -> None:
    for element in _list(block.get("elements"), MAX_TEXT, "elements"):
        _need(isinstance(element, dict) and element.get("type") in CONTAINERS, "unknown rich text element")
        inner = _list(element.get("elements"), MAX_TEXT, "elements")
        for part in inner:
            if element["type"] == "rich_text_list":
                _need(part.get("type") == "rich_text_section", "a list holds sections")
                _inline(_list(part.get("elements"), MAX_TEXT, "elements"))
            else:
                _inline([part])


def _inline(parts: Sequence[Any]) -> None:
    for part in parts:
        _need(isinstance(part, dict) and part.get("type") in INLINE, "unknown inline element")
        value = part.get(INLINE[part["type"]])
        _need(isinstance(value, str) and value != "", f"{part['type']} is empty")


def _table(block: Json) -> None:
    rows = _list(block.get("rows"), MAX_ROWS, "rows")
    for row in rows:
        for cell in _list(row, MAX_COLUMNS, "cells"):
            _need(isinstance(cell, dict) and cell.get("type") in ("raw_text", "rich_text"), "unknown cell")
            if cell["type"] == "rich_text":
                _rich_text(cell)
            else:
                _need(isinstance(cell.get("text"), str) and cell["text"] != "", "a cell is empty")
    _need(len(block.get("column_settings") or []) <= MAX_COLUMNS, "too many column_settings")


KINDS: dict[str, Callable[[Json], None]] = {
    "section": _section, "header": _header, "context": _context, "actions": _actions, "rich_text": _rich_text,
    "table": _table, "divider": lambda _: None,
}  # fmt: skip


def _lengths(value: Any) -> list[int]:
    if isinstance(value, dict):
        own = [len(value["text"])] if isinstance(value.get("text"), str) else []
        return own + [length for name, part in value.items() if name != "fallback" for length in _lengths(part)]
    return [length for part in value for length in _lengths(part)] if isinstance(value, list) else []
