"""What `audit-bot rules list` knows of rules: findings, alerts, judgements, cost, marks."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any, cast

import pytest
from typer.testing import CliRunner

from bot.detect.sigma.load import load_rules
from bot.fields import FactSettings
from bot.model import Alert, Entity, Finding, FindingState, Judgement, Level, Verdict
from bot.store import journal
from bot.store.alerts import insert_alert, insert_finding
from bot.store.people import judgements
from bot.store.rule_stats import RuleStats, stats
from bot.store.schema import Store
from bot.terminal.rule_costs import costs
from bot.terminal.rules_commands import rules_cli
from bot.times import DAY, MINUTE
from tests.conftest import START, add, record
from tests.test_backtest import BULK, FILES, UPDATES, write

NOW = START + 100 * DAY
RULES = [rule for rule in load_rules(FILES).rules if rule.reports]


def found(store: Store, rule_id: str = BULK, days: float = 1, **more: Any) -> Finding:
    at = NOW - round(days * DAY)
    return insert_finding(store, Finding(0, rule_id, "x", Level.high, {"actor": "eve"}, at, at, 1, **more), at)


def alerted(store: Store, rule_id: str = BULK, days: float = 1, decision: str = "posted", **more: Any) -> int:
    """Store an alert with one finding of a rule; return the alert's id."""
    at = NOW - round(days * DAY)
    entity = Entity("actor", "eve")
    alert = insert_alert(store, Alert(0, entity, Level.high, 60, "open", decision, at, at, at, 1), 0)
    found(store, rule_id, days, alert_id=alert.id, **more)
    return alert.id


def judge(store: Store, what: str, alert: int) -> None:
    if what in ("right", "wrong", "expected"):
        judgements.judge(store, alert, Judgement(cast(Verdict, what), "", "U0123", NOW))
    else:
        journal.write(store, NOW, "U0123", what, {"alert": alert})


def bulk(store: Store) -> RuleStats:
    return stats(store, [rule.rule for rule in RULES], NOW)[BULK]


def test_findings_count_by_their_last_event(store: Store) -> None:
    """Of 7 and 30 days, both ends included; what no longer holds does not count."""
    for days in (1, 7, 7.5, 30, 31):
        found(store, days=days)
    states: tuple[FindingState, ...] = ("withdrawn", "merged")
    for state in states:
        found(store, state=state, days=0)
    one = bulk(store)
    assert (one.findings_7d, one.findings_30d, one.last_fired) == (2, 4, NOW - DAY)
    assert stats(store, [rule.rule for rule in RULES], NOW)[UPDATES].never_fired


def test_alerts_are_those_that_people_saw(store: Store) -> None:
    """Two findings in one alert are one; quiet alerts, and findings that an alert hides, are none."""
    shown = alerted(store)
    found(store, alert_id=shown)
    alerted(store, decision="history")
    alerted(store, hidden="shadow")
    alerted(store, days=31)
    assert bulk(store).alerts_30d == 1


def test_the_last_judgement_of_an_alert_counts_for_all_its_rules(store: Store) -> None:
    first, second, third = (alerted(store) for _ in range(3))
    found(store, UPDATES, alert_id=third)
    found(store, alert_id=third)
    for what, alert in (("wrong", first), ("right", first), ("right", second), ("wrong", third), ("resolved", third)):
        judge(store, what, alert)
    known = stats(store, [rule.rule for rule in RULES], NOW)
    assert (known[BULK].right, known[BULK].wrong, known[BULK].precision) == (2, 1, 2 / 3)
    assert (known[UPDATES].right, known[UPDATES].wrong, known[UPDATES].precision) == (0, 1, 0)


def test_judgements_of_a_week_are_those_of_its_alerts(store: Store) -> None:
    """Whenever somebody judged: the figures stand beside how many alerts there were."""
    for days, what in ((1, "right"), (7, "wrong"), (8, "wrong"), (20, "right"), (1, "expected")):
        judge(store, what, alerted(store, days=days))
    judge(store, "wrong", alerted(store, decision="history"))
    one = bulk(store)
    assert (one.alerts_7d, one.right_7d, one.wrong_7d) == (3, 1, 1)
    assert (one.right, one.wrong) == (2, 3)


def test_without_a_judgement_there_is_no_precision(store: Store) -> None:
    """A resolved alert is not a right one."""
    judge(store, "resolved", alerted(store))
    judge(store, "expected", alerted(store))
    assert (bulk(store).right, bulk(store).wrong, bulk(store).precision) == (0, 0, None)


