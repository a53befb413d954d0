"""Calls Slack's Web API: the Sender that the outbox posts through, and the directory of who is who."""

from __future__ import annotations

import http.client
import logging
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, tzinfo
from typing import Any, cast
from urllib.error import URLError

from slack_sdk.errors import SlackApiError, SlackClientError
from slack_sdk.http_retry.builtin_handlers import ConnectionErrorRetryHandler, ServerErrorRetryHandler
from slack_sdk.web import SlackResponse, WebClient
from slack_sdk.webhook import WebhookClient

from bot.addresses import AddressBook
from bot.errors import ConfigError, DeliveryError
from bot.model import AlertView
from bot.settings import Settings
from bot.slack.alert_message import EVENT_TYPE, alert_message, located
from bot.slack.blocks import Json, Message, check_limits, payload, plain_payload, plain_words
from bot.slack.cards_message import card_message
from bot.slack.digest_message import digest_message
from bot.slack.faces import Faces
from bot.slack.forms import check_view
from bot.slack.guard import Cached, Person
from bot.slack.notice_message import NOTICE_TYPE, notice_message
from bot.slack.text import clean
from bot.store.messages.cards import Card, InquiryCard, Placed, stands_at
from bot.store.messages.digest import Digest
from bot.store.messages.notices import NoticeView
from bot.times import SECOND

log = logging.getLogger(__name__)

SEND_SECONDS, GUARD_SECONDS = 15, 1  # the second twice at most before an acknowledgement, which Slack awaits for 3 s
HISTORY_PAGE, HISTORY_PAGES = 200, 10
MAX_TITLE, MAX_ALT = 200, 1_000  # of a file; Slack refuses more than the second
TRANSIENT = {
    "ratelimited", "rate_limited", "internal_error", "fatal_error", "service_unavailable", "request_timeout",
    "team_added_to_org", "accesslimited", "message_limit_exceeded",
}  # fmt: skip
TOO_COMPLEX = {
    "invalid_blocks", "invalid_blocks_format", "invalid_attachments", "too_many_attachments", "msg_blocks_too_long",
    "msg_too_long", "block_mismatch",
}  # fmt: skip
UNKNOWN = "users_not_found"
NOT_MEMBERS = ("is_restricted", "is_ultra_restricted", "is_stranger", "deleted", "is_bot")


Say = Callable[[str, Message, tuple[str, str] | None], tuple[str, str]]


class Api:
    """Web API methods whose failures are DeliveryErrors."""

    def __init__(self, settings: Settings, timeout: int, *, repeat: bool) -> None:
        if settings.slack_bot_token is None:
            raise ConfigError(
                "SLACK_BOT_TOKEN: is not set: copy the Bot User OAuth Token (xoxb-...) from the app's page"
            )
        handlers = [ConnectionErrorRetryHandler(), ServerErrorRetryHandler()] if repeat else []
        base = settings.slack_api_url.rstrip("/") + "/"
        token = settings.slack_bot_token.get_secret_value()
        self.client = WebClient(token, base_url=base, timeout=timeout, retry_handlers=handlers)
        self.client.proxy = None  # urllib's own handling of proxies knows NO_PROXY, the SDK's does not

    def __call__(self, method: str, **arguments: Any) -> SlackResponse:
        """Call a method. Raises DeliveryError."""
        call: Callable[..., SlackResponse] = getattr(self.client, method)
        with told_apart():
            return call(**arguments)


@contextmanager
def told_apart() -> Iterator[None]:
    """Turn whatever goes wrong with Slack inside into a DeliveryError that says whether trying again helps."""
    try:
        yield
    except SlackApiError as error:
        raise refused(error) from error
    except URLError as error:  # from before the request was through
        raise DeliveryError("unreachable", permanent=False) from error
    except (OSError, http.client.HTTPException, SlackClientError) as error:  # Slack may have taken it or not
        raise DeliveryError("reply_lost", permanent=False) from error


