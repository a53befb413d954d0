"""The simulated portal over real HTTP: it answers as the API is described, and fails as told."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpx
import pytest

from bot.sandbox.attacks import demo
from bot.sandbox.cortex import PATH, Behaviour, Portal, Source, app, storied
from bot.sandbox.faults import FAULTS, fault
from bot.sandbox.story import Record, history, live
from bot.serving import Serving, serve
from bot.times import DAY, HOUR, MINUTE, SECOND, iso, parse_time

NOW = parse_time("2026-03-11T10:00:00Z")
KEY = "portal-key"
Params = dict[str, Any]


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> int:
        return self.now


class Lab:
    """One server for all tests of this file; each test puts its own portal behind it."""

    def __init__(self) -> None:
        self.portal: Portal | None = None
        self._app: Any = None
        self.serving: Serving = serve(self._route)
        self.client = httpx.Client(base_url=self.serving.url, headers={"Authorization": f"Bearer {KEY}"}, timeout=5)

    async def _route(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            await self._app(scope, receive, send)

    def open(self, source: Source, clock: Clock, **behaviour: Any) -> Portal:
        self._app = app(source, clock, KEY, Behaviour(**behaviour))
        portal: Portal = self._app.state.portal
        return portal

    def get(self, **params: Any) -> httpx.Response:
        return self.client.get(PATH, params={"page": 0, "pageSize": 1000, **params})

    def logs(self, **params: Any) -> list[dict[str, Any]]:
        answer = self.get(**params)
        assert answer.status_code == 200, answer.text
        logs: list[dict[str, Any]] = answer.json()["logs"]
        return logs


@pytest.fixture(scope="module")
def server() -> Iterator[Lab]:
    lab = Lab()
    yield lab
    lab.client.close()
    lab.serving.stop()


@pytest.fixture(scope="module")
def company() -> Source:
    return storied(7, NOW, days=10)


@pytest.fixture
def clock() -> Clock:
    return Clock()


def record(at: int, **fields: str | None) -> Record:
    plain = {
        "action": "UPDATE",
        "actorIdentifier": "eve@corp.example",
        "ipAddress": "192.0.2.1",
        "objectIdentifier": "svc",
        "objectType": "SERVICE",
        "timestamp": iso(at),
    }
    return {**plain, **fields}


def source_of(*records: Record) -> Source:
    source = Source()
    for one in records:
        source.add(one)
    return source


def names(logs: list[dict[str, Any]]) -> list[str]:
    return [log["objectIdentifier"] for log in logs]


# Pages


@pytest.mark.parametrize("size", [1000, 97])
def test_pages_add_up_to_the_total_and_to_the_truth(server: Lab, company: Source, clock: Clock, size: int) -> None:
    """Every record once, twins included, newest first."""
    server.open(company, clock, rate_limit=10_000)
    first = server.get(pageSize=size).json()
    pages = [server.logs(pageSize=size, page=page) for page in range(first["totalPages"])]
    logs = [log for page in pages for log in page]
    assert len(logs) == first["total"] > 1000
    assert logs[::-1] == company.truth(NOW)
    assert all(len(page) == size for page in pages[:-1])
    assert server.get(pageSize=size, page=len(pages)).json()["logs"] == []


def test_an_empty_window_is_an_empty_page(server: Lab, company: Source, clock: Clock) -> None:
    """No records: total and totalPages are 0."""
    server.open(company, clock)
    answer = server.get(startTime="2031-01-01T00:00:00Z").json()
    assert answer == {"logs": [], "page": 0, "total": 0, "totalPages": 0}


def test_the_order_can_be_oldest_first(server: Lab, company: Source, clock: Clock) -> None:
    """Nobody says which order the real one has."""
    server.open(company, clock, order="asc")
    assert server.logs(pageSize=50) == company.truth(NOW)[:50]


@pytest.mark.parametrize(("bounds", "expected"), [("[]", "012"), ("[)", "01"), ("(]", "12"), ("()", "1")])
def test_bounds_include_their_moment_or_not(server: Lab, clock: Clock, bounds: str, expected: str) -> None:
    """Nobody says whether startTime and endTime are included: all four ways can be had."""
    times = [NOW - 2 * SECOND, NOW - SECOND, NOW]
    source = source_of(*(record(at, objectIdentifier=str(n)) for n, at in enumerate(times)))
    server.open(source, clock, bounds=bounds, order="asc")
    assert "".join(names(server.logs(startTime=iso(times[0]), endTime=iso(NOW)))) == expected


def test_a_time_without_a_zone_is_utc(server: Lab, clock: Clock) -> None:
    """As the vendor's own client sends it; a zone given is heeded."""
    server.open(source_of(record(NOW - SECOND), record(NOW - HOUR)), clock)
    assert len(server.logs(startTime="2026-03-11T09:59:00")) == 1
    assert len(server.logs(startTime="2026-03-11T09:59:00+01:00")) == 2


