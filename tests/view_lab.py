"""A bot that does nothing but note what it is sent, and answers as it was told: for trying the stand-in's modals."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qs

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from bot.sandbox.slack import FakeSlack, fake_slack
from bot.serving import serve
from tests.slack_lab import SECRET, Clock

Json = dict[str, Any]


class Bot:
    """Notes payloads; `answers` are given one after the other, then nothing."""

    def __init__(self, slack: FakeSlack) -> None:
        self.slack, self.heard, self.answers = slack, [], []  # type: ignore[var-annotated]  # lists of payloads
        self.app = Starlette(routes=[Route("/slack/events", self.hear, methods=["POST"])])

    async def hear(self, request: Request) -> Response:
        form = parse_qs((await request.body()).decode())
        self.heard.append(json.loads(form["payload"][0]))
        return JSONResponse(self.answers.pop(0)) if self.answers else Response()

    def open(self, user: str, view: Json) -> str:
        """Open a modal before somebody; return its id."""
        trigger = self.slack.views.new_trigger(user, f"t{len(self.heard)}.{view['title']['text']}")
        return str(self.slack.views.open(trigger, view)["view"]["id"])


@contextmanager
def view_lab() -> Iterator[Bot]:
    """Start the stand-in and the bot on free ports."""
    fake, slack = fake_slack("", SECRET, Clock())
    bot = Bot(slack)
    with serve(fake) as outside, serve(bot.app) as inside:
        slack.requests.url, slack.requests.events_url = outside.url, f"{inside.url}/slack/events"
        yield bot


def plain(text: str) -> Json:
    return {"type": "plain_text", "text": text}


def field(name: str, element: Json, **more: Any) -> Json:
    """Return an input block, its block id and its element's action id alike."""
    return {"type": "input", "block_id": name, "label": plain(name), "element": {"action_id": name, **element}} | more


def choice(*values: str, kind: str = "static_select", **more: Any) -> Json:
    return {"type": kind, "options": [{"text": plain(value.title()), "value": value} for value in values]} | more


def form(*blocks: Json, **more: Any) -> Json:
    """Return a modal."""
    given = {"type": "modal", "title": plain("Form"), "submit": plain("Send"), "callback_id": "form"}
    return given | {"blocks": list(blocks)} | more
