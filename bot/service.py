"""The service: everything that runs over one database, until it is told to stop."""

from __future__ import annotations

import faulthandler
import logging
import os
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from bot.alert import digest, follow
from bot.alert.outbox import Postman
from bot.alert.pictures import Illustrator
from bot.app import App
from bot.errors import AccessError, ApiError, DeliveryError, StoreError
from bot.keeping import Keeping
from bot.live_rules import LiveRules
from bot.poll.client import Portal
from bot.reading import now
from bot.schedule import Job, Schedule
from bot.slack.bolt import SlackApp
from bot.store.messages import outbox
from bot.store.people import inquiries, proposals
from bot.times import DAY, SECOND, is_due, iso
from bot.watch.calls import hand_over, ping
from bot.watch.canary import Canary
from bot.watch.fallback import Fallback
from bot.watch.health import Health, Pulse
from bot.watch.metrics import Live, Metrics
from bot.watch.rounds import Rounds
from bot.watch.silencing import Silencing
from bot.watch.watchdog import Watchdog, Watched
from bot.web import Probes

log = logging.getLogger(__name__)

STOP_SECONDS = 4.0  # for what is under way, of the 8 s that a supervisor waits
OUTBOX_SECONDS, TICK_SECONDS, SOCKET_SECONDS, ROUND_SECONDS, KEEPING_SECONDS = 1.0, 5.0, 15.0, 30.0, 600.0
PICTURE_SECONDS, FOLLOW_SECONDS, DIGEST_SECONDS, FOREST_SECONDS = 2.0, 10.0, 60.0, 2.0
REFUSED_PAUSE = 600.0  # seconds; a refused key is not tried more often
DEAF_SECONDS = 120.0  # Slack's own library reconnects; after so long we do
HUNG = 70  # the exit code of a process that the watchdog ended (EX_SOFTWARE)
BROKEN = 74  # and of one whose database cannot be written (EX_IOERR)


