"""Puts things where the bot has a place with people beside its alerts: Home tabs, a word to one person in a channel."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from slack_sdk.web import SlackResponse

from bot.slack.blocks import Json, Message
from bot.slack.sender import Api


class Send(Protocol):
    """What sends a message by a method of the Web API, as plain text where Slack refuses its blocks."""

    def __call__(self, method: str, shown: Message, **arguments: Any) -> SlackResponse:
        """Send it. Raises DeliveryError."""
        ...


class Surfaces:
    """The places. Each method raises DeliveryError."""

    def __init__(self, api: Api, send: Send) -> None:
        self._api, self._send = api, send
        self._self: Mapping[str, Any] | None = None

    def publish(self, user: str, view: Json) -> None:
        """Put a view on somebody's Home tab."""
        self._api("views_publish", user_id=user, view=view)

    def whisper(self, channel: str, user: str, shown: Message) -> None:
        """Show something to one person alone, in a channel that the bot is in."""
        self._send("chat_postEphemeral", shown, channel=channel, user=user)

    def post(self, channel: str, shown: Message) -> None:
        """Post a message."""
        self._send("chat_postMessage", shown, channel=channel)

    def site(self) -> str:
        """Return the workspace's address on the web, "" where Slack does not say."""
        return str(self._who_am_i().get("url") or "")

    def own_id(self) -> str:
        """Return the user id of the bot."""
        return str(self._who_am_i().get("user_id") or "")

    def _who_am_i(self) -> Mapping[str, Any]:
        if self._self is None:
            answer = self._api("auth_test")
            self._self = {name: answer.get(name) for name in ("url", "user_id")}
        return self._self
