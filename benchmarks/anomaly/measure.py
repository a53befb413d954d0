"""Measure the forest alone, or the whole bot, on the shared cases: recall, false alerts a week, minutes to detect.

usage: measure.py [--shared ../shared] [--logs ...] [--seeds 1 2 3 4 5] [--churn default]
                  [--alarms 3] [--off GROUP ...] [--feedback]     the forest alone
                  --pipeline                                      `audit-bot replay`: shipped rules and forest

For every log and seed: make the case, learn before --from, watch after it in batches of five minutes of events, join
strange windows into episodes (an actor's alert takes what follows within an hour, for a day at most), score the alerts.
With --feedback people confirm each true alert a day later, so that its windows leave threshold and refits.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

from rich.progress import track

from bot.detect.features import GROUPS
from bot.detect.forest_config import ForestConfig
from bot.detect.watcher import Strange, Watcher
from bot.detect.windows import Seen
from bot.fields import FactSettings
from bot.times import DAY, HOUR, MINUTE, iso, parse_time

LOGS = ("moj_modplat", "wmf_puppet", "k8s_testinfra")
BATCH = 5 * MINUTE


def read_events(path: Path) -> list[Seen]:
    settings = FactSettings()
    sensitive: dict[str, bool] = {}
    events = []
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            record = json.loads(line)
            kind, actor, ip = record["objectType"], record["actorIdentifier"], record["ipAddress"]
            if kind not in sensitive:
                sensitive[kind] = settings.type_sensitive(kind)
            events.append(
                Seen(
                    parse_time(record["timestamp"]),
                    actor,
                    ip,
                    ip.rpartition(".")[0] if ip else None,
                    record["objectIdentifier"],
                    kind,
                    record["action"],
                    "none" if actor is None else "person" if "@" in actor else "key",
                    sensitive[kind],
                )
            )
    return events


class Alerts:
    """Joins strange windows into alerts, as bot/alert does, and keeps the lines that `audit-bot replay` would print."""

    def __init__(self) -> None:
        self.lines: list[dict[str, object]] = []
        self.open: dict[tuple[str, str], list[int]] = {}  # entity: alert id, opened, last
        self.number = 0

    def add(self, strange: Strange, now: int) -> None:
        entity = (strange.kind, strange.entity)
        alert = self.open.get(entity)
        if alert is None or strange.last > alert[2] + HOUR or now > alert[1] + DAY:
            self.number += 1
            alert = self.open[entity] = [self.number, now, strange.last]
        alert[2] = max(alert[2], strange.last)
        self.lines.append(
            {
                "alert_id": alert[0],
                "time": iso(now),
                "level": strange.level.name,
                "actor": strange.entity if strange.kind == "actor" else None,
                "ip": strange.ip,
                "rules": ["forest"],
                "reasons": strange.reasons,
                "first_event": iso(strange.first),
                "last_event": iso(strange.last),
                "events": strange.events,
                "groups": strange.groups,
                "score": round(strange.score, 3),
            }
        )


class Analyst:
    """Confirms, a day later, the alerts that were right."""

    def __init__(self, truth: dict[str, object]) -> None:
        self.attacks = [
            (set(attack["actors"]), parse_time(attack["start"]) - HOUR, parse_time(attack["end"]))
            for attack in truth["attacks"]  # type: ignore[attr-defined]
        ]
        self.waiting: list[tuple[int, Strange]] = []

    def look(self, found: Iterable[Strange], watcher: Watcher, now: int) -> None:
        for one in found:
            if any(one.entity in who and begin <= one.hour <= end for who, begin, end in self.attacks):
                self.waiting.append((now + DAY, one))
        while self.waiting and self.waiting[0][0] <= now:
            one = self.waiting.pop(0)[1]
            watcher.exclude(one.kind, one.entity, one.hour)


def batches(events: Iterable[Seen]) -> Iterable[tuple[int, list[Seen]]]:
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


def replay(case: Path, config: ForestConfig, feedback: bool) -> Path:
    truth = json.loads((case / "truth.json").read_text(encoding="utf-8"))
    begin, events = parse_time(truth["from"]), read_events(case / "events.jsonl")
    watcher, alerts, analyst = Watcher(config), Alerts(), Analyst(truth)
    watcher.warm((event for event in events if event.time < begin), begin)
    for now, batch in batches(event for event in events if event.time >= begin):
        found = watcher.observe(batch, now)
        for strange in found:
            alerts.add(strange, now)
        if feedback:
            analyst.look(found, watcher, now)
    out = case / "alerts.jsonl"
    out.write_text("".join(json.dumps(line) + "\n" for line in alerts.lines), encoding="utf-8")
    return out


def pipeline(case: Path) -> Path:
    begin = json.loads((case / "truth.json").read_text(encoding="utf-8"))["from"]
    out = case / "pipeline.jsonl"
    replayed = run(["-m", "bot", "replay", case / "events.jsonl", "--from", begin, "--format", "jsonl"])
    out.write_text(replayed, encoding="utf-8")
    return out


def measure(shared: Path, case: Path, log: str, seed: int, a: argparse.Namespace) -> dict:
    check = shared / "check" / "anomaly"
    if not (case / "truth.json").exists():
        data = shared / "data" / f"{log}.jsonl.gz"
        run([check / "make_case.py", "--data", data, "--seed", seed, "--churn", a.churn, "--out", case])
    begun = time.monotonic()
    groups = tuple(group for group in GROUPS if group not in a.off)
    alerts = pipeline(case) if a.pipeline else replay(case, ForestConfig(a.alarms, groups=groups), a.feedback)
    figures: dict = json.loads(run([check / "score.py", case, alerts, "--json"]))
    return {"log": log, "seed": seed, "seconds": time.monotonic() - begun, **figures}


def run(command: list[object]) -> str:
    return subprocess.run([sys.executable, *map(str, command)], check=True, capture_output=True, text=True).stdout


def table(rows: list[dict]) -> str:
    text = "| log | seed | recall | false a week | worst week | minutes | longest alert, days | seconds |\n"
    text += "|---|---|---|---|---|---|---|---|\n"
    names = ("recall", "false_per_week", "worst_week", "ttd_min", "longest_alert_days", "seconds")
    for row in rows:
        text += f"| {row['log']} | {row['seed']} | " + " | ".join(f"{row[name]:.3g}" for name in names) + " |\n"
    means = [statistics.mean(row[name] for row in rows) for name in names]
    return text + "| **mean** | | " + " | ".join(f"{mean:.3g}" for mean in means) + " |\n"


def by_scenario(rows: list[dict]) -> str:
    found: dict[tuple[str, str], list[float]] = {}
    for row in rows:
        for scenario, recalls in row["recall_by_scenario"].items():
            for level in ("low", "medium", "high", "all"):
                if recalls[level] is not None:
                    found.setdefault((scenario, level), []).append(recalls[level])
    lines = []
    for name in sorted({scenario for scenario, _ in found}):
        means = (statistics.mean(found[name, level]) for level in ("low", "medium", "high", "all"))
        lines.append(f"{name:24}" + "".join(f"{mean:8.2f}" for mean in means))
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shared", type=Path, default=Path(__file__).parents[2].parent / "shared")
    parser.add_argument("--logs", nargs="+", default=LOGS)
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3, 4, 5])
    parser.add_argument("--churn", default="default")
    parser.add_argument("--alarms", type=float, default=ForestConfig().alarms_per_week)
    parser.add_argument("--off", nargs="+", default=[], choices=GROUPS, help="groups of features to leave out")
    parser.add_argument("--feedback", action="store_true")
    parser.add_argument("--where", type=Path, help="keep the cases here")
    parser.add_argument(
        "--pipeline", action="store_true", help="rules and forest, as shipped, through the real pipeline"
    )
    a = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        where = a.where or Path(temporary)
        cases = [(log, seed) for log in a.logs for seed in a.seeds]
        rows = [
            measure(a.shared, where / f"{log}-{seed}-{a.churn}", log, seed, a)
            for log, seed in track(cases, "cases", disable=not sys.stderr.isatty())
        ]
    print(table(rows) + "\n" + by_scenario(rows))


if __name__ == "__main__":
    main()
