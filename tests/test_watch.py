"""The bot watching itself: what hangs, what is blind, what lags, and whom it tells when Slack is dead."""

from __future__ import annotations

import io
import json
import logging
import re
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from bot import logs
from bot.alert.routing import Routing
from bot.detect.canary import ACTOR, canary_finding
from bot.detect.minimum import BULK_DELETE, with_minimum
from bot.detect.rules import CompiledRule, RuleSet
from bot.detect.sigma.load import load_rules
from bot.errors import DeliveryError
from bot.fields import FactSettings
from bot.model import Level
from bot.schedule import Job, Schedule
from bot.serving import serve
from bot.store.log import gaps
from bot.store.messages import alarms
from bot.store.schema import Store
from bot.times import DAY, HOUR, MINUTE, SECOND
from bot.watch.calls import hand_over, ping
from bot.watch.canary import Canary
from bot.watch.fallback import Fallback
from bot.watch.health import Health, Pulse
from bot.watch.metrics import Live, Metrics
from bot.watch.rounds import Rounds
from bot.watch.silencing import Silencing
from bot.watch.watchdog import Watchdog, Watched
from tests.test_alerts import NOW, found, take
from tests.test_outbox import Clock, Slack, postman


@dataclass
class Book:
    reporting: tuple[CompiledRule, ...] = with_minimum(RuleSet((), {}))
    routing: Routing = field(default_factory=Routing)


@dataclass
class Seconds:
    """A monotonic clock that goes when told."""

    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


# -- the watchdog ------------------------------------------------------------------------------------------------
def watchdog(seconds: Seconds, ended: list[str], signs: dict[str, int]) -> Watchdog:
    parts = [Watched("poll", lambda: signs["poll"], 60), Watched("outbox", lambda: signs["outbox"], 20)]
    return Watchdog(parts, ended.append, seconds, every=5)


def test_a_part_without_a_sign_of_life_is_named() -> None:
    """The one that hangs, not the one that is slow."""
    seconds, signs = Seconds(), {"poll": 0, "outbox": 0}
    dog = watchdog(seconds, [], signs)
    for _ in range(10):
        seconds.now += 5
        signs["outbox"] += 1
        assert dog.look() == ""
    for _ in range(4):
        seconds.now += 5
        signs["poll"] += 1
        assert dog.look() == ""
    seconds.now += 5
    signs["poll"] += 1
    assert dog.look() == "outbox: no sign of life for 25 s, at most 20 s are normal"
    assert dog.silences() == {"poll": 0.0, "outbox": 25.0}


def test_a_process_that_was_frozen_as_a_whole_is_given_time() -> None:
    """SIGSTOP, or a machine that was moved: nothing hung, nobody looked."""
    seconds = Seconds()
    dog = watchdog(seconds, [], {"poll": 0, "outbox": 0})
    seconds.now += 3600
    assert dog.look() == ""
    seconds.now += 5
    assert dog.look() == ""


def test_a_scheduler_that_runs_nothing_more_ends_the_process() -> None:
    """After a step back of the wall clock APScheduler waits for its old time; the watchdog does not look at that."""
    schedule, seconds, ended = Schedule([Job("tick", 5, lambda: None)]), Seconds(), list[str]()
    dog = Watchdog([Watched("scheduler", lambda: schedule.done["tick"], 120)], ended.append, seconds, every=0.001)
    schedule.run_now("tick")
    assert dog.look() == ""

    class Stop:
        def wait(self, _: float) -> bool:
            seconds.now += 0.002
            return False

    dog._parts = (Watched("scheduler", lambda: schedule.done["tick"], 0.1),)
    dog.watch(Stop())  # type: ignore[arg-type]  # a stop that never comes
    assert ended
    assert ended[0].startswith("scheduler: no sign of life")


@pytest.mark.slow
def test_the_process_that_hangs_says_so_and_ends_with_a_code() -> None:
    """The supervisor sees a failure, the log what each thread was doing."""
    code = "from bot.service import end_hard\nend_hard('poll: no sign of life')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 70
    assert "poll: no sign of life" in done.stderr
    assert "Current thread" in done.stderr


# -- the canary --------------------------------------------------------------------------------------------------
def rest(store: Store) -> list[Any]:
    """Return all that must not know of any canary."""
    plain = "type = 'table' AND sql NOT LIKE 'CREATE VIRTUAL%'"
    names = [name for (name,) in store.rows(f"SELECT name FROM sqlite_master WHERE {plain} ORDER BY name")]
    return [(name, store.rows(f"SELECT * FROM {name}")) for name in names if name not in ("meta", "outbox")]