@pytest.mark.parametrize(
    ("log_days", "alerts", "noisy"),
    [(60, 12, False), (60, 13, True), (14, 6, False), (14, 7, True), (1, 4, True)],
)
def test_noisy_is_more_than_three_alerts_a_week(store: Store, log_days: int, alerts: int, noisy: bool) -> None:
    """Of the weeks that the log covers: a young log is not taken for a quiet one."""
    add(store, [record(NOW - log_days * DAY)])
    for _ in range(alerts):
        alerted(store)
    assert bulk(store).noisy is noisy


def test_a_shadow_rule_is_noisy_by_its_findings(store: Store) -> None:
    """It posts nothing, and has to be judged before it does."""
    for _ in range(4):
        found(store, UPDATES, hidden="shadow")
        found(store, BULK, hidden="history")
    known = stats(store, [rule.rule for rule in RULES], NOW)
    assert (known[UPDATES].noisy, known[BULK].noisy) == (True, False)


def test_cost_is_the_median_of_three_over_the_last_week_of_the_log(store: Store) -> None:
    """In milliseconds, with a clock that is handed in."""
    add(store, [record(START + i * MINUTE, "DELETE", "eve", object_=f"o{i}") for i in range(20)])
    ticks = itertools.chain.from_iterable((0, taken) for taken in itertools.cycle((9000, 1000, 2500)))
    assert costs(store, FactSettings(), RULES, lambda: next(ticks)) == {BULK: 2.5, UPDATES: 2.5}


def test_an_empty_log_costs_nothing(store: Store) -> None:
    assert costs(store, FactSettings(), RULES, lambda: 0) == {}


# -- as printed ------------------------------------------------------------------------------------------------------
@pytest.fixture
def lab(store: Store, tmp_path: Path) -> Path:
    """Return a folder whose database and rules make every column speak."""
    add(store, [record(START + i * MINUTE, "DELETE", "eve", object_=f"o{i}") for i in range(20)])
    judge(store, "right", alerted(store))
    judge(store, "wrong", alerted(store))
    write(tmp_path / "rules", FILES)
    return tmp_path


def listed(lab: Path, *arguments: str, db: str = "audit.db") -> str:
    folders = ("--db", str(lab / db), "--rules", str(lab / "rules"))
    result = CliRunner().invoke(rules_cli, ["list", *arguments, *folders])
    assert result.exit_code == 0, result.output
    return result.stdout


def rows(lab: Path, *arguments: str, db: str = "audit.db") -> list[dict[str, Any]]:
    return [json.loads(line) for line in listed(lab, *arguments, "--format", "jsonl", db=db).splitlines()]


def test_lines_say_what_the_store_knows(lab: Path) -> None:
    first, second = (row for row in rows(lab) if row["id"] in (BULK, UPDATES))
    assert (first["id"], first["right"], first["wrong"], first["precision"]) == (BULK, 1, 1, 0.5)
    assert (first["last_fired"], first["never_fired"], first["cost_ms"]) == ("2026-06-09T09:00:00.000Z", False, None)
    assert (second["status"], second["precision"], second["never_fired"]) == ("experimental", None, True)


def test_the_table_shows_dashes_and_marks(lab: Path) -> None:
    """And a cost only where it was asked for."""
    head, *lines = listed(lab).splitlines()
    first, second = (line for line in lines if "(built in)" not in line)
    assert "cost" not in head
    assert first.split()[:4] == ["high", "stable", "Bulk", "delete"]
    assert "50%" in first
    assert "2026-06-09" in first
    assert "never fired" in second
    assert "cost ms" in listed(lab, "--cost")
    assert all(row["cost_ms"] >= 0 for row in rows(lab, "--cost"))


def test_without_a_database_only_the_files_speak(lab: Path) -> None:
    """Nothing is made, and nothing is marked."""
    for arguments in ((), ("--cost",)):
        for row in rows(lab, *arguments, db="none.db"):
            unknown = (
                "findings_7d",
                "alerts_30d",
                "right",
                "precision",
                "cost_ms",
                "last_fired",
                "noisy",
                "never_fired",
            )
            assert [row[name] for name in unknown] == [None] * len(unknown)
    assert "never fired" not in listed(lab, db="none.db")
    assert not (lab / "none.db").exists()
