"""The demo: a simulated portal, the real bot, and a Slack page to look at, all in one process on this machine."""

from __future__ import annotations

import secrets
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bot.app import writing
from bot.errors import ConfigError
from bot.logs import configure_logs
from bot.reading import now
from bot.sandbox import attacks, cortex
from bot.sandbox.slack import FakeSlack, fake_slack
from bot.sandbox.slack_state import ALERTS, GROUP, OPS, TOKEN
from bot.service import Service
from bot.serving import Serving, serve
from bot.settings import Settings
from bot.show import progress
from bot.slack.bolt import SlackApp
from bot.times import SECOND
from bot.web import EVENTS_PATH, web_app

SEED = 1
LEAD = 5 * SECOND  # the story of the attacks begins so long after the start
POLL_SECONDS = 2


@dataclass
class Demo:
    """A running demo: where its page is, and its parts for those who test it."""

    url: str
    slack: FakeSlack
    service: Service


def demo(settings: Settings, port: int, db: Path | None, *, fast: bool) -> None:
    """Run the demo until it is interrupted or ended; its folder goes with it."""
    configure_logs()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with (
        tempfile.TemporaryDirectory() as folder,
        running(settings, port, db or Path(folder) / "demo.db", fast) as shown,
    ):
        sys.stdout.write(
            f"\nThe console is at {shown.url}\n"
            "The first attack's alert comes within a minute. Try the buttons, and /audit top by:actor last:7d\n"
            "Ctrl-C ends it; nothing of it is kept.\n\n"
        )
        sys.stdout.flush()
        threading.Event().wait()


@contextmanager
def running(settings: Settings, port: int, db: Path, fast: bool = False) -> Iterator[Demo]:
    """Start all parts, read the history, and let the story go on. Raises ConfigError where the port is taken."""
    secret, key = secrets.token_hex(16), secrets.token_hex(16)
    source = cortex.storied(SEED, now())
    page, slack = fake_slack("", secret, now)
    with _serve(page, port) as console, serve(cortex.app(source, now, key)) as portal:
        chosen = _settings(settings, db, secret, key, portal.url, console.url)
        with writing(chosen, "demo") as app:
            bolt = SlackApp(chosen, app.store, now, app.facts)
            service = Service(app, app.portal(), bolt)
            with serve(web_app(bolt, service.probes())) as bot:
                slack.requests.events_url = bot.url + EVENTS_PATH
                source.extend(attacks.demo(SEED, now() + LEAD, fast))
                with progress(f"Reading {chosen.backfill_days} days of history") as seen:
                    app.pipeline.poll(service.portal, overlap=app.overlap, backfill=app.backfill, progress=seen)
                service.start()
                try:
                    yield Demo(console.url, slack, service)
                finally:
                    service.stop()


def _serve(page: object, port: int) -> Serving:
    try:
        return serve(page, port)
    except OSError as error:
        raise ConfigError(f"Port {port} is taken: end what uses it, or give another with --port.") from error


def _settings(settings: Settings, db: Path, secret: str, key: str, portal: str, console: str) -> Settings:
    """Return the settings of the demo: of the environment only rules, zone and the days to read are used."""
    chosen: dict[str, Any] = {
        "CORTEX_API_KEY": key,
        "CORTEX_BASE_URL": portal,
        "SLACK_BOT_TOKEN": TOKEN,
        "SLACK_SIGNING_SECRET": secret,
        "SLACK_API_URL": console + "/api/",
        "AUDIT_BOT_DB": db,
        "AUDIT_BOT_RULES": settings.rules,
        "AUDIT_BOT_CHANNEL": ALERTS,
        "AUDIT_BOT_OPS_CHANNEL": OPS,
        "AUDIT_BOT_ALLOWED": GROUP,
        "AUDIT_BOT_TIMEZONE": settings.timezone,
        "AUDIT_BOT_BACKFILL_DAYS": settings.backfill_days,
        "AUDIT_BOT_POLL_SECONDS": POLL_SECONDS,
    }
    return Settings.model_validate(chosen)


def simulate(port: int, seed: int, key: str) -> None:
    """Serve the simulated API until it is interrupted or ended."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with _serve(cortex.app(cortex.storied(seed, now(), attacks=True), now, key), port) as served:
        sys.stdout.write(f"CORTEX_BASE_URL={served.url} CORTEX_API_KEY={key}\nCtrl-C ends it.\n")
        sys.stdout.flush()
        threading.Event().wait()
