"""Runs a process and says what it took: wall time, CPU time, peak memory; and what machine that was on."""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bot.store.schema import VERSION

ROOT = Path(__file__).parents[2]
LOOPS = 2_000_000


@dataclass(frozen=True)
class Taken:
    """What a process took: seconds, seconds of CPU of user and system together, peak memory in MB, what it printed."""

    wall: float
    cpu: float
    peak: float
    out: str

    @property
    def answer(self) -> Any:
        return json.loads(self.out.splitlines()[-1])


def run(*words: str | Path, env: dict[str, str] | None = None) -> Taken:
    """Run a command in a process of its own. Raises RuntimeError where it fails."""
    began = time.monotonic()
    process = subprocess.Popen(
        [*map(str, words)], cwd=ROOT, stdout=subprocess.PIPE, env={**os.environ, **(env or {})}, text=True
    )
    assert process.stdout is not None
    out = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{' '.join(map(str, words))} ended with {process.returncode}")
    return Taken(time.monotonic() - began, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, out)


def bot(*words: str | Path) -> Taken:
    """Run a command of the bot."""
    return run(sys.executable, "-m", "bot", *words)


def module(*words: str | Path) -> Taken:
    """Run a module of the benchmarks."""
    return run(sys.executable, "-m", *words)


def probe(*words: str | Path) -> Taken:
    """Run one of the probes."""
    return module("benchmarks.speed.probe", *words)


def peer(*words: str | Path, path: str) -> Taken:
    """Run one of the peers; `path` is where their packages are."""
    paths = os.pathsep.join(filter(None, (str(ROOT), path, os.environ.get("PYTHONPATH"))))
    return run(sys.executable, "-m", "benchmarks.speed.peers", *words, env={"PYTHONPATH": paths})


def median(values: Sequence[float]) -> float:
    return float(statistics.median(values))


def spread(values: Sequence[float]) -> float:
    """Return half the distance from the least to the greatest, as a share of the median."""
    middle = median(values)
    return (max(values) - min(values)) / 2 / middle if middle else 0.0


def percentile(values: Sequence[float], part: float) -> float:
    """Return the value that this part of the values does not exceed."""
    some = sorted(values)
    return some[min(len(some) - 1, int(part * len(some)))]


def calibrate() -> float:
    """Return the CPU seconds of a fixed loop: how fast this machine is at this moment, whatever else it does."""
    began, total = time.process_time(), 0
    for number in range(LOOPS):
        total += number * number % 7
    return time.process_time() - began


def machine() -> dict[str, Any]:
    """Return what figures depend on."""
    about = Path("/proc/cpuinfo")
    lines = about.read_text().splitlines() if about.exists() else []
    cpu = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), "")
    return {
        "cpu": cpu or platform.processor(),
        "cores": os.cpu_count(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "sqlite": ".".join(map(str, VERSION)),
        "numpy": np.__version__,
        "load": round(os.getloadavg()[0], 1),
        "loop": round(calibrate(), 3),
    }
