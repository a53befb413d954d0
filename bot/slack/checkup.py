"""Asks Slack about the bot itself: who it is, what it may do, where it is. Posts nothing."""

from __future__ import annotations

from dataclasses import dataclass

from slack_sdk.web import WebClient

from bot.settings import Settings
from bot.slack.sender import SEND_SECONDS, Api, told_apart


@dataclass(frozen=True)
class Who:
    """The bot as Slack knows it; `scopes` is None where Slack does not say."""

    user: str
    team: str
    scopes: frozenset[str] | None


class Checkup:
    """A few questions to Slack. Each raises DeliveryError."""

    def __init__(self, settings: Settings) -> None:
        self._api, self._base = Api(settings, SEND_SECONDS, repeat=False), settings.slack_api_url.rstrip("/") + "/"

    def who(self) -> Who:
        """Return the bot's name, workspace and scopes."""
        answer = self._api("auth_test")
        headers = {name.lower(): text for name, text in answer.headers.items()}
        scopes = headers.get("x-oauth-scopes")
        named = None if scopes is None else frozenset(part.strip() for part in scopes.split(",") if part.strip())
        return Who(str(answer.get("user")), str(answer.get("team")), named)

    def channel(self, name: str) -> None:
        """Look whether the bot is in a channel."""
        self._api("conversations_history", channel=name, limit=1)

    def socket(self, app_token: str) -> None:
        """Look whether an app-level token may open connections."""
        client = WebClient(app_token, base_url=self._base, timeout=SEND_SECONDS, retry_handlers=[])
        client.proxy = None
        with told_apart():
            client.apps_connections_open(app_token=app_token)
