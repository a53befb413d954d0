"""The service: the scheduler, the outbox and the Slack app over one database, until it is told to stop."""

from __future__ import annotations

import logging
import signal
import threading
from dataclasses import dataclass
from types import FrameType

import structlog

from bot.alert.outbox import Postman
from bot.app import App, now, writing
from bot.errors import AccessError, ApiError
from bot.live_rules import LiveRules
from bot.poll.client import Portal
from bot.schedule import Job, Schedule
from bot.serving import Serving
from bot.settings import Settings
from bot.slack.bolt import SlackApp
from bot.store import outbox
from bot.times import DAY, MINUTE, SECOND, iso
from bot.web import web_app

log = logging.getLogger(__name__)

STOP_SECONDS = 6.0  # for what is under way, of the 8 s that a supervisor waits
OUTBOX_SECONDS = 1.0
REFUSED_PAUSE = 10 * MINUTE  # a refused key is not tried more often


@dataclass
class Service:
    """One database with everything that runs over it."""

    app: App
    portal: Portal
    slack: SlackApp
    quiet_until: int = 0  # no poll before, in microseconds: the portal asked for it, or refuses the key

    def __post_init__(self) -> None:
        app = self.app
        self.types = app.type_reader(self.portal)
        self.postman = Postman(app.store, self.slack, app.channels, lambda: app.book.routing, now)
        self.schedule = Schedule(
            [Job("poll", app.settings.poll_seconds, self.poll), Job("outbox", OUTBOX_SECONDS, self.post)]
        )
        self.slack.poke = lambda: self.schedule.run_now("outbox")
        self._stopping = threading.Event()
        self._rules = threading.Thread(target=LiveRules(app).watch, args=(self._stopping,), name="rules", daemon=True)

    def start(self) -> None:
        """Settle what an earlier process left half done, then begin."""
        self.postman.recover()
        self.schedule.start()
        self._rules.start()

    def poll(self) -> None:
        """Run one pass, unless the portal wants to be left alone."""
        if now() < self.quiet_until:
            return
        try:
            done = self.app.pipeline.poll(
                self.portal, overlap=self.app.overlap, backfill=self.app.backfill, types=self.types
            )
        except AccessError as error:
            self.quiet_until = now() + REFUSED_PAUSE
            self._tell_daily("access", str(error))
            raise
        except ApiError as error:
            if error.retry_after is not None:
                self.quiet_until = now() + int(error.retry_after * SECOND)
                self._tell_daily("wait", f"The portal asks to be left alone until {iso(self.quiet_until)}.")
            raise
        if done.events or done.posted:
            log.info("%d new events, %d findings, %d alerts to post", done.events, done.findings, done.posted)
        self.schedule.run_now("outbox")

    def post(self) -> None:
        """Send what waits in the outbox."""
        self.postman.run_once()

    def stop(self) -> None:
        """Stop taking new work, finish what is under way, send what is ready."""
        self._stopping.set()
        self.schedule.stop(STOP_SECONDS)
        self._rules.join(1)
        self.slack.close()
        self.portal.close()

    def _tell_daily(self, key: str, text: str) -> None:
        """Tell the ops channel, once a day for the same trouble."""
        last = self.app.store.meta(f"told_{key}")
        if last is None or int(last) + DAY <= now():
            self.app.store.set_meta(f"told_{key}", str(now()))
            outbox.put(self.app.store, "ops", now(), body=text)


def serve(settings: Settings) -> None:
    """Run until SIGTERM or SIGINT."""
    configure_logs()
    stop = threading.Event()

    def told(number: int, _: FrameType | None) -> None:
        log.info("told to stop by signal %d", number)
        stop.set()

    signal.signal(signal.SIGTERM, told)
    signal.signal(signal.SIGINT, told)
    with writing(settings, "run") as app:
        slack = SlackApp(settings, app.store, now, app.facts)
        service = Service(app, app.portal(), slack)
        by_socket = settings.slack_app_token is not None
        with Serving(web_app(slack), settings.port, host="127.0.0.1" if by_socket else "0.0.0.0"):  # noqa: S104 -- Slack calls from outside in HTTP mode
            if by_socket:
                slack.connect_socket()
            service.start()
            log.info("watching; %s", app.store.meta("rules_state"))
            stop.wait()
            service.stop()


def configure_logs() -> None:
    """Send all logs to stderr, one line each; secrets never enter them, since settings hide theirs."""
    handler = logging.StreamHandler()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processor=structlog.dev.ConsoleRenderer(colors=handler.stream.isatty()),
            foreign_pre_chain=[
                structlog.processors.TimeStamper(fmt="iso"),
                structlog.stdlib.add_log_level,
                structlog.stdlib.add_logger_name,
            ],
        )
    )
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    for chatty in ("httpx", "httpcore", "slack_bolt", "slack_sdk"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    logging.getLogger("apscheduler").setLevel(logging.ERROR)  # a tick that finds its job still running is no news
