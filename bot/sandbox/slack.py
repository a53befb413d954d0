"""A stand-in for Slack over real HTTP: the Web API that the bot uses, response URLs, and the console page."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib.parse import parse_qsl

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from bot.sandbox.console import Console, ConsoleSlack
from bot.sandbox.slack_files import Files
from bot.sandbox.slack_requests import Requests
from bot.sandbox.slack_state import (
    APP,
    APP_TOKEN,
    BOT_ID,
    BOT_USER,
    CHANNELS,
    SITE,
    TEAM,
    TOKEN,
    USERS,
    Channel,
    Json,
    SlackError,
    User,
)
from bot.serving import TRANSPORT


class FakeSlack(ConsoleSlack):
    """The workspace and the people's side of it in one: what tests and the demo hold in hand."""

    def __init__(self, clock: Callable[[], int], signing_secret: str, events_url: str, **given: Any) -> None:
        super().__init__(clock, **given)
        self.requests = Requests(self, signing_secret, events_url)
        self.files = Files(self)


def fake_slack(
    events_url: str,
    signing_secret: str,
    clock: Callable[[], int],
    *,
    users: Iterable[User] = USERS,
    channels: Iterable[Channel] = CHANNELS,
    groups: Mapping[str, Iterable[str]] | None = None,
) -> tuple[Starlette, FakeSlack]:
    """Return the ASGI app and its state; `events_url` is the bot's /slack/events and may be set later."""
    slack = FakeSlack(clock, signing_secret, events_url, users=users, channels=channels, groups=groups)
    served = _Served(slack)
    routes = [
        Route("/api/{method}", served.api, methods=["GET", "POST"]),
        Route("/response/{key}", served.respond, methods=["POST"]),
        Route("/upload/{key}", slack.files.receive, methods=["POST"]),
        Route("/files/{key}", slack.files.show),
        *Console(slack).routes(),
    ]
    local = Middleware(TrustedHostMiddleware, allowed_hosts=["127.0.0.1", "localhost"])  # no page of elsewhere gets in
    return Starlette(routes=routes, middleware=[local]), slack


