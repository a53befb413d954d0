"""Figures for Prometheus: counts and moments, never a name; prometheus-client's home."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from bot.store.schema import Store
from bot.store.status import Status, status
from bot.times import SECOND

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


@dataclass(frozen=True)
class Live:
    """What only the running process knows: jobs by (name, outcome), seconds of silence by part, and more."""

    runs: Mapping[tuple[str, str], int]
    silences: Mapping[str, float]
    requests: int
    socket: bool
    wrong: Mapping[str, str]
    good: bool


class Metrics(Collector):
    """Reads the store and the process anew for each scrape."""

    def __init__(self, store: Store, now: Callable[[], int], live: Callable[[], Live]) -> None:
        self._store, self._now, self._live = store, now, live
        self._registry = CollectorRegistry()
        for one in (ProcessCollector, PlatformCollector, GCCollector):
            one(registry=self._registry)
        self._registry.register(self)

    def text(self) -> bytes:
        """Return the figures in Prometheus' text format."""
        return generate_latest(self._registry)

    def describe(self) -> list[Metric]:
        """Name nothing beforehand, so that registering does not read the store."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Yield all figures."""
        now = self._now()
        yield from _of_store(self._store, status(self._store, now), now)
        yield from _of_process(self._live())


def _of_store(store: Store, found: Status, now: int) -> Iterator[Metric]:
    oldest = 0.0 if found.oldest_queued is None else max(0, now - found.oldest_queued) / SECOND
    canary = int(store.meta("canary") or 0) or None
    yield _gauge("events", "Events in the database.", found.events)
    yield _gauge("malformed_records", "Records that could not be read, kept raw.", found.malformed)
    yield _gauge("gaps", "Windows of the log that could not be read yet.", len(found.gaps))
    yield _gauge("undetected_spans", "Spans that a rule has to look at again.", _count(store, "undetected"))
    yield _gauge("watermark_timestamp_seconds", "Everything before it is stored.", _seconds(found.watermark))
    yield _gauge("last_poll_timestamp_seconds", "When a poll was complete last.", _seconds(found.last_poll))
    yield _gauge("last_event_timestamp_seconds", "The newest event's moment.", _seconds(found.last_event))
    yield _gauge(
        "canary_timestamp_seconds",
        "When a canary came through last.",
        _seconds(canary),
    )
    yield _gauge("outbox_waiting", "Messages still to be posted.", found.queue)
    yield _gauge("outbox_oldest_seconds", "The age of the oldest of them.", oldest)
    yield _gauge("outbox_failed", "Messages given up.", found.failed)
    yield _gauge("alerts_open", "Posted alerts that nobody has resolved.", found.alerts_open)
    yield _gauge("findings_7d", "Findings of the last seven days.", found.findings_7d)
    yield _gauge("database_bytes", "The size of the database file.", store.path.stat().st_size)


def _of_process(live: Live) -> Iterator[Metric]:
    runs = CounterMetricFamily("audit_bot_job_runs", "Runs of the jobs, by outcome.", labels=("job", "outcome"))
    for (job, outcome), count in sorted(live.runs.items()):
        runs.add_metric((job, outcome), count)
    yield runs
    silent = GaugeMetricFamily("audit_bot_silent_seconds", "Since a part last showed a sign of life.", labels=("part",))
    for part, seconds in sorted(live.silences.items()):
        silent.add_metric((part,), seconds)
    yield silent
    alarms = GaugeMetricFamily("audit_bot_alarm", "1 for each thing that is wrong now.", labels=("what",))
    for what in sorted(live.wrong):
        alarms.add_metric((what,), 1)
    yield alarms
    yield CounterMetricFamily("audit_bot_portal_requests", "Requests to the portal.", value=live.requests)
    yield _gauge("socket_alive", "1 where Slack is heard, or calls over HTTP.", live.socket)
    yield _gauge("good", "1 after a good pass: complete, all posted, Slack heard, the canary alive.", live.good)


def _gauge(name: str, help_: str, value: float | None) -> GaugeMetricFamily:
    """Return one figure; NaN where there is none yet."""
    return GaugeMetricFamily(f"audit_bot_{name}", help_, value=float("nan") if value is None else value)


def _seconds(time: int | None) -> float | None:
    return None if time is None else time / SECOND


def _count(store: Store, table: str) -> int:
    return int(store.db.table(table).count)
