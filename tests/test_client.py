"""The client against a real HTTP server on loopback that misbehaves as told."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from bot.errors import AccessError, ApiError
from bot.model import Broken, Record
from bot.poll import client
from bot.poll.client import Portal, Window
from bot.times import SECOND, parse_time
from tests.conftest import START, raw

WINDOW = Window(START, START + 60 * SECOND)
NOW = parse_time("2026-03-02T10:00:00Z")
Answer = Callable[[BaseHTTPRequestHandler], None]


@contextmanager
def portal(*answers: Answer, **more: Any) -> Iterator[tuple[Portal, list[str]]]:
    """Serve answers, one a request, the last one for ever; yield a client and the paths that were asked for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: Any) -> None:
            pass

        def do_GET(self) -> None:
            asked.append(self.path)
            answers[min(len(asked), len(answers)) - 1](self)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    mine = Portal(f"http://127.0.0.1:{server.server_address[1]}", "key", now=lambda: NOW, **more)
    try:
        yield mine, asked
    finally:
        mine.close()
        server.shutdown()
        server.server_close()
        thread.join()


def send(status: int = 200, body: bytes = b"", **headers: str) -> Answer:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response_only(status)
        for name, text in (
            {"Content-Length": str(len(body)), "Date": formatdate(NOW / SECOND, usegmt=True)} | headers
        ).items():
            handler.send_header(name.replace("_", "-"), text)
        handler.end_headers()
        handler.wfile.write(body)

    return answer


def page(*logs: Any, number: int = 0, total: int | None = None) -> bytes:
    count = len(logs) if total is None else total
    return json.dumps({"logs": logs, "page": number, "total": count, "totalPages": 1}).encode()


def test_a_window_is_asked_for_as_the_vendor_does() -> None:
    """Pages of 1,000, times without a zone, the second before included, commas in lists."""
    with portal(send(body=page(raw()))) as (mine, asked):
        records, total = mine.page(WINDOW, 0, actor_type="API_KEY")
    assert total == 1
    assert isinstance(records[0], Record)
    assert asked == [
        "/api/v1/audit-logs?page=0&pageSize=1000&startTime=2026-03-02T08%3A59%3A59&endTime=2026-03-02T09%3A01%3A00"
        "&actorTypes=API_KEY"
    ]


@pytest.mark.parametrize(
    "broken", [{"action": "CREATE"}, raw() | {"timestamp": "soon"}, raw() | {"actorIdentifier": 7}, [], None, 3]
)
def test_a_broken_record_is_kept_raw_and_the_rest_goes_on(broken: Any) -> None:
    """One strange record must not hide its neighbours."""
    with portal(send(body=page(raw(), broken, raw()))) as (mine, _):
        records, _ = mine.page(WINDOW, 0)
    assert [type(one) for one in records] == [Record, Broken, Record]
    assert isinstance(records[1], Broken)
    assert json.loads(records[1].raw) == broken


