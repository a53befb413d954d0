"""Sends what Slack sends: signed slash commands and clicks, to the bot's /slack/events."""

from __future__ import annotations

import hashlib
import hmac
import http.client
import itertools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urlsplit

from bot.sandbox.slack_state import APP, TEAM, Json, SlackError, Workspace
from bot.times import SECOND

PATIENCE = 3.0  # seconds in which Slack wants to be answered


@dataclass(frozen=True)
class Answer:
    """What the bot answered at once."""

    status: int
    body: str


def signature(secret: str, at: int, body: str) -> str:
    """Return Slack's signature of a request body sent `at` seconds since 1970."""
    return "v0=" + hmac.new(secret.encode(), f"v0:{at}:{body}".encode(), hashlib.sha256).hexdigest()


class Requests:
    """Plays Slack's side: people type commands and press buttons, and the bot hears of it."""

    def __init__(self, workspace: Workspace, signing_secret: str, events_url: str = "") -> None:
        self.workspace, self.signing_secret = workspace, signing_secret
        self.events_url = events_url  # the bot's; set later where the bot starts after its Slack
        self.url = ""  # our own, for response URLs; learnt from the first request where nobody sets it
        self._count = itertools.count(1)

    def command(self, user: str, text: str, channel: str, *, command: str = "/audit") -> Answer:
        """Let a user type a slash command; what comes back at once shows as an ephemeral message."""
        person = self.workspace.users[user]
        form = {
            "command": command, "text": _as_sent(text), "user_id": user, "user_name": person.name,
            "team_id": person.team, "channel_id": channel,
            "channel_name": self.workspace.channels[channel].name, "api_app_id": APP,
            **self._handles(user, channel),
        }  # fmt: skip
        answer = self.send(urlencode(form))
        if answer.status != 200:
            self._failed(user, channel, f"{command} failed with the error “{_word(answer)}”")
        elif answer.body:
            self._show(user, channel, answer.body)
        return answer

    def click(self, user: str, channel: str, ts: str, action_id: str, *, trigger: str | None = None) -> Answer:
        """Let a user press a button of a message. Raises SlackError where it has no such button."""
        place = self.workspace.channels[channel]
        message = self.workspace.find(place, ts)
        person = self.workspace.users[user]
        handles = self._handles(user, channel, ts)
        payload = {
            "type": "block_actions", "api_app_id": APP, "token": "unused",
            "user": {"id": user, "name": person.name, "team_id": person.team},
            "team": {"id": TEAM, "domain": "sandbox"},
            "channel": {"id": channel, "name": place.name}, "message": message,
            "container": {"type": "message", "message_ts": ts, "channel_id": channel, "is_ephemeral": False},
            "actions": [{**_button(message, action_id), "action_ts": self.workspace.new_ts()}],
            **handles, "trigger_id": trigger or handles["trigger_id"],
        }  # fmt: skip
        answer = self.send(urlencode({"payload": json.dumps(payload)}))
        if answer.status != 200:
            self._failed(user, channel, f"This button did not work: “{_word(answer)}”")
        return answer

    def send(self, body: str, *, at: int | None = None, signed: str | None = None) -> Answer:
        """Send one request, signed as of now unless told otherwise; status 0 means that nobody answered in time."""
        at = self.workspace.clock() // SECOND if at is None else at
        headers = {
            "Content-Type": "application/x-www-form-urlencoded",
            "X-Slack-Request-Timestamp": str(at),
            "X-Slack-Signature": signature(self.signing_secret, at, body) if signed is None else signed,
        }
        target = urlsplit(self.events_url)
        connection = http.client.HTTPConnection(target.hostname or "", target.port or 80, timeout=PATIENCE)
        try:
            connection.request("POST", target.path or "/", body.encode(), headers)
            response = connection.getresponse()
            return Answer(response.status, response.read().decode())
        except (OSError, http.client.HTTPException):
            return Answer(0, "")
        finally:
            connection.close()

    def _handles(self, user: str, channel: str, ts: str | None = None) -> dict[str, str]:
        key = self.workspace.new_handle(user, channel, ts)
        return {"response_url": f"{self.url}/response/{key}", "trigger_id": f"{next(self._count)}.{key}"}

    def _show(self, user: str, channel: str, body: str) -> None:
        content = json.loads(body) if body.startswith("{") else {"text": body}
        try:
            self.workspace.check("acknowledgement", content)
        except SlackError as error:
            self._failed(user, channel, f"the answer was refused: {error}")
        else:
            self.workspace.whisper(user, channel, content)

    def _failed(self, user: str, channel: str, text: str) -> None:
        self.workspace.whisper(user, channel, {"text": text, "mrkdwn": False}, bot_id="slackbot")


def _word(answer: Answer) -> str:
    return f"http_{answer.status}" if answer.status else "operation_timeout"


def _button(message: Mapping[str, Any], action_id: str) -> Json:
    attached = (block for attachment in message.get("attachments", ()) for block in attachment.get("blocks", ()))
    for block in (*message.get("blocks", ()), *attached):
        for element in block.get("elements", ()) if block["type"] == "actions" else ():
            if element["action_id"] == action_id:
                return {**element, "block_id": block.get("block_id")}
    raise SlackError("no_such_button", action_id)


def _as_sent(text: str) -> str:
    """Return what a person types as Slack hands it to an app."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