def refused(error: SlackApiError) -> DeliveryError:
    """Return what Slack's refusal means: its error word, whether it is final, how long to wait."""
    answer = cast(SlackResponse, error.response)
    if answer.status_code == 429:
        waits = [value for name, value in answer.headers.items() if name.lower() == "retry-after"]
        return DeliveryError("ratelimited", permanent=False, retry_after=float(waits[0]) if waits else None)
    if answer.status_code >= 500:
        return DeliveryError(f"http_{answer.status_code}", permanent=False)
    code = str(answer.get("error"))
    if not re.fullmatch(r"[a-z_]{2,60}", code):
        return DeliveryError("unreadable_answer", permanent=False)
    return DeliveryError(code, permanent=code not in TRANSIENT)


class SlackDirectory:
    """Who is who, asked of Slack with a short patience."""

    def __init__(self, api: Api) -> None:
        self._api = api

    def team(self) -> str:
        """Return the id of the bot's own workspace."""
        return str(self._api("auth_test")["team_id"])

    def person(self, user_id: str) -> Person:
        """Return a user; whoever is not a full member counts as a guest."""
        return _person(cast(dict[str, Any], self._api("users_info", user=user_id)["user"]))

    def by_email(self, email: str) -> Person | None:
        """Return the user with an e-mail address, None where Slack knows none."""
        try:
            return _person(cast(dict[str, Any], self._api("users_lookupByEmail", email=email)["user"]))
        except DeliveryError as error:
            if error.code == UNKNOWN:
                return None
            raise

    def members(self, group_id: str) -> frozenset[str]:
        """Return the user ids in a user group."""
        return frozenset(cast(list[str], self._api("usergroups_users_list", usergroup=group_id)["users"]))


def _person(user: Mapping[str, Any]) -> Person:
    profile = user.get("profile") or {}
    name = profile.get("real_name") or user.get("real_name") or user.get("name") or ""
    guest = any(user.get(flag) for flag in NOT_MEMBERS)
    picture = str(profile.get("image_72") or "")
    team = str(user.get("team_id") or "")
    return Person(str(user["id"]), team, profile.get("email"), guest, user.get("tz"), str(name), picture)