# Filters


def test_lists_may_be_joined_by_commas_or_repeated(server: Lab, company: Source, clock: Clock) -> None:
    """Both spellings of an array give the same."""
    server.open(company, clock)
    joined, repeated = server.logs(actions="CREATE,DELETE"), server.logs(actions=["CREATE", "DELETE"])
    assert joined == repeated
    assert {log["action"] for log in joined} == {"CREATE", "DELETE"}
    assert len(joined) == sum(one["action"] != "UPDATE" for one in company.truth(NOW))


@pytest.mark.parametrize(
    ("filter_name", "value", "field"),
    [
        ("objectTypes", "SCORECARD", "objectType"),
        ("objectIdentifiers", "payments-ledger", "objectIdentifier"),
        ("actorIpAddresses", "203.0.113.40", "ipAddress"),
        ("actorApiKeyIdentifiers", "deploy-bot", "actorIdentifier"),
    ],
)
def test_a_filter_gives_exactly_the_records_with_that_value(
    server: Lab, company: Source, clock: Clock, filter_name: str, value: str, field: str
) -> None:
    """No more, no fewer."""
    server.open(company, clock)
    expected = [one for one in company.truth(NOW) if one.get(field) == value]
    assert expected
    assert server.logs(**{filter_name: value})[::-1] == expected


def test_an_email_filter_finds_people_only(server: Lab, clock: Clock) -> None:
    """A key's name is asked for by another parameter."""
    server.open(source_of(record(NOW), record(NOW, actorIdentifier="deploy-bot")), clock)
    assert len(server.logs(actorEmails="eve@corp.example")) == 1
    assert server.logs(actorEmails="deploy-bot") == []
    assert server.logs(actorApiKeyIdentifiers="eve@corp.example") == []


def test_actor_types_split_a_window_without_rest(server: Lab, company: Source, clock: Clock) -> None:
    """One query per type over a closed window gives every event once: the type of each can be learnt so."""
    server.open(company, clock)
    total = server.get(endTime=iso(NOW)).json()["total"]
    kinds = ("API_KEY", "PERSONAL_API_KEY", "OAUTH2", "BACKSTAGE", "ANONYMOUS")
    assert sum(server.get(actorTypes=kind, endTime=iso(NOW)).json()["total"] for kind in kinds) == total
    webhooks = server.logs(actorRequestTypes="ATLASSIAN_WEBHOOK")
    assert {log["actorIdentifier"] for log in webhooks} == {"jira-webhook"}


def test_filters_hold_together(server: Lab, company: Source, clock: Clock) -> None:
    """Several parameters narrow, each in turn."""
    server.open(company, clock)
    logs = server.logs(actorTypes="OAUTH2", actions="DELETE", objectTypes="SERVICE")
    assert logs
    assert all((log["action"], log["objectType"]) == ("DELETE", "SERVICE") for log in logs)


# Errors


@pytest.mark.parametrize("missing", ["page", "pageSize"])
def test_a_missing_page_or_size_is_a_readable_400(server: Lab, clock: Clock, missing: str) -> None:
    """Both are required, although the description names defaults."""
    server.open(Source(), clock)
    params = {"page": 0, "pageSize": 10}
    del params[missing]
    answer = server.client.get(PATH, params=params)
    assert answer.status_code == 400
    assert missing in answer.json()["message"]
    assert {"type", "details", "requestId"} <= answer.json().keys()


@pytest.mark.parametrize(
    "params",
    [
        {"pageSize": 0},
        {"pageSize": 1001},
        {"pageSize": "many"},
        {"page": -1},
        {"startTime": "yesterday"},
        {"endTime": "12"},
        {"actions": "ERASE"},
        {"actorTypes": "API_KEY,ROBOT"},
    ],
)
def test_a_value_that_is_not_allowed_is_a_violation(server: Lab, clock: Clock, params: Params) -> None:
    """The body lists what is wrong with which parameter."""
    server.open(Source(), clock)
    answer = server.get(**params)
    assert answer.status_code == 400
    assert answer.json()["violations"][0]["title"] in params


