"""rules/forest.yml: how many alarms a week, which features, what is high."""

from __future__ import annotations

from dataclasses import dataclass

from bot.detect.forest.features import GROUPS
from bot.errors import RuleError
from bot.strict.readers import optional, read_table, read_truth
from bot.strict.report import Report
from bot.strict.yaml_lines import Node, Table, Text, read_documents

MOST_ALARMS = 1000.0


@dataclass(frozen=True)
class ForestConfig:
    """What the team decides about the forest. `high_per_week` says how many of the alarms are of level high."""

    alarms_per_week: float = 3.0
    high_per_week: float = 0.5
    groups: tuple[str, ...] = GROUPS


def parse_config(text: str, file: str) -> ForestConfig:
    """Return what a forest.yml says, the default for an empty text. Raises RuleError with every mistake."""
    report = Report(file)
    config = ForestConfig()
    for document in read_documents(text, report):
        table = read_table(document, report, file, ("alarms_per_week", "levels", "features"))
        config = _read(table, report) if table else config
    if report.problems:
        raise RuleError(tuple(report.problems))
    return config


def _read(table: Table, report: Report) -> ForestConfig:
    usual = ForestConfig()
    alarms = optional(table, "alarms_per_week", _read_rate, report) or usual.alarms_per_week
    levels = optional(table, "levels", _read_levels, report)
    high = optional(levels, "high", _read_rate, report) if levels else None
    if levels and high is not None and high > alarms:
        report.error(levels.line_of("high"), f"high is {high:g} a week, more than all {alarms:g} alarms")
    return ForestConfig(alarms, min(usual.high_per_week, alarms) if high is None else high, _read_groups(table, report))


def _read_levels(node: Node, report: Report, what: str) -> Table | None:
    return read_table(node, report, what, ("high",))


def _read_features(node: Node, report: Report, what: str) -> Table | None:
    return read_table(node, report, what, GROUPS)


def _read_groups(table: Table, report: Report) -> tuple[str, ...]:
    features = optional(table, "features", _read_features, report)
    if features is None:
        return GROUPS
    off = {name for name, node in features.entries.items() if read_truth(node, report, name) is False}
    if off >= set(GROUPS):
        report.error(table.line_of("features"), "all features are off", "leave at least one on")
    return tuple(group for group in GROUPS if group not in off)


def _read_rate(node: Node, report: Report, what: str) -> float | None:
    number = node.number() if isinstance(node, Text) else None
    if number is not None and 0 < number <= MOST_ALARMS:
        return float(number)
    said = repr(node.text) if isinstance(node, Text) else "no number"
    report.error(node.line, f"{what} is {said}", f"write how many a week, more than 0 and at most {MOST_ALARMS:,.0f}")
    return None
