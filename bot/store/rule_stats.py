"""What is known of rules: findings, alerts, people's judgements, and what to do about it; from the store alone."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from bot.model import Rule
from bot.store.schema import Store
from bot.times import DAY, WEEK

NOISY = 3  # more alerts a week than this, and people stop reading them
ENOUGH = 3  # judgements that say something about a rule

# Findings that hold, or held until their rule was removed; the second: those that people got to see in an alert.
_FIRED = (
    "SELECT rule, sum(last >= :week), sum(last >= :month), max(last) FROM findings"
    " WHERE state IN ('open', 'removed') AND last <= :now GROUP BY rule"
)
_ALERTS = (
    "SELECT f.rule, count(DISTINCT iif(f.last >= :week, f.alert, NULL)), count(DISTINCT f.alert)"
    " FROM findings f JOIN alerts a ON a.id = f.alert"
    " WHERE f.state IN ('open', 'removed') AND f.hidden IN ('', 'history') AND f.last >= :month AND f.last <= :now"
    " AND a.decision LIKE 'posted%' GROUP BY f.rule"
)
_JUDGED = (
    "SELECT rule, sum(verdict = 'right'), sum(verdict = 'wrong'), sum(verdict = 'right' AND fresh),"
    " sum(verdict = 'wrong' AND fresh) FROM (SELECT f.rule, j.verdict,"
    " max(f.last BETWEEN :week AND :now AND a.decision LIKE 'posted%') AS fresh"
    " FROM judgements j JOIN findings f ON f.alert = j.alert JOIN alerts a ON a.id = j.alert"
    " WHERE f.state IN ('open', 'removed') AND f.hidden IN ('', 'history') GROUP BY f.rule, j.alert) GROUP BY rule"
)


@dataclass(frozen=True)
class RuleStats:
    """One rule's record. Alerts are those that were posted; `right` and `wrong` those that people judged so, ever;
    with `_7d`, those of `alerts_7d`.

    `weeks` is how much of the last 30 days the log covers, one at least. `last_fired` in microseconds.
    """

    rule: Rule
    findings_7d: int
    findings_30d: int
    alerts_7d: int
    alerts_30d: int
    right: int
    wrong: int
    right_7d: int
    wrong_7d: int
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

    @property
    def hint(self) -> str:
        """What to do about the rule, "" where nothing."""
        judged, share = self.right + self.wrong, self.precision or 0.0
        if self.rule.shadow:
            return _SHADOW_NOISY if self.noisy else _SHADOW_CALM if self.findings_30d else ""
        if judged >= ENOUGH and share < 0.5:
            return _WRONG
        if self.noisy:
            return _RIGHT if judged >= ENOUGH else _UNJUDGED
        return ""


_WRONG = "mostly wrong: raise its threshold or approve an exception; backtest --compare shows what an edit would change"
_RIGHT = "often, and mostly right: what it finds needs an end, not the rule"
_UNJUDGED = "noisy, and hardly judged: say of its alerts whether they were right, or raise its threshold"
_SHADOW_NOISY = "in shadow, and too noisy to be posted: raise its threshold first"
_SHADOW_CALM = "in shadow and calm: make it stable if what it finds is worth an alert"


def stats(store: Store, rules: Iterable[Rule], now: int) -> dict[str, RuleStats]:
    """Return the record of each rule by its id, as of `now`, what was found later left out."""
    moments = {"week": now - 7 * DAY, "month": now - 30 * DAY, "now": now}
    fired = _by_rule(store, _FIRED, moments)
    alerts = _by_rule(store, _ALERTS, moments)
    judged = _by_rule(store, _JUDGED, moments)
    begin = store.value("SELECT min(time) FROM events")
    weeks = min(max((now - begin) / WEEK, 1), 30 / 7) if begin is not None else 1
    found = {}
    for rule in rules:
        week, month, last = fired.get(rule.id, (0, 0, None))
        right, wrong, right_week, wrong_week = judged.get(rule.id, (0, 0, 0, 0))
        posted_week, posted = alerts.get(rule.id, (0, 0))
        found[rule.id] = RuleStats(
            rule, week, month, posted_week, posted, right, wrong, right_week, wrong_week, last, weeks
        )
    return found


def _by_rule(store: Store, sql: str, parameters: dict[str, int]) -> dict[str, tuple[Any, ...]]:
    return {rule: tuple(rest) for rule, *rest in store.rows(sql, parameters)}
