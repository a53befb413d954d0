"""The stand-in for the portal's audit-log API: answers as the vendor describes it, and misbehaves as told."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.utils import formatdate
from functools import partial
from typing import Any, Literal

from starlette.applications import Starlette
from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from bot.fields import ACTOR_TYPES
from bot.sandbox.attacks import demo
from bot.sandbox.faults import Faulty, fault, too_many
from bot.sandbox.source import Source
from bot.sandbox.story import Told, history, live
from bot.times import MINUTE, SECOND, parse_time

__all__ = ["PATH", "Behaviour", "Portal", "Source", "app", "storied"]

PATH = "/api/v1/audit-logs"
MOST = 1000  # records a page
KNOWN = {
    "actions": ("CREATE", "READ", "UPDATE", "DELETE"),
    "actorTypes": ACTOR_TYPES,
    "actorRequestTypes": ("API_KEY_ENTITY", "ATLASSIAN_WEBHOOK", "SCORECARD_BADGES", "SLACK_COMMAND"),
}
FILTERS: Mapping[str, Callable[[Told], str | None]] = {
    "actions": lambda told: told.record.get("action"),
    "objectIdentifiers": lambda told: told.record.get("objectIdentifier"),
    "objectTypes": lambda told: told.record.get("objectType"),
    "actorTypes": lambda told: told.actor_type,
    "actorRequestTypes": lambda told: told.request_type,
    "actorIpAddresses": lambda told: told.record.get("ipAddress"),
    "actorEmails": lambda told: _actor(told, email=True),
    "actorApiKeyIdentifiers": lambda told: _actor(told, email=False),
}


@dataclass(frozen=True)
class Behaviour:
    """What nobody knows of the real API, or what goes wrong with it, to be chosen by a test.

    `bounds` says in the notation of intervals whether startTime and endTime are included. `allowed` is whether the key
    has the permission. `faults` is the share of requests that fail, which ones and how is up to `seed`.
    """

    order: Literal["desc", "asc"] = "desc"
    bounds: Literal["[]", "[)", "(]", "()"] = "[]"
    allowed: bool = True
    rate_limit: int = 1000
    faults: float = 0.0
    seed: int = 0
    slow_seconds: float = 1.5


class _Refused(Exception):  # noqa: N818 -- not an error of the bot, an answer of the portal
    def __init__(self, response: Response) -> None:
        self.response = response


class Portal:
    """The state of one simulated portal: its events, how often it was asked, and when."""

    def __init__(self, source: Source, clock: Callable[[], int], key: str, behaviour: Behaviour) -> None:
        self.source, self.clock, self.key, self.behaviour = source, clock, key, behaviour
        self.requests = 0
        self._recent: deque[int] = deque()

    async def audit_logs(self, request: Request) -> Response:
        """Answer GET /api/v1/audit-logs."""
        self.requests += 1
        now = self.clock()
        try:
            self._admit(request, now)
            answer: Response = self._page(request.query_params, now)
        except _Refused as refused:
            answer = refused.response
        kind = fault(self.behaviour.seed, self.requests, self.behaviour.faults)
        if kind and answer.status_code == 200:
            answer = Faulty(kind, answer, self.behaviour.slow_seconds)
        answer.headers["Date"] = formatdate(now / SECOND, usegmt=True)
        return answer

    def _admit(self, request: Request, now: int) -> None:
        if request.headers.get("authorization") != f"Bearer {self.key}":
            raise _Refused(_message(401, "UNAUTHORIZED", "The API key is missing or not known", self.requests))
        while self._recent and self._recent[0] <= now - MINUTE:
            self._recent.popleft()
        if len(self._recent) >= self.behaviour.rate_limit:
            raise _Refused(too_many(math.ceil((self._recent[0] + MINUTE - now) / SECOND)))
        self._recent.append(now)
        if not self.behaviour.allowed:
            raise _Refused(_message(403, "FORBIDDEN", "The API key lacks: View audit logs", self.requests))

    def _page(self, query: QueryParams, now: int) -> Response:
        page, size = _number(query, "page", self.requests), _number(query, "pageSize", self.requests)
        if page < 0 or not 1 <= size <= MOST:
            raise _Refused(_violation("pageSize" if page >= 0 else "page", f"page from 0, pageSize 1 to {MOST}"))
        bounds = self.behaviour.bounds
        start, end = _time(query, "startTime"), _time(query, "endTime")
        told = self.source.select(
            None if start is None else start + (bounds[0] == "("),
            None if end is None else end + (bounds[1] == "]"),
            now,
        )
        told = _filtered(told, query)
        if self.behaviour.order == "desc":
            told.reverse()
        logs = [event.record for event in told[page * size : (page + 1) * size]]
        return JSONResponse({"logs": logs, "page": page, "total": len(told), "totalPages": math.ceil(len(told) / size)})


def app(source: Source, clock: Callable[[], int], key: str, behaviour: Behaviour | None = None) -> Starlette:
    """Return the simulator as an ASGI app. `clock` gives microseconds; it decides what is visible, and the Date header.

    `app.state.portal` is the `Portal`: tests read its `requests` and may replace its `behaviour`.
    """
    portal = Portal(source, clock, key, behaviour or Behaviour())
    served = Starlette(routes=[Route(PATH, portal.audit_logs)])
    served.state.portal = portal
    return served


def storied(seed: int, now: int, days: int = 90, attacks: bool = False, fast: bool = False) -> Source:
    """Return a source with the company's history up to `now`, which goes on as time does; with the demo's attacks."""
    told = history(seed, now, days)
    return Source([*told, *(demo(seed, now, fast) if attacks else ())], more=partial(live, seed), until=now)


def _filtered(told: list[Told], query: QueryParams) -> list[Told]:
    for name, value_of in FILTERS.items():
        wanted = {word for text in query.getlist(name) for word in text.split(",") if word}
        unknown = sorted(wanted.difference(KNOWN.get(name, wanted)))
        if unknown:
            raise _Refused(_violation(name, f"{unknown[0]} is not one of {', '.join(KNOWN[name])}"))
        if wanted:
            told = [event for event in told if value_of(event) in wanted]
    return told


def _actor(told: Told, email: bool) -> str | None:
    name = told.record.get("actorIdentifier")
    return name if name and ("@" in name) == email else None


def _number(query: QueryParams, name: str, request: int) -> int:
    text = query.get(name)
    if text is None:
        raise _Refused(_message(400, "BAD_REQUEST", f"Required parameter '{name}' is not present", request))
    try:
        return int(text)
    except ValueError:
        raise _Refused(_violation(name, f"{text!r} is not a number")) from None


def _time(query: QueryParams, name: str) -> int | None:
    text = query.get(name)
    try:
        return parse_time(text) if text else None
    except ValueError as error:
        raise _Refused(_violation(name, str(error))) from None


def _message(status: int, kind: str, text: str, request: int) -> Response:
    body = {"message": text, "type": kind, "details": text, "requestId": f"sandbox-{request}"}
    return JSONResponse(body, status)


def _violation(name: str, text: str) -> Response:
    body: dict[str, Any] = {"violations": [{"title": name, "description": text, "violationType": "BAD_REQUEST"}]}
    return JSONResponse(body, 400)
