"""The cases: made by the shared generator, read as windows with their features, scored by the shared scorer."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bot.detect.forest.deeds import Seen, WindowKey, arrivals, together
from bot.detect.forest.features import features
from bot.detect.forest.profiles import Floats
from bot.detect.forest.window import Window
from bot.detect.forest.windows import Windows
from bot.fields import FactSettings
from bot.times import DAY, HOUR, MINUTE, iso, parse_time

LOGS = ("moj_modplat", "wmf_puppet", "k8s_testinfra")
CHURNS = ("default", "high")
BATCH = 5 * MINUTE


@dataclass(frozen=True)
class Case:
    """One log with attacks in it."""

    log: str
    seed: int
    churn: str
    folder: Path

    @property
    def truth(self) -> dict[str, Any]:
        """What was injected."""
        found: dict[str, Any] = json.loads((self.folder / "truth.json").read_text(encoding="utf-8"))
        return found

    @property
    def begin(self) -> int:
        """The moment from which alerts count."""
        return parse_time(self.truth["from"])

    def events(self) -> list[Seen]:
        """Return its events as the forest sees them."""
        settings, sensitive, numbers = FactSettings(), dict[str, bool](), dict[str, int]()
        with (self.folder / "events.jsonl").open(encoding="utf-8") as lines:
            return [_seen(json.loads(line), settings, sensitive, numbers) for line in lines]


def _seen(record: dict[str, Any], settings: FactSettings, sensitive: dict[str, bool], numbers: dict[str, int]) -> Seen:
    type_, actor, ip = record["objectType"], record["actorIdentifier"], record["ipAddress"]
    if type_ not in sensitive:
        sensitive[type_] = settings.type_sensitive(type_)
    return Seen(
        parse_time(record["timestamp"]),
        actor,
        ip,
        ip.rpartition(".")[0] if ip else None,
        numbers.setdefault(record["objectIdentifier"], len(numbers) + 1),
        type_,
        record["action"],
        "none" if actor is None else "person" if "@" in actor else "key",
        sensitive[type_],
    )


def make(shared: Path, where: Path, log: str, seed: int, churn: str) -> Case:
    """Return a case, made where it is not there yet."""
    case = Case(log, seed, churn, where / f"{log}-{seed}-{churn}")
    if not (case.folder / "truth.json").exists():
        maker, data = shared / "check" / "anomaly" / "make_case.py", shared / "data" / f"{log}.jsonl.gz"
        run([maker, "--data", data, "--seed", seed, "--churn", churn, "--out", case.folder])
    return case


def run(command: list[object]) -> str:
    """Run a Python program and return what it prints."""
    return subprocess.run([sys.executable, *map(str, command)], check=True, capture_output=True, text=True).stdout


def batches(events: Iterable[Seen]) -> Iterator[tuple[int, list[Seen]]]:
    """Yield (clock, events) as polls of five minutes would bring them."""
    batch: list[Seen] = []
    end = 0
    for event in events:
        if event.time >= end and batch:
            yield end, batch
            batch = []
        if not batch:
            end = event.time // BATCH * BATCH + BATCH
        batch.append(event)
    if batch:
        yield end, batch


@dataclass(frozen=True)
class Told:
    """A window as it was after some batch: what a message on it would say."""

    now: int
    key: WindowKey
    first: int
    last: int
    ip: str | None


@dataclass(frozen=True)
class Rows:
    """All windows of a case: as they closed, and as they stood after each batch that touched them."""

    began: int
    keys: list[WindowKey]
    closed: Floats
    told: list[Told]
    live: Floats


def rows_of(case: Case) -> Rows:
    """Return the windows with their features; every detector gets the same."""
    windows, told, live = Windows(), list[Told](), list[Floats]()
    closed: dict[WindowKey, Floats] = {}

    def observe(events: list[Seen]) -> list[Window]:
        joined: list[Window] = []
        for hour, deeds in together(arrivals(events)):
            closed.update(windows.advance(hour) if hour > windows.hour else {})
            joined += windows.join(deeds)
        return joined

    events, begin = case.events(), case.begin
    observe([event for event in events if event.time < begin])
    for now, batch in batches(event for event in events if event.time >= begin):
        touched = {one.key: one for one in observe(batch)}
        if touched:
            told += [Told(now, one.key, one.first, one.last, one.ip) for one in touched.values()]
            live.append(features(list(touched.values())))
    closed.update(windows.advance(windows.hour + HOUR))
    return Rows(windows.began or 0, list(closed), np.stack(list(closed.values())), told, np.concatenate(live))


class Alerts:
    """Joins strange windows into alerts, as bot/alert does, and keeps the lines that `audit-bot replay` would print."""

    def __init__(self) -> None:
        self.lines: list[dict[str, object]] = []
        self.open: dict[tuple[str, str], list[int]] = {}  # entity: alert id, opened, last
        self.number = 0

    def add(self, told: Told) -> None:
        """Take a window above the threshold."""
        entity = told.key[:2]
        alert = self.open.get(entity)
        if alert is None or told.last > alert[2] + HOUR or told.now > alert[1] + DAY:
            self.number += 1
            alert = self.open[entity] = [self.number, told.now, told.last]
        alert[2] = max(alert[2], told.last)
        self.lines.append(
            {
                "alert_id": alert[0],
                "time": iso(told.now),
                "level": "medium",
                "actor": told.key.entity if told.key.kind == "actor" else None,
                "ip": told.ip,
                "rules": ["forest"],
                "reasons": [],
                "first_event": iso(told.first),
                "last_event": iso(told.last),
                "events": 1,
            }
        )


class Scorer:
    """The shared scorer, as a module."""

    def __init__(self, shared: Path) -> None:
        spec = importlib.util.spec_from_file_location("score", shared / "check" / "anomaly" / "score.py")
        assert spec is not None
        assert spec.loader is not None
        self._module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(self._module)

    def score(self, case: Case, lines: list[dict[str, object]]) -> dict[str, Any]:
        """Return the figures of these alert lines."""
        kept = case.folder / "alerts.jsonl"
        kept.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
        return self.score_file(case, kept)

    def score_file(self, case: Case, file: Path) -> dict[str, Any]:
        """Return the figures of the alert lines in a file."""
        begin = self._module.parse_time(case.truth["from"])
        found: dict[str, Any] = self._module.score(case.truth, self._module.read_alerts(file, begin))
        return found
