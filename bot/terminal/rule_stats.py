"""What is known of rules in force: findings, alerts, people's judgements, cost; from the store alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from statistics import median
from typing import Any

from bot.detect import facts
from bot.detect.match import Evaluation
from bot.detect.rules import CompiledRule
from bot.fields import FactSettings
from bot.model import Rule
from bot.store.schema import Store
from bot.times import DAY, WEEK

NOISY = 3  # more alerts a week than this, and people stop reading them
MEASURED = 3  # times that a rule is run to say its cost

# Findings that hold, or held until their rule was removed; the second: those that people got to see in an alert.
_FIRED = (
    "SELECT rule, sum(last >= :week), sum(last >= :month), max(last) FROM findings"
    " WHERE state IN ('open', 'removed') GROUP BY rule"
)
_ALERTS = (
    "SELECT f.rule, count(DISTINCT f.alert) FROM findings f JOIN alerts a ON a.id = f.alert"
    " WHERE f.state IN ('open', 'removed') AND f.hidden IN ('', 'history') AND f.last >= :month"
    " AND a.decision LIKE 'posted%' GROUP BY f.rule"
)
# The newest judgement of an alert counts: SQLite takes the bare column `what` from the row of max(id).
_JUDGED = (
    "WITH judged AS (SELECT detail ->> 'alert' AS alert, what, max(id) FROM journal"
    " WHERE what IN ('right', 'wrong') GROUP BY 1)"
    " SELECT rule, sum(what = 'right'), sum(what = 'wrong') FROM (SELECT DISTINCT f.rule, j.alert, j.what"
    " FROM judged j JOIN findings f ON f.alert = j.alert"
    " WHERE f.state IN ('open', 'removed') AND f.hidden IN ('', 'history')) GROUP BY rule"
)


@dataclass(frozen=True)
class RuleStats:
    """One rule's record. `alerts_30d` counts those that were posted; `right` and `wrong` are alerts that people judged.

    `weeks` is how much of the last 30 days the log covers, one at least. `last_fired` in microseconds.
    """

    rule: Rule
    findings_7d: int
    findings_30d: int
    alerts_30d: int
    right: int
    wrong: int
    last_fired: int | None
    weeks: float

    @property
    def precision(self) -> float | None:
        """The share of judged alerts that were right, None where nothing was judged."""
        judged = self.right + self.wrong
        return self.right / judged if judged else None

    @property
    def noisy(self) -> bool:
        """Whether it alerts too often; a shadow rule posts nothing, so its findings count."""
        return (self.findings_30d if self.rule.shadow else self.alerts_30d) / self.weeks > NOISY

    @property
    def never_fired(self) -> bool:
        """Whether nothing was ever found by it."""
        return self.last_fired is None


def stats(store: Store, rules: Iterable[CompiledRule], now: int) -> dict[str, RuleStats]:
    """Return the record of each rule by its id, as of `now`."""
    moments = {"week": now - 7 * DAY, "month": now - 30 * DAY}
    fired = _by_rule(store, _FIRED, moments)
    alerts = _by_rule(store, _ALERTS, moments)
    judged = _by_rule(store, _JUDGED, {})
    begin = store.value("SELECT min(time) FROM events")
    weeks = min(max((now - begin) / WEEK, 1), 30 / 7) if begin is not None else 1
    found = {}
    for rule in rules:
        week, month, last = fired.get(rule.id, (0, 0, None))
        right, wrong = judged.get(rule.id, (0, 0))
        [posted] = alerts.get(rule.id, (0,))
        found[rule.id] = RuleStats(rule.rule, week, month, posted, right, wrong, last, weeks)
    return found


def _by_rule(store: Store, sql: str, parameters: dict[str, int]) -> dict[str, tuple[Any, ...]]:
    return {rule: tuple(rest) for rule, *rest in store.rows(sql, parameters)}


def costs(
    store: Store, settings: FactSettings, rules: Iterable[CompiledRule], clock: Callable[[], int]
) -> dict[str, float]:
    """Return the milliseconds that each rule takes over the last 7 days of the log, by its id: the median of three.

    `clock` counts microseconds. Reading the events is not counted: a pass does it once for all rules.
    """
    end = store.value("SELECT max(time) FROM events")
    some = list(rules)
    if end is None or not some:
        return {}
    lookback = max(rule.lookback for rule in some)
    columns = facts.read_span(store, settings, end - WEEK - lookback, end)
    found = {}
    for rule in some:
        taken = []
        for _ in range(MEASURED):
            begin = clock()
            Evaluation(columns).bursts(rule, end - WEEK, end)
            taken.append(clock() - begin)
        found[rule.id] = median(taken) / 1000
    return found
