"""Serves what comes in over HTTP: Slack's requests, and how the bot is."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from bot.slack.bolt import SlackApp
from bot.watch.metrics import CONTENT_TYPE

EVENTS_PATH = "/slack/events"
MAX_BODY = 1_000_000  # bytes; Slack's own requests stay far below
BODY_SECONDS = 5.0  # for a body to come in; Slack itself waits for 3 s


@dataclass(frozen=True)
class Probes:
    """What may be asked: which parts hang, why nobody would be answered, and all figures."""

    hung: Callable[[], list[str]]
    unready: Callable[[], list[str]]
    metrics: Callable[[], bytes]


def web_app(slack: SlackApp, probes: Probes, body_seconds: float = BODY_SECONDS) -> Starlette:
    """Return the ASGI app: POST /slack/events goes to Bolt; GET /healthz, /readyz and /metrics tell how the bot is."""

    async def events(request: Request) -> Response:
        try:
            async with asyncio.timeout(body_seconds):
                body = await _body(request)
        except TimeoutError:
            return PlainTextResponse("too slow", 408, {"Connection": "close"})
        if body is None:
            return PlainTextResponse("too large", 413, {"Connection": "close"})
        answer = await run_in_threadpool(slack.handle_http, body, dict(request.headers))
        return Response(answer.body, answer.status, dict(answer.headers))

    async def health(_: Request) -> Response:
        return _say(await run_in_threadpool(probes.hung))

    async def ready(_: Request) -> Response:
        return _say(await run_in_threadpool(probes.unready))

    async def metrics(_: Request) -> Response:
        return Response(await run_in_threadpool(probes.metrics), media_type=CONTENT_TYPE)

    return Starlette(
        routes=[
            Route(EVENTS_PATH, events, methods=["POST"]),
            Route("/healthz", health, methods=["GET"]),
            Route("/readyz", ready, methods=["GET"]),
            Route("/metrics", metrics, methods=["GET"]),
        ]
    )


def standby_app() -> Starlette:
    """Return the ASGI app of a process that stands by: alive, but not to be sent anything."""

    async def alive(_: Request) -> Response:
        return PlainTextResponse("standby\n")

    async def unready(_: Request) -> Response:
        return PlainTextResponse("standby\n", 503)

    return Starlette(
        routes=[
            Route("/healthz", alive, methods=["GET"]),
            Route("/readyz", unready, methods=["GET"]),
            Route(EVENTS_PATH, unready, methods=["POST"]),
        ]
    )


def _say(wrong: list[str]) -> Response:
    return PlainTextResponse("\n".join(wrong or ["ok"]) + "\n", 503 if wrong else 200)


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