def test_a_canary_comes_through_and_leaves_nothing(store: Store) -> None:
    """Through the rules, an alert, a message and the outbox; no event, fact, profile, finding or alert knows of it."""
    take(store, found(store))
    clock, slack = Clock(), Slack()
    before = rest(store)
    canary = Canary(store, Book, FactSettings, clock)
    assert canary.run_once() == ""
    assert ("canary", "pending") in store.rows("SELECT kind, state FROM outbox")
    postman(store, slack, clock).run_once()
    assert store.meta("canary") == str(clock.time)
    assert not store.rows("SELECT 1 FROM outbox WHERE kind = 'canary'")
    assert "canary" not in str(slack.sent)
    del before[[name for name, _ in before].index("alerts")]  # the alert of above was posted meanwhile
    assert [one for one in rest(store) if one[0] != "alerts"] == before
    assert ACTOR not in str(rest(store))
    clock.time += 6 * MINUTE
    assert canary.run_once() == ""
    assert store.rows("SELECT 1 FROM outbox WHERE kind = 'canary'")


def test_a_canary_that_stays_in_the_outbox_is_an_alarm(store: Store) -> None:
    """Nobody posts any more."""
    clock = Clock()
    canary = Canary(store, Book, FactSettings, clock)
    canary.run_once()
    clock.time += 4 * MINUTE
    assert canary.run_once() == ""
    clock.time += 2 * MINUTE
    assert "stuck in the outbox" in canary.run_once()


def test_a_rule_that_broke_is_told_by_the_canary(store: Store) -> None:
    """Whatever a stage raises, or does not find."""

    class Torn:
        reporting = Book().reporting

        @property
        def routing(self) -> Routing:
            raise ZeroDivisionError("on purpose")

    assert "ZeroDivisionError" in Canary(store, Torn, FactSettings, Clock()).run_once()
    assert not store.rows("SELECT 1 FROM findings UNION ALL SELECT 1 FROM outbox")


def test_the_canary_asks_the_teams_own_rule_where_it_has_one() -> None:
    """And the built-in one where nothing else looks for deletions."""
    own = Path("rules/deletion/bulk-delete.yml").read_text()
    teams = with_minimum(load_rules({"bulk-delete.yml": own.replace("gte: 10", "gte: 25")}))
    finding = canary_finding(teams, NOW)
    assert finding is not None
    assert (finding.rule_id, finding.count, finding.actor) == (BULK_DELETE, 25, ACTOR)
    built_in = canary_finding((), NOW)
    assert built_in is not None
    assert (built_in.count, built_in.level) == (10, Level.high)


# -- alarms, health, heartbeat -----------------------------------------------------------------------------------
@dataclass
class Bench:
    """A service's own looks at one store, with every clock in hand."""

    store: Store
    clock: Clock = field(default_factory=Clock)
    seconds: Seconds = field(default_factory=Seconds)
    deaf: bool = False
    free: int = 1 << 40
    pings: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.pulse = Pulse(self.seconds)
        self.health = Health(self.store, self.pulse, 30, lambda: not self.deaf, lambda _: self.free)
        self.rounds = Rounds(
            Canary(self.store, Book, FactSettings, self.clock), self.health, Fallback(self.store, None, no_call),
            Silencing(self.store, lambda _: None), lambda: self.pings.append(1),
        )  # fmt: skip

    def minute(self) -> None:
        self.clock.time += MINUTE
        self.seconds.now += 60
        self.rounds.run_once(self.clock.time)

    def told(self) -> list[str]:
        return [body for (body,) in self.store.rows("SELECT body FROM outbox WHERE kind = 'ops' ORDER BY id")]


def no_call(_: str, __: Mapping[str, Any]) -> None:
    raise AssertionError("nobody is to be called")


def test_lag_is_told_once_and_so_is_its_end(store: Store) -> None:
    """With how far the log is read, and why."""
    bench, slack = Bench(store), Slack()
    store.set_meta("watermark", str(NOW))
    bench.pulse.poll_failed("HTTP 503")
    for _ in range(30):
        bench.minute()
        postman(store, slack, bench.clock).run_once()
    [text] = bench.told()
    assert text.startswith("No complete poll for 11 min; the log is read up to 2026")
    assert "HTTP 503" in text
    assert alarms.lasting(store)["lag"].text == text
    bench.pulse.poll_was_good()
    bench.minute()
    assert bench.told()[1].startswith("Over after 20 min: No complete poll")


def test_a_gap_is_told_until_it_is_closed(store: Store) -> None:
    """Every window that was not read is named."""
    bench = Bench(store)
    gaps.note(store, NOW - HOUR, NOW - HOUR + SECOND, "HTTP 500", NOW)
    bench.minute()
    assert bench.told()[0].startswith("A window of the log could not be read")
    gaps.close(store, NOW - DAY, NOW, NOW)
    bench.minute()
    assert bench.told()[1].startswith("Over after")


