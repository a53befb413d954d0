"""The process around the service: signals, standing by, and an end in time."""

from __future__ import annotations

import logging
import os
import signal
import threading
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from bot.app import App, writing
from bot.errors import ConfigError, LockedError, StoreError
from bot.logs import configure_logs
from bot.reading import now
from bot.service import BROKEN, Service
from bot.serving import Serving
from bot.settings import Settings, survey
from bot.slack.bolt import SlackApp
from bot.store.care.locks import standing_by
from bot.web import standby_app, web_app

log = logging.getLogger(__name__)

LAST_SECOND = 5.5  # of the 8 that a supervisor waits; then the process ends whatever still runs
STANDBY_SECONDS = 0.5


@dataclass
class Standby:
    """A second service on the same database: it waits, does nothing, and takes over when the first one ends."""

    db: Path
    host: str
    port: int
    ending: threading.Event
    meanwhile: ExitStack  # holds the mark that says who waits
    waiting: bool = False

    def wait(self, text: str) -> bool:
        """Wait a moment for the lock; tell whether to go on waiting."""
        if not self.waiting:
            self.waiting = True
            self.meanwhile.enter_context(standing_by(self.db))
            self._answer_probes()
            log.info("standing by, to take over when the other one ends: %s", text)
        return not self.ending.wait(STANDBY_SECONDS)

    def _answer_probes(self) -> None:
        """Say on PORT that this one is alive and not ready; on the same host the first one may have that port."""
        try:
            self.meanwhile.enter_context(Serving(standby_app(), self.port, host=self.host))
        except OSError as error:
            log.info("no probes while standing by: port %d cannot be used (%s)", self.port, error.strerror)


def serve(settings: Settings) -> int:
    """Run until SIGTERM or SIGINT, or until the database is lost; return the exit code."""
    configure_logs(settings.log, settings.secrets)
    ending = threading.Event()

    def told(number: int, _: FrameType | None) -> None:
        log.info("told to stop by signal %d", number)
        ending.set()

    signal.signal(signal.SIGTERM, told)
    signal.signal(signal.SIGINT, told)
    with ExitStack() as held:
        app = begin(settings, ending, held)
        return app if isinstance(app, int) else _serve(app, ending, held)


def begin(settings: Settings, ending: threading.Event, held: ExitStack) -> App | int:
    """Wait until the database is ours; return the app over it, or the exit code of a process that got none."""
    with ExitStack() as meanwhile:
        wait = Standby(settings.db, _host(settings), settings.port, ending, meanwhile).wait
        try:
            return held.enter_context(writing(settings, "run", wait))
        except LockedError:
            return 0  # told to stop while standing by
        except StoreError as error:
            if not error.disk:
                raise
            log.critical("the database cannot be used, so I end: %s", error)
            return BROKEN


def _serve(app: App, ending: threading.Event, held: ExitStack) -> int:
    settings = app.settings
    by_socket = settings.by_socket
    slack = SlackApp(settings, app.store, now, app.facts)
    service = Service(app, app.portal(), slack, by_socket, _fresh_key, ending=ending)
    try:
        held.enter_context(Serving(web_app(slack, service.probes()), settings.port, host=_host(settings)))
    except OSError as error:
        raise ConfigError(f"PORT: {settings.port} cannot be used ({error.strerror}): set another.") from error
    if by_socket:
        service.connect()
    service.start()
    log.info("watching; %s", app.store.meta("rules_state"))
    ending.wait()
    _end_soon(service)
    service.stop()
    return service.exit_code


def _host(settings: Settings) -> str:
    return "127.0.0.1" if settings.by_socket else "0.0.0.0"  # noqa: S104 -- Slack calls from outside in HTTP mode


def _fresh_key() -> str | None:
    """Read the portal's key again: its file, or `.env`, may have a new one by now."""
    key = survey()[0].cortex_api_key
    return None if key is None else key.get_secret_value()


def _end_soon(service: Service) -> None:
    """See to it that the process ends in time, whatever hangs: a thread of a pool would be waited for for ever.

    Everything can be cut off anywhere.
    """

    def end() -> None:
        log.warning("some work did not end in time; it is taken up at the next start")
        os._exit(service.exit_code)

    last = threading.Timer(LAST_SECOND, end)
    last.daemon = True
    last.start()
