"""The ways in which the simulated portal fails, chosen by seed, from error pages to a connection that breaks."""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import Literal, get_args

from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.types import Receive, Scope, Send

from bot.sandbox.workforce import dice
from bot.serving import TRANSPORT

Fault = Literal["500", "503", "429", "cut", "html", "slow", "bad json", "reset"]
FAULTS: tuple[Fault, ...] = get_args(Fault)
RESET_AT_CLOSE = struct.pack("ii", 1, 0)


def fault(seed: int, request: int, share: float) -> Fault | None:
    """Return how the request of that number fails, None where it goes well."""
    rng = dice(seed, "fault", request)
    return rng.choice(FAULTS) if rng.random() < share else None


def too_many(seconds: int) -> Response:
    """Return the portal's answer to a client that asks too often."""
    body = {"type": "about:blank", "title": "Too Many Requests", "status": 429, "retryAfter": seconds}
    headers = {"Retry-After": str(seconds)}
    return JSONResponse(body, 429, headers, media_type="application/problem+json")


class Faulty(Response):
    """Spoils a good answer in one of the ways of `FAULTS`."""

    def __init__(self, kind: Fault, good: Response, slow_seconds: float) -> None:
        super().__init__()
        self.kind, self.good, self.slow_seconds = kind, good, slow_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer as ASGI asks, badly."""
        if self.kind == "reset":
            await _break(scope, receive, reset=True)
        elif self.kind == "cut":
            await self._send_half(send)
            await _break(scope, receive, reset=False)
        else:
            if self.kind == "slow":
                await asyncio.sleep(self.slow_seconds)
            answer = self._instead()
            answer.headers["Date"] = self.headers["Date"]
            await answer(scope, receive, send)

    def _instead(self) -> Response:
        match self.kind:
            case "500":
                return JSONResponse({"message": "Internal server error", "type": "INTERNAL_SERVER_ERROR"}, 500)
            case "503":
                return PlainTextResponse("no healthy backend", 503)
            case "429":
                return too_many(1)
            case "html":
                return HTMLResponse("<!doctype html><title>Corporate sign-on</title><h1>Your session has ended</h1>")
            case "bad json":
                return Response(bytes(self.good.body)[: len(self.good.body) // 2], media_type="application/json")
            case _:
                return self.good

    async def _send_half(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.good.raw_headers})
        half = bytes(self.good.body)[: len(self.good.body) // 2]
        await send({"type": "http.response.body", "body": half, "more_body": True})


async def _break(scope: Scope, receive: Receive, reset: bool) -> None:
    """Close the connection under the answer, and wait until the server has noticed."""
    transport: asyncio.Transport = scope["extensions"][TRANSPORT]
    if reset:
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_AT_CLOSE)
        transport.abort()
    else:
        transport.close()
    while (await receive())["type"] != "http.disconnect":
        pass