@dataclass
class Service:
    """One database with everything that runs over it. `by_socket`: Slack is heard over a connection of ours."""

    app: App
    portal: Portal
    slack: SlackApp
    by_socket: bool = False
    fresh_key: Callable[[], str | None] = lambda: None  # the portal's key as settings and files have it now
    quiet_until: float = 0.0  # no poll before, by the monotonic clock: the portal asked for it, or refuses the key
    ending: threading.Event = field(default_factory=threading.Event)
    exit_code: int = 0

    def __post_init__(self) -> None:
        app, settings = self.app, self.app.settings
        self.types = app.type_reader(self.portal)
        self.postman = Postman(app.store, self.slack, app.channels, lambda: app.book.routing, now)
        self.illustrator = Illustrator(
            app.store, self.slack, now, app.facts.zone, digest.drawers(app.store, app.facts.zone)
        )
        self.pulse = Pulse(time.monotonic)
        self.health = Health(app.store, self.pulse, settings.poll_seconds, self.hears)
        webhook, heartbeat = settings.fallback_webhook, settings.heartbeat_url
        self.fallback = Fallback(app.store, webhook.get_secret_value() if webhook else None, hand_over)
        self.rounds = Rounds(
            Canary(app.store, lambda: app.book, lambda: app.facts, now),
            self.health,
            self.fallback,
            Silencing(app.store, self.slack.email_of),
            (lambda: ping(heartbeat.get_secret_value())) if heartbeat else None,
        )
        self._stopping = threading.Event()
        app.as_service()
        self.keeping = Keeping(app.store, settings.backup_dir, settings.retention_days, self._stopping.is_set)
        self.schedule = Schedule(self._jobs())
        self.slack.poke = lambda: self.schedule.run_now("outbox")
        self._rules = threading.Thread(target=LiveRules(app).watch, args=(self._stopping,), name="rules", daemon=True)
        self._heard, self._listens = time.monotonic(), 0
        self.watchdog = Watchdog(self._parts(), end_hard)
        self.metrics = Metrics(app.store, now, self._live)

    def _jobs(self) -> list[Job]:
        jobs = [
            Job("poll", self.app.settings.poll_seconds, self._on_disk(self.poll)),
            Job("outbox", OUTBOX_SECONDS, self._on_disk(self.post)),
            Job("follow", FOLLOW_SECONDS, self._on_disk(self.follow)),
            Job("watch", ROUND_SECONDS, self._on_disk(lambda: self.rounds.run_once(now()))),
            Job("pictures", PICTURE_SECONDS, self._on_disk(self.illustrate)),
            Job("digest", DIGEST_SECONDS, self._on_disk(self.tell)),
            Job("keeping", KEEPING_SECONDS, self._on_disk(self.keep)),
            Job("forest", FOREST_SECONDS, self._on_disk(self.warm)),
            Job("tick", TICK_SECONDS, lambda: None),
        ]
        return jobs + [Job("socket", SOCKET_SECONDS, self.listen)] * self.by_socket

    def _parts(self) -> list[Watched]:
        """Name what the watchdog watches: work that is done, never time that passes."""
        done = self.schedule.done
        long = max(900.0, 3 * self.app.settings.poll_seconds)  # one request may be repeated for five minutes
        parts = [
            Watched("scheduler", lambda: done["tick"], 120),
            Watched("poll", lambda: (done["poll"], self.portal.requests), long),
            Watched("outbox", lambda: (done["outbox"], self.postman.handled), 300),
            Watched("follow", lambda: done["follow"], 300),
            Watched("watch", lambda: done["watch"], 600),
        ]
        return parts + [Watched("socket", lambda: self._listens, 600)] * self.by_socket

    def start(self) -> None:
        """Settle what an earlier process left half done, then begin."""
        self.postman.recover()
        self.illustrator.recover()
        self.schedule.start()
        self._rules.start()
        threading.Thread(target=self.watchdog.watch, args=(self._stopping,), name="watchdog", daemon=True).start()

    def connect(self) -> None:
        """Open the socket; where Slack is away for the moment, the log is read all the same."""
        try:
            self.slack.connect_socket()
        except DeliveryError as error:
            if error.permanent:
                raise
            log.warning("no connection to Slack yet (%s); it is tried again", error.code)
            self._heard -= DEAF_SECONDS

    def poll(self) -> None:
        """Run one pass, unless the portal wants to be left alone."""
        if time.monotonic() < self.quiet_until:
            return
        try:
            done = self.app.pipeline.poll(
                self.portal, overlap=self.app.overlap, backfill=self.app.backfill, types=self.types
            )
        except AccessError as error:
            key = self.fresh_key()
            if key is not None and self.portal.use_key(key):
                log.info("the portal refuses the key, but there is a new one")
                self._poll_failed(error)
            else:
                self.quiet_until = time.monotonic() + REFUSED_PAUSE
                self._poll_failed(error, "access", str(error))
            raise
        except ApiError as error:
            if error.retry_after is not None:
                self.quiet_until = time.monotonic() + error.retry_after
                until = iso(now() + int(error.retry_after * SECOND))
                self._poll_failed(error, "wait", f"The portal asks to be left alone until {until}.")
            self._poll_failed(error)
            raise
        self.pulse.poll_was_good()
        if done.events or done.posted:
            log.info("%d new events, %d findings, %d alerts to post", done.events, done.findings, done.posted)
        self.schedule.run_now("outbox")
        if done.events or done.posted:
            self.app.rest()

    def follow(self) -> None:
        """Do what time alone brings about: notices that are due, reminders, escalation."""
        follow.run_once(self.app.store, self.app.book.routing, now(), self.app.facts.zone)

    def post(self) -> None:
        """Do what time alone has made due, and send what waits in the outbox."""
        proposals.lapse(self.app.store, now())
        inquiries.escalate(self.app.store, now())
        self.postman.run_once()

    def warm(self) -> None:
        """Build the forest where it is not there: after a start, and when its settings changed."""
        self.app.pipeline.warm(self._stopping.is_set)

    def illustrate(self) -> None:
        """Put pictures into the threads of what was posted."""
        self.illustrator.run_once()

    def keep(self) -> None:
        """Do the housekeeping that is due; a copy that fails is told, and tried again."""
        self.keeping.run_once(now())
        self.pulse.backup_error = self.keeping.error

    def tell(self) -> None:
        """Queue the digests that are due."""
        digest.run_once(self.app.store, self.app.book.routing.digest, now(), self.app.facts.zone)

    def hears(self) -> bool:
        """Tell whether what people do in Slack reaches us, or did two minutes ago."""
        return not self.by_socket or self.slack.socket_alive() or time.monotonic() - self._heard < DEAF_SECONDS

    def listen(self) -> None:
        """Look after the socket. No sign of life is noted only where a new connection is as deaf as the old one: then
        a new process may help; while Slack itself is away, it would not."""
        if self.slack.socket_alive():
            self._heard = time.monotonic()
        if time.monotonic() - self._heard < DEAF_SECONDS:
            self._listens += 1
            return
        try:
            self.slack.connect_socket()
            log.info("connected to Slack again")
        except DeliveryError as error:
            self._listens += 1
            log.warning("no connection to Slack: %s", error.code)

    def probes(self) -> Probes:
        """Return what HTTP may ask of the service."""
        return Probes(self._hung, self._unready, self.metrics.text)

    def stop(self) -> None:
        """Stop taking new work, finish what is under way, send what is ready."""
        self._stopping.set()
        self.schedule.stop(STOP_SECONDS)
        self._rules.join(1)
        self.slack.close()
        self.portal.close()

    def _on_disk(self, work: Callable[[], None]) -> Callable[[], None]:
        """Let a job end the service where the database cannot be used: the supervisor starts it anew, and sees it."""

        def run() -> None:
            try:
                work()
            except StoreError as error:
                if not error.busy and not self._stopping.is_set():
                    self._lost_the_disk(error)
                raise

        return run

    def _lost_the_disk(self, error: StoreError) -> None:
        """Tell people without any use of the disk, then end."""
        if self.ending.is_set():
            return
        self.exit_code = BROKEN
        self.ending.set()
        text = f"The database cannot be used, so I end; nothing that was read is lost. {error}"
        self.fallback.say(text)
        channels = self.app.channels
        with suppress(DeliveryError):
            if channel := channels.ops or channels.default:
                self.slack.post_text(channel, text)

    def _poll_failed(self, error: ApiError, key: str = "", text: str = "") -> None:
        """Note it; tell the ops channel, once a day for the same trouble."""
        self.pulse.poll_failed(str(error))
        if key and is_due(self.app.store.meta_time(f"told_{key}"), DAY, now()):
            self.app.store.set_meta(f"told_{key}", str(now()))
            outbox.put(self.app.store, "ops", now(), body=text)

    def _hung(self) -> list[str]:
        silent = self.watchdog.silences()
        return [f"{part.name} is silent" for part in self._parts() if silent[part.name] > part.seconds / 2]

    def _unready(self) -> list[str]:
        """Return why people would not be answered."""
        deaf = [] if self.hears() else ["no connection to Slack"]
        try:
            self.app.store.meta("watermark")
        except StoreError as error:
            return [*self._hung(), *deaf, str(error)]
        return [*self._hung(), *deaf]

    def _live(self) -> Live:
        wrong = self.health.wrong(now())
        return Live(
            dict(self.schedule.outcomes), self.watchdog.silences(), self.portal.requests, self.hears(), wrong,
            self.health.good(wrong),
        )  # fmt: skip


def end_hard(why: str) -> None:
    """End a process that hangs, with what each thread was doing, so that the supervisor starts it anew."""
    log.critical("the watchdog ends the process: %s", why)
    faulthandler.dump_traceback(sys.stderr, all_threads=True)
    os._exit(HUNG)
