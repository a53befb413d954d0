"""`make kills`: the real service is killed two hundred times, at random and at named points, and loses nothing."""

from __future__ import annotations

import signal
import sys
import time
from collections import Counter

from tests.harness import World
from tests.trial import trial

POINTS = ("random", "portal asked", "Slack called")


def main(times: int = 200, seed: int = 1) -> int:
    """Print what was lost and doubled; return 1 where anything was."""
    return trial(lambda here: kills(here, times), seed=seed, history=500, faults=0.05)


def kills(here: World, times: int) -> str:
    points = Counter(kill(here) for _ in range(times))
    return f"{times} kills, {dict(points)},"


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