class _Served:
    """The HTTP side of the workspace."""

    def __init__(self, slack: FakeSlack) -> None:
        self._slack = slack
        self._methods: dict[str, Callable[[Json], Json]] = {
            "auth.test": self._auth_test,
            "chat.postMessage": self._post,
            "chat.postEphemeral": self._whisper,
            "chat.update": self._update,
            "conversations.history": self._history,
            "conversations.replies": self._replies,
            "files.getUploadURLExternal": self._slack.files.begin,
            "files.completeUploadExternal": self._share,
            "apps.connections.open": lambda _: {"url": self._slack.socket_url},
            "users.info": lambda given: {"user": self._user(given.get("user"))},
            "users.lookupByEmail": self._by_email,
            "usergroups.users.list": self._group,
            "conversations.open": self._direct,
            "views.open": lambda given: slack.views.open(str(given.get("trigger_id")), _view(given)),
            "views.push": lambda given: slack.views.open(str(given.get("trigger_id")), _view(given), push=True),
            "views.update": self._update_view,
            "views.publish": lambda given: slack.views.publish(str(given.get("user_id")), _view(given)),
        }

    async def api(self, request: Request) -> Response:
        self._slack.requests.learn_url(request.base_url)
        self._slack.files.address = self._slack.files.address or self._slack.requests.url
        method = request.path_params["method"]
        given = await _arguments(request)
        if self._slack.down:
            return PlainTextResponse("upstream connect error", 503)
        fault = self._slack.fault(method)
        if fault and fault.status != 200:
            wait = {} if fault.retry_after is None else {"Retry-After": str(fault.retry_after)}
            return JSONResponse({"ok": False, "error": fault.word or "internal_error"}, fault.status, wait)
        if fault and fault.word:
            return JSONResponse({"ok": False, "error": fault.word})
        answer = self._call(method, given, request.headers.get("authorization", ""))
        scopes = {"x-oauth-scopes": ",".join(sorted(self._slack.scopes))}
        return _CutOff() if fault and fault.drop else JSONResponse(answer, headers=scopes)

    async def respond(self, request: Request) -> Response:
        """Take what comes to a response URL."""
        given = await _arguments(request)
        try:
            handle = self._slack.use_handle(request.path_params["key"])
            self._slack.check("response_url", given)
        except SlackError as error:
            return PlainTextResponse(error.word, 404 if error.word.endswith("_url") else 400)
        self._slack.answer(handle, given)
        return PlainTextResponse("ok")

    def _call(self, method: str, given: Json, authorization: str) -> Json:
        with self._slack.lock:
            self._slack.recorded.calls.append((method, given))
        try:
            if authorization != f"Bearer {APP_TOKEN if method.startswith('apps.') else TOKEN}":
                raise SlackError("invalid_auth" if authorization else "not_authed")
            if method not in self._methods:
                raise SlackError("unknown_method", method)
            return {"ok": True, **self._methods[method](given)}
        except SlackError as error:
            return {"ok": False, "error": error.word, "response_metadata": {"messages": [error.detail]}}

    def _auth_test(self, _: Json) -> Json:
        return {
            "team_id": TEAM,
            "team": "Sandbox",
            "user_id": BOT_USER,
            "user": "audit-bot",
            "bot_id": BOT_ID,
            "app_id": APP,
            "url": SITE,
        }

    def _post(self, given: Json) -> Json:
        channel = self._open(given)
        self._slack.check("chat.postMessage", given)
        thread = given.get("thread_ts")
        if thread:
            self._slack.find(channel, str(thread))
        message = self._slack.post(channel, given, **({"thread_ts": thread} if thread else {}))
        return {"channel": channel.id, "ts": message["ts"], "message": message}

    def _whisper(self, given: Json) -> Json:
        channel = self._open(given)
        self._slack.check("chat.postEphemeral", given)
        if str(given.get("user")) not in self._slack.users:
            raise SlackError("user_not_in_channel")
        return {"message_ts": self._slack.whisper(str(given["user"]), channel.id, given)}

    def _update(self, given: Json) -> Json:
        channel = self._open(given)
        self._slack.check("chat.update", given)
        message = self._slack.update(channel, str(given.get("ts")), given)
        return {"channel": channel.id, "ts": message["ts"], "message": message}

    def _history(self, given: Json) -> Json:
        self._need("channels:history")
        name = str(given.get("channel"))
        if name not in self._slack.channels:  # unlike chat.postMessage this takes ids only
            raise SlackError("channel_not_found", name)
        if not self._slack.channels[name].invited:
            raise SlackError("not_in_channel", name)
        limit, start = int(given.get("limit") or 100), int(given.get("cursor") or 0)
        oldest = float(given.get("oldest") or 0)
        found = [m for m in reversed(self._slack.messages(name)) if float(m["ts"]) >= oldest]
        if str(given.get("include_all_metadata", "")).lower() not in ("true", "1"):
            found = [{key: value for key, value in m.items() if key != "metadata"} for m in found]
        more = start + limit < len(found)
        cursor = {"next_cursor": str(start + limit) if more else ""}
        return {"messages": found[start : start + limit], "has_more": more, "response_metadata": cursor}

    def _replies(self, given: Json) -> Json:
        """Return a message and the replies in its thread, all on one page."""
        self._need("channels:history")
        name, ts = str(given.get("channel")), str(given.get("ts"))
        if name not in self._slack.channels:
            raise SlackError("channel_not_found", name)
        found = [m for m in self._slack.everything(name) if ts in (m["ts"], m.get("thread_ts"))]
        if not found:
            raise SlackError("thread_not_found", ts)
        return {"messages": found, "has_more": False, "response_metadata": {"next_cursor": ""}}

    def _share(self, given: Json) -> Json:
        channel = given.get("channel_id")
        if channel and channel not in self._slack.channels:  # ids only
            raise SlackError("channel_not_found", str(channel))
        return self._slack.files.finish(given, self._open({"channel": channel}) if channel else None)

    def _group(self, given: Json) -> Json:
        self._need("usergroups:read")
        if given.get("usergroup") not in self._slack.groups:
            raise SlackError("no_such_subteam")
        return {"users": list(self._slack.groups[str(given["usergroup"])])}

    def _by_email(self, given: Json) -> Json:
        self._need("users:read.email")
        email = str(given.get("email")).casefold()
        found = [user.id for user in self._slack.users.values() if user.email.casefold() == email]
        if not found:
            raise SlackError("users_not_found")
        return {"user": self._user(found[0])}

    def _direct(self, given: Json) -> Json:
        self._need("im:write")
        return {"channel": {"id": self._slack.direct(str(given.get("users"))).id}}

    def _update_view(self, given: Json) -> Json:
        named = (str(given.get("view_id") or ""), given.get("hash"), given.get("external_id"))
        return self._slack.views.update(_view(given), *named)

    def _user(self, user_id: object) -> Json:
        self._need("users:read")
        found = self._slack.users.get(str(user_id))
        if found is None:
            raise SlackError("user_not_found")
        email = {"email": found.email} if "users:read.email" in self._slack.scopes else {}
        return {
            "id": found.id, "team_id": found.team, "name": found.name.split()[0].lower(), "real_name": found.name,
            "tz": found.tz, "is_restricted": found.guest, "is_ultra_restricted": False, "is_bot": False,
            "deleted": False, "profile": {
                "real_name": found.name, "image_72": f"{self._slack.requests.url}/avatar/{found.id}.svg", **email,
            },
        }  # fmt: skip

    def _open(self, given: Json) -> Channel:
        channel = self._slack.channel(str(given.get("channel")))
        if channel.archived:
            raise SlackError("is_archived")
        if not channel.invited:
            raise SlackError("not_in_channel")
        self._need("chat:write")
        return channel

    def _need(self, scope: str) -> None:
        if scope not in self._slack.scopes:
            raise SlackError("missing_scope", scope)


class _CutOff(Response):
    """Ends the connection without a word, after the work was done: the bot cannot know that it was."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["extensions"][TRANSPORT].abort()
        while (await receive())["type"] != "http.disconnect":
            pass


def _view(given: Json) -> Json:
    view = given.get("view")
    return dict(json.loads(view) if isinstance(view, str) else view or {})


async def _arguments(request: Request) -> Json:
    """Return a method's arguments, which come as JSON, as a form or in the address."""
    body = await request.body()
    if request.headers.get("content-type", "").startswith("application/json"):
        return dict(json.loads(body or b"{}"))
    return {**request.query_params, **dict(parse_qsl(body.decode()))}