def test_what_lasts_is_told_again_every_day(store: Store) -> None:
    """So that it is not forgotten."""
    for hour in range(50):
        alarms.update(store, {"disk": "The disk is nearly full."}, NOW + hour * HOUR)
    assert store.value("SELECT count(*) FROM outbox") == 3


def test_the_heartbeat_is_sent_only_after_a_good_pass(store: Store) -> None:
    """Complete, everything posted, Slack heard; each pass once."""
    bench, slack = Bench(store), Slack()

    def goes_on() -> bool:
        """Run a minute of everything; tell whether the heartbeat was sent."""
        before = len(bench.pings)
        bench.minute()
        postman(store, slack, bench.clock).run_once()
        return len(bench.pings) > before

    assert not goes_on()  # no poll yet
    bench.pulse.poll_was_good()
    assert goes_on()
    assert not goes_on()  # no other pass since
    bench.pulse.poll_was_good()
    bench.pulse.poll_failed("HTTP 500")
    assert not goes_on()
    bench.pulse.poll_was_good()
    bench.deaf = True
    assert not goes_on()
    bench.deaf = False
    assert goes_on()
    take(store, found(store))
    slack.errors = [DeliveryError("unreachable", permanent=False)] * 99
    for _ in range(7):
        bench.pulse.poll_was_good()
        goes_on()
    bench.pulse.poll_was_good()
    assert not goes_on()  # a row is older than five minutes


def test_a_disk_that_fills_is_told_while_there_is_room_to_tell(store: Store) -> None:
    bench = Bench(store, free=100 << 20)
    bench.minute()
    assert "100 MiB left" in bench.told()[0]


# -- the second path ---------------------------------------------------------------------------------------------
@dataclass
class Webhook:
    taken: list[dict[str, Any]] = field(default_factory=list)
    down: bool = False

    def __call__(self, _: str, body: Mapping[str, Any]) -> None:
        if self.down:
            raise DeliveryError("HTTP 500", permanent=False)
        self.taken.append(dict(body))


def two_alerts(store: Store) -> None:
    take(store, found(store, level=Level.medium))
    other = found(store, level=Level.critical, at=NOW)
    store.connection.execute('UPDATE findings SET grp = \'{"actor": "mallory"}\' WHERE id = ?', (other.id,))
    from bot.store import alerts

    take(store, *alerts.findings(store, "id = ?", (other.id,)))


def test_a_revoked_token_sends_alerts_the_second_way_at_once_the_worst_first(store: Store) -> None:
    """And nothing is given up: with a new token they are posted."""
    two_alerts(store)
    slack, clock, hook = Slack([DeliveryError("token_revoked", permanent=True)] * 4), Clock(), Webhook()
    post = postman(store, slack, clock)
    post.run_once()
    clock.time += SECOND
    post.run_once()
    fallback = Fallback(store, "http://x", hook)
    fallback.run_once(clock.time)
    assert [one["level"] for one in hook.taken] == ["critical", "medium"]
    assert "token_revoked" in hook.taken[0]["text"]
    fallback.run_once(clock.time)
    assert len(hook.taken) == 2
    slack.errors.clear()
    clock.time += 2 * MINUTE
    post.run_once()
    assert [sent[2] for sent in slack.sent] == ["A2", "A1"]


def test_an_hour_without_slack_sends_alerts_the_second_way(store: Store) -> None:
    """Not before; and a webhook that is down itself is tried again."""
    two_alerts(store)
    slack, clock, hook = Slack([DeliveryError("unreachable", permanent=False)] * 99), Clock(), Webhook(down=True)
    post, fallback = postman(store, slack, clock), Fallback(store, "http://x", hook)
    for _ in range(58):
        post.run_once()
        fallback.run_once(clock.time)
        clock.time += MINUTE
    hook.down = False
    assert fallback.run_once(clock.time) == 0
    clock.time += 3 * MINUTE
    assert fallback.run_once(clock.time) == 2


def test_what_was_given_up_goes_the_second_way(store: Store) -> None:
    """Somebody has to see it."""
    take(store, found(store))
    slack, hook = Slack([DeliveryError("is_archived", permanent=True)] * 2), Webhook()
    postman(store, slack, Clock()).run_once()
    Fallback(store, "http://x", hook).run_once(NOW)
    assert hook.taken[0]["alert"] == "A1"
    assert hook.taken[0]["entity"] == "eve@corp.example"


