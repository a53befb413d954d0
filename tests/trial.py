"""The frame of the long trials: history is read, things go on happening, something is done to the service meanwhile;
in the end everything has to be there, once."""

from __future__ import annotations

import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

from tests.harness import World, world

LONGEST_READING = 3600.0  # seconds for the history
LONGEST_SETTLING = 600.0  # and for what is left in the end


def trial(
    do: Callable[[World], str], *, seed: int, history: int, faults: float, pace: float = 0.1, memory: int = 0
) -> int:
    """Print what was lost and doubled, and what `do` says that it did; return 1 where anything was.

    `history` events are there before anything happens; then some come about every `pace` seconds. `faults` is the
    share of the portal's answers that go wrong, `memory` a limit for the service in bytes.
    """
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder, world(Path(folder), seed, history, faults=faults) as here:
        here.memory = memory
        here.live()
        here.settle(LONGEST_READING)
        sys.stdout.write(f"{history:,} events of history in {time.monotonic() - began:.0f} s\n")
        happening = threading.Thread(target=here.arrive, args=(pace,), daemon=True)
        happening.start()
        done = do(here)
        here.stop.set()
        happening.join()
        here.calm_slack()
        here.settle(LONGEST_SETTLING)
        here.end(signal.SIGTERM)
        found = here.verdict()
        log = (Path(folder) / "log").read_text()
        sys.stdout.write(
            f"{done} in {time.monotonic() - began:.0f} s; {here.number:,} things happened meanwhile; peak memory"
            f" {here.peak >> 10} MiB; database {here.db.stat().st_size >> 20} MiB;"
            f" tracebacks in the log: {log.count('Traceback')}\n{found}\n"
        )
        if not found.good:
            sys.stdout.write(log[-20_000:])
        return 0 if found.good else 1
