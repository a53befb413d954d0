"""The console page's side of the stand-in: what a viewer sees, types, presses and fills in."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from bot.sandbox.elements import EntryError
from bot.sandbox.errors import SlackError
from bot.sandbox.slack_requests import Requests
from bot.sandbox.slack_state import SHORTCUTS, Json, Workspace

PAGE = Path(__file__).parent / "page"
SCRIPTS = ("elements.js", "modal.js", "home.js", "console.js")
PAGE_FILES = {"/": ("console.html", "text/html"), "/console.css": ("console.css", "text/css")} | {
    f"/{name}": (name, "text/javascript") for name in SCRIPTS
}
POLICY = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self' data:"
SHOWN = 200  # newest messages of a channel on the page


class ConsoleSlack(Workspace):
    """A workspace whose people can be played."""

    requests: Requests


class Console:
    """The page, and what it asks of the workspace."""

    def __init__(self, slack: ConsoleSlack) -> None:
        self._slack = slack

    def routes(self) -> list[Route]:
        """Return where all of it is served."""
        doing = {"command": self.command, "click": self.click, "act": self.act, "submit": self.submit,
                 "close": self.close, "home": self.home, "shortcut": self.shortcut}  # fmt: skip
        return [
            *(Route(path, _file(name, kind)) for path, (name, kind) in PAGE_FILES.items()),
            Route("/avatar/{user}.svg", self.avatar),
            Route("/console/state", self.state),
            *(Route(f"/console/{name}", work, methods=["POST"]) for name, work in doing.items()),
        ]

    async def state(self, request: Request) -> Response:
        """Return what a user sees, 204 where nothing changed since the revision in `after`."""
        self._slack.requests.learn_url(request.base_url)
        slack, user = self._slack, request.query_params.get("user", "")
        with slack.lock:
            if request.query_params.get("after") == str(slack.revision):
                return Response(status_code=204)
            return JSONResponse(seen_by(slack, user))

    async def command(self, request: Request) -> Response:
        """Let the viewer of the page type a slash command, or plain words."""
        given = await _json(request)
        name, _, text = str(given["text"]).strip().partition(" ")
        user, channel = str(given["user"]), str(given["channel"])
        if name.startswith("/"):
            await run_in_threadpool(self._slack.requests.command, user, text, channel, command=name)
        elif name:
            words = {"text": given["text"], "mrkdwn": False}
            self._slack.post(self._slack.channels[channel], words, bot_id=None, user=user)
        return JSONResponse({"ok": True})

    async def click(self, request: Request) -> Response:
        """Let the viewer of the page press a button, or choose in a menu."""
        given = await _json(request)
        place = (str(given[name]) for name in ("user", "channel", "ts", "action_id"))
        return await self._tried(partial(self._slack.requests.click, *place, value=given.get("value")))

    async def act(self, request: Request) -> Response:
        """Let the viewer press or change something in a view."""
        given = await _json(request)
        user, view_id, action_id = (str(given[name]) for name in ("user", "view_id", "action_id"))
        return await self._tried(partial(self._slack.requests.act, user, view_id, action_id, given["values"]))

    async def submit(self, request: Request) -> Response:
        """Let the viewer submit a modal."""
        given = await _json(request)
        return await self._tried(
            partial(self._slack.requests.submit, str(given["user"]), str(given["view_id"]), given["values"])
        )

    async def close(self, request: Request) -> Response:
        """Let the viewer close a modal."""
        given = await _json(request)
        return await self._tried(partial(self._slack.requests.close, str(given["user"]), str(given["view_id"])))

    async def home(self, request: Request) -> Response:
        """Let the viewer open the app's Home tab."""
        given = await _json(request)
        return await self._tried(partial(self._slack.requests.open_home, str(given["user"])))

    async def shortcut(self, request: Request) -> Response:
        """Let the viewer choose a shortcut: a message's where one is named."""
        given = {name: str(value) for name, value in (await _json(request)).items()}
        user, chosen = given["user"], given["callback_id"]
        if "ts" in given:
            place = (user, given["channel"], given["ts"], chosen)
            return await self._tried(partial(self._slack.requests.message_shortcut, *place))
        return await self._tried(partial(self._slack.requests.shortcut, user, chosen))

    async def avatar(self, request: Request) -> Response:
        """Return a user's picture: the initials on a colour of their own."""
        user = self._slack.users.get(request.path_params["user"])
        return Response(_avatar(user.name), media_type="image/svg+xml") if user else Response(status_code=404)

    async def _tried(self, work: Callable[[], object]) -> Response:
        try:
            await run_in_threadpool(work)
        except (SlackError, EntryError) as error:
            return JSONResponse({"ok": False, "error": str(error)})
        return JSONResponse({"ok": True})


def seen_by(slack: ConsoleSlack, user: str) -> Json:
    """Return all that a user sees."""
    channels = [channel for channel in slack.channels.values() if channel.seen_by(user)]
    modal, home = slack.views.top(user), slack.views.home(user)
    return {
        "revision": slack.revision,
        "users": [{"id": who.id, "name": who.name, "note": who.note} for who in slack.users.values()],
        "channels": [{"id": c.id, "name": c.name, "topic": c.topic, "direct": c.to is not None} for c in channels],
        "messages": {channel.id: slack.everything(channel.id)[-SHOWN:] for channel in channels},
        "ephemerals": slack.ephemerals(user),
        "modal": modal and {**modal.content, "id": modal.id, "errors": modal.errors},
        "shortcuts": [{"id": id_, "name": name, "of": kind} for id_, name, kind in SHORTCUTS],
        "home": home and {**home.content, "id": home.id},
    }


def _avatar(name: str) -> str:
    hue = sum(name.encode()) * 37 % 360
    initials = "".join(part[0] for part in name.split()[:2])
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" width="72" height="72">'
        f'<rect width="72" height="72" rx="16" fill="hsl({hue},45%,42%)"/><text x="36" y="46" font-size="28"'
        f' font-family="sans-serif" font-weight="700" fill="#fff" text-anchor="middle">{initials}</text></svg>'
    )


async def _json(request: Request) -> Json:
    """Return a JSON body; a form of another site's page never is one."""
    if not request.headers.get("content-type", "").startswith("application/json"):
        return {}
    return dict(await request.json())


def _file(name: str, kind: str) -> Callable[[Request], Response]:
    def send(_: Request) -> Response:
        headers = {"Content-Security-Policy": POLICY, "Cache-Control": "no-store"}
        return Response((PAGE / name).read_bytes(), media_type=kind, headers=headers)

    return send