def test_without_a_webhook_the_log_has_it(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    take(store, found(store))
    postman(store, Slack([DeliveryError("is_archived", permanent=True)] * 2), Clock()).run_once()
    Fallback(store, None, no_call).run_once(NOW)
    assert "A1 medium: eve@corp.example" in caplog.text


@contextmanager
def listener() -> Iterator[tuple[str, list[Any], list[int]]]:
    """Serve an address that takes what comes; the last list holds the status to answer with."""
    heard: list[Any] = []
    status = [200]

    async def take_it(request: Request) -> Response:
        heard.append((request.method, await request.body()))
        return JSONResponse({}, status[0], {"Location": "http://127.0.0.1:1/"})

    with serve(Starlette(routes=[Route("/secret-part", take_it, methods=["GET", "POST"])])) as served:
        yield served.url + "/secret-part", heard, status


def test_calls_go_out_and_their_errors_name_no_address() -> None:
    """The address is a secret: whoever knows it may post."""
    with listener() as (url, heard, status):
        ping(url)
        hand_over(url, {"text": "ü"})
        assert [method for method, _ in heard] == ["GET", "POST"]
        assert json.loads(heard[1][1]) == {"text": "ü"}
        status[0] = 302
        with pytest.raises(DeliveryError) as caught:
            ping(url)
        assert len(heard) == 3
    for broken in (url, "http://[", "nonsense"):
        with pytest.raises(DeliveryError) as caught:
            ping(broken)
        assert "secret-part" not in str(caught.value)


# -- figures, logs -----------------------------------------------------------------------------------------------
def test_metrics_are_in_prometheus_text_and_hold_no_name(store: Store) -> None:
    """Counts and moments only: whoever may scrape may not read the log."""
    take(store, found(store))
    live = Live({("poll", "good"): 7}, {"poll": 1.5}, 12, True, {"lag": "No complete poll"}, False)
    text = Metrics(store, lambda: NOW + HOUR, lambda: live).text().decode()
    assert "audit_bot_outbox_waiting 1.0" in text
    assert "audit_bot_outbox_oldest_seconds 3600.0" in text
    assert 'audit_bot_job_runs_total{job="poll",outcome="good"} 7.0' in text
    assert 'audit_bot_alarm{what="lag"} 1.0' in text
    assert "audit_bot_watermark_timestamp_seconds NaN" in text
    assert "eve@corp.example" not in text
    own = set(re.findall(r"^(audit_bot_\w+)", text, re.MULTILINE))
    assert own == set(re.findall(r"^\| `(audit_bot_\w+)", Path("docs/deploy.md").read_text(), re.MULTILINE))
    asked = set(re.findall(r"\baudit_bot_\w+", Path("docs/prometheus-alerts.yml").read_text()))
    assert asked - {"audit_bot_alarm"} <= own


@pytest.mark.parametrize("style", ["console", "json"])
def test_logs_hide_secrets_even_in_tracebacks(style: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever logs need not think of it."""
    out = io.StringIO()
    monkeypatch.setattr(sys, "stderr", out)
    before = logging.getLogger().handlers[:]
    try:
        logs.configure_logs(style, ["xoxb-planted-token", ""])  # type: ignore[arg-type]
        try:
            raise ValueError("no: xoxb-planted-token")
        except ValueError:
            logging.getLogger("bot.test").exception("failed with %s", "xoxb-planted-token")
    finally:
        logging.getLogger().handlers[:] = before
    text = out.getvalue()
    assert "xoxb-planted-token" not in text
    assert text.count("[hidden]") >= 2
    assert "ValueError" in text
    if style == "json":
        line = json.loads(text)
        assert (line["level"], line["logger"]) == ("error", "bot.test")
        assert line["timestamp"].endswith("Z")


def test_probes_over_http_tell_what_is_wrong() -> None:
    from bot.web import Probes, web_app

    said: dict[str, list[str]] = {"hung": [], "unready": ["no connection to Slack"]}
    probes = Probes(lambda: said["hung"], lambda: said["unready"], lambda: b"audit_bot_good 1.0\n")
    with serve(web_app(None, probes)) as served, httpx.Client(trust_env=False) as client:  # type: ignore[arg-type]
        assert client.get(served.url + "/healthz").text == "ok\n"
        ready = client.get(served.url + "/readyz")
        assert (ready.status_code, ready.text) == (503, "no connection to Slack\n")
        assert client.get(served.url + "/metrics").text == "audit_bot_good 1.0\n"


def test_a_body_that_trickles_in_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever opens a thousand of such would keep Slack out; so would one who never sends a head."""
    from bot import serving
    from bot.web import EVENTS_PATH, Probes, web_app

    monkeypatch.setattr(serving, "HEAD_SECONDS", 0.1)
    with serve(web_app(None, Probes(list, list, lambda: b""), body_seconds=0.1)) as served:  # type: ignore[arg-type]
        head = f"POST {EVENTS_PATH} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nabc".encode()
        for sent, heard in ((head, b"HTTP/1.1 408"), (b"", b"")):
            with socket.create_connection(("127.0.0.1", served.port), timeout=20) as line:
                line.sendall(sent)
                assert line.recv(100)[:12] == heard
