"""A world that knows the truth: a portal and a Slack that misbehave by seed, and the real service, to be killed.

The service runs in processes forked from one that has imported everything, so that a life costs no second of imports.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bot.poll.records import to_json
from bot.sandbox import cortex
from bot.sandbox.slack import FakeSlack, fake_slack
from bot.sandbox.slack_state import ALERTS, GROUP, OPS, TOKEN, Fault
from bot.sandbox.story import Told
from bot.serving import serve
from bot.store import journal
from bot.store.log import events, gaps
from bot.store.schema import Store
from bot.times import DAY, MINUTE, SECOND, iso
from tests.conftest import raw
from tests.slack_lab import all_taken

KEY, SECRET = "a-portal-key", "a-signing-secret"
REPEAT = "ossible repeat"  # in a message that says that it may be there twice
FAULTS = (Fault(status=500), Fault(status=429, retry_after=1), Fault(drop=True), Fault(word="internal_error"))
METHODS = ("chat.postMessage", "chat.update")
NURSERY = """
import os, resource, signal, sys
from bot.daemon import serve
from bot.settings import load
import bot.terminal.answer
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
for line in sys.stdin:
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        limit = int(line)
        if limit:
            resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        code = 1
        try:
            code = serve(load())
        except BaseException as error:
            sys.stderr.write(f"ended by {type(error).__name__}: {error}\\n")
        os._exit(code)
    print(child, flush=True)
"""


def clock() -> int:
    return time.time_ns() // 1000


@dataclass
class Verdict:
    """What became of everything; `lost` and `doubled` are what must be nothing."""

    events: int
    lost: int
    doubled: int
    alerts: int
    alerts_lost: list[str]
    alerts_doubled: list[str]
    repeats_marked: int
    gaps: int
    failed: int
    journal: str
    integrity: str

    @property
    def good(self) -> bool:
        nothing = not (self.lost or self.doubled or self.alerts_lost or self.alerts_doubled or self.gaps or self.failed)
        return nothing and self.journal == "" and self.integrity == "ok"


@dataclass
class World:
    """Both stand-ins, the truth, and one service at a time."""

    folder: Path
    source: cortex.Source
    portal: cortex.Portal
    slack: FakeSlack
    environment: dict[str, str]
    dice: random.Random
    nursery: subprocess.Popen[str]
    pid: int = 0
    memory: int = 0  # a limit of address space for each life, in bytes; 0: none
    lives: int = 0
    peak: int = 0  # KiB of resident memory, the most of any life
    number: int = 0
    stop: threading.Event = field(default_factory=threading.Event)

    @property
    def db(self) -> Path:
        return self.folder / "audit.db"

    # -- the service -----------------------------------------------------------------------------------------------
    def live(self) -> None:
        """Start a life of the service; at most one lives at a time."""
        assert self.nursery.stdin is not None
        assert self.nursery.stdout is not None
        self.nursery.stdin.write(f"{self.memory}\n")
        self.nursery.stdin.flush()
        self.pid = int(self.nursery.stdout.readline())
        self.lives += 1

    def lives_on(self) -> bool:
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        return True

    def note_peak(self) -> None:
        with contextlib.suppress(OSError, StopIteration, ValueError):
            lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
            self.peak = max(self.peak, int(next(line for line in lines if line.startswith("VmHWM")).split()[1]))

    def end(self, number: int) -> None:
        """Send a signal, and wait until the process is gone."""
        self.note_peak()
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)
        end = time.monotonic() + 20
        while self.lives_on():
            assert time.monotonic() < end, "the service does not end"
            time.sleep(0.005)

    # -- what happens ------------------------------------------------------------------------------------------------
    def arrive(self, seconds: float = 0.1) -> None:
        """Let events happen until told to stop: some late, some twins, now and then an attack."""
        began = time.monotonic()
        while not self.stop.wait(seconds):
            for _ in range(self.dice.randrange(12)):
                self.happen()
            if time.monotonic() - began > 15:
                began = time.monotonic()
                self.attack()

    def happen(self) -> None:
        self.number += 1
        at = clock() - (self.dice.randrange(600) * SECOND if self.dice.random() < 0.1 else 0)
        one = raw(at // 1000 * 1000, actor=f"p{self.number % 50}@corp.example", object_=f"hidden-{self.number}")
        for _ in range(1 + (self.dice.random() < 0.05)):
            self.source.add(one, visible_at=clock())

    def attack(self) -> None:
        """Let somebody new delete a dozen things: one alert, whatever happens."""
        self.number += 1
        actor = f"thief{self.number}@corp.example"
        for place in range(12):
            at = clock() // 1000 * 1000
            self.source.add(raw(at, "DELETE", actor, f"198.51.100.{self.number % 250}", f"{actor}-{place}"))

    def upset_slack(self) -> None:
        """Let some of Slack's next calls go wrong: refused, lost before, or lost after they were taken."""
        self.slack.fail(self.dice.choice(METHODS), self.dice.choice(FAULTS))

    def calm_slack(self) -> None:
        """Take back what was still to go wrong."""
        self.slack.down = False
        for method in METHODS:
            while self.slack.fault(method):
                pass

    # -- the truth ---------------------------------------------------------------------------------------------------
    def truth(self) -> Counter[str]:
        return Counter(json.dumps(one, sort_keys=True) for one in self.source.truth(clock()))

    def stored(self) -> Counter[str]:
        with opened(self.db) as store:
            return Counter(json.dumps(json.loads(to_json(one)), sort_keys=True) for one in events.export(store))

    def unsettled(self) -> str:
        """Return what is not stored or posted yet, "" where all is."""
        if not self.db.exists():
            return "no database"
        with opened(self.db) as store:
            missing = len(self.source.truth(clock())) - store.value("SELECT count(*) FROM events")
            waiting = store.rows(
                "SELECT o.id, o.kind, o.alert, o.state, o.due - ?, o.tries, o.error FROM outbox o"
                " WHERE o.state IN ('pending', 'sending') AND o.kind <> 'canary' LIMIT 5",
                (clock(),),
            )
        return f"{missing} events missing, waiting: {waiting}" if missing or waiting else ""

    def settle(self, seconds: float = 300) -> None:
        """Wait until nothing is under way any more."""
        end = time.monotonic() + seconds
        while why := self.unsettled():
            if time.monotonic() > end:
                log = (self.folder / "log").read_text()
                raise AssertionError(f"not settled in {seconds} s: {why}\n{log[-5000:]}")
            if not self.lives_on():
                self.live()
            time.sleep(0.5)

    def verdict(self) -> Verdict:
        all_taken(self.slack)
        truth, stored = self.truth(), self.stored()
        posts = [given for method, given in self.slack.recorded.calls if method == "chat.postMessage"]
        told = Counter[str]()
        unmarked = Counter[str]()
        for given in posts:
            about = _about(given)
            told[about] += 1
            unmarked[about] += REPEAT not in json.dumps(given)
        with opened(self.db) as store:
            rows = store.rows(
                "SELECT a.id, d.lane, d.notice FROM alerts a JOIN deliveries d ON d.alert = a.id"
                " WHERE a.decision LIKE 'posted%'"
            )
            names = {int(number): f"alert {number}" for number, lane, notice in rows if lane == "own" or notice is None}
            shown = store.value("SELECT count(*) FROM deliveries WHERE lane <> 'own'")
            return Verdict(
                sum(stored.values()), sum((truth - stored).values()), sum((stored - truth).values()),
                len(names) + int(shown),
                [name for name in names.values() if not told[name]],
                [name for name in names.values() if unmarked[name] > 1],
                sum(told.values()) - sum(unmarked.values()), len(gaps.open_gaps(store)),
                store.value("SELECT count(*) FROM outbox WHERE state = 'failed'"), journal.verify(store)[1],
                str(store.value("PRAGMA integrity_check")),
            )  # fmt: skip


