"""The two built-in detectors about the log itself, which no rule over events can be: silence and vanished events."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from bot.detect.log.silence import LEAST, PAST, Silence, find_silence
from bot.detect.log.vanished import Vanished, store_finding
from bot.fields import FactSettings
from bot.model import SILENCE, TAMPERING, Finding, Level, Record, Rule
from bot.store import alerts
from bot.store.log import gaps
from bot.store.schema import Store
from bot.times import HOUR, iso, say_duration

_RUNBOOK = "docs/runbooks/tampering.md"
_REFERENCES = ("https://attack.mitre.org/techniques/T1685/002/",)
BUILT_IN = (
    Rule(
        SILENCE, "The log has fallen silent", Level.high, tags=("attack.t1685.002",), runbook=_RUNBOOK,
        description="No event for far longer than usual at such hours, though the portal answers: whoever stops the"
        " log works unseen.",
        references=_REFERENCES, falsepositives=("A public holiday", "An outage of the portal", "A quiet week"),
    ),
    Rule(
        TAMPERING, "Events vanished from the log", Level.high, tags=("attack.t1685.002",), runbook=_RUNBOOK,
        description="The portal has shown events that are no longer in its log; history does not shrink by itself."
        " The bot still has them.",
        references=_REFERENCES, falsepositives=("A repair by the vendor", "An API key that was renamed"),
    ),
)  # fmt: skip
# Signs of life are events, and records that cannot be read, at the moment at which a poll found them.
_LAST_SIGNS = (
    "SELECT max(time) FROM events WHERE time <= ?"
    " UNION ALL SELECT max(found) FROM malformed WHERE found <= ? AND until > 0"
)
_NEXT_SIGNS = (
    "SELECT min(time) FROM events WHERE time > ?"
    " UNION ALL SELECT min(found) FROM malformed WHERE found > ? AND until > 0"
)
_RULES = {rule.id: rule for rule in BUILT_IN}


@dataclass
class LogWatch:
    """Follows the passes over the portal. Nothing is judged before a pass is complete."""

    store: Store
    settings: FactSettings
    _vanished: Vanished = field(init=False)
    _judged: tuple[int, int] | None = field(default=None, init=False)  # the hours of the stretch last looked at

    def __post_init__(self) -> None:
        self._vanished = Vanished(self.store, _RULES[TAMPERING])

    def begin(self, until: int) -> None:
        """Forget what an earlier pass has seen; this one reads up to `until`."""
        self._vanished.begin(until)

    def note(self, records: Iterable[Record], since: int, until: int) -> None:
        """Remember what a settled read of a window held. Has to run inside the transaction that stores the records."""
        self._vanished.note(records, since, until)

    def sweep_every(self, now: int) -> int:
        """Return how long after one sweep of the last day the next is due, in microseconds."""
        return self._vanished.sweep_every(now)

    def run_once(self, until: int, now: int) -> list[Finding]:
        """Return the findings that are new or changed, after a complete pass up to `until`, in a transaction."""
        return [*self._vanished.run_once(now), *self._silence(until, now)]

    # -- silence -----------------------------------------------------------------------------------------------
    def _silence(self, until: int, now: int) -> list[Finding]:
        """Return the newest silence where it goes on, has ended, or never was one; else one that begins to be told."""
        last = self._sign(max, _LAST_SIGNS, until)
        if last is None:
            return []
        stored = alerts.findings(self.store, "rule = ? AND state = 'open'", (SILENCE,))
        before = stored[-1] if stored else None
        if before is not None and before.first == last:
            grown = until // HOUR > before.last // HOUR
            return self._tell(before, last, until, now) if grown else []
        if before is not None:
            end = self._sign(min, _NEXT_SIGNS, before.first)
            if (
                end is not None and _say_end(end) not in before.reasons
            ):  # it has just ended, or a late event shows that it was shorter
                return self._tell(before, before.first, end, now, ended=True)
        return self._tell(None, last, until, now) if self._look_at(last, until) else []

    def _look_at(self, last: int, until: int) -> bool:
        """Tell whether it is worth judging: once an hour, and not where a gap may hold events."""
        seen = (last // HOUR, until // HOUR)
        if seen[1] - seen[0] <= LEAST or seen == self._judged:
            return False
        if any(since < until and end > last for since, end, *_ in gaps.open_gaps(self.store)):
            return False
        self._judged = seen
        return True

    def _sign(self, which: Callable[[Iterable[int]], int], sql: str, bound: int) -> int | None:
        """Return the last sign of life up to a moment, or the next one after it."""
        signs = [time for (time,) in self.store.rows(sql, (bound, bound)) if time is not None]
        return which(signs) if signs else None

    def _tell(self, before: Finding | None, first: int, last: int, now: int, *, ended: bool = False) -> list[Finding]:
        """Bring the finding of a quiet stretch up to date; what is not unusual gives none, or is withdrawn."""
        found = self._judge(first, last)
        if found is None:
            return [] if before is None else [store_finding(self.store, replace(before, state="withdrawn"), now)]
        rule = _RULES[SILENCE]
        fresh = before or Finding(0, rule.id, rule.title, rule.level, {}, first, last, 0)
        after = replace(fresh, last=last, reasons=_say(found, first, last, ended=ended))
        return [store_finding(self.store, after, now)]

    def _judge(self, first: int, until: int) -> Silence | None:
        """Judge the stretch between two moments by the four weeks before it."""
        hours = self.store.rows(
            "SELECT DISTINCT time / ? FROM events WHERE time BETWEEN ? AND ?", (HOUR, first - PAST * HOUR, first)
        )
        return find_silence([first, *(hour * HOUR for (hour,) in hours)], until, self.settings)


def _say(found: Silence, first: int, last: int, *, ended: bool) -> tuple[str, ...]:
    return (
        f"no event for {say_duration(last - first)} after {iso(first)}",
        f"about {found.missed:.0f} hours that usually have some; no quiet stretch of the four weeks before"
        f" took more than {found.usual:.0f}",
        *[_say_end(last)] * ended,
    )


def _say_end(last: int) -> str:
    return f"events came again at {iso(last)}"
