"""The service as a whole: both stand-ins, the real Bolt app, a process of its own, a polite end."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from bot import demo, schedule
from bot.app import writing
from bot.daemon import LAST_SECOND, Standby
from bot.errors import AuditBotError
from bot.model import Alert, Entity, Level
from bot.reading import now
from bot.sandbox import cortex
from bot.sandbox.slack import fake_slack
from bot.sandbox.slack_state import ALERTS, GROUP, TOKEN
from bot.schedule import Job, Schedule
from bot.service import Service
from bot.serving import serve
from bot.settings import load
from bot.slack.bolt import SlackApp
from bot.store import alerts
from bot.store.care.locks import holder, standby
from bot.store.messages import outbox
from bot.times import DAY, MINUTE
from tests.conftest import raw
from tests.slack_lab import all_taken

SECRET = "a-signing-secret"
KEY = "planted-portal-key"
PROBES = ("healthz", "readyz")
PLANTED = (SECRET, TOKEN, KEY, "planted-hook", "planted-heartbeat")


def wait_for(what: str, seen: Callable[[], object], seconds: float = 240) -> None:
    """Wait until a condition holds, however slow the machine is; say what was waited for where it never does."""
    end = time.monotonic() + seconds
    while not seen():
        assert time.monotonic() < end, f"no {what} within {seconds} s"
        time.sleep(0.05)


def test_the_service_polls_alerts_answers_and_stops_when_told(tmp_path: Path) -> None:
    """In HTTP mode: an attack becomes a message, a click is answered, SIGTERM ends it within 8 s."""

    def clock() -> int:
        return time.time_ns() // 1000

    source = cortex.Source()
    for hour in range(48):
        source.add(raw(clock() - 2 * DAY + hour * 60 * MINUTE))
    page, slack = fake_slack("", SECRET, clock)
    with (
        serve(cortex.app(source, clock, KEY)) as portal,
        serve(page) as console,
        serve(_nothing) as spare,
    ):
        port = spare.port
        spare.stop()
        slack.requests.events_url = f"http://127.0.0.1:{port}/slack/events"
        environment = {
            "PATH": os.environ["PATH"], "CORTEX_API_KEY": KEY, "CORTEX_BASE_URL": portal.url, "PORT": str(port),
            "AUDIT_BOT_FALLBACK_WEBHOOK": console.url + "/planted-hook", "AUDIT_BOT_LOG": "json",
            "AUDIT_BOT_HEARTBEAT_URL": console.url + "/planted-heartbeat",
            "SLACK_BOT_TOKEN": TOKEN, "SLACK_SIGNING_SECRET": SECRET, "SLACK_API_URL": console.url + "/api/",
            "AUDIT_BOT_CHANNEL": ALERTS, "AUDIT_BOT_ALLOWED": GROUP, "AUDIT_BOT_DB": str(tmp_path / "audit.db"),
            "AUDIT_BOT_POLL_SECONDS": "1",
        }  # fmt: skip
        environment |= {name: text for name, text in os.environ.items() if name.startswith("COVERAGE_")}
        log = (tmp_path / "log.txt").open("w+")
        with subprocess.Popen([sys.executable, "-m", "bot", "run"], env=environment, stderr=log) as process:
            try:
                wait_for("history notice", lambda: slack.messages(ALERTS))
                for number in range(12):
                    source.add(raw(clock(), "DELETE", "eve@corp.example", object_=f"svc-{number}"))
                wait_for("alert", lambda: len(slack.messages(ALERTS)) > 1)
                assert "eve@corp.example" in str(slack.messages(ALERTS)[-1])
                pages = {name: ask(port, name) for name in (*PROBES, "metrics")}
                assert {status for status, _ in pages.values()} == {200}
                assert "audit_bot_events 6" in pages["metrics"][1]
                process.send_signal(signal.SIGTERM)
                assert process.wait(25) == 0
            finally:
                process.kill()
        all_taken(slack)
        log.seek(0)
        text = log.read()
        log.close()
        assert "Traceback" not in text
        assert all(json.loads(line)["event"] for line in text.splitlines())
        text += pages["metrics"][1]
        for path in tmp_path.glob("audit.db*"):
            text += path.read_bytes().decode("latin-1")
        for secret in PLANTED:
            assert secret not in text


@pytest.mark.slow
def test_the_service_sends_digests_and_puts_pictures_into_threads(tmp_path: Path) -> None:
    """By its own jobs, from the store to Slack: a day, a week, the pictures of the week and of an alert."""
    page, slack = fake_slack("", SECRET, now)
    with serve(page) as console:
        given: dict[str, Any] = {
            "CORTEX_API_KEY": KEY, "SLACK_BOT_TOKEN": TOKEN, "SLACK_API_URL": f"{console.url}/api/",
            "AUDIT_BOT_CHANNEL": ALERTS, "AUDIT_BOT_DB": tmp_path / "audit.db", "AUDIT_BOT_RULES": "rules/deletion",
        }  # fmt: skip
        with writing(load(**given), "run") as app:
            service = Service(app, app.portal(), SlackApp(app.settings, app.store, now))
            jobs = {job.name: job.work for job in service._jobs()}
            told = (datetime.now(UTC) - timedelta(days=21)).date().isoformat()
            for kind in ("daily", "weekly"):
                app.store.set_meta(f"digest_{kind}", told)
            alert = Alert(0, Entity("actor", "eve"), Level.high, 60, "open", "posted", now(), now(), now(), 1)
            outbox.put(app.store, "post", now(), alert=alerts.insert_alert(app.store, alert, 0).id)
            for name in ("digest", "outbox", "pictures"):
                jobs[name]()
            app.store.connection.execute("UPDATE pictures SET due = 0")  # the minute that a picture waits is over
            jobs["pictures"]()
            service.slack.close()
            service.portal.close()
    all_taken(slack)
    said = {message["text"].split()[0]: message["ts"] for message in slack.messages(ALERTS)}
    assert said.keys() == {"High:", "Digest", "Rules,"}
    files = {first: [file["name"] for reply in slack.messages(ALERTS, thread=ts) for file in reply.get("files", ())]
             for first, ts in said.items()}  # fmt: skip
    assert files == {"High:": ["A1.png"], "Digest": [], "Rules,": ["report-1.png"]}


async def _nothing(scope: object, receive: object, send: object) -> None:
    """Serve nothing: only its port is wanted."""


@pytest.mark.slow
def test_the_demo_shows_an_attack_within_a_minute(tmp_path: Path) -> None:
    """Two commands on a fresh machine: this is the first one."""
    with demo.running(load(AUDIT_BOT_BACKFILL_DAYS=30), 0, tmp_path / "demo.db", fast=True) as shown:
        began = time.monotonic()
        wait_for(
            "alert about the stolen key", lambda: any("ci-terraform" in str(m) for m in shown.slack.messages(ALERTS))
        )
        assert time.monotonic() - began < 60
        all_taken(shown.slack)


def test_a_job_that_fails_is_run_again_and_stops_no_other(caplog: pytest.LogCaptureFixture) -> None:
    """Whatever a pass raises, the next one comes."""
    runs = {"bad": 0, "good": 0}

    def bad() -> None:
        runs["bad"] += 1
        raise ZeroDivisionError if runs["bad"] == 1 else AuditBotError("on purpose")

    def good() -> None:
        runs["good"] += 1

    jobs = Schedule([Job("bad", 0.1, bad), Job("good", 0.1, good)])
    jobs.start()
    wait_for("three runs", lambda: min(runs.values()) >= 3, 20)
    jobs.stop(2)
    assert "ZeroDivisionError" in caplog.text
    assert "on purpose" in caplog.text


def test_each_job_keeps_to_a_thread_of_its_own() -> None:
    """And so to a connection of its own, whose pages in memory are those that this job reads."""
    threads: dict[str, list[int]] = {"one": [], "two": [], "three": []}

    def job(name: str) -> Job:
        return Job(name, 0.02, lambda: threads[name].append(threading.get_ident()))

    jobs = Schedule([job(name) for name in threads])
    jobs.start()
    wait_for("five runs", lambda: min(map(len, threads.values())) >= 5, 20)
    jobs.stop(2)
    assert [len(set(ran)) for ran in threads.values()] == [1, 1, 1]
    assert len({ran[0] for ran in threads.values()}) == 3


def test_a_job_never_runs_beside_itself_and_stopping_waits_for_it() -> None:
    """A slow pass is not joined by a second one."""
    inside, most = threading.Semaphore(1), []

    def slow() -> None:
        most.append(inside.acquire(blocking=False))
        time.sleep(0.3)
        inside.release()

    jobs = Schedule([Job("slow", 0.05, slow)])
    jobs.start()
    threads = [threading.Thread(target=jobs.run_now, args=("slow",)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    jobs.stop(2)
    assert all(most)
    assert inside.acquire(blocking=False)


def test_stopping_has_a_deadline() -> None:
    """A job that hangs does not keep the process."""
    release = threading.Event()

    def stuck() -> None:
        release.wait(20)

    jobs = schedule.Schedule([Job("stuck", 60, stuck)])
    jobs.start()
    time.sleep(0.2)
    began = time.monotonic()
    jobs.stop(0.5)
    assert time.monotonic() - began < 3
    release.set()


def silent(asked: list[str]) -> Any:
    """Return a server that takes requests, by their paths, and never answers one."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            await receive()
            asked.append(scope["path"])
            await asyncio.Event().wait()

    return app


