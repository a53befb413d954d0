"""What people would use instead, on the same events: each has to give the same answer before its time counts.

Two rules: ten deletions by one actor within ten minutes, and deletions of ten different things. The answer is at how
many deletions the window of the last ten minutes satisfies the rule; times are whole seconds, as the reference backend
knows no finer ones. Loading the events is not counted for anybody.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import sqlite3
import sys
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from bot.detect.columns import Columns, TextColumn
from bot.detect.match import Evaluation
from bot.detect.rules import CompiledRule
from bot.detect.sigma.load import load_rules
from bot.fields import FactSettings
from bot.reading import opened
from bot.times import MINUTE, SECOND

LEAST, SPAN = 10, 10 * MINUTE
DELETION = """
title: Deletion
id: 00000000-0000-4000-8000-000000000001
name: deletion
status: stable
level: informational
description: Something was deleted.
logsource: {product: cortex, service: audit}
detection: {it: {action: DELETE}, condition: it}
---
"""
HEAD = (
    "title: Many\nid: 00000000-0000-4000-8000-000000000002\nstatus: stable\nlevel: high\ndescription: Many deletions.\n"
)
WINDOWS = {
    "event_count": "correlation: {type: event_count, rules: [deletion], group-by: [actor], timespan: 10m,"
    " condition: {gte: 10}}\n",
    "value_count": "correlation: {type: value_count, rules: [deletion], group-by: [actor], timespan: 10m,"
    " condition: {field: object, gte: 10}}\n",
}
Event = tuple[int, int, str | None, str, str]  # id, second, actor, object, action


def read(db: str) -> Columns:
    """Return the events with whole seconds, texts in memory."""
    from bot.detect import facts

    with opened(Path(db)) as store:
        columns = facts.read_span(store, FactSettings(), -(2**60), 2**60)
        fields = {name: columns.text(name) for name in ("actor", "ip", "object", "type", "action")}
        texts = {name: TextColumn(one.codes, list(one.values)) for name, one in fields.items()}
    return Columns(columns.id, columns.time // SECOND * SECOND, dict(texts))


def rows(columns: Columns) -> list[Event]:
    texts = [np.append(np.array(columns.text(n).values, dtype=object), None)[columns.text(n).codes].tolist()
             for n in ("actor", "object", "action")]  # fmt: skip
    return list(zip(columns.id.tolist(), (columns.time // SECOND).tolist(), *texts, strict=True))


# -- the competitors: each returns a function that answers, with the events loaded before ---------------------------
def ours(kind: str, columns: Columns) -> Callable[[], int]:
    rule = load_rules({"rules.yml": DELETION + HEAD + WINDOWS[kind]}).rules[-1]
    return lambda: _anchors(rule, columns)


def _anchors(rule: CompiledRule, columns: Columns) -> int:
    evaluation = Evaluation(columns)
    return int(np.count_nonzero(evaluation._events(rule)))


def fold(kind: str, columns: Columns) -> Callable[[], int]:
    """Event by event with a queue for each actor, as alerting by plain Python goes."""
    events = rows(columns)
    return lambda: _fold(kind, events)


def _fold(kind: str, events: Iterable[Event]) -> int:
    span, found = SPAN // SECOND, 0
    windows: dict[str, deque[tuple[int, str]]] = {}
    counts: dict[str, Counter[str]] = {}
    same: dict[str, int] = {}  # deletions at the newest second, judged together
    for _, second, actor, name, action in events:
        if action != "DELETE" or actor is None:
            continue
        window, seen = windows.setdefault(actor, deque()), counts.setdefault(actor, Counter())
        if window and window[-1][0] != second:
            same[actor] = 0
        same[actor] = same.get(actor, 0) + 1
        before = len(window) if kind == "event_count" else len(seen)
        while window and window[0][0] < second - span:
            gone = window.popleft()[1]
            seen[gone] -= 1
            if not seen[gone]:
                del seen[gone]
        window.append((second, name))
        seen[name] += 1
        after = len(window) if kind == "event_count" else len(seen)
        if after >= LEAST:
            found += 1 if before >= LEAST or same[actor] == 1 else same[actor]
    return found


def sigma(kind: str, columns: Columns) -> Callable[[], int]:
    """The reference Sigma backend for SQLite, by its own plan of execution."""
    import yaml
    from sigma.collection import SigmaCollection

    backend: Any = importlib.import_module("sigma.backends.sqlite")
    runtime: Any = importlib.import_module("sigma.backends.sqlite.runtime")
    store = sqlite3.connect(":memory:")
    store.execute("CREATE TABLE logs (id INTEGER PRIMARY KEY, timestamp INTEGER, actor TEXT, object TEXT, action TEXT)")
    store.executemany("INSERT INTO logs VALUES (?, ?, ?, ?, ?)", rows(columns))
    one = backend.sqliteBackend(timestamp_format="unix", event_id_field="id")
    text = one.convert(SigmaCollection.from_yaml(DELETION + HEAD + WINDOWS[kind]), "zircolite")
    rules = yaml.safe_load(text) if isinstance(text, str) else text
    plan = next(rule["correlation_plan"] for rule in rules if rule["title"] == "Many")

    def answer() -> int:
        alerts, _ = runtime.execute_plan(store, plan, include_events=False)
        ends = {(one["group_keys"]["actor"], round(one["window_end"])) for one in alerts}
        marks = store.execute("SELECT actor, timestamp FROM logs WHERE action = 'DELETE' AND actor IS NOT NULL")
        return sum((actor, second) in ends for actor, second in marks)

    return answer


def duckdb(kind: str, columns: Columns) -> Callable[[], int]:
    import duckdb as engine

    link = engine.connect()
    link.execute("CREATE TABLE logs (id BIGINT, t BIGINT, actor INTEGER, object INTEGER, action INTEGER)")
    arrays = {name: columns.text(name).codes for name in ("actor", "object", "action")}
    link.register("given", {"id": columns.id, "t": columns.time // SECOND, **arrays})
    link.execute("INSERT INTO logs SELECT * FROM given")
    delete = list(columns.text("action").values).index("DELETE")
    what = "count(*)" if kind == "event_count" else "count(DISTINCT object)"
    sql = (
        f"SELECT count(*) FROM (SELECT {what} OVER (PARTITION BY actor ORDER BY t RANGE BETWEEN {SPAN // SECOND}"
        f" PRECEDING AND CURRENT ROW) AS n FROM logs WHERE action = {delete} AND actor >= 0) WHERE n >= {LEAST}"
    )
    return lambda: int(link.execute(sql).fetchone()[0])


def polars(kind: str, columns: Columns) -> Callable[[], int]:
    import polars as pl

    arrays = {name: columns.text(name).codes for name in ("actor", "object", "action")}
    frame = pl.DataFrame({"t": columns.time // SECOND, **arrays})
    delete = list(columns.text("action").values).index("DELETE")

    def answer() -> int:
        some = frame.filter((pl.col("action") == delete) & (pl.col("actor") >= 0)).sort("actor", "t")
        what = pl.len() if kind == "event_count" else pl.col("object").n_unique()
        windows = some.rolling("t", period=f"{SPAN // SECOND}i", closed="both", group_by="actor").agg(what.alias("n"))
        # a window ends with its own event: those of the same second get what the last of them has
        last = windows.group_by("actor", "t").agg(pl.col("n").max(), pl.len().alias("events"))
        return int(last.filter(pl.col("n") >= LEAST)["events"].sum())

    return answer


PEERS = {one.__name__: one for one in (ours, fold, sigma, duckdb, polars)}


def main(db: str, name: str, kind: str, times: str) -> None:
    answer = PEERS[name](kind, read(db))
    taken, found = [], None
    with contextlib.suppress(KeyboardInterrupt):
        for _ in range(int(times)):
            wall, cpu = time.monotonic(), time.process_time()
            found = answer()
            taken.append((time.monotonic() - wall, time.process_time() - cpu))
    print(json.dumps({"found": found, "wall": [wall for wall, _ in taken], "cpu": [cpu for _, cpu in taken]}))


if __name__ == "__main__":
    main(*sys.argv[1:])
