"""`make kills`: the real service is killed two hundred times, at random and at named points, and loses nothing."""

from __future__ import annotations

import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

from tests.harness import World, world

POINTS = ("random", "portal asked", "Slack called")


def main(times: int = 200, seed: int = 1) -> int:
    """Print what was lost and doubled; return 1 where anything was."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder, world(Path(folder), seed, 500, faults=0.05) as here:
        here.live()
        here.settle()
        happening = threading.Thread(target=here.arrive, daemon=True)
        happening.start()
        points = Counter(kill(here) for _ in range(times))
        here.stop.set()
        happening.join()
        here.calm_slack()
        here.settle(600)
        here.end(signal.SIGTERM)
        found = here.verdict()
        log = (Path(folder) / "log").read_text()
        sys.stdout.write(f"{times} kills in {time.monotonic() - began:.0f} s: {dict(points)}\n{found}\n")
        sys.stdout.write(f"tracebacks in the log: {log.count('Traceback')}; peak memory {here.peak >> 10} MiB\n")
        if not found.good:
            sys.stdout.write(log[-20_000:])
        return 0 if found.good else 1


def kill(here: World) -> str:
    """Let the service live for a while, kill it at one of the points, and start it again."""
    point = here.dice.choice(POINTS)
    if here.dice.random() < 0.5:
        here.upset_slack()
    if here.dice.random() < 0.4:
        here.attack()
    if not here.lives_on():
        here.live()
    asked = here.portal.requests + here.dice.randrange(1, 12)
    called = len(here.slack.recorded.calls) + here.dice.randrange(1, 3)
    end = time.monotonic() + here.dice.uniform(0.2, 3)
    if point != "random":
        end += 3
    while time.monotonic() < end:
        if point == "portal asked" and here.portal.requests >= asked:
            break
        if point == "Slack called" and len(here.slack.recorded.calls) >= called:
            break
        time.sleep(0.001)
    here.end(signal.SIGKILL)
    here.live()
    return point


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
