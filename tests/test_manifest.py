"""The manifest is what the code needs, no more and no less, in both modes."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from slack_sdk import WebClient

from bot.sandbox.slack_state import ALERTS, SHORTCUTS
from bot.slack.commands import COMMAND
from bot.slack.scopes import SCOPES
from tests.slack_lab import DANIEL, GRACE, Lab, lab

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "manifest.yml").read_text()
HISTORY = {"channels:history", "groups:history"}
SCOPES_OF: dict[str, set[str]] = {  # as the pages of Slack's methods and events have them
    "auth_test": set(), "apps_connections_open": set(), "views_open": set(), "views_update": set(),
    "views_publish": set(), "chat_postMessage": {"chat:write"}, "chat_update": {"chat:write"},
    "chat_postEphemeral": {"chat:write"}, "conversations_history": HISTORY, "conversations_replies": HISTORY,
    "conversations_open": {"im:write"}, "files_upload_v2": {"files:write"}, "users_info": {"users:read"},
    "users_lookupByEmail": {"users:read.email"}, "usergroups_users_list": {"usergroups:read"},
    "app_home_opened": set(), "member_joined_channel": {"channels:read", "groups:read"},
}  # fmt: skip


def manifest(text: str = TEXT) -> dict[str, Any]:
    return dict(yaml.safe_load(text))


def methods() -> set[str]:
    """Return every method of the Web API that the code names."""
    names: set[str] = set()
    for file in (ROOT / "bot" / "slack").glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            said = (
                node.value if isinstance(node, ast.Constant) else node.attr if isinstance(node, ast.Attribute) else ""
            )
            if isinstance(said, str) and re.fullmatch(r"[a-z]+(_[a-zA-Z0-9]+)+", said) and hasattr(WebClient, said):
                names.add(said)
    return names


def events() -> list[str]:
    return list(manifest()["settings"]["event_subscriptions"]["bot_events"])


def shortcuts() -> list[tuple[str, str, str]]:
    return [(one["callback_id"], one["name"], one["type"]) for one in manifest()["features"]["shortcuts"]]


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with lab(tmp_path_factory.mktemp("manifest")) as made:
        yield made


def test_the_scopes_are_those_of_the_methods_and_events_that_the_code_uses() -> None:
    """One too many is a right that nobody needs; one too few shows only in the workspace."""
    used = methods()
    assert {"chat_postMessage", "views_publish", "files_upload_v2"} <= used
    needed = set().union(*(SCOPES_OF[name] for name in (*used, *events())))
    assert set(manifest()["oauth_config"]["scopes"]["bot"]) == needed | {"commands"}


def test_doctor_and_the_stand_in_know_these_scopes_and_shortcuts(bench: Lab) -> None:
    assert set(manifest()["oauth_config"]["scopes"]["bot"]) == SCOPES == bench.slack.scopes
    assert tuple(shortcuts()) == SHORTCUTS


def test_what_the_manifest_announces_is_heard(bench: Lab) -> None:
    """Bolt answers 404 to what no listener takes."""
    send = bench.slack.requests
    ts = bench.slack.post(bench.slack.channels[ALERTS], {"text": "hello"}, bot_id=None, user=DANIEL)["ts"]
    for command in manifest()["features"]["slash_commands"]:
        assert send.command(GRACE, "help", ALERTS, command=command["command"]).status == 200
    for callback, _, kind in shortcuts():
        of_message = kind == "message"
        answer = send.message_shortcut(GRACE, ALERTS, ts, callback) if of_message else send.shortcut(GRACE, callback)
        assert answer.status == 200
    for event in events():
        assert send.event({"type": event, "user": GRACE, "channel": ALERTS, "tab": "home"}).status == 200
    assert send.shortcut(GRACE, "another").status == 404


def test_what_is_listened_to_is_announced(bench: Lab) -> None:
    assert [one["command"] for one in manifest()["features"]["slash_commands"]] == [COMMAND]
    assert {callback for callback, _, _ in shortcuts()} == set(bench.app._shortcuts)
    assert set(events()) == set(bench.app._doors.events)
    assert manifest()["features"]["app_home"]["home_tab_enabled"]
    assert manifest()["settings"]["interactivity"]["is_enabled"]


def test_without_comment_signs_it_is_the_manifest_of_http_mode() -> None:
    """Each thing that Slack sends gets the bot's one address."""
    text = re.sub(r"# ((?:request_)?url:)", r"\1", TEXT).replace(
        "socket_mode_enabled: true", "socket_mode_enabled: false"
    )
    made, host = manifest(text), "https://audit-bot.example.com/slack/events"
    settings = made["settings"]
    assert [one["url"] for one in made["features"]["slash_commands"]] == [host]
    assert settings["interactivity"]["request_url"] == settings["event_subscriptions"]["request_url"] == host
    assert manifest()["settings"]["socket_mode_enabled"]


def test_names_and_descriptions_are_as_short_as_slack_wants_them() -> None:
    made = manifest()
    assert len(made["display_information"]["name"]) <= 35
    assert len(made["display_information"]["description"]) <= 140
    for one in made["features"]["shortcuts"]:
        assert len(one["name"]) <= 24
        assert len(one["description"]) <= 150
    assert all(len(one["usage_hint"]) <= 1_000 for one in made["features"]["slash_commands"])
