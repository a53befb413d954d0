"""Measures how fast and how small the bot is. usage: python -m benchmarks.speed [--help]"""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from rich.progress import Progress

from benchmarks.speed import logs, report
from benchmarks.speed.measuring import Taken, bot, machine, median, module, peer, percentile, probe, spread
from benchmarks.speed.multiply import multiply
from benchmarks.speed.probe import RULES
from benchmarks.speed.report import Figure
from bot import rulebook

SIZES = {"100k": 100_000, "1M": 1_000_000, "10M": 10_000_000}
MILLION = 1_000_000
IMPORTED = MILLION  # larger databases are multiplied out of this one
ONE_RULE = "61243d88-4efb-4968-bdd1-e6f25b1f0d48"  # Bulk delete by one actor
Step = Callable[[str], None]


class Bench:
    """All that is measured, over databases in one folder."""

    def __init__(self, work: Path, runs: int, step: Step) -> None:
        self.work, self.runs, self.step = work, runs, step

    def database(self, size: int) -> Path:
        return self.work / f"{size}.db"

    def log(self, size: int) -> Path:
        return logs.write(self.work / f"log-{size}.jsonl", size)

    def times(self, what: str, make: Callable[[], Taken]) -> list[Taken]:
        taken = []
        for number in range(self.runs):
            self.step(f"{what}, run {number + 1}")
            taken.append(make())
        return taken

    # -- the figures -------------------------------------------------------------------------------------------
    def imports(self, size: int) -> Iterator[Figure]:
        if size > IMPORTED:
            self.step(f"making {size:,} events out of {IMPORTED:,}")
            if not self.database(size).exists():
                multiply(self.database(IMPORTED), self.database(size), size // IMPORTED)
        else:
            log = self.log(size)
            taken = self.times(f"import of {size:,}", lambda: self._import(log, size))
            rates = [size / one.wall for one in taken]
            cpu_rate = size / median([one.cpu for one in taken])
            full = size == MILLION
            yield Figure(
                "import", size, median(rates), "events/s", 16_700 if full else None, cpu_rate, spread(rates),
                len(taken), "CPU: events a second of CPU", least=True,
            )  # fmt: skip
            peaks = [one.peak for one in taken]
            yield Figure("import, peak memory", size, median(peaks), "MB", 400 if full else None, None,
                         spread(peaks), len(taken))  # fmt: skip
        yield Figure("file", size, self.database(size).stat().st_size / size, "bytes/event", 200)

    def _import(self, log: Path, size: int) -> Taken:
        for ending in ("", "-wal", "-shm", ".lock"):
            self.database(size).with_name(f"{size}.db{ending}").unlink(missing_ok=True)
        return bot("import", log, "--db", self.database(size), "--rules", "rules")

    def backtests(self, size: int) -> Iterator[Figure]:
        factor = size / MILLION
        for what, ids, limit in (("30 rules", _thirty(), 3.0), ("all rules", (), None), ("one rule", (ONE_RULE,), 0.8)):
            taken = self.times(f"back-test of {what}", lambda ids=ids: probe("backtest", self.database(size), *ids))
            walls, cpus = [one.answer["wall"] for one in taken], [one.answer["cpu"] for one in taken]
            wanted = limit is not None and (size == MILLION or (size > MILLION and len(ids) > 1))
            yield Figure(f"back-test, {what}", size, median(walls), "s", limit * factor if wanted else None,
                         median(cpus), spread(walls), len(taken), f"{taken[0].answer['rules']} rules")  # fmt: skip
            if len(ids) != 1:
                peaks = [one.peak for one in taken]
                most = 1200 if size > MILLION and ids else None
                yield Figure(f"back-test, {what}, peak memory", size, median(peaks), "MB", most, None, spread(peaks),
                             len(taken))  # fmt: skip

    def live(self, size: int) -> Iterator[Figure]:
        self.step(f"live passes on {size:,}")
        found = self._on_copy(size, lambda copy: probe("live", copy, "100")).answer
        measured = (("30 rules", "live pass, 30 rules", 150), ("all rules", "live pass, all rules", None),
                    ("upkeep", "upkeep behind a live pass", None))  # fmt: skip
        for key, what, limit in measured:
            walls, cpus = ([1000 * taken for taken in column] for column in zip(*found[key], strict=True))
            for part, named in ((0.5, "median"), (0.95, "95th percentile")):
                yield Figure(f"{what}, {named}", size, percentile(walls, part), "ms", limit if part > 0.5 else None,
                             percentile(cpus, part), 0.0, len(walls), "500 new events")  # fmt: skip
        wall, cpu = found["first"]
        yield Figure("first pass after a start", size, wall, "s", None, cpu, note="the forest is warmed from the log")

    def audit(self, size: int) -> Iterator[Figure]:
        self.step(f"questions over {size:,}")
        shapes = probe("audit", self.database(size), "20").answer
        walls, cpus = zip(*(pair for some in shapes.values() for pair in some), strict=True)
        details = {
            name: {"p50": median([wall for wall, _ in some]), "p95": percentile([wall for wall, _ in some], 0.95),
                   "p50_cpu": median([cpu for _, cpu in some]), "p95_cpu": percentile([cpu for _, cpu in some], 0.95)}
            for name, some in shapes.items()
        }  # fmt: skip
        yield Figure("/audit, 95th percentile", size, percentile(walls, 0.95), "ms", 100, percentile(cpus, 0.95), 0.0,
                     len(walls), "ten shapes, 20 each", details=details)  # fmt: skip
        yield Figure("/audit, worst", size, max(walls), "ms", 1000, max(cpus), 0.0, len(walls))

    def service(self, size: int) -> Iterator[Figure]:
        rest = self._on_copy(size, lambda copy: probe("rest", copy))
        self.step(f"memory of a service over {size:,}")
        yield Figure("service at rest", size, rest.answer["rss"], "MB", 220)
        ready = self.times("start to ready", lambda: module("benchmarks.speed.ready", self.database(size)))
        yield _timed("start to ready", size, ready, 2.0)

    def start(self) -> Iterator[Figure]:
        yield _timed("audit-bot --help", 0, self.times("--help", lambda: bot("--help")), 0.3)

    def year(self) -> Iterator[Figure]:
        log = logs.write(self.work / "year.jsonl", 36_000, seed=3, days=365)
        self.step("replay of a year")
        command = ("replay", log, "--from", "2026-01-05", "--format", "jsonl", "--rules", "rules")
        taken = [bot(*command) for _ in range(min(3, self.runs))]
        yield _timed("replay of a year", 36_000, taken, 60.0)

    def delivery(self) -> Iterator[Figure]:
        self.step("from the API to Slack, 40 attacks, a poll every 5 s")
        seconds = module("benchmarks.speed.latency", "40", "5").answer["seconds"]
        yield Figure("API to Slack, 95th percentile", 0, percentile(seconds, 0.95), "s", 7.0, None, 0.0, len(seconds),
                     "a poll every 5 s", details={"median": median(seconds)})  # fmt: skip

    def peers(self, size: int, path: str) -> Iterator[Figure]:
        for kind in ("event_count", "value_count"):
            answers = {}
            for name in ("ours", "fold", "polars", "duckdb", "sigma"):
                self.step(f"{kind} by {name}")
                times = "1" if name == "sigma" else str(self.runs)
                taken = peer(self.database(size), name, kind, times, path=path).answer
                answers[name] = taken["found"]
                walls = taken["wall"]
                yield Figure(f"{kind} by {name}", size, median(walls), "s", None, median(taken["cpu"]),
                             spread(walls), len(walls), f"{taken['found']:,} found")  # fmt: skip
            if len(set(answers.values())) > 1:
                raise SystemExit(f"{kind}: the answers differ: {answers}")

    def _on_copy(self, size: int, make: Callable[[Path], Taken]) -> Taken:
        copy = self.work / "copy.db"
        shutil.copyfile(self.database(size), copy)
        try:
            return make(copy)
        finally:
            for ending in ("", "-wal", "-shm", ".lock"):
                copy.with_name(f"copy.db{ending}").unlink(missing_ok=True)


def _thirty() -> tuple[str, ...]:
    """Return the ids of thirty of the shipped rules, in the order of their files."""
    book = rulebook.read_rulebook(RULES)
    return tuple(rule.id for rule in book.reporting[:30])


def _timed(name: str, size: int, taken: list[Taken], limit: float) -> Figure:
    walls = [one.wall for one in taken]
    return Figure(name, size, median(walls), "s", limit, median([one.cpu for one in taken]), spread(walls), len(walls))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=["100k", "1M"])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--only", nargs="+", help="imports backtests live audit service start year delivery peers")
    parser.add_argument("--peer-size", choices=SIZES, default="100k")
    parser.add_argument("--peer-path", default="", help="where Polars and DuckDB are installed")
    parser.add_argument("--work", type=Path, default=Path("/tmp/audit-bot-bench"))  # noqa: S108 -- large, and gone after a restart
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    given = parser.parse_args()
    given.work.mkdir(parents=True, exist_ok=True)
    with Progress() as progress:
        bar = progress.add_task("", total=None)
        bench = Bench(given.work, given.runs, lambda text: progress.update(bar, description=text, advance=1))
        steps = [getattr(bench, name) for name in ("imports", "backtests", "audit", "live", "service")]
        jobs = [(step, (SIZES[size],)) for size in given.sizes for step in steps]
        jobs += [
            (bench.start, ()),
            (bench.year, ()),
            (bench.delivery, ()),
            (bench.peers, (SIZES[given.peer_size], given.peer_path)),
        ]
        for step, arguments in jobs:
            if given.only is None or step.__name__ in given.only:
                figures = list(step(*arguments))
                report.save(given.out, machine(), figures)
                progress.console.print(report.table(figures), highlight=False)
    report.draw(given.out, report.read(given.out))


if __name__ == "__main__":
    main()
