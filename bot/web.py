"""Serves what comes in over HTTP: Slack's requests, and a word on health."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from bot.slack.bolt import SlackApp

EVENTS_PATH = "/slack/events"
MAX_BODY = 1_000_000  # bytes; Slack's own requests stay far below


def web_app(slack: SlackApp) -> Starlette:
    """Return the ASGI app: POST /slack/events goes to Bolt, GET /healthz says that the process serves."""

    async def events(request: Request) -> Response:
        body = await _body(request)
        if body is None:
            return PlainTextResponse("too large", 413)
        answer = await run_in_threadpool(slack.handle_http, body, dict(request.headers))
        return Response(answer.body, answer.status, dict(answer.headers))

    async def health(_: Request) -> Response:
        return PlainTextResponse("ok\n")

    return Starlette(routes=[Route(EVENTS_PATH, events, methods=["POST"]), Route("/healthz", health, methods=["GET"])])


async def _body(request: Request) -> str | None:
    """Return the body, None where it is too long; what is no UTF-8 cannot be signed and fails there."""
    parts: list[bytes] = []
    size = 0
    try:
        async for part in request.stream():
            size += len(part)
            if size > MAX_BODY:
                return None
            parts.append(part)
    except ClientDisconnect:
        return ""
    return b"".join(parts).decode("utf-8", "replace")
