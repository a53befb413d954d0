"""`make soak`: a long life with a large log, Slack away for a while, kills, a limit of memory; prints what was lost."""

from __future__ import annotations

import argparse
import contextlib
import signal
import sys
import tempfile
import threading
import time
from pathlib import Path

from tests.harness import World, world

MEMORY = 3 << 30  # bytes of address space; numpy and its threads reserve far more than they use


def main() -> int:
    """Print what was lost and doubled; return 1 where anything was."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--minutes", type=float, default=15)
    asked.add_argument("--events", type=int, default=1_000_000, help="of history, before anything happens")
    asked.add_argument("--seed", type=int, default=1)
    given = asked.parse_args()
    with tempfile.TemporaryDirectory() as folder, world(Path(folder), given.seed, given.events, faults=0.01) as here:
        began = time.monotonic()
        here.live(MEMORY)
        here.settle(3600)
        sys.stdout.write(f"{given.events:,} events of history in {time.monotonic() - began:.0f} s\n")
        happening = threading.Thread(target=here.arrive, args=(0.25,), daemon=True)
        happening.start()
        kills = soak(here, given.minutes * 60)
        here.stop.set()
        happening.join()
        here.calm_slack()
        here.settle(600)
        here.end(signal.SIGTERM)
        found = here.verdict()
        log = (Path(folder) / "log").read_text()
        size = here.db.stat().st_size >> 20
        sys.stdout.write(
            f"{here.number:,} things happened meanwhile; {kills} kills; peak memory {here.peak >> 10} MiB;"
            f" database {size} MiB; tracebacks in the log: {log.count('Traceback')}\n{found}\n"
        )
        if not found.good:
            sys.stdout.write(log[-20_000:])
        return 0 if found.good else 1


def soak(here: World, seconds: float) -> int:
    """Let time pass: Slack is away for the second quarter of it, and a kill comes about every twenty seconds."""
    began, kills = time.monotonic(), 0
    while (passed := time.monotonic() - began) < seconds:
        here.slack.down = 0.25 < passed / seconds < 0.5
        with contextlib.suppress(StopIteration):
            here.note_peak()
        if here.dice.random() < 0.05:
            here.end(signal.SIGKILL)
            kills += 1
        if not here.lives_on():
            here.live(MEMORY)
        time.sleep(1)
    return kills


if __name__ == "__main__":
    sys.exit(main())
