"""Builds Slack messages out of Block Kit, in a form in which text from strangers can never act as markup.

All running text goes into `rich_text` and tables (`raw_text`), where Slack interprets nothing: `mrkdwn` and the emoji
codes of `plain_text` are used for the program's own words alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from slackblocks import (
    ActionsBlock,
    Attachment,
    Button,
    ColumnSettings,
    ContextBlock,
    Image,
    Option,
    OverflowMenu,
    PlainText,
    RawText,
    RichText,
    RichTextBlock,
    RichTextChannel,
    RichTextCodeBlock,
    RichTextElement,
    RichTextLink,
    RichTextList,
    RichTextSection,
    RichTextUser,
    RichTextUserGroup,
    StaticSelectMenu,
    TableBlock,
    WebhookMessage,
)
from slackblocks import Block as Block  # the one name that the drawing modules need of it

from bot.slack.text import clean_lines, cut, defuse

MAX_BLOCKS = 50
MAX_TEXT = 9_000  # of all blocks together; Slack documents no such limit and fails from about 11,000 on
MAX_FALLBACK, MAX_WORDS = 3_900, 3_500
MAX_TABLE_ROWS = 100

Piece = str | RichTextElement
Cell = str | tuple[Piece, ...]  # of a table
Press = tuple[str, str, str, str | None]  # a button: text, action id, value, style
Json = dict[str, Any]
_USER = re.compile(r"[UW][A-Z0-9]{2,20}$", re.ASCII)
_GROUP = re.compile(r"S[A-Z0-9]{2,20}$", re.ASCII)
_MENTION = re.compile(r"<@([UW][A-Z0-9]{2,20})>", re.ASCII)
_CHANNEL = re.compile(r"[CG][A-Z0-9]{2,20}$", re.ASCII)
_WEB = re.compile(r"https?://[^\s<>|]+$", re.ASCII)


@dataclass(frozen=True)
class Message:
    """One message: `text` for notifications, `plain` for when Slack refuses blocks, `details` beside a colour bar."""

    text: str
    blocks: tuple[Json, ...]
    details: tuple[Json, ...] = ()
    color: str | None = None
    plain: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict)


def message(
    text: str, blocks: Iterable[Block], *, details: Iterable[Block] = (), color: str | None = None, plain: str = "",
    metadata: Mapping[str, Any] | None = None,
) -> Message:  # fmt: skip
    """Return the finished message; a block over one of Slack's limits raises slackblocks' InvalidUsageError."""
    beside = [Attachment(blocks=list(details), color=color)] if color else None
    body = WebhookMessage(blocks=list(blocks), attachments=beside).to_dict()
    attached = body["attachments"][0]["blocks"] if beside else []
    for number, block in enumerate((*body["blocks"], *attached)):
        block["block_id"] = f"b{number}"  # drawn twice, a message is the same twice
        if block["type"] == "table":
            block["rows"] = [[_whole_cell(cell) for cell in row] for row in block["rows"]]
    return Message(text, tuple(body["blocks"]), tuple(attached), color, plain or text, metadata or {})


def plain_words(text: str, mention: Iterable[str] = ()) -> Message:
    """Return words in which nothing acts but the mentions before them, of users and user groups by their ids."""
    text = clean_lines(text, MAX_WORDS)
    called = [piece for one in mention for piece in (whom(one), " ")]
    return message(text, [paragraph(*called, text)])


def _whole_cell(cell: Json) -> Json:
    """Return a cell as Slack takes it: slackblocks leaves out what goes around a section."""
    return {"type": "rich_text", "elements": [cell]} if cell["type"] == "rich_text_section" else cell


def payload(shown: Message) -> Json:
    """Return what a Web API method or a response URL takes: nothing unfurled, no names linked, no markup read."""
    body: Json = {"text": cut(defuse(shown.text), MAX_FALLBACK), "blocks": list(shown.blocks), **_QUIET}
    if shown.color:
        body["attachments"] = [{"color": shown.color, "fallback": body["text"], "blocks": list(shown.details)}]
    return body


def plain_payload(shown: Message) -> Json:
    """Return the same without any block, for when Slack refuses them."""
    return {"text": cut(defuse(shown.plain), MAX_FALLBACK), "blocks": [], "attachments": [], **_QUIET}


_QUIET: Json = {"mrkdwn": False, "unfurl_links": False, "unfurl_media": False}


def bold(text: str) -> RichTextElement:
    """Return text in bold."""
    return RichText(text, bold=True)


def faint(text: str) -> RichTextElement:
    """Return text in italics, for what matters less."""
    return RichText(text, italic=True)


def code(text: str) -> RichTextElement:
    """Return text in the fixed-width type of names."""
    return RichText(text, code=True)


def person(user_id: str) -> RichTextElement:
    """Return a mention of a Slack user; what is no user id stays text."""
    return RichTextUser(user_id) if _USER.match(user_id) else RichText(user_id)


def whom(id_: str) -> RichTextElement:
    """Return a mention of a Slack user or user group; what is no id stays text."""
    return RichTextUserGroup(id_) if _GROUP.match(id_) else person(id_)


def link(target: str) -> RichTextElement:
    """Return a link where the target is a web address, else its text."""
    return RichTextLink(target, text=target) if _WEB.match(target) else RichText(target)


def named_link(target: str, name: str) -> RichTextElement:
    """Return a link under a name of the program's own."""
    return RichTextLink(target, text=name) if _WEB.match(target) else RichText(name)


def channel(name: str) -> RichTextElement:
    """Return a mention of a channel by its id; a name stays text."""
    return RichTextChannel(name) if _CHANNEL.match(name) else RichText(name, bold=True)


