"""`make soak`: a long life with a large log, Slack away for a while, kills, a limit of memory; prints what was lost."""

from __future__ import annotations

import argparse
import contextlib
import signal
import sys
import time

from tests.harness import World
from tests.trial import trial

MEMORY = 3 << 30  # bytes of address space; numpy and its threads reserve far more than they use


def main() -> int:
    """Print what was lost and doubled; return 1 where anything was."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--minutes", type=float, default=15)
    asked.add_argument("--events", type=int, default=1_000_000, help="of history, before anything happens")
    asked.add_argument("--seed", type=int, default=1)
    given = asked.parse_args()
    return trial(
        lambda here: f"{soak(here, given.minutes * 60)} kills",
        seed=given.seed, history=given.events, faults=0.01, pace=0.25, memory=MEMORY,
    )  # fmt: skip


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
            here.live()
        time.sleep(1)
    return kills


if __name__ == "__main__":
    sys.exit(main())
