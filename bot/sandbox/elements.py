"""The interactive elements of Block Kit: what Slack takes of them, and what it sends when somebody used one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from bot.sandbox.checks import list_of, need, text

MAX_ID, MAX_BUTTON, MAX_VALUE = 255, 75, 2_000
MAX_OPTIONS, MAX_GROUPS, MAX_RADIOS, MAX_OVERFLOW = 100, 100, 10, 5
MAX_OPTION_TEXT, MAX_OPTION_VALUE, MAX_PLACEHOLDER, MAX_ENTRY = 75, 150, 150, 3_000

Json = Mapping[str, Any]
Entered = str | Sequence[str] | None  # what a person put in: a text, an option's value, an id, or several of them

# where each element keeps what was entered
SINGLE = {
    "plain_text_input": "value", "number_input": "value", "email_text_input": "value", "url_text_input": "value",
    "datepicker": "selected_date", "timepicker": "selected_time", "users_select": "selected_user",
    "conversations_select": "selected_conversation", "channels_select": "selected_channel",
    "static_select": "selected_option", "radio_buttons": "selected_option", "overflow": "selected_option",
}  # fmt: skip
SEVERAL = {
    "checkboxes": "selected_options", "multi_static_select": "selected_options",
    "multi_users_select": "selected_users", "multi_conversations_select": "selected_conversations",
}  # fmt: skip
STATEFUL = ({*SINGLE} | {*SEVERAL}) - {"overflow"}
MENUS = ({name for name in STATEFUL if name.endswith("_select")}) | {"radio_buttons", "checkboxes"}
PICKERS = {"datepicker", "timepicker"}


class EntryError(ValueError):
    """What a person put in cannot be sent; the text is what Slack shows under the field."""


def check_element(element: Any, allowed: Iterable[str]) -> None:
    """Refuse an element that Slack would not take at this place."""
    kind = element.get("type") if isinstance(element, dict) else None
    need(kind in set(allowed), f"{kind!r} is no element of this place")
    if kind != "image":
        need(0 < len(str(element.get("action_id") or "")) <= MAX_ID, "action_id is needed")
    if element.get("placeholder"):
        text(element["placeholder"], MAX_PLACEHOLDER, ("plain_text",))
    if kind in _CHECKS:
        _CHECKS[str(kind)](element)
    if kind in SINGLE or kind in SEVERAL:
        initial(element)


def _button(element: Json) -> None:
    text(element.get("text"), MAX_BUTTON, ("plain_text",))
    need(len(str(element.get("value") or "")) <= MAX_VALUE, "value is too long")
    need(element.get("style") in (None, "primary", "danger"), "style is unknown")


def _image(element: Json) -> None:
    need(bool(element.get("image_url")) != bool(element.get("slack_file")), "image_url or slack_file is needed")
    need(0 < len(str(element.get("alt_text") or "")) <= MAX_VALUE, "alt_text is needed")
    need(len(str(element.get("image_url") or "")) <= MAX_ENTRY, "image_url is too long")


def _input(element: Json) -> None:
    need(int(element.get("max_length") or 1) <= MAX_ENTRY, f"max_length is over {MAX_ENTRY}")


def _select(element: Json) -> None:
    for group in list_of(element["option_groups"], MAX_GROUPS, "groups") if element.get("option_groups") else ():
        text(group.get("label"), MAX_OPTION_TEXT, ("plain_text",))
    _options(element, MAX_OPTIONS, ("plain_text",))


def _options(element: Json, most: int, kinds: Sequence[str] = ("plain_text", "mrkdwn")) -> None:
    given = list_of(options(element), most, "options")
    for option in given:
        text(option.get("text"), MAX_OPTION_TEXT, kinds)
        need(0 < len(str(option.get("value") or "")) <= MAX_OPTION_VALUE, "an option's value is missing or too long")
    values = [option["value"] for option in given]
    need(len(values) == len(set(values)), "two options have the same value")


_CHECKS: dict[str, Callable[[Json], None]] = {
    "button": _button,
    "image": _image,
    "plain_text_input": _input,
    "static_select": _select,
    "multi_static_select": _select,
    "radio_buttons": lambda element: _options(element, MAX_RADIOS),
    "checkboxes": lambda element: _options(element, MAX_RADIOS),
    "overflow": lambda element: _options(element, MAX_OVERFLOW, ("plain_text",)),
}


def options(element: Json) -> list[Any]:
    """Return all options of an element, in groups or not."""
    grouped = [option for group in element.get("option_groups") or () for option in group.get("options") or ()]
    return [*(element.get("options") or ()), *grouped]


def initial(element: Json) -> Json:
    """Return the state of an element that nobody touched yet."""
    kind = str(element["type"])
    if kind in SEVERAL:
        name = SEVERAL[kind]
        return {"type": kind, name: list(element.get(name.replace("selected", "initial")) or ())}
    name = SINGLE[kind]
    given = element.get("initial_" + name.removeprefix("selected_"))
    if isinstance(given, dict):
        need(given in options(element), "the initial option is none of the options")
    return {"type": kind, name: given}


def entered(element: Json, given: Entered) -> Json:
    """Return the state of an element after somebody put `given` in. Raises EntryError."""
    kind = str(element["type"])
    if kind in SEVERAL:
        values = [given] if isinstance(given, str) else list(given or ())
        chosen = [_option(element, value) for value in values] if SEVERAL[kind] == "selected_options" else values
        return {"type": kind, SEVERAL[kind]: chosen}
    value = None if given in ("", None) else str(given)
    if value is not None and SINGLE[kind] == "selected_option":
        return {"type": kind, "selected_option": _option(element, value)}
    if value is not None and SINGLE[kind] == "value":
        _measure(element, value)
    return {"type": kind, SINGLE[kind]: value}


def is_empty(state: Json) -> bool:
    """Tell whether nothing was entered."""
    return not any(value for name, value in state.items() if name != "type")


def action(element: Json, block_id: object, given: Entered) -> Json:
    """Return what Slack sends about an element that was pressed or changed. Raises EntryError."""
    own = {"type": element["type"], "action_id": element["action_id"], "block_id": block_id}
    if element["type"] == "button":
        return {**own, "text": element["text"], **({"value": element["value"]} if "value" in element else {})}
    return {**own, **entered(element, given)}


def interactive(blocks: Iterable[Json]) -> Iterator[tuple[Json, Json]]:
    """Yield each block with each of its elements that can be used."""
    for block in blocks:
        inside = (block.get("element"), block.get("accessory"))
        listed = block.get("elements") or () if block.get("type") == "actions" else ()
        for element in (*inside, *listed):
            if isinstance(element, dict) and "action_id" in element:
                yield block, element


def _option(element: Json, value: str) -> Json:
    for option in options(element):
        if option["value"] == value:
            return {"text": option["text"], "value": value}
    raise EntryError(f"{value!r} is none of the options.")


def _measure(element: Json, value: str) -> None:
    least, most = int(element.get("min_length") or 0), int(element.get("max_length") or MAX_ENTRY)
    if not least <= len(value) <= most:
        raise EntryError(f"Enter {least} to {most} characters; these are {len(value)}.")
    if element["type"] == "number_input" and not value.lstrip("-").replace(".", "", 1).isdigit():
        raise EntryError("Enter a number.")