@pytest.mark.slow
def test_a_second_service_stands_by_and_takes_over_when_the_first_ends_in_time_under_load(tmp_path: Path) -> None:
    """The portal hangs in the middle of a poll: SIGTERM ends the one by a limit below 8 s, the other goes on.

    It said on its own port that it is alive and not ready. A request alone would have hung for 30 s.
    """
    assert LAST_SECOND < 8
    asked: list[str] = []
    with serve(silent(asked)) as portal, serve(_nothing) as spare, serve(_nothing) as another:
        ports = (spare.port, another.port)
        spare.stop()
        another.stop()
        environment = {
            "PATH": os.environ["PATH"], "CORTEX_API_KEY": KEY, "CORTEX_BASE_URL": portal.url,
            "SLACK_BOT_TOKEN": TOKEN, "SLACK_SIGNING_SECRET": SECRET, "SLACK_API_URL": portal.url + "/api/",
            "AUDIT_BOT_CHANNEL": ALERTS, "AUDIT_BOT_DB": str(tmp_path / "audit.db"),
        }  # fmt: skip
        environment |= {name: text for name, text in os.environ.items() if name.startswith("COVERAGE_")}
        logs = [(tmp_path / f"log{number}").open("w+") for number in (0, 1)]

        def start(number: int) -> subprocess.Popen[bytes]:
            given = environment | {"PORT": str(ports[number])}
            return subprocess.Popen([sys.executable, "-m", "bot", "run"], env=given, stderr=logs[number])

        def said(number: int) -> str:
            return (tmp_path / f"log{number}").read_text()

        first = start(0)
        try:
            wait_for("first service", lambda: "watching" in said(0))
            second = start(1)
            try:
                wait_for("standby", lambda: "standing by" in said(1))
                assert f"process {first.pid}" in holder(tmp_path / "audit.db")
                assert f"process {second.pid}" in standby(tmp_path / "audit.db")
                assert [ask(ports[1], name) for name in PROBES] == [(200, "standby\n"), (503, "standby\n")]
                wait_for("request that hangs", lambda: any("audit" in path for path in asked))
                first.send_signal(signal.SIGTERM)
                assert first.wait(25) == 0, said(0)
                wait_for("take-over", lambda: "watching" in said(1))
                assert f"process {second.pid}" in holder(tmp_path / "audit.db")
                assert standby(tmp_path / "audit.db") == ""
                assert ask(ports[1], "readyz") == (200, "ok\n")
            finally:
                second.kill()
                second.wait()
        finally:
            first.kill()
            first.wait()
            for log in logs:
                log.close()


def test_a_standby_whose_port_is_taken_stands_by_all_the_same(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Two on one host with the same settings: the second one has no probes, and says so."""
    ending = threading.Event()
    ending.set()
    with serve(_nothing) as taken, ExitStack() as meanwhile, caplog.at_level("INFO"):
        assert not Standby(tmp_path / "audit.db", "127.0.0.1", taken.port, ending, meanwhile).wait("another one writes")
        assert f"process {os.getpid()}" in standby(tmp_path / "audit.db")
    assert "no probes while standing by" in caplog.text


def ask(port: int, name: str) -> tuple[int, str]:
    """Return what a probe answers."""
    page = httpx.get(f"http://127.0.0.1:{port}/{name}", trust_env=False)
    return page.status_code, page.text
