"""The stand-in refuses what Slack refuses, with Slack's error words."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from bot.sandbox.limits import refusal
from bot.sandbox.slack_state import ALERTS, RESPONSE_AGE, RESPONSE_USES, SlackError, Workspace
from tests.slack_lab import NOW, Clock


def rich(*elements: Any) -> dict[str, Any]:
    return {"type": "rich_text", "elements": [{"type": "rich_text_section", "elements": list(elements)}]}


def words(text: str) -> dict[str, Any]:
    return rich({"type": "text", "text": text})


def button(**changes: Any) -> dict[str, Any]:
    return {"type": "button", "action_id": "go", "text": {"type": "plain_text", "text": "Go"}} | changes


def actions(*elements: Any) -> dict[str, Any]:
    return {"type": "actions", "elements": list(elements)}


def table(rows: int, columns: int = 2, text: str = "x") -> dict[str, Any]:
    return {"type": "table", "rows": [[{"type": "raw_text", "text": text}] * columns] * rows}


def section(text: str, kind: str = "mrkdwn") -> dict[str, Any]:
    return {"type": "section", "text": {"type": kind, "text": text}}


@pytest.mark.parametrize(
    "blocks",
    [
        [words("hello")] * 50,
        [section("x" * 3_000)],
        [{"type": "section", "fields": [{"type": "mrkdwn", "text": "x" * 100}] * 10}],
        [{"type": "header", "text": {"type": "plain_text", "text": "x" * 150}}],
        [{"type": "context", "elements": [{"type": "mrkdwn", "text": "x"}] * 10}],
        [{"type": "actions", "elements": [button(action_id=f"a{n}", value="x" * 2_000) for n in range(25)]}],
        [table(100, 20)],
        [{"type": "divider"}],
        [rich({"type": "user", "user_id": "U0GRACE"}, {"type": "link", "url": "https://a.example"})],
        [section("a") | {"accessory": button()}],
    ],
)
def test_what_is_just_within_the_limits_is_taken(blocks: list[Any]) -> None:
    assert refusal({"text": "hello", "blocks": blocks}) is None


@pytest.mark.parametrize(
    ("message", "word"),
    [
        ({}, "no_text"),
        ({"text": "x" * 40_001}, "msg_too_long"),
        ({"blocks": [words("hello")] * 51}, "invalid_blocks"),
        ({"blocks": [words("x" * 11_001)]}, "msg_blocks_too_long"),
        ({"blocks": [section("x" * 3_001)]}, "invalid_blocks"),
        ({"blocks": [section("")]}, "invalid_blocks"),
        ({"blocks": [section("x", "markdown")]}, "invalid_blocks"),
        ({"blocks": [{"type": "section"}]}, "invalid_blocks"),
        ({"blocks": [{"type": "section", "fields": [{"type": "mrkdwn", "text": "x"}] * 11}]}, "invalid_blocks"),
        ({"blocks": [{"type": "header", "text": {"type": "plain_text", "text": "x" * 151}}]}, "invalid_blocks"),
        ({"blocks": [{"type": "header", "text": {"type": "mrkdwn", "text": "x"}}]}, "invalid_blocks"),
        ({"blocks": [{"type": "context", "elements": [{"type": "mrkdwn", "text": "x"}] * 11}]}, "invalid_blocks"),
        ({"blocks": [actions(*[button(action_id=f"a{n}") for n in range(26)])]}, "invalid_blocks"),
        ({"blocks": [actions(button(), button())]}, "invalid_blocks"),
        ({"blocks": [actions(button(value="x" * 2_001))]}, "invalid_blocks"),
        ({"blocks": [actions(button(style="green"))]}, "invalid_blocks"),
        ({"blocks": [actions(button(text={"type": "plain_text", "text": "x" * 76}))]}, "invalid_blocks"),
        ({"blocks": [table(101)]}, "invalid_blocks"),
        ({"blocks": [table(2, 21)]}, "invalid_blocks"),
        ({"blocks": [table(2, text="")]}, "invalid_blocks"),
        ({"blocks": [table(2), table(2)]}, "invalid_blocks"),
        ({"blocks": [words("x") | {"block_id": "same"}] * 2}, "invalid_blocks"),
        ({"blocks": [words("")]}, "invalid_blocks"),
        ({"blocks": [rich({"type": "broadcast", "range": "here"})]}, "invalid_blocks"),
        ({"blocks": [{"type": "input"}]}, "invalid_blocks"),
        ({"blocks": "x"}, "invalid_blocks"),
        ({"text": "x", "attachments": [{"color": "reddish"}]}, "invalid_attachments"),
        ({"text": "x", "attachments": [{"blocks": [section("")]}]}, "invalid_attachments"),
        ({"blocks": [words("x")] * 30, "attachments": [{"blocks": [words("x")] * 30}]}, "invalid_blocks"),
        ({"text": "x", "metadata": {"event_type": "a"}}, "invalid_metadata_format"),
    ],
)  # fmt: skip
def test_what_is_over_a_limit_is_refused_with_slacks_word(message: dict[str, Any], word: str) -> None:
    found = refusal(message)
    assert found is not None
    assert found[0] == word


def test_a_response_url_works_five_times_in_half_an_hour() -> None:
    clock = Clock()
    workspace = Workspace(clock)
    often, late = workspace.new_handle("U0GRACE", ALERTS), workspace.new_handle("U0GRACE", ALERTS)
    for _ in range(RESPONSE_USES):
        workspace.use_handle(often)
    clock.leap(RESPONSE_AGE + 1)
    for key, word in ((often, "expired_url"), (late, "expired_url"), ("none", "unknown_url")):
        with pytest.raises(SlackError, match=word):
            workspace.use_handle(key)


def test_time_stamps_never_repeat_and_only_grow() -> None:
    workspace = Workspace(lambda: NOW)
    stamps = [workspace.new_ts() for _ in range(50)]
    assert len(set(stamps)) == 50
    assert stamps == sorted(stamps)


def test_every_test_with_a_stand_in_holds_what_was_sent_against_the_limits() -> None:
    """But those of the stand-in's own modals, which are there to be refused, and of what posts nothing."""
    files = {file.name: file.read_text() for file in Path(__file__).parent.glob("*.py")}
    using = {name for name, text in files.items() if re.search(r"[^`]fake_slack\(|running\(load", text)}
    assert {name for name in using if "all_taken(" not in files[name]} == {"view_lab.py", "test_doctor.py"}
