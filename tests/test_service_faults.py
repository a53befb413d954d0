"""The service when what it stands on gives way: the key, the disk, the socket."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from bot.app import App, writing
from bot.errors import AccessError, ApiError, DeliveryError, StoreError
from bot.model import AlertView
from bot.poll.client import Portal
from bot.sandbox import cortex
from bot.sandbox.slack_state import ALERTS
from bot.service import BROKEN, DEAF_SECONDS, Service
from bot.serving import serve
from bot.settings import Settings
from bot.slack.bolt import SlackApp
from tests.test_client import portal, send


@dataclass
class Ears(SlackApp):
    """A Slack side without Slack: a socket that is deaf or not, and all that was posted."""

    alive: bool = True
    reachable: bool = True
    connected: int = 0
    posted: list[tuple[str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.poke = lambda: None

    def socket_alive(self) -> bool:
        return self.alive

    def connect_socket(self) -> None:
        if not self.reachable:
            raise DeliveryError("unreachable", permanent=False)
        self.connected += 1

    def post_alert(self, channel: str, view: AlertView, repeat: bool) -> tuple[str, str]:
        self.posted.append((channel, view.alert.name))
        return channel, "1.1"

    def post_text(self, channel: str, text: str, thread_ts: str | None = None, mention: tuple[str, ...] = ()) -> str:
        self.posted.append((channel, text))
        return "1.1"


@dataclass
class Bench:
    service: Service
    source: cortex.Source
    portal: cortex.Portal
    slack: Ears

    @property
    def app(self) -> App:
        return self.service.app

    def told(self) -> list[str]:
        return [body for (body,) in self.app.store.rows("SELECT body FROM outbox WHERE kind = 'ops' ORDER BY id")]


def clock() -> int:
    return time.time_ns() // 1000


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with benched(tmp_path / "audit.db", cortex.Source()) as made:
        yield made


@contextmanager
def benched(db: Path, source: cortex.Source) -> Iterator[Bench]:
    served = cortex.app(source, clock, "good-key")
    with serve(served) as portal:
        given: dict[str, Any] = {
            "CORTEX_API_KEY": "good-key", "CORTEX_BASE_URL": portal.url, "AUDIT_BOT_DB": db,
            "AUDIT_BOT_CHANNEL": ALERTS, "AUDIT_BOT_RULES": Path("rules/deletion"), "AUDIT_BOT_ACTOR_TYPES": False,
        }  # fmt: skip
        with writing(Settings.model_validate(given), "run") as app:
            slack = Ears()
            service = Service(app, app.portal(), slack, by_socket=True)
            try:
                yield Bench(service, source, served.state.portal, slack)
            finally:
                service.portal.close()


def test_a_refused_key_is_told_once_a_day_left_alone_and_a_new_one_is_picked_up(bench: Bench) -> None:
    """The portal locks keys that ask too often; whoever makes a new one need not restart anything."""
    service = bench.service
    bench.portal.key = "another-key"
    for _ in range(3):
        service.quiet_until = 0
        with pytest.raises(AccessError):
            service.poll()
    assert service.quiet_until > time.monotonic() + 9 * 60
    assert len(bench.told()) == 1
    assert "create one under Settings > API keys" in bench.told()[0]
    asked = service.portal.requests
    service.poll()
    assert service.portal.requests == asked
    service.fresh_key = lambda: "another-key"
    service.quiet_until = 0
    with pytest.raises(AccessError):
        service.poll()
    service.poll()
    assert service.pulse.polls == 1


def test_a_portal_that_asks_for_a_day_of_quiet_gets_it_and_people_are_told(bench: Bench) -> None:
    """Once; the watermark stays where it was, and no step of our clock ends the day."""
    service = bench.service
    service.poll()
    before = bench.app.store.meta("watermark")
    with portal(send(429, Retry_After="86400")) as (busy, asked):
        service.portal, real = busy, service.portal
        with pytest.raises(ApiError):
            service.poll()
        service.poll()
        service.portal = real
    assert (len(asked), bench.app.store.meta("watermark")) == (1, before)
    assert service.quiet_until > time.monotonic() + 86_000
    assert [text for text in bench.told() if "asks to be left alone until" in text] == bench.told()[-1:]


def test_a_disk_that_cannot_be_written_is_told_without_it_and_ends_the_service(bench: Bench) -> None:
    """Over Slack directly, and by the exit code; the watermark has not moved."""
    service, store = bench.service, bench.app.store
    service.poll()
    before = store.meta("watermark")
    store.connection.execute("PRAGMA query_only = 1")
    with pytest.raises(StoreError, match="read-only"):
        service._on_disk(service.poll)()
    store.connection.execute("PRAGMA query_only = 0")
    assert (service.exit_code, service.ending.is_set()) == (BROKEN, True)
    channel, text = bench.slack.posted[-1]
    told = len(bench.slack.posted)
    assert channel == ALERTS
    assert "nothing that was read is lost" in text
    assert store.meta("watermark") == before
    with pytest.raises(StoreError):
        service._on_disk(raise_(StoreError("again")))()
    assert len(bench.slack.posted) == told


def test_a_database_that_is_busy_for_a_moment_ends_nothing(bench: Bench) -> None:
    with pytest.raises(StoreError):
        bench.service._on_disk(raise_(StoreError("locked", busy=True)))()
    assert not bench.service.ending.is_set()


def raise_(error: Exception) -> Any:
    def work() -> None:
        raise error

    return work


def test_a_deaf_socket_is_opened_anew_and_if_that_is_no_help_the_process_ends(bench: Bench) -> None:
    """While Slack itself is away a new process would be as deaf, and the log would go unread."""
    service, slack = bench.service, bench.slack
    service.listen()
    assert (service.hears(), service._listens) == (True, 1)
    slack.alive = False
    service.listen()
    assert (service.hears(), service._listens, slack.connected) == (True, 2, 0)  # Slack's own library has two minutes
    service._heard -= DEAF_SECONDS
    assert not service.hears()
    service.listen()
    assert (service._listens, slack.connected) == (2, 1)  # no sign of life before Slack was heard
    slack.reachable = False
    service.listen()
    assert service._listens == 3
    slack.alive = True
    service.listen()
    assert (service.hears(), service._listens) == (True, 4)


def test_a_start_while_slack_is_away_reads_the_log_all_the_same(bench: Bench) -> None:
    bench.slack.alive = bench.slack.reachable = False
    bench.service.connect()
    assert not bench.service.hears()
    bench.service.poll()
    assert bench.service.pulse.polls == 1


def test_a_portal_without_a_trusted_certificate_gets_no_key() -> None:
    """TLS fails closed: nothing is sent over a connection that is not what it should be."""
    portal = cortex.app(cortex.Source(), clock, "key")
    with serve(portal) as served:
        client = Portal(served.url.replace("http://", "https://"), "key", now=clock)
        with pytest.raises(ApiError, match="did not answer"):
            client.check()
        client.close()
        assert portal.state.portal.requests == 0