def _about(given: dict[str, Any]) -> str:
    data = given.get("metadata") or {}
    data = json.loads(data) if isinstance(data, str) else data
    return f"alert {(data.get('event_payload') or {}).get('alert_id')}"


@contextlib.contextmanager
def opened(path: Path) -> Iterator[Store]:
    store = Store(path, create=False)
    try:
        yield store
    finally:
        store.close()


@contextlib.contextmanager
def world(folder: Path, seed: int, history: int, *, faults: float) -> Iterator[World]:
    """Serve both stand-ins with so many events of history; the first life has to read them."""
    dice = random.Random(seed)
    began = clock() - 2 * DAY
    span = 2 * DAY - 30 * MINUTE
    source = cortex.Source(
        [_told(began + span * place // max(history, 1) // 1000 * 1000, place) for place in range(history)]
    )
    behaviour = cortex.Behaviour(faults=faults, seed=seed, slow_seconds=0.3, rate_limit=10**9)
    app = cortex.app(source, clock, KEY, behaviour)
    page, slack = fake_slack("", SECRET, clock)
    rules = shutil.copytree("rules", folder / "rules")
    (rules / "routing.yml").write_text("storm: off\nrate: off\n")  # each alert a message of its own, to be counted
    with serve(app) as portal, serve(page) as console, serve(_nothing) as spare:
        port = spare.port
        spare.stop()
        environment = {name: text for name, text in os.environ.items() if name in ("PATH", "PYTHONPATH", "HOME")} | {
            "CORTEX_API_KEY": KEY, "CORTEX_BASE_URL": portal.url, "PORT": str(port), "SLACK_BOT_TOKEN": TOKEN,
            "SLACK_SIGNING_SECRET": SECRET, "SLACK_API_URL": console.url + "/api/", "AUDIT_BOT_CHANNEL": ALERTS,
            "AUDIT_BOT_OPS_CHANNEL": OPS, "AUDIT_BOT_ALLOWED": GROUP, "AUDIT_BOT_DB": str(folder / "audit.db"),
            "AUDIT_BOT_RULES": str(rules),
            "AUDIT_BOT_POLL_SECONDS": "1", "AUDIT_BOT_BACKFILL_DAYS": "3", "AUDIT_BOT_ACTOR_TYPES": "false",
        }  # fmt: skip
        with (folder / "log").open("w") as log:
            nursery = subprocess.Popen(
                [sys.executable, "-c", NURSERY], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log,
                env=environment, text=True,
            )  # fmt: skip
            here = World(folder, source, app.state.portal, slack, environment, dice, nursery)
            try:
                yield here
            finally:
                here.stop.set()
                if here.pid:
                    here.end(signal.SIGKILL)
                assert nursery.stdin is not None
                nursery.stdin.close()
                nursery.wait(20)


def _told(at: int, place: int) -> Told:
    record = raw(at, actor=f"p{place % 500}@corp.example", ip=f"192.0.2.{place % 250}", object_=f"past-{place}")
    assert record["timestamp"] == iso(at)
    return Told(at, record, "OAUTH2", at)


async def _nothing(scope: object, receive: object, send: object) -> None:
    """Serve nothing: only its port is wanted."""
