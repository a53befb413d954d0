"""The canary: an attack that never was goes through rules, alert, message and outbox; without it we are blind."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from bot.alert import run as alert_run
from bot.alert.routing import Routing
from bot.detect.canary import canary_finding
from bot.detect.rules import CompiledRule
from bot.errors import StoreError
from bot.fields import FactSettings
from bot.model import Finding
from bot.slack.alert_message import alert_message
from bot.slack.blocks import check_limits
from bot.store import alerts
from bot.store.messages import outbox
from bot.store.schema import Store
from bot.times import MINUTE, is_due, iso, say_duration

EVERY = 5 * MINUTE
PATIENCE = 5 * MINUTE  # in the outbox


class Book(Protocol):
    """What is in force."""

    @property
    def reporting(self) -> Sequence[CompiledRule]:
        """The rules that give findings of their own."""
        ...

    @property
    def routing(self) -> Routing:
        """From how many points on an alert is posted, and where to."""
        ...


class _Undo(Exception):  # noqa: N818 -- it ends a transaction that was meant to leave nothing
    pass


@dataclass
class Canary:
    """Sends one bird every five minutes, and looks whether the last one came through.

    No event, fact, profile, finding or alert is left of it: what it writes on the way is rolled back, save one row of
    the outbox, which the postman claims like any other and delivers to nobody.
    """

    store: Store
    book: Callable[[], Book]
    facts: Callable[[], FactSettings]
    now: Callable[[], int]

    def run_once(self) -> str:
        """Return what is wrong, "" where the last bird came through and the next is on its way."""
        now = self.now()
        waiting, sent = self._last()
        if waiting is not None:
            return _say_stuck(waiting, now) if abs(now - waiting) > PATIENCE else ""
        if not is_due(sent, EVERY, now):
            return ""
        try:
            return self._send(now)
        except StoreError:
            raise
        except Exception as error:  # noqa: BLE001 -- whatever a stage raises is what the canary is there to find
            return f"The canary did not get through detection and alert: {type(error).__name__}: {error}."

    def _last(self) -> tuple[int | None, int | None]:
        """Return since when a bird is on its way, and when the last one arrived."""
        rows = self.store.rows("SELECT created FROM outbox WHERE kind = 'canary' AND state <> 'posted'")
        return (rows[0][0] if rows else None), self.store.meta_time("canary")

    def _send(self, now: int) -> str:
        finding = canary_finding(self.book().reporting, now)
        if finding is None:
            return "The canary was not seen: the rule that counts deletions by actor finds nothing in a bulk delete."
        if wrong := self._alert(finding, now):
            return wrong
        outbox.put(self.store, "canary", now)
        return ""

    def _alert(self, finding: Finding, now: int) -> str:
        """Take the finding to an alert and a message, then undo it all; return what was wrong."""
        wrong = ""
        try:
            with self.store.write():
                stored = alerts.insert_finding(self.store, finding, now)
                done = alert_run.run_once(
                    self.store, [stored], self.book().routing, now, history=False, facts=self.facts()
                )
                judged = [*done.posted, *(number for number, _ in done.quiet)]
                wrong = self._draw(judged[0], now) if judged else "The canary was seen, but became no alert."
                raise _Undo
        except _Undo:
            return wrong

    def _draw(self, alert_id: int, now: int) -> str:
        view = alerts.view(self.store, alert_id, now)
        problems = ["there is no such alert"] if view is None else check_limits(alert_message(view, self.facts().zone))
        return f"The canary's message cannot be posted: {problems[0]}." if problems else ""


def _say_stuck(since: int, now: int) -> str:
    return f"The canary is stuck in the outbox since {iso(since)} ({say_duration(abs(now - since))})."
