"""Sends what Slack sends, signed, to the bot's /slack/events: commands, clicks, shortcuts, submissions, events."""

from __future__ import annotations

import hashlib
import hmac
import http.client
import itertools
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlencode, urlsplit

from bot.sandbox.elements import Entered, action, interactive
from bot.sandbox.slack_state import APP, BOT_USER, TEAM, Json, SlackError, Workspace
from bot.sandbox.slack_views import OpenView
from bot.times import SECOND

PATIENCE = 3.0  # seconds in which Slack wants to be answered
TROUBLE = "We had some trouble connecting. Try again?"  # what Slack says when an app answers a modal wrongly, or not


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

    def learn_url(self, base: object) -> None:
        """Take our own address from the first request that comes in, unless it is known."""
        self.url = self.url or str(base).rstrip("/")

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

    def click(
        self, user: str, channel: str, ts: str, action_id: str, *, value: Entered = None, trigger: str | None = None
    ) -> Answer:
        """Let a user press a button of a message, or choose `value` in a menu. Raises SlackError where it has none."""
        place = self.workspace.channels[channel]
        if not place.seen_by(user):
            raise SlackError("channel_not_found", channel)
        private = next((one for one in self.workspace.ephemerals(user) if one["ts"] == ts), None)
        message = private or self.workspace.find(place, ts)
        container = {"type": "message", "message_ts": ts, "channel_id": channel, "is_ephemeral": bool(private)}
        payload = {
            **self._who("block_actions", user, trigger, channel, ts),
            **({} if private else {"message": message}),  # what one person alone sees is not handed back
            "channel": {"id": channel, "name": place.name}, "container": container,
            "actions": [self._action(_blocks_of(message), action_id, value)],
        }  # fmt: skip
        answer = self._hand_in(payload)
        if answer.status != 200:
            self._failed(user, channel, f"This button did not work: “{_word(answer)}”")
        return answer

    def act(self, user: str, view_id: str, action_id: str, values: Mapping[str, Entered]) -> Answer:
        """Let a user press a button in a view, or change what says so at each change; `values` are all the fields'."""
        view = self.workspace.views.find(user, view_id)
        action = self._action(view.content["blocks"], action_id, values.get(action_id))
        payload = {
            **self._who("block_actions", user), "view": self.workspace.views.payload(view, values),
            "container": {"type": "view", "view_id": view_id}, "actions": [action],
        }  # fmt: skip
        del payload["response_url"]
        return self._hand_in(payload)

    def shortcut(self, user: str, callback_id: str) -> Answer:
        """Let a user choose a shortcut of the app that belongs to no message."""
        payload = {**self._who("shortcut", user), "callback_id": callback_id}
        del payload["response_url"]
        return self._hand_in(payload)

    def message_shortcut(self, user: str, channel: str, ts: str, callback_id: str) -> Answer:
        """Let a user choose a shortcut from the menu of a message that everybody there sees."""
        place = self.workspace.channels[channel]
        if not place.seen_by(user):
            raise SlackError("channel_not_found", channel)
        message = self.workspace.find(place, ts)
        payload = {
            **self._who("message_action", user, None, channel), "callback_id": callback_id, "message": message,
            "message_ts": ts, "channel": {"id": channel, "name": place.name},
        }  # fmt: skip
        return self._hand_in(payload)

    def open_home(self, user: str) -> Answer:
        """Let a user open the app's Home tab."""
        return self.event({"type": "app_home_opened", "user": user, "channel": user.replace("U", "D", 1),
                           "tab": "home"}, self.workspace.users[user].team)  # fmt: skip

    def invite(self, channel: str, user: str = BOT_USER) -> Answer:
        """Let somebody, the bot unless told otherwise, become a member of a channel."""
        if user == BOT_USER:
            self.workspace.channels[channel] = replace(self.workspace.channels[channel], invited=True, topic="")
        return self.event({"type": "member_joined_channel", "user": user, "channel": channel, "channel_type": "C",
                           "team": TEAM})  # fmt: skip

    def event(self, event: Mapping[str, Any], team: str = TEAM) -> Answer:
        """Tell the app of something that happened."""
        body = {
            "type": "event_callback", "team_id": team, "api_app_id": APP, "token": "unused", "event": dict(event),
            "event_id": f"Ev{next(self._count):08d}", "event_time": self.workspace.clock() // SECOND,
        }  # fmt: skip
        return self.send(json.dumps(body), kind="application/json")

    def submit(self, user: str, view_id: str, values: Mapping[str, Entered] | None = None) -> dict[str, str]:
        """Let a user submit a modal with what was entered by action id; return what is wrong by block id, if anything.

        The bot's answer closes the modal, changes it, or stands under its fields.
        """
        views, values = self.workspace.views, values or {}
        view = views.find(user, view_id)
        wrong = views.missing(view, values)
        if not wrong:
            payload = {**self._who("view_submission", user), "view": views.payload(view, values), "response_urls": []}
            del payload["response_url"]
            wrong = self._after_submission(view, self._hand_in(payload))
        views.complain(view, wrong)
        return wrong

    def close(self, user: str, view_id: str) -> None:
        """Let a user close a modal without submitting it."""
        view = self.workspace.views.find(user, view_id)
        self.workspace.views.close(user, view_id)
        if view.content.get("notify_on_close"):
            payload = {**self._who("view_closed", user), "view": self.workspace.views.described(view)}
            self._hand_in(payload | {"is_cleared": False})

    def _after_submission(self, view: OpenView, answer: Answer) -> dict[str, str]:
        views, own = self.workspace.views, json.loads(answer.body) if answer.body.startswith("{") else {}
        try:
            if answer.status != 200:
                return {"": TROUBLE}
            if own.get("response_action") == "errors":
                blocks = {block["block_id"] for block in view.content["blocks"] if block["type"] == "input"}
                return dict(own["errors"]) if blocks.issuperset(own["errors"]) and own["errors"] else {"": TROUBLE}
            if own.get("response_action") == "update":
                views.update(own["view"], view.id)
            elif own.get("response_action") == "push":
                views.open(views.new_trigger(view.user, f"push.{next(self._count)}"), own["view"], push=True)
            else:
                views.close(view.user, view.id, everything=own.get("response_action") == "clear")
        except SlackError:
            return {"": TROUBLE}
        return {}

    def _who(
        self, kind: str, user: str, trigger: str | None = None, channel: str = "", ts: str | None = None
    ) -> dict[str, Any]:
        person = self.workspace.users[user]
        handles = self._handles(user, channel, ts, trigger)
        return {
            "type": kind, "api_app_id": APP, "token": "unused", **handles,
            "user": {"id": user, "name": person.name, "team_id": person.team},
            "team": {"id": TEAM, "domain": "sandbox"},
        }  # fmt: skip

    def _action(self, blocks: Iterable[Mapping[str, Any]], action_id: str, value: Entered) -> Json:
        for block, element in interactive(blocks):
            if element["action_id"] == action_id:
                return {**action(element, block.get("block_id"), value), "action_ts": self.workspace.new_ts()}
        raise SlackError("no_such_button", action_id)

    def _hand_in(self, payload: Mapping[str, Any]) -> Answer:
        return self.send(urlencode({"payload": json.dumps(payload)}))

    def send(
        self, body: str, *, at: int | None = None, signed: str | None = None,
        kind: str = "application/x-www-form-urlencoded",
    ) -> Answer:  # fmt: skip
        """Send one request, signed as of now unless told otherwise; status 0 means that nobody answered in time."""
        at = self.workspace.clock() // SECOND if at is None else at
        headers = {
            "Content-Type": kind,
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

    def _handles(self, user: str, channel: str, ts: str | None = None, trigger: str | None = None) -> dict[str, str]:
        key = self.workspace.new_handle(user, channel, ts)
        trigger = self.workspace.views.new_trigger(user, trigger or f"{next(self._count)}.{key}")
        return {"response_url": f"{self.url}/response/{key}", "trigger_id": trigger}

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


def _blocks_of(message: Mapping[str, Any]) -> list[Json]:
    attached = [block for attachment in message.get("attachments", ()) for block in attachment.get("blocks", ())]
    return [*message.get("blocks", ()), *attached]


def _as_sent(text: str) -> str:
    """Return what a person types as Slack hands it to an app."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
