"""Holds what a make-believe Slack workspace knows: people, channels, messages, and the faults it was told to have."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from bot.sandbox.errors import SlackError as SlackError
from bot.sandbox.limits import refusal
from bot.sandbox.slack_views import Views
from bot.slack.scopes import SCOPES
from bot.times import MINUTE, SECOND

TEAM, OTHER_TEAM, APP, BOT_ID, BOT_USER = "T0SANDBOX", "T0OTHER", "A0AUDITBOT", "B0AUDITBOT", "U0AUDITBOT"
TOKEN, APP_TOKEN = "xoxb-sandbox", "xapp-sandbox"  # they open nothing but this stand-in
GROUP = "S0SECURITY"
ALERTS, OPS, GENERAL, ARCHIVED = "C0ALERTS", "C0AUDITOPS", "C0GENERAL", "C0ARCHIVED"
SITE = "https://sandbox.slack.test/"  # where the workspace would be on the web
SHORTCUTS = (  # as manifest.yml has them: callback id, name, what it belongs to
    ("audit_build", "Ask the audit log", "global"),
    ("audit_lookup", "Look up in audit log", "message"),
)
RESPONSE_USES, RESPONSE_AGE = 5, 30 * MINUTE

Json = dict[str, Any]


@dataclass(frozen=True)
class User:
    """Somebody in the workspace; `note` tells the viewer of the page what is special about them."""

    id: str
    name: str
    email: str
    note: str = ""
    team: str = TEAM
    guest: bool = False
    tz: str = "Europe/Berlin"


@dataclass(frozen=True)
class Channel:
    """A channel; the bot can post only where it was invited and nothing is archived. `to` is whom the bot's own
    direct messages are for.
    """

    id: str
    name: str
    topic: str = ""
    invited: bool = True
    archived: bool = False
    to: str | None = None

    def seen_by(self, user: str) -> bool:
        """Tell whether a user gets to see it."""
        return not self.archived and self.to in (None, user)


USERS = (
    User("U0GRACE", "Grace Wanjiru", "grace.wanjiru@corp.example", "security team"),
    User("U0DANIEL", "Daniel Cohen", "daniel.cohen@corp.example", "security team", tz="America/New_York"),
    User("U0ROBIN", "Robin Vance", "robin.vance@corp.example", "security team, new"),
    User("U0NADIA", "Nadia Karimi", "nadia.karimi@corp.example", "not allowed"),
    User("U0FATIMA", "Fatima Alzahra", "fatima.alzahra@corp.example", "works in the portal"),
    User("U0JAMES", "James Wright", "james.wright@corp.example", "works in the portal"),
    User("U0CARLOS", "Carlos Ramirez", "carlos.ramirez@corp.example", "works in the portal"),
    User("U0GUS", "Gus Keller", "gus@partner.example", "guest", guest=True),
    User("U0ELSA", "Elsa Moreau", "elsa@elsewhere.example", "other workspace", team=OTHER_TEAM),
)
MEMBERS = ("U0GRACE", "U0DANIEL", "U0ROBIN", "U0GUS")
CHANNELS = (
    Channel(ALERTS, "security-alerts", "what audit-bot finds in the Cortex audit log"),
    Channel(OPS, "audit-bot-ops", "how the bot itself is doing"),
    Channel(GENERAL, "general", "the bot was not invited here", invited=False),
    Channel(ARCHIVED, "old-alerts", "archived", archived=True),
)


@dataclass
class Fault:
    """How a method misbehaves the next time: an error word, a status with Retry-After, or a cut-off connection."""

    word: str = ""
    status: int = 200
    retry_after: int | None = None
    drop: bool = False


@dataclass
class Handle:
    """What a response URL answers to, and how often it may still be used."""

    user: str
    channel: str
    made: int
    ts: str | None = None  # of the message it came from; of a command's, the last that came through it
    uses: int = 0


@dataclass
class Recorded:
    """What a test looks at afterwards: each call that came, each message that was refused and why."""

    calls: list[tuple[str, Json]] = field(default_factory=list)
    refused: list[tuple[str, str, str]] = field(default_factory=list)


class Workspace:
    """The state behind the stand-in. Every change raises `revision`, by which the page notices it."""

    def __init__(
        self,
        clock: Callable[[], int],
        users: Iterable[User] = USERS,
        channels: Iterable[Channel] = CHANNELS,
        groups: Mapping[str, Iterable[str]] | None = None,
    ) -> None:
        self.clock = clock
        self.users = {user.id: user for user in users}
        self.channels = {channel.id: channel for channel in channels}
        self.groups = {name: tuple(ids) for name, ids in (groups or {GROUP: MEMBERS}).items()}
        self.scopes = set(SCOPES)
        self.recorded = Recorded()
        self.down = False
        self.socket_url = ""  # what apps.connections.open names; the stand-in itself speaks plain HTTP
        self.revision = 0
        self.lock = threading.RLock()
        self._messages: dict[str, list[Json]] = defaultdict(list)
        self._ephemerals: list[Json] = []
        self._faults: dict[str, list[Fault]] = defaultdict(list)
        self._handles: dict[str, Handle] = {}
        self._last_ts = 0
        self.views = Views(clock, self._changed, {"team_id": TEAM, "app_id": APP, "bot_id": BOT_ID})

    # -- what tests and the page look at

    def messages(self, channel: str = ALERTS, *, thread: str | None = None) -> list[Json]:
        """Return a channel's messages, oldest first: those outside threads, or the replies in one."""
        with self.lock:
            return [dict(found) for found in self._messages[channel] if found.get("thread_ts") == thread]

    def everything(self, channel: str) -> list[Json]:
        """Return a channel's messages and all replies, oldest first."""
        with self.lock:
            return [dict(found) for found in self._messages[channel]]

    def ephemerals(self, user: str) -> list[Json]:
        """Return what only this user got to see, oldest first."""
        with self.lock:
            return [dict(found) for found in self._ephemerals if found["to"] == user]

    # -- faults

    def fail(self, method: str, fault: Fault, times: int = 1) -> None:
        """Let the next calls of a Web API method go wrong."""
        with self.lock:
            self._faults[method] += [fault] * times

    def fault(self, method: str) -> Fault | None:
        """Take the next fault of a method."""
        with self.lock:
            waiting = self._faults[method]
            return waiting.pop(0) if waiting else None

    # -- changes

    def direct(self, user: str) -> Channel:
        """Return the channel of the bot's direct messages with a user, opened when first asked for."""
        if user not in self.users:
            raise SlackError("user_not_found", user)
        with self.lock:
            channel = Channel(user.replace("U", "D", 1), "audit-bot", "only you and the bot", to=user)
            return self.channels.setdefault(channel.id, channel)

    def _changed(self) -> None:
        with self.lock:
            self.revision += 1

    def new_ts(self) -> str:
        """Return a time stamp that no other message has."""
        with self.lock:
            self._last_ts = max(self.clock(), self._last_ts + 1)
            return f"{self._last_ts // SECOND}.{self._last_ts % SECOND:06d}"

    def channel(self, name: str) -> Channel:
        """Return the channel by id or by name, as chat.postMessage takes both."""
        if name in self.users:
            return self.direct(name)  # as chat.postMessage takes a user's id, too
        named = name.removeprefix("#")
        found = self.channels.get(name) or next((c for c in self.channels.values() if c.name == named), None)
        if found is None:
            raise SlackError("channel_not_found", name)
        return found

    def check(self, method: str, message: Mapping[str, Any]) -> None:
        """Refuse what Slack would refuse."""
        wrong = refusal(message)
        if wrong:
            with self.lock:
                self.recorded.refused.append((method, *wrong))
            raise SlackError(*wrong)

    def post(self, channel: Channel, content: Mapping[str, Any], **more: Any) -> Json:
        """Store a message of the bot, or of the user named in `more`."""
        message: Json = {"type": "message", "ts": self.new_ts(), **_content(content), **more}
        message.setdefault("bot_id", BOT_ID)
        if message["bot_id"] is None:
            del message["bot_id"]
        with self.lock:
            self._messages[channel.id].append(message)
            self.revision += 1
        return dict(message)

    def update(self, channel: Channel, ts: str, content: Mapping[str, Any]) -> Json:
        """Replace what a message of the bot says."""
        with self.lock:
            message = self.find(channel, ts)
            if message.get("bot_id") != BOT_ID:
                raise SlackError("cant_update_message")
            message.update({"blocks": [], "attachments": []} | _content(content))
            message["edited"] = {"user": BOT_USER, "ts": self.new_ts()}
            self.revision += 1
            return dict(message)

    def delete(self, channel: str, ts: str) -> None:
        """Remove a message, as a person in the channel could."""
        with self.lock:
            self._messages[channel].remove(self.find(self.channels[channel], ts))
            self.revision += 1

    def find(self, channel: Channel, ts: str) -> Json:
        """Return the stored message itself."""
        with self.lock:
            for message in self._messages[channel.id]:
                if message["ts"] == ts:
                    return message
        raise SlackError("message_not_found", ts)

    def whisper(self, user: str, channel: str, content: Mapping[str, Any], **more: Any) -> str:
        """Show something to one user alone; return its ts."""
        ts = self.new_ts()
        shown = {"ts": ts, "to": user, "channel": channel, "bot_id": BOT_ID, **_content(content), **more}
        with self.lock:
            self._ephemerals.append(shown)
            self.revision += 1
        return ts

    def whispered(self, user: str, ts: str) -> Json | None:
        """Return the stored message that only this user sees, None where there is none."""
        with self.lock:
            return next((found for found in self._ephemerals if (found["to"], found["ts"]) == (user, ts)), None)

    def answer(self, handle: Handle, content: Mapping[str, Any]) -> None:
        """Show what came to a response URL, in the place of what it stands for where that is asked."""
        with self.lock:
            if content.get("replace_original") and handle.ts:
                place = self.channels[handle.channel]
                old = self.whispered(handle.user, handle.ts) or self.find(place, handle.ts)
                old.update({"blocks": [], "attachments": []} | _content(content))
                self.revision += 1
            elif content.get("response_type") == "in_channel":
                ts = str(self.post(self.channels[handle.channel], content)["ts"])
                handle.ts = handle.ts or ts
            else:
                ts = self.whisper(handle.user, handle.channel, content)
                handle.ts = handle.ts or ts

    # -- response URLs

    def new_handle(self, user: str, channel: str, ts: str | None = None) -> str:
        """Return the key of a new response URL."""
        with self.lock:
            key = f"{len(self._handles) + 1:06d}"
            self._handles[key] = Handle(user, channel, self.clock(), ts)
            return key

    def use_handle(self, key: str) -> Handle:
        """Return what a response URL stands for, while it may still be used: five times in half an hour."""
        with self.lock:
            handle = self._handles.get(key)
            if handle is None or handle.uses >= RESPONSE_USES or self.clock() - handle.made > RESPONSE_AGE:
                raise SlackError("expired_url" if handle else "unknown_url")
            handle.uses += 1
            return handle


def _content(content: Mapping[str, Any]) -> Json:
    """Return the parts of a payload that a message keeps; without `text` the old one stays on an update."""
    kept = {
        name: content[name] for name in ("text", "blocks", "attachments", "metadata") if content.get(name) is not None
    }
    return kept | {"mrkdwn": content.get("mrkdwn", True) is not False}
