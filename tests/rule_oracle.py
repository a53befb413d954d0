"""The reference Sigma backend as an oracle, over random events and random rules.

`python -m tests.rule_oracle --minutes 10` compares for as long as wanted, and stops at the first difference.
"""

from __future__ import annotations

import argparse
import importlib
import re
import sqlite3
import sys
import time
from collections.abc import Sequence
from random import Random
from typing import Any

import yaml
from sigma.collection import SigmaCollection

from bot.detect.match import Burst, bursts, matching
from bot.times import SECOND
from tests.rule_random import (
    BOOLS,
    NUMBERS,
    TEXTS,
    Allowed,
    Correlated,
    Event,
    Group,
    Plain,
    as_columns,
    as_yaml,
    load,
    random_correlation,
    random_events,
    random_plain,
)

# The backend says that it is typed, and is not.
sqlite: Any = importlib.import_module("sigma.backends.sqlite")
runtime: Any = importlib.import_module("sigma.backends.sqlite.runtime")


def database(events: Sequence[Event]) -> sqlite3.Connection:
    """Return the events as the reference backend wants them; texts ignore case, as Sigma says."""
    store = sqlite3.connect(":memory:")
    # What re says of a missing value is nothing, and pysigma leaves the flags in front.
    store.create_function("regexp", 2, lambda p, v: v is not None and re.search(p, str(v)) is not None)
    texts = ", ".join(f"{name} TEXT COLLATE NOCASE" for name in (*TEXTS, "weekday"))
    numbers = ", ".join(f"{name} NUMERIC" for name in (*NUMBERS, *BOOLS))
    store.execute(f"CREATE TABLE logs (id INTEGER PRIMARY KEY, timestamp INTEGER, {texts}, {numbers})")
    names = (*TEXTS, "weekday", *NUMBERS, *BOOLS)
    rows = [(event["id"], event["time"] // SECOND, *(event[name] for name in names)) for event in events]
    store.executemany(f"INSERT INTO logs VALUES (?, ?, {', '.join('?' * len(names))})", rows)
    return store


def oracle_matches(spec: Plain, store: sqlite3.Connection) -> set[int]:
    """Return the ids of the events that the reference backend finds."""
    query = sqlite.sqliteBackend(collate_nocase=True).convert(SigmaCollection.from_yaml(as_yaml(spec)))[0]
    return {row[0] for row in store.execute(query)}


def oracle_alerts(spec: Correlated, store: sqlite3.Connection) -> list[dict[str, Any]]:
    """Return the windows that the reference backend finds: group_keys, window_end, event_ids."""
    backend = sqlite.sqliteBackend(collate_nocase=True, timestamp_format="unix", event_id_field="id")
    converted = backend.convert(SigmaCollection.from_yaml(as_yaml(spec)), "zircolite")
    rules = yaml.safe_load(converted) if isinstance(converted, str) else converted
    plan = next(rule["correlation_plan"] for rule in rules if rule["title"] == spec.name)
    alerts, _ = runtime.execute_plan(store, plan, include_events=False)
    return list(alerts)


def oracle_bursts(spec: Correlated, store: sqlite3.Connection) -> list[tuple[Group, int, int, int]]:
    """Return (group, first, last, count) as the reference backend's windows have them.

    In an ordered sequence the backend names only the events of one sequence, so there first and count are left at 0.
    """
    groups: dict[Group, list[tuple[int, set[int]]]] = {}
    for alert in oracle_alerts(spec, store):
        group = tuple((name, str(alert["group_keys"][name])) for name in spec.group_by)
        ids = {int(each.split(":")[1]) for each in alert["event_ids"]}
        groups.setdefault(group, []).append((round(alert["window_end"]) * SECOND, ids))
    times = dict(store.execute("SELECT id, timestamp FROM logs"))
    found = []
    for group, alerts in groups.items():
        for run in _runs(sorted(alerts, key=lambda each: each[0]), spec.timespan):
            ids = set().union(*(each[1] for each in run))
            first = min(times[each] for each in ids) * SECOND
            exact = spec.kind != "temporal_ordered" and not any(isinstance(rule, Correlated) for rule in spec.rules)
            found.append((group, first if exact else 0, run[-1][0], len(ids) if exact else 0))
    return sorted(found)


def _runs(alerts: Sequence[tuple[int, set[int]]], join: int) -> list[list[tuple[int, set[int]]]]:
    runs: list[list[tuple[int, set[int]]]] = []
    for alert in alerts:
        if runs and alert[0] - runs[-1][-1][0] <= join:
            runs[-1].append(alert)
        else:
            runs.append([alert])
    return runs


def comparable(spec: Correlated, found: Sequence[Burst]) -> list[tuple[Group, int, int, int]]:
    """Return bursts in the form of `oracle_bursts`; the backend writes groups in small letters."""
    exact = spec.kind != "temporal_ordered" and not any(isinstance(rule, Correlated) for rule in spec.rules)
    return sorted(
        (
            tuple((name, text.lower()) for name, text in burst.group),
            *((burst.first, burst.last, burst.count) if exact else (0, burst.last, 0)),
        )
        for burst in found
    )


# The reference backend looks forward where the bot looks back (`a and not b`), knows no list of counted fields, and
# counts an alert of a named correlation, with all its events' fields, where the bot counts the event that completes it.
ORACLE_KNOWS = Allowed(negated_windows=False, many_counted=False, same_groups=True, counted_chains=False)


def compare_once(rnd: Random) -> int:
    """Compare a random plain rule and a random correlation; return how many bursts there were."""
    events = random_events(rnd, 60)
    store, columns = database(events), as_columns(events)
    plain = random_plain(rnd, "plain")
    mask = matching(load(plain).rules[-1], columns)
    ours = set(columns.id[mask].tolist())
    theirs = oracle_matches(plain, store)
    assert ours == theirs, f"{as_yaml(plain)}\nours {ours}\noracle {theirs}"
    spec = random_correlation(rnd, "correlation", ORACLE_KNOWS)
    if _counts_simultaneous(spec):
        events = [dict(event, time=number * SECOND) for number, event in enumerate(events)]
        store, columns = database(events), as_columns(events)
    found = comparable(spec, bursts(load(spec).rules[-1], columns))
    wanted = oracle_bursts(spec, store)
    assert found == wanted, f"{as_yaml(spec)}\nours {found}\noracle {wanted}"
    return len(found)


def _counts_simultaneous(spec: Correlated) -> bool:
    """Tell where the oracle takes several anchors of one moment for one: in correlations of correlations."""
    return any(isinstance(rule, Correlated) for rule in spec.rules)


def main() -> int:
    """Compare until the time is over."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    arguments = parser.parse_args()
    end, rounds, seen = time.monotonic() + arguments.minutes * 60, 0, 0
    while time.monotonic() < end:
        seed = arguments.seed + rounds
        try:
            seen += compare_once(Random(seed))
        except AssertionError as error:
            sys.stdout.write(f"\nseed {seed}: {error}\n")
            return 1
        rounds += 1
        if rounds % 20 == 0:
            sys.stdout.write(
                f"\r{rounds:,} rules twice, {seen:,} bursts, nothing different, from seed {arguments.seed} "
            )
            sys.stdout.flush()
    sys.stdout.write(f"\n{rounds:,} plain rules, {rounds:,} correlations, {seen:,} bursts: nothing different\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
