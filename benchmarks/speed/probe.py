"""What is measured inside a process of its own: each probe prints one JSON object, the start of Python left out."""

from __future__ import annotations

import json
import random
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from benchmarks.speed import logs
from bot import rulebook
from bot.app import writing
from bot.fields import FactSettings
from bot.heap import collect_rarely
from bot.model import Record
from bot.poll.records import parse_record
from bot.reading import opened
from bot.settings import Settings, load
from bot.store.queries import search
from bot.store.schema import Store
from bot.times import MINUTE, SECOND, iso

RULES = Path("rules")
AT_ONCE = 500


def settings(db: str) -> Settings:
    return load((), AUDIT_BOT_DB=Path(db), AUDIT_BOT_RULES=RULES)


def backtest(db: str, *rule_ids: str) -> dict[str, Any]:
    """All rules, or some, over all events: reading them is part of it, printing is not."""
    from bot.terminal.backtest import choose, evaluate

    chosen = settings(db)
    book = rulebook.read_rulebook(chosen.rules)
    facts, rules = chosen.fact_settings(book.sensitive), choose(book.rules, rule_ids)
    with opened(chosen.db) as store:
        wall, cpu = time.monotonic(), time.process_time()
        past = evaluate(store, facts, rules, -(2**60), 2**60)
        took = {"wall": time.monotonic() - wall, "cpu": time.process_time() - cpu}
    return took | {"rules": len(rules), "events": past.events, "bursts": sum(len(one.bursts) for one in past.found)}


def live(db: str, passes: str) -> dict[str, Any]:
    """So many passes of 500 new events each: facts, forest, one commit, and thirty rules, then as many with all rules.

    The first one warms the forest. Upkeep follows each of them, as in a service, and is measured apart.
    """
    from bot.pipeline import Report

    taken: list[tuple[float, float]] = []
    behind: list[tuple[float, float]] = []
    with writing(settings(db), "measure") as app:
        newest = app.store.value("SELECT max(time) FROM events")
        whole = app.pipeline.book()
        thirty = SimpleNamespace(reporting=whole.reporting[:30], routing=whole.routing)
        for number, records in enumerate(_batches(newest + MINUTE, 2 * int(passes) + 1)):
            now = newest + MINUTE + (number + 1) * AT_ONCE * SECOND
            book = thirty if number <= int(passes) else whole
            app.pipeline.now, app.pipeline.book = (lambda now=now: now), (lambda book=book: book)
            begun = time.monotonic(), time.process_time()
            app.pipeline.take(records, Report(), history=False)
            done = time.monotonic(), time.process_time()
            app.pipeline.upkeep()
            taken.append((done[0] - begun[0], done[1] - begun[1]))
            behind.append((time.monotonic() - done[0], time.process_time() - done[1]))
    thirty_rules, all_rules = taken[1 : int(passes) + 1], taken[int(passes) + 1 :]
    return {"first": taken[0], "30 rules": thirty_rules, "all rules": all_rules, "upkeep": behind[1:]}


def _batches(begin: int, count: int) -> list[list[Record]]:
    """Return batches of events, one a second, like those of another log's first days."""
    batches: list[list[Record]] = [[]]
    for place, line in enumerate(logs.lines(AT_ONCE * count, seed=9)):
        record = parse_record(json.dumps(json.loads(line) | {"timestamp": iso(begin + place * SECOND)}).encode())
        assert isinstance(record, Record)
        if len(batches[-1]) == AT_ONCE:
            batches.append([])
        batches[-1].append(record)
    return batches


def audit(db: str, rounds: str) -> dict[str, Any]:
    """Ten shapes of questions, each with names of its own every time: (ms, ms of CPU) for first page and total."""
    from bot.query import parse_command
    from bot.terminal.answer import fact_settings

    facts, dice, taken = fact_settings(settings(db)), random.Random(5), {}
    with opened(Path(db)) as store:
        now = store.value("SELECT max(time) FROM events")
        shapes = _shapes(store, dice)
        for name, make in shapes.items():
            taken[name] = []
            for _ in range(int(rounds)):
                command = parse_command(make(), now, facts.zone)
                wall, cpu = time.monotonic(), time.process_time()
                _answer(store, command.verb, command.query, facts)
                taken[name].append((1000 * (time.monotonic() - wall), 1000 * (time.process_time() - cpu)))
    return taken


def _answer(store: Store, verb: str, query: Any, facts: FactSettings) -> None:
    if verb == "search":
        search.search(store, query, facts)
    elif verb == "top":
        search.top(store, query, facts)
    else:
        search.count(store, query, facts)


def _shapes(store: Store, dice: random.Random) -> dict[str, Callable[[], str]]:
    def name(table: str) -> str:
        most = store.value(f"SELECT max(id) FROM {table}")
        return str(store.value(f"SELECT name FROM {table} WHERE id >= ? LIMIT 1", (dice.randint(1, most),)))

    word = lambda: dice.choice(logs.WORDS)  # noqa: E731
    return {
        "last day": lambda: "last:1d",
        "an actor": lambda: f'actor:"{name("actors")}" last:90d',
        "an address": lambda: f'ip:"{name("addresses")}" last:90d',
        "an object": lambda: f'object:"{name("objects")}" last:90d',
        "a rare part of a name": lambda: f"{dice.randrange(10_000):04d} last:90d",
        "a common part of a name": lambda: f"object:*{word()}* last:90d",
        "a rare type and action": lambda: f"type:{dice.choice(logs.TYPES[-5:])} action:DELETE last:90d",
        "a network but not a type": lambda: f"ip:198.51.{100 + dice.randrange(12)}.0/24 -type:SERVICE last:90d",
        "top actors of a week": lambda: "top by:actor last:7d",
        "top objects of 90 days": lambda: "top by:object last:90d",
    }


def rest(db: str) -> dict[str, Any]:
    """The service's modules, its forest warmed up as a service does it, one pass, then nothing: what stays in memory,
    in MB."""
    import bot.service  # noqa: F401 -- what a service has in memory
    from bot.pipeline import Report

    with writing(settings(db), "measure") as app:
        app.as_service()
        newest = app.store.value("SELECT max(time) FROM events")
        app.pipeline.now = lambda: newest + MINUTE + AT_ONCE * SECOND
        warming = threading.Thread(target=app.pipeline.warm, args=(lambda: False,))  # as the schedule does
        warming.start()
        warming.join()
        app.pipeline.take(_batches(newest + MINUTE, 1)[0], Report(), history=False)
        app.rest()
        assert str(app.store.meta("forest")).startswith("fitted"), app.store.meta("forest")
        lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return {"rss": int(lines["VmRSS"].split()[0]) / 1024}


if __name__ == "__main__":
    collect_rarely()  # as every command does
    probes = {one.__name__: one for one in (backtest, live, audit, rest)}
    print(json.dumps(probes[sys.argv[1]](*sys.argv[2:])))