@pytest.mark.parametrize("header", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": KEY}])
def test_a_request_without_the_key_is_refused(server: Lab, clock: Clock, header: dict[str, str]) -> None:
    """401 with a body that says why."""
    server.open(Source(), clock)
    answer = httpx.get(server.serving.url + PATH, params={"page": 0, "pageSize": 1}, headers=header)
    assert answer.status_code == 401
    assert answer.json()["type"] == "UNAUTHORIZED"


def test_a_key_without_the_permission_is_forbidden(server: Lab, clock: Clock) -> None:
    """403, with the name of the permission."""
    server.open(Source(), clock, allowed=False)
    answer = server.get()
    assert answer.status_code == 403
    assert "View audit logs" in answer.json()["message"]


def test_another_path_is_not_found(server: Lab, clock: Clock) -> None:
    """Not even in JSON: a client must bear that."""
    server.open(Source(), clock)
    answer = server.client.get("/api/v1/catalog")
    assert (answer.status_code, answer.headers["content-type"]) == (404, "text/plain; charset=utf-8")


def test_who_asks_too_often_has_to_wait_as_long_as_told(server: Lab, clock: Clock) -> None:
    """429 as a problem with Retry-After, and after that wait the next request is served."""
    server.open(Source(), clock, rate_limit=3)
    for _ in range(3):
        assert server.get().status_code == 200
        clock.now += 5 * SECOND
    answer = server.get()
    assert answer.status_code == 429
    assert answer.headers["content-type"] == "application/problem+json"
    assert (answer.headers["retry-after"], answer.json()["retryAfter"]) == ("45", 45)
    assert {"type", "title", "status"} <= answer.json().keys()
    clock.now += 44 * SECOND
    assert server.get().status_code == 429
    clock.now += SECOND
    assert server.get().status_code == 200


# Time


def test_the_date_header_is_the_portals_own_clock(server: Lab, clock: Clock) -> None:
    """Exactly one, on good answers and on refusals, so that a skewed clock can be tested."""
    server.open(Source(), clock)
    for answer in (server.get(), server.get(pageSize=0)):
        assert len(answer.headers.get_list("date")) == 1
        assert parsedate_to_datetime(answer.headers["date"]) == datetime(2026, 3, 11, 10, tzinfo=UTC)


def test_a_late_event_shows_when_its_time_has_come(server: Lab, clock: Clock) -> None:
    """Its timestamp stays in the past."""
    source = Source()
    source.add(record(NOW - MINUTE), visible_at=NOW + 30 * SECOND)
    server.open(source, clock)
    assert server.logs() == []
    clock.now += 30 * SECOND
    assert server.logs() == [record(NOW - MINUTE)]


def test_the_company_works_on_as_time_moves(server: Lab, clock: Clock) -> None:
    """However often the portal is asked, it shows what the story tells, no more and no less."""
    source = storied(7, NOW, days=1)
    server.open(source, clock, order="asc")
    for step in (MINUTE, 3 * HOUR, SECOND, 2 * HOUR):
        clock.now += step
        server.get(pageSize=1)
    end = clock.now - MINUTE  # by then even the late ones have come
    told = [dict(t.record) for t in history(7, NOW, 1) + live(7, NOW, end)]
    assert [one for one in server.logs() if one["timestamp"] < iso(end)] == told


def test_the_demo_attacks_show_only_when_they_happen(server: Lab, clock: Clock) -> None:
    """The stolen key makes its second key about a minute after the start."""
    server.open(storied(7, NOW, days=1, attacks=True), clock)
    assert server.logs(objectIdentifiers="backup-sync-2") == []
    clock.now += 4 * MINUTE
    assert len(server.logs(objectIdentifiers="backup-sync-2")) == 1
    clock.now += DAY
    visible = len(server.logs(actorIpAddresses="192.0.2.66"))
    assert visible == sum(told.record.get("ipAddress") == "192.0.2.66" for told in demo(7, NOW))


@pytest.mark.slow
def test_a_quarter_is_answered_within_a_moment(server: Lab, clock: Clock) -> None:
    """A page of one hour out of 90 days takes milliseconds: the window is looked up, not searched for."""
    source = storied(7, NOW)
    begun = time.perf_counter()
    for _ in range(200):
        source.select(NOW - HOUR, NOW, NOW)
    assert time.perf_counter() - begun < 1
    server.open(source, clock)
    assert server.get(startTime=iso(NOW - HOUR)).json()["total"] == len(source.select(NOW - HOUR, None, NOW))


# The source


def test_what_is_told_by_hand_is_served_as_it_is(server: Lab, clock: Clock) -> None:
    """Odd spellings stay: nulls, missing fields, unknown fields, times without a zone, malformed times."""
    odd: Record = {
        "action": "PURGE",
        "objectIdentifier": "ü, \u202e",
        "objectType": "",
        "timestamp": "2026-03-11T09:00:00",
    }
    source = source_of(record(NOW, actorIdentifier=None, extra="x"), odd)
    source.add(record(NOW, timestamp="soon"), time=NOW - 2 * HOUR)
    server.open(source, clock)
    assert server.logs() == [
        record(NOW, actorIdentifier=None, extra="x"),
        odd,
        record(NOW, timestamp="soon"),
    ]


def test_a_malformed_time_needs_a_place() -> None:
    """A typo in a test does not pass silently."""
    with pytest.raises(ValueError, match="not an ISO time"):
        Source().add(record(NOW, timestamp="soon"))


def test_events_may_be_added_from_several_threads_while_it_is_read() -> None:
    """Nothing is lost, and the order holds."""
    source = Source()

    def fill(offset: int) -> None:
        for n in range(300):
            source.add(record(NOW - n * SECOND - offset))
            source.select(NOW - MINUTE, NOW, NOW)

    threads = [threading.Thread(target=fill, args=(offset * 1000,)) for offset in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    stamps = [str(one["timestamp"]) for one in source.truth()]
    assert len(stamps) == 1200
    assert stamps == sorted(stamps)


def test_many_events_are_added_at_once(server: Lab, clock: Clock) -> None:
    """An attack can be put into a running portal."""
    source = storied(7, NOW, days=1)
    before = len(source.truth())
    source.extend(demo(7, NOW))
    assert len(source.truth()) == before + len(demo(7, NOW))


# Faults


def seed_of(kind: str) -> int:
    return next(seed for seed in range(1000) if fault(seed, 1, 1.0) == kind)


def spoiled(server: Lab, clock: Clock, kind: str) -> httpx.Response:
    server.open(source_of(*[record(NOW)] * 50), clock, faults=1.0, seed=seed_of(kind), slow_seconds=0.2)
    return server.get()


def test_which_requests_fail_is_a_pure_choice_of_the_seed() -> None:
    """The share is kept, all ways occur, and the same seed fails in the same way."""
    kinds = [fault(3, request, 0.35) for request in range(2000)]
    assert kinds == [fault(3, request, 0.35) for request in range(2000)]
    assert 0.3 < sum(kind is not None for kind in kinds) / 2000 < 0.4
    assert set(kinds) == {None, *FAULTS}
    assert {fault(3, request, 0.0) for request in range(100)} == {None}


@pytest.mark.parametrize(("kind", "status"), [("500", 500), ("503", 503), ("429", 429)])
def test_error_pages_have_their_status(server: Lab, clock: Clock, kind: str, status: int) -> None:
    """JSON, plain text, and a problem with Retry-After."""
    answer = spoiled(server, clock, kind)
    assert answer.status_code == status
    assert ("retry-after" in answer.headers) == (kind == "429")


@pytest.mark.parametrize("kind", ["html", "bad json"])
def test_a_200_may_hold_no_usable_body(server: Lab, clock: Clock, kind: str) -> None:
    """A sign-in page of a proxy, and JSON that ends in the middle."""
    answer = spoiled(server, clock, kind)
    assert answer.status_code == 200
    with pytest.raises(ValueError, match=r"Expecting|Unterminated"):
        answer.json()


@pytest.mark.parametrize("kind", ["cut", "reset"])
def test_a_connection_may_break_under_the_answer(
    server: Lab, clock: Clock, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Half a body, or nothing at all: a transport error for the client, no noise in the server's log."""
    with pytest.raises(httpx.TransportError):
        spoiled(server, clock, kind)
    server.open(Source(), clock)
    assert server.get().status_code == 200
    assert caplog.records == []


def test_an_answer_may_be_slow(server: Lab, clock: Clock) -> None:
    """It is right in the end."""
    begun = time.perf_counter()
    assert len(spoiled(server, clock, "slow").json()["logs"]) == 50
    assert time.perf_counter() - begun >= 0.2


def test_requests_are_counted_and_behaviour_can_change_while_it_runs(server: Lab, clock: Clock) -> None:
    """A test can let a portal fail and recover."""
    portal = server.open(Source(), clock, allowed=False)
    assert server.get().status_code == 403
    portal.behaviour = Behaviour()
    assert server.get().status_code == 200
    assert portal.requests == 2


# Serving


def test_a_stopped_server_frees_its_port_and_does_so_in_time(clock: Clock) -> None:
    """Even with a slow answer under way, and stopping twice does no harm."""
    source = source_of(record(NOW))
    serving = serve(app(source, clock, KEY, Behaviour(faults=1.0, seed=seed_of("slow"), slow_seconds=60)))
    begun = time.perf_counter()
    with socket.create_connection(("127.0.0.1", serving.port)) as client:
        client.sendall(
            f"GET {PATH}?page=0&pageSize=1 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\n\r\n".encode()
        )
        time.sleep(0.1)
        serving.stop(deadline=1)
    assert time.perf_counter() - begun < 2
    serving.stop()
    with serve(app(source, clock, KEY), serving.port) as again:
        assert again.port == serving.port


def test_a_port_in_use_is_said_at_once(server: Lab, clock: Clock) -> None:
    """An OSError in the caller's thread, not in the server's."""
    with pytest.raises(OSError, match="in use"):
        serve(app(Source(), clock, KEY), server.serving.port)
