"""Jobs in time; APScheduler's home. Work is derived from the store, never from ticks: a missed tick loses nothing."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from apscheduler.events import EVENT_JOB_ERROR, EVENT_JOB_MAX_INSTANCES, EVENT_JOB_MISSED, JobExecutionEvent
from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler

from bot.errors import AuditBotError

log = logging.getLogger(__name__)

GUARD_SECONDS = 5.0  # between two looks whether our clock was stepped back


@dataclass(frozen=True)
class Job:
    """Something to do every so many seconds; the first time at once."""

    name: str
    seconds: float
    work: Callable[[], None]


class Schedule:
    """Runs jobs, each never beside itself, until it is stopped.

    Each in a thread of its own, which has a connection of its own: if jobs shared their threads, each connection would
    come to keep all the pages that the hungriest job reads.
    """

    def __init__(self, jobs: list[Job]) -> None:
        self._jobs = jobs
        self._scheduler = BackgroundScheduler(
            executors={job.name: ThreadPoolExecutor(1) for job in jobs},
            job_defaults={"coalesce": True, "misfire_grace_time": None, "max_instances": 1},
            timezone="UTC",
        )
        self._scheduler.add_listener(_note, EVENT_JOB_ERROR | EVENT_JOB_MISSED | EVENT_JOB_MAX_INSTANCES)
        self._stopped = threading.Event()
        self._locks = {job.name: threading.Lock() for job in jobs}
        self.outcomes = Counter[tuple[str, str]]()  # runs by (name, "good" or "failed")
        self.done = Counter[str]()  # runs that ended, whatever came of them: a sign of life

    def start(self) -> None:
        """Begin; each job runs at once, then at its interval."""
        self._scheduler.start()
        for job in self._jobs:
            entry = self._scheduler.add_job(
                self.run_now, "interval", args=[job.name], seconds=job.seconds, id=job.name,
                executor=job.name, replace_existing=True,
            )  # fmt: skip
            entry.modify(next_run_time=entry.next_run_time - timedelta(seconds=job.seconds))
        threading.Thread(target=self._guard, name="clock", daemon=True).start()

    def put_right(self) -> None:
        """Run what waits longer than its interval: the scheduler counts by our clock, which was stepped back."""
        for job in self._jobs:
            entry = self._scheduler.get_job(job.name)
            due = None if entry is None else entry.next_run_time
            if due is not None and due - datetime.now(UTC) > timedelta(seconds=job.seconds + GUARD_SECONDS):
                entry.modify(next_run_time=datetime.now(UTC))

    def _guard(self) -> None:
        while not self._stopped.wait(GUARD_SECONDS):
            try:
                self.put_right()
            except LookupError:  # it was stopped meanwhile
                return

    def run_now(self, name: str) -> None:
        """Run a job in this thread, unless it is running already."""
        job = next(job for job in self._jobs if job.name == name)
        lock = self._locks[name]
        if not lock.acquire(blocking=False):
            return
        outcome = "failed"
        try:
            job.work()
            outcome = "good"
        except AuditBotError as error:
            log.error("%s: %s", name, error)
        except Exception:
            log.exception("%s failed; it is tried again", name)
        finally:
            self.outcomes[name, outcome] += 1
            self.done[name] += 1
            lock.release()

    def stop(self, deadline: float) -> None:
        """Stop; wait so many seconds for what is running, all together."""
        self._stopped.set()
        self._scheduler.pause()
        end = time.monotonic() + deadline
        for lock in self._locks.values():
            if lock.acquire(timeout=max(0.0, end - time.monotonic())):
                lock.release()
        self._scheduler.shutdown(wait=False)


def _note(event: JobExecutionEvent) -> None:
    log.debug("the scheduler says %s of %s", event.code, event.job_id)
