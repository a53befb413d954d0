"""A state machine over the whole bot, in one process: whatever happens in whatever order, nothing is lost or doubled.

The portal and Slack are stand-ins in memory that know the truth and misbehave as told; store, pipeline and postman are
the real ones. `make laws` runs it for long, `make test` for a few examples.
"""

from __future__ import annotations

import random
import shutil
import tempfile
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from bot import rule_changes, rulebook
from bot.alert.outbox import Channels, Postman
from bot.errors import ApiError, AuditBotError, DeliveryError
from bot.fields import FactSettings
from bot.model import AlertView, Broken, Record
from bot.pipeline import Pipeline
from bot.poll.client import PAGE_SIZE, Window
from bot.poll.records import to_json
from bot.store import alerts, journal
from bot.store.care import clock
from bot.store.log import events, gaps
from bot.store.people import exceptions
from bot.times import DAY, HOUR, MINUTE, SECOND
from tests.conftest import START, fresh, record
from tests.laws import LONG, law
from tests.test_detection import RULES
from tests.test_outbox import Slack

BEGIN = START + 30 * DAY
PEOPLE = ("ann@corp.example", "bob@corp.example", "key-1", None)
ROUTING = "storm: off\nrate: off\npost_from: 10\n"
BOOKS = tuple(
    rulebook.check({"rules.yml": text, "routing.yml": ROUTING})
    for text in (RULES, RULES.replace("level: high", "level: critical"), "---".join(RULES.split("---")[:2]))
)


class Killed(BaseException):
    """The process ends here, without a word."""


@dataclass
class Portal:
    """Knows every event, shows those that are visible by now, and misbehaves as told."""

    dice: random.Random
    now: int = BEGIN  # by its own clock, which is never wrong
    truth: list[tuple[Record, int]] = field(default_factory=list)
    trouble: str = ""
    after: int = 0  # requests until the trouble begins
    poison: int | None = None  # a second about which it cannot answer
    requests: int = 0
    ghost: bool = False

    def server_now(self) -> int:
        return self.now

    def alive(self) -> bool:
        return self.trouble != "away"

    def visible(self) -> list[Record]:
        return [one for one, at in self.truth if at <= self.now]

    def page(self, window: Window, number: int, actor_type: str | None = None) -> tuple[list[Record | Broken], int]:
        self.requests += 1
        self.after -= 1
        if self.after < 0:
            if self.trouble == "kill":
                raise Killed
            if self.trouble == "away":
                raise ApiError("connection refused")
            if self.trouble == "sometimes" and self.dice.random() < 0.05:
                raise ApiError("HTTP 500")
        if self.poison is not None and window.since - SECOND <= self.poison <= window.until:
            raise ApiError("HTTP 500")
        rows: list[Record | Broken] = [
            one for one in self.visible() if window.since - SECOND <= one.time <= window.until
        ]
        self.dice.shuffle(rows)
        self.ghost = not self.ghost and self.trouble == "twin" and bool(rows) and self.dice.random() < 0.6
        if self.ghost:  # a row that slid to the next page is shown twice and looks like a twin; never in two reads
            rows.append(rows[0])
        if self.trouble == "short" and rows and self.dice.random() < 0.5:
            return rows[1:], len(rows)
        return rows[number * PAGE_SIZE : (number + 1) * PAGE_SIZE], len(rows)


class FlakySlack(Slack):
    """Takes messages, or does not, or takes them without saying so."""

    def __init__(self) -> None:
        super().__init__()
        self.moods: list[str] = []
        self.down = False

    def post_alert(self, channel: str, view: AlertView, repeat: bool) -> tuple[str, str]:
        mood = self._before()
        taken = super().post_alert(channel, view, repeat)
        self.there.setdefault(view.alert.id, taken[1])
        self._after(mood)
        return taken

    def post_text(self, channel: str, text: str, thread_ts: str | None = None, mention: tuple[str, ...] = ()) -> str:
        mood = self._before()
        ts = super().post_text(channel, text, thread_ts, mention)
        self._after(mood)
        return ts

    def _before(self) -> str:
        mood = self.moods.pop(0) if self.moods else ""
        if self.down or mood == "unreachable":
            raise DeliveryError("unreachable", permanent=False)
        if mood == "busy":
            raise DeliveryError("ratelimited", permanent=False, retry_after=30)
        if mood == "revoked":
            raise DeliveryError("token_revoked", permanent=True)
        if mood == "killed before":
            raise Killed
        return mood

    def _after(self, mood: str) -> None:
        if mood == "lost":
            raise DeliveryError("reply_lost", permanent=False)
        if mood == "killed after":
            raise Killed