class SlackSender:
    """Posts and redraws messages. `now` gives microseconds; `zone` is named beside UTC in alerts."""

    def __init__(self, settings: Settings, now: Callable[[], int], zone: tzinfo = UTC) -> None:
        self._now, self._zone = now, zone
        self._places = AddressBook(settings.geoip_db)
        self._directory = Cached(SlackDirectory(Api(settings, GUARD_SECONDS, repeat=False)), now)
        self._faces = Faces(self._directory, now)
        self._posts = Api(settings, SEND_SECONDS, repeat=False)  # a second try could post twice: the outbox decides
        self._reads = Api(settings, SEND_SECONDS, repeat=True)

    def post_alert(self, channel: str, view: AlertView, repeat: bool) -> tuple[str, str]:
        """Post an alert's message; return the channel's id and the message's ts. Raises DeliveryError."""
        shown = alert_message(located(view, self._places), self._zone, repeat=repeat, face=self._faces.of(view))
        answer = self._send("chat_postMessage", shown, channel=channel, metadata=dict(shown.metadata))
        return str(answer["channel"]), str(answer["ts"])

    def update_alert(self, channel: str, ts: str, view: AlertView) -> None:
        """Redraw an alert's message as the alert stands now. Raises DeliveryError."""
        shown = alert_message(located(view, self._places), self._zone, face=self._faces.of(view))
        self._send("chat_update", shown, channel=channel, ts=ts, metadata=dict(shown.metadata))

    def post_notice(self, channel: str, view: NoticeView, repeat: bool) -> tuple[str, str]:
        """Post a notice that stands for several alerts; as `post_alert`. Raises DeliveryError."""
        shown = notice_message(view, self._zone, repeat=repeat)
        answer = self._send("chat_postMessage", shown, channel=channel, metadata=dict(shown.metadata))
        return str(answer["channel"]), str(answer["ts"])

    def update_notice(self, channel: str, ts: str, view: NoticeView) -> None:
        """Redraw a notice's message as it stands now. Raises DeliveryError."""
        shown = notice_message(view, self._zone)
        self._send("chat_update", shown, channel=channel, ts=ts, metadata=dict(shown.metadata))

    def post_digest(self, channel: str, found: Digest, repeat: bool) -> tuple[str, str]:
        """Post a digest; return the channel's id and the message's ts. Raises DeliveryError."""
        answer = self._send("chat_postMessage", digest_message(found, self._zone, repeat=repeat), channel=channel)
        return str(answer["channel"]), str(answer["ts"])

    def post_text(self, channel: str, text: str, thread_ts: str | None = None, mention: tuple[str, ...] = ()) -> str:
        """Post plain words, into a thread where one is named; return the ts. Raises DeliveryError.

        Only the ids in `mention` are mentioned, before the words: whatever the words hold stays text.
        """
        arguments = {"channel": channel} | ({"thread_ts": thread_ts} if thread_ts else {})
        return str(self._send("chat_postMessage", plain_words(text, mention), **arguments)["ts"])

    def draw_card(self, channel: str, card: Card, *, repeat: bool) -> Placed:
        """Post a card, or draw it again where it stands; a question goes to its person. Raises DeliveryError."""
        shown = card_message(card, self._zone, repeat=repeat)
        place, person = stands_at(card), ""
        if place is not None:
            self._send("chat_update", shown, channel=place.channel, ts=place.ts)
            return place
        if isinstance(card, InquiryCard):
            person, channel = self._reach(card.inquiry.email)
        answer = self._send("chat_postMessage", shown, channel=channel)
        return Placed(str(answer["channel"]), str(answer["ts"]), person)

    def _reach(self, email: str) -> tuple[str, str]:
        """Return the user with an e-mail address and the channel of direct messages with them. Raises DeliveryError."""
        person = self._directory.by_email(email)
        if person is None or person.team != self._directory.team():  # an outsider's answer would not be taken
            raise DeliveryError(UNKNOWN, permanent=True)
        opened = cast(dict[str, Any], self._reads("conversations_open", users=person.id)["channel"])
        return person.id, str(opened["id"])

    def open_view(self, trigger: str, view: Json) -> str:
        """Open a modal; return its id. Raises DeliveryError."""
        _check_view(view)
        return str(cast(dict[str, Any], self._posts("views_open", trigger_id=trigger, view=view)["view"])["id"])

    def update_view(self, view_id: str, view: Json) -> None:
        """Replace what a modal shows; one that was closed in the meantime is left alone. Raises DeliveryError."""
        _check_view(view)
        try:
            self._posts("views_update", view_id=view_id, view=view)
        except DeliveryError as error:
            if error.code != "not_found":
                raise

    def post_file(
        self, channel: str, name: str, content: bytes, title: str, *, alt: str = "", thread_ts: str | None = None
    ) -> None:
        """Upload a file and show it, in a thread where one is named; `channel` is an id. Raises DeliveryError.

        `alt` says in words what a picture shows.
        """
        self._posts(
            "files_upload_v2", channel=channel, thread_ts=thread_ts, filename=name, content=content,
            title=clean(title, MAX_TITLE), alt_txt=clean(alt, MAX_ALT) if alt else None,
        )  # fmt: skip

    def has_file(self, channel: str, thread_ts: str, name: str) -> bool:
        """Tell whether the bot has put a file of this name into a thread already. Raises DeliveryError."""
        own, cursor = self._reads("auth_test")["bot_id"], ""
        for _ in range(HISTORY_PAGES):
            page = self._reads(
                "conversations_replies", channel=channel, ts=thread_ts, limit=HISTORY_PAGE, cursor=cursor
            )
            for found in cast(list[dict[str, Any]], page["messages"]):
                if found.get("bot_id") == own and any(file.get("name") == name for file in found.get("files") or ()):
                    return True
            cursor = (page.get("response_metadata") or {}).get("next_cursor") or ""
            if not cursor:
                break
        return False

    def say_directly(self, user: str, shown: Message, place: tuple[str, str] | None = None) -> tuple[str, str]:
        """Post a direct message, or redraw the one at a place; return its place. Raises DeliveryError."""
        if place is not None:
            self._send("chat_update", shown, channel=place[0], ts=place[1])
            return place
        answer = self._send("chat_postMessage", shown, channel=self.conversation(user))
        return str(answer["channel"]), str(answer["ts"])

    def conversation(self, user: str) -> str:
        """Return the id of the direct messages with somebody."""
        return str(cast(dict[str, Any], self._reads("conversations_open", users=user)["channel"])["id"])

    def find_alert(self, channel: str, alert_id: int, since: int) -> str | None:
        """Return the ts of the bot's own message about an alert since then, None where there is none.

        Other apps can write the same metadata, so only messages of this bot count. Raises DeliveryError.
        """
        return self._find(channel, since, EVENT_TYPE, {"alert_id": alert_id})

    def find_notice(self, channel: str, notice_id: int, since: int) -> str | None:
        """Return the same of a notice. Raises DeliveryError."""
        return self._find(channel, since, NOTICE_TYPE, {"notice_id": notice_id})

    def _find(self, channel: str, since: int, kind: str, names: Mapping[str, int]) -> str | None:
        own, cursor = self._reads("auth_test")["bot_id"], ""
        for _ in range(HISTORY_PAGES):
            page = self._reads(
                "conversations_history", channel=channel, oldest=f"{since / SECOND:.6f}", inclusive=True,
                include_all_metadata=True, limit=HISTORY_PAGE, cursor=cursor,
            )  # fmt: skip
            for found in cast(list[dict[str, Any]], page["messages"]):
                data = found.get("metadata") or {}
                named = data.get("event_type") == kind and data.get("event_payload") == names
                if found.get("bot_id") == own and named:
                    return str(found["ts"])
            cursor = (page.get("response_metadata") or {}).get("next_cursor") or ""
            if not cursor:
                break
        return None

    def _send(self, method: str, shown: Message, **arguments: Any) -> SlackResponse:
        """Send a message; as plain text where Slack refuses its blocks, or would."""
        api = self._posts if method == "chat_postMessage" else self._reads
        problems = check_limits(shown)
        if not problems:
            try:
                return api(method, **payload(shown), **arguments)
            except DeliveryError as error:
                if error.code not in TOO_COMPLEX:
                    raise
                problems = [error.code]
        log.warning("a message goes out as plain text: %s", "; ".join(problems))
        return api(method, **plain_payload(shown), **arguments)


def answer_by_url(url: str, shown: Message, *, replace: bool = False, public: bool = False) -> None:
    """Answer through a response URL, only the asker unless `public`; as plain text where Slack refuses the blocks.

    `replace` puts it in the place of what the URL stands for. Raises DeliveryError where Slack cannot be reached.
    """
    hook = WebhookClient(url, timeout=SEND_SECONDS, retry_handlers=[])
    hook.proxy = None
    how = {"response_type": "in_channel" if public else "ephemeral", "replace_original": replace}
    for form in (payload,) * (not check_limits(shown)) + (plain_payload,):
        with told_apart():
            answer = hook.send_dict({**form(shown), **how})
        if answer.status_code == 200:
            return
        log.warning("Slack refused an answer: %s %s", answer.status_code, answer.body[:200])


def _check_view(view: Json) -> None:
    if problems := check_view(view):
        log.error("a modal is over a limit of Slack: %s", "; ".join(problems))