@pytest.mark.parametrize(
    "bad",
    [
        send(500), send(503), send(body=b"<html>sign in</html>"), send(body=b'{"logs": [{"act'),
        send(body=b'{"logs": {}}'), send(body=page(number=3)), send(body=b"\xff\xfe"), send(429, Retry_After="0"),
        send(body=b"{}", Content_Length="99", Connection="close"),
    ],
)  # fmt: skip
def test_a_bad_answer_is_asked_for_again(bad: Answer) -> None:
    """Passing trouble is not the analyst's business."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        bad(handler)
        handler.close_connection = True

    with portal(answer, send(body=page(raw()))) as (mine, asked):
        assert len(mine.page(WINDOW, 0)[0]) == 1
        assert len(asked) == 2


@pytest.mark.parametrize(
    ("status", "remedy"),
    [(401, "CORTEX_API_KEY"), (403, "View audit logs"), (404, "CORTEX_BASE_URL"), (400, "CORTEX_BASE_URL")],
)
def test_a_refusal_is_told_once_with_the_remedy(status: int, remedy: str) -> None:
    """A person has to act: trying again is no use."""
    with portal(send(status)) as (mine, asked):
        with pytest.raises(AccessError, match=remedy):
            mine.page(WINDOW, 0)
        assert len(asked) == 1


def test_a_redirect_is_refused() -> None:
    """The key goes nowhere but to the address that was configured."""
    with portal(send(302, Location="http://127.0.0.1:9/elsewhere")) as (mine, asked):
        with pytest.raises(AccessError, match="elsewhere"):
            mine.page(WINDOW, 0)
        assert len(asked) == 1


def test_retry_after_is_obeyed() -> None:
    """At least as long as the portal asks for."""
    with portal(send(429, Retry_After="1"), send(body=page())) as (mine, _):
        began = time.monotonic()
        mine.page(WINDOW, 0)
        assert time.monotonic() - began >= 1


def test_a_limit_that_counts_refused_requests_too_is_outwaited() -> None:
    """The wait doubles while it is not enough; asking again and again would keep us out for ever."""
    with portal(*[send(429, Retry_After="1")] * 2, send(body=page())) as (mine, asked):
        began = time.monotonic()
        mine.page(WINDOW, 0)
        assert len(asked) == 3
        assert time.monotonic() - began >= 3


@pytest.mark.parametrize(("text", "seconds"), [("86400", 86400), (formatdate(NOW / SECOND + 7200, usegmt=True), 7200)])
def test_a_very_long_wait_is_handed_on(text: str, seconds: int) -> None:
    """Whoever schedules the polls obeys it, and says so; as seconds or as a date."""
    with portal(send(429, Retry_After=text)) as (mine, asked):
        with pytest.raises(ApiError) as error:
            mine.page(WINDOW, 0)
        assert error.value.retry_after == seconds
        assert len(asked) == 1


def test_a_body_that_trickles_in_meets_a_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    """httpx's timeouts are per read: a byte a second would be waited for all day."""
    monkeypatch.setattr(client, "DEADLINE", 0.3)
    monkeypatch.setattr(client, "ATTEMPTS", 1)

    def trickle(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response_only(200)
        handler.send_header("Content-Length", "1000")
        handler.end_headers()
        try:
            for _ in range(30):
                handler.wfile.write(b" ")
                time.sleep(0.05)
        except OSError:
            pass
        handler.close_connection = True

    with portal(trickle) as (mine, _):
        began = time.monotonic()
        with pytest.raises(ApiError, match="longer than"):
            mine.page(WINDOW, 0)
        assert time.monotonic() - began < 1.2


def test_a_huge_page_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory stays bounded whatever is sent."""
    monkeypatch.setattr(client, "BYTE_CAP", 1000)
    monkeypatch.setattr(client, "ATTEMPTS", 1)
    with portal(send(body=page(*[raw()] * 50))) as (mine, _), pytest.raises(ApiError, match="larger than"):
        mine.page(WINDOW, 0)


def test_the_servers_clock_is_used_and_never_run_ahead_of() -> None:
    """A window must not end later than the portal's own time, whatever our clock says."""
    seconds = [100.0]
    with portal(send(body=page(), Date="Mon, 02 Mar 2026 08:00:00 GMT"), monotonic=lambda: seconds[0]) as (mine, asked):
        assert mine.server_now() == parse_time("2026-03-02T08:00:00Z")
        seconds[0] += 30
        assert mine.server_now() == parse_time("2026-03-02T08:00:30Z")
        assert len(asked) == 1


def test_a_server_without_a_clock_is_asked_by_ours() -> None:
    """A missing or strange Date is no reason to stop."""
    with portal(send(body=page(), Date="at tea time")) as (mine, _):
        assert mine.server_now() == NOW


def test_a_dead_server_is_an_api_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Connection refused is one clear line, not a traceback."""
    monkeypatch.setattr(client, "ATTEMPTS", 2)
    mine = Portal("http://127.0.0.1:9", "key", now=lambda: NOW)
    with pytest.raises(ApiError, match="did not answer"):
        mine.page(WINDOW, 0)
    assert not mine_alive(mine)
    mine.close()


def mine_alive(mine: Portal) -> bool:
    mine._clock = (NOW, 0.0)
    return mine.alive()