MOODS = st.lists(
    st.sampled_from(["", "unreachable", "busy", "revoked", "lost", "killed before", "killed after"]), max_size=3
)


class Bot(RuleBasedStateMachine):
    """Everything that can happen to it."""

    @initialize(seed=st.integers(0, 2**32))
    def begin(self, seed: int) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.dice = random.Random(seed)
        self.portal, self.slack = Portal(self.dice), FlakySlack()
        self.skew, self.number, self.book = 0, 0, BOOKS[0]
        self.start()

    def ours(self) -> int:
        """Tell the time by our own clock, which may be stepped."""
        return self.portal.now + self.skew

    def start(self) -> None:
        self.store = fresh(self.folder / "audit.db")
        self.facts = FactSettings()
        rulebook.keep(self.store, self.book, self.ours())
        self.pipeline = Pipeline(self.store, self.facts, lambda: self.book, self.ours)
        self.postman = Postman(self.store, self.slack, Channels("C0", "COPS"), lambda: self.book.routing, self.ours)
        self.postman.recover()

    # -- what may happen -----------------------------------------------------------------------------------------
    @rule(count=st.integers(1, 5), late=st.integers(0, 14), twins=st.integers(1, 3))
    def arrive(self, count: int, late: int, twins: int) -> None:
        for _ in range(count):
            self.number += 1
            action = self.dice.choice(("UPDATE", "DELETE", "CREATE"))
            at = self.portal.now - late * MINUTE
            one = record(at, action, self.dice.choice(PEOPLE), object_=f"hidden-{self.number}")
            self.portal.truth += [(one, self.portal.now)] * twins

    @rule(who=st.sampled_from(PEOPLE))
    def attack(self, who: str | None) -> None:
        for _ in range(6):
            self.number += 1
            self.portal.truth.append(
                (record(self.portal.now, "DELETE", who, "203.0.113.9", f"hidden-{self.number}"), self.portal.now)
            )

    @rule(seconds=st.sampled_from([1, 30, 300, 4000]))
    def time_passes(self, seconds: int) -> None:
        self.portal.now += seconds * SECOND

    @rule(hours=st.sampled_from([-48, -1, 1, 48]))
    def our_clock_steps(self, hours: int) -> None:
        self.skew += hours * HOUR

    @rule(trouble=st.sampled_from(["", "", "kill", "away", "sometimes", "twin", "short"]), after=st.integers(0, 4))
    def poll(self, trouble: str, after: int) -> None:
        self.portal.trouble, self.portal.after = trouble, after
        try:
            with suppress(ApiError):
                self._poll()
        except Killed:
            self.restart()
        self.portal.trouble = ""

    @rule(steps=st.integers(1, 400))
    def poll_and_fail_in_the_database(self, steps: int) -> None:
        """SQLite gives up in the middle of any statement: a full disk, a bad block."""
        left = [steps]

        def interrupt() -> int:
            left[0] -= 1
            return int(left[0] < 0)

        connection: Any = self.store.connection
        connection.set_progress_handler(interrupt, 200)
        with suppress(AuditBotError):
            self._poll()
        connection.set_progress_handler(None, 0)

    @rule(moods=MOODS)
    def post(self, moods: list[str]) -> None:
        clock.look(self.store, self.ours())  # as every half minute
        self.slack.moods = moods
        try:
            self.postman.run_once()
        except Killed:
            self.restart()
        self.slack.moods = []

    @rule()
    def slack_goes_down_or_comes_back(self) -> None:
        self.slack.down = not self.slack.down

    @rule(ago=st.integers(1, 120))
    def a_second_is_poisoned_or_healed(self, ago: int) -> None:
        self.portal.poison = None if self.portal.poison else self.portal.now - ago * SECOND

    @rule(who=st.sampled_from([one for one in PEOPLE if one]))
    def an_exception_is_made(self, who: str) -> None:
        now = self.ours()
        exceptions.add(self.store, f"actor:{who}", reason="moving house", author="U1", now=now, expires=now + HOUR)

    @rule(which=st.integers(0, len(BOOKS) - 1))
    def the_rules_are_edited(self, which: int) -> None:
        before, self.book = self.book, BOOKS[which]
        rulebook.keep(self.store, self.book, self.ours())
        rule_changes.record(self.store, before, self.book, self.facts, self.ours())

    @rule()
    def restart(self) -> None:
        self.store.close()
        self.start()

    def _poll(self) -> None:
        self.pipeline.poll(self.portal, overlap=15 * MINUTE, backfill=2 * DAY)  # type: ignore[arg-type]  # as much of it as is used

    # -- what must hold at any time ------------------------------------------------------------------------------
    @invariant()
    def nothing_is_stored_that_never_was(self) -> None:
        assert not self.stored() - Counter(map(to_json, self.portal.visible()))

    @invariant()
    def every_finding_has_an_alert_or_a_named_reason(self) -> None:
        for one in alerts.findings(self.store, "state = 'open'"):
            assert one.alert_id is not None or one.hidden

    @invariant()
    def every_alert_is_posted_or_queued_or_has_a_named_reason(self) -> None:
        for one in alerts.listing(self.store, limit=1000, posted_only=False):
            assert one.decision
            if one.posted:
                states = self.store.rows("SELECT state FROM outbox WHERE kind = 'post' AND alert = ?", (one.id,))
                assert states
                assert one.id in self.slack.there or states[0][0] != "posted"

    @invariant()
    def no_alert_stands_twice_without_saying_so(self) -> None:
        unmarked = Counter(name for kind, _, name, mark in self.slack.sent if kind == "post" and not mark)
        assert not unmarked or max(unmarked.values()) == 1

    @invariant()
    def the_journal_holds(self) -> None:
        assert journal.verify(self.store)[1] == ""

    def stored(self) -> Counter[bytes]:
        return Counter(map(to_json, events.export(self.store)))

    # -- and when everything is well again -------------------------------------------------------------------------
    def teardown(self) -> None:
        try:
            self.missing_is_a_gap()
            self.all_is_well_again()
        finally:
            self.store.close()
            shutil.rmtree(self.folder)

    def missing_is_a_gap(self) -> None:
        """While a second cannot be read, what is missing lies in a window that is named."""
        self._poll()
        missing = Counter(map(to_json, self.portal.visible())) - self.stored()
        spans = [(since - SECOND, until + SECOND) for since, until, *_ in gaps.open_gaps(self.store)]
        for one in self.portal.visible():
            if to_json(one) in missing:
                assert any(since <= one.time <= until for since, until in spans)

    def all_is_well_again(self) -> None:
        self.portal.poison, self.slack.down = None, False
        for _ in range(3):
            self._poll()
            self.portal.now += MINUTE
        assert self.stored() == Counter(map(to_json, self.portal.visible()))
        assert gaps.open_gaps(self.store) == []
        for _ in range(60):
            self.portal.now += HOUR
            clock.look(self.store, self.ours())
            if not self.postman.run_once().sent and not self._waiting():
                break
        assert self._waiting() == []
        posted = [one.id for one in alerts.listing(self.store, limit=1000) if one.posted]
        assert set(posted) <= self.slack.there.keys()

    def _waiting(self) -> list[Any]:
        """Return what could still be sent."""
        return self.store.rows(
            "SELECT o.id, o.kind, o.error FROM outbox o LEFT JOIN alerts a ON a.id = o.alert"
            " WHERE o.state IN ('pending', 'sending') AND (o.kind NOT IN ('update', 'reply') OR a.ts IS NOT NULL)"
        )


Bot.TestCase.settings = law(8, stateful_step_count=50 if LONG else 25)
TestNothingIsLostOrDoubled = Bot.TestCase
