"""How well the bot is: what is wrong now, in sentences, by key."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from bot.store.log import gaps
from bot.store.messages import outbox
from bot.store.schema import Store
from bot.times import MINUTE, iso, say_duration

LAG = 600.0  # seconds without a complete poll
QUEUE = 5 * MINUTE  # in the outbox
DISK = 200 << 20  # bytes
NO_BAD_PASS = frozenset({"gap", "disk", "backup"})  # people are told of these, but what came is stored and posted


@dataclass
class Pulse:
    """What the jobs of this process have done; `monotonic` gives seconds."""

    monotonic: Callable[[], float]
    polled: float = field(init=False)  # when a poll was complete last; at first, when the process began
    polls: int = field(default=0, init=False)  # complete ones
    poll_error: str = field(default="", init=False)  # what the last one failed with
    canary_error: str = field(default="", init=False)
    backup_error: str = field(default="", init=False)

    def __post_init__(self) -> None:
        self.polled = self.monotonic()

    def poll_was_good(self) -> None:
        """Note a complete poll."""
        self.polled, self.polls, self.poll_error = self.monotonic(), self.polls + 1, ""

    def poll_failed(self, error: str) -> None:
        """Note why a poll was not complete."""
        self.poll_error = error


@dataclass
class Health:
    """Looks at one database and its service. `socket` tells whether Slack can be heard."""

    store: Store
    pulse: Pulse
    poll_seconds: float
    socket: Callable[[], bool]
    free: Callable[[Path], int] = lambda folder: shutil.disk_usage(folder).free

    def wrong(self, now: int) -> dict[str, str]:
        """Return what people have to be told of."""
        found = {
            "lag": self._lag(now),
            "gap": self._gap(),
            "outbox": self._queue(now),
            "disk": self._disk(),
            "canary": self.pulse.canary_error,
            "backup": self.pulse.backup_error,
            "socket": "" if self.socket() else "The connection to Slack is down: no click or command comes through.",
        }
        return {key: text for key, text in found.items() if text}

    def good(self, wrong: dict[str, str]) -> bool:
        """Tell whether the last pass was a good one: complete, everything posted, Slack heard, the canary alive."""
        return self.pulse.polls > 0 and not self.pulse.poll_error and not wrong.keys() - NO_BAD_PASS

    def _lag(self, now: int) -> str:
        behind = self.pulse.monotonic() - self.pulse.polled
        if behind <= max(LAG, 5 * self.poll_seconds):
            return ""
        read = self.store.meta("watermark")
        if self.store.meta("live_since") is None and not self.pulse.poll_error:
            return ""  # the first poll reads months, and says so when it is done
        until = "" if read is None else f"; the log is read up to {iso(int(read))}"
        why = f": {self.pulse.poll_error}" if self.pulse.poll_error else ""
        return f"No complete poll for {say_duration(int(behind * 1e6))}{until}{why}"

    def _gap(self) -> str:
        missing = gaps.open_gaps(self.store)
        if not missing:
            return ""
        since, until, _, reason, _ = missing[0]
        what = "A window of the log" if len(missing) == 1 else f"{len(missing)} windows of the log"
        return f"{what} could not be read, the first from {iso(since)} to {iso(until)} ({reason}); tried again."

    def _queue(self, now: int) -> str:
        oldest = outbox.oldest_due(self.store)
        if oldest is None or now - oldest <= QUEUE:
            return ""
        return f"A message has waited in the outbox for {say_duration(now - oldest)}: look at `audit-bot status`."

    def _disk(self) -> str:
        free = self.free(self.store.path.resolve().parent)
        return f"The disk of the database has {free >> 20} MiB left: free some space." if free < DISK else ""