def mentions(sentence: str) -> list[Piece]:
    """Return a sentence of the program's own with its `<@U...>` turned into mentions."""
    parts = _MENTION.split(sentence)
    return [person(part) if number % 2 else part for number, part in enumerate(parts) if part]


def bare(piece: Piece) -> str:
    """Return the text of a piece without its looks."""
    if isinstance(piece, RichTextUser):
        return piece.user_id
    return piece if isinstance(piece, str) else str(getattr(piece, "text", ""))


def quoted(sentence: str) -> list[Piece]:
    """Return a sentence of the program's own with what stands between backticks as names."""
    parts = sentence.split("`")
    return [code(part) if number % 2 else part for number, part in enumerate(parts) if part]


def paragraph(*pieces: Piece) -> Block:
    """Return one paragraph; line ends inside it stay."""
    return RichTextBlock(_section(pieces))


def bullets(items: Iterable[Sequence[Piece]]) -> Block:
    """Return a list with one item for each sequence of pieces."""
    return RichTextBlock(RichTextList("bullet", [_section(item) for item in items]))


def preformatted(text: str) -> Block:
    """Return a block in fixed-width type, in which columns stand under each other."""
    return RichTextBlock(RichTextCodeBlock([RichText(text)]))


def table(head: Sequence[str], rows: Iterable[Sequence[Cell]], right: Iterable[int] = ()) -> Block:
    """Return a table; the columns numbered in `right` are set flush right. Slack takes one table a message."""
    right = frozenset(right)
    settings = [ColumnSettings(align="right" if n in right else "left", is_wrapped=True) for n in range(len(head))]
    return TableBlock([[_cell(cell) for cell in row] for row in (head, *rows)], settings)


def _cell(cell: Cell) -> Any:
    return RawText(cell or "–") if isinstance(cell, str) else _section(cell)


def small(*words: str) -> Block:
    """Return a line in small print, for the program's own words only."""
    return ContextBlock([PlainText(" · ".join(words))])


def portrait(picture: str, name: str) -> Block:
    """Return a person's picture with a name beside it."""
    return ContextBlock([Image(alt_text=f"picture of {name}", image_url=picture), PlainText(name)])


def buttons(*given: Press, more: tuple[str, Sequence[tuple[str, str]]] | None = None) -> Block:
    """Return buttons, each as text, action id, value and style (primary, danger or None).

    `more` is a menu at their end: its action id, and its choices as text and value.
    """
    row: list[Any] = [Button(text, action, value=value, style=style) for text, action, value, style in given]  # type: ignore[arg-type]  # any str
    if more:
        action, choices = more
        row.append(OverflowMenu(action, [Option(PlainText(text), value) for text, value in choices]))
    return ActionsBlock(row)


def menu(hint: str, action: str, options: Iterable[tuple[str, str]]) -> Block:
    """Return a menu of up to 100 choices, each as text and value, in the program's own words only."""
    chosen = [Option(PlainText(text), value) for text, value in options]
    return ActionsBlock([StaticSelectMenu(action_id=action, options=chosen, placeholder=PlainText(hint))])


def beneath(shown: Message, *given: tuple[str, str, str, str | None]) -> Message:
    """Return a message with one more row of buttons at its end, each as `buttons` takes it."""
    if not given:
        return shown
    row = drawn(buttons(*given), f"b{len(shown.blocks) + len(shown.details)}")
    if shown.details:
        return replace(shown, details=(*shown.details, row))
    return replace(shown, blocks=(*shown.blocks, row))


def above(shown: Message, *pieces: Piece) -> Message:
    """Return a message with one more paragraph at its head, which its fallback texts say too."""
    words = "".join(map(bare, pieces))
    row = drawn(paragraph(*pieces), "above")
    return replace(shown, text=f"{words} {shown.text}", plain=f"{words}\n{shown.plain}", blocks=(row, *shown.blocks))


def drawn(block: Block, block_id: str) -> Json:
    """Return a block as it is sent."""
    [sent] = WebhookMessage(blocks=[block]).to_dict()["blocks"]
    return {**sent, "block_id": block_id}


def _section(pieces: Iterable[Piece]) -> RichTextSection:
    return RichTextSection([RichText(piece) if isinstance(piece, str) else piece for piece in pieces])


def check_limits(shown: Message) -> list[str]:
    """Return what Slack would refuse about a finished message, in words; empty where it may go out."""
    blocks = (*shown.blocks, *shown.details)
    elements = [element for block in blocks for element in block.get("elements", ())]
    ids = [element["action_id"] for element in elements if "action_id" in element]
    tables = [block for block in blocks if block["type"] == "table"]
    size = sum(text_sizes(blocks))
    found = {
        "no fallback text": not shown.text.strip(),
        f"{len(blocks)} blocks, over {MAX_BLOCKS}": len(blocks) > MAX_BLOCKS,
        f"{size} characters in blocks, over {MAX_TEXT}": size > MAX_TEXT,
        "an action id stands twice": len(ids) != len(set(ids)),
        "more than one table": len(tables) > 1,
        "a table of too many rows": any(len(block["rows"]) > MAX_TABLE_ROWS for block in tables),
        "an empty text": 0 in text_sizes(blocks),
    }
    return [problem for problem, holds in found.items() if holds]


def text_sizes(value: Any) -> list[int]:
    """Return the length of each text anywhere inside blocks."""
    if isinstance(value, Mapping):
        own = [len(value["text"])] if isinstance(value.get("text"), str) else []
        return own + [size for inner in value.values() for size in text_sizes(inner)]
    if isinstance(value, list | tuple):
        return [size for inner in value for size in text_sizes(inner)]
    return []
