"""The rule files in rules/: they load, their tests pass, and each has what a person needs at 3 a.m."""

from __future__ import annotations

from collections import Counter
from functools import lru_cache
from typing import Any

import jsonschema
import pytest
import yaml

from bot.detect.rules import CompiledRule
from bot.detect.sigma.editor_schema import editor_schema
from bot.detect.sigma.files import read_rule_files
from bot.detect.sigma.run_tests import run_tests
from bot.fields import FactSettings
from bot.reading import SHIPPED
from bot.rulebook import Rulebook, read_rulebook

FILES = read_rule_files(SHIPPED)


@lru_cache(maxsize=1)
def book() -> Rulebook:
    return read_rulebook(SHIPPED)


def reporting() -> list[CompiledRule]:
    return list(book().reporting)


def test_the_shipped_rules_load_without_a_problem_or_a_warning() -> None:
    assert len(reporting()) >= 20
    assert book().rules.warnings == ()


def test_all_their_tests_pass() -> None:
    outcomes = list(run_tests(book().rules.rules, FactSettings(sensitive=book().sensitive)))
    failed = [(one.place, one.test.name, one.explanation) for one in outcomes if not one.passed]
    assert failed == []
    assert len(outcomes) == sum(len(rule.tests) for rule in book().rules.rules)


def test_ids_and_titles_are_unique() -> None:
    for values in ([rule.id for rule in book().rules.rules], [rule.rule.title for rule in book().rules.rules]):
        assert [value for value, count in Counter(values).items() if count > 1] == []


@pytest.mark.parametrize("rule", reporting(), ids=lambda rule: rule.rule.title)
def test_every_rule_says_what_to_do_and_shows_what_it_means(rule: CompiledRule) -> None:
    """A runbook that exists, a technique, false positives, and tests both ways."""
    assert (SHIPPED.parent / rule.rule.runbook).is_file()
    assert any(tag.startswith("attack.t") for tag in rule.rule.tags)
    assert rule.rule.falsepositives
    assert any(test.least > 0 for test in rule.tests)
    assert any(test.most == 0 for test in rule.tests)


@pytest.mark.parametrize("rule", [rule for rule in book().rules.rules if not rule.reports], ids=lambda r: r.rule.title)
def test_a_part_that_only_others_count_is_informational(rule: CompiledRule) -> None:
    assert rule.rule.level == 0
    assert "part of" in rule.rule.description


@pytest.mark.slow
@pytest.mark.parametrize("file", sorted(FILES))
def test_every_rule_file_satisfies_the_schema_for_editors(file: str) -> None:
    schema = jsonschema.Draft7Validator(editor_schema())
    for document in yaml.safe_load_all(FILES[file]):
        assert [error.message for error in schema.iter_errors(document)] == []


GOOD: dict[str, Any] = {
    "title": "x",
    "id": "5f1d8ed8-3f0c-4d0e-9f2b-7a0a3d7e1c55",
    "status": "stable",
    "level": "low",
    "description": "x",
    "logsource": {"product": "cortex", "service": "audit"},
    "detection": {"a": {"action": "DELETE"}, "condition": "a"},
}


@pytest.mark.parametrize(
    "wrong",
    [
        {"levle": "low"},
        {"level": "bad"},
        {"id": "1"},
        {"detection": {"a": {"acton": "DELETE"}, "condition": "a"}},
        {"detection": {"a": {"action|endwith": "DELETE"}, "condition": "a"}},
        {"detection": {"a": {"actor_age_days": "old"}, "condition": "a"}},
        {"detection": {"a": {"action": "DELETE"}}},
        {"alert": {"runbok": "x"}},
        {"tests": [{"name": "x", "events": [], "fires": "yes"}]},
        {"tests": [{"name": "x", "events": [{"at": "1 day", "action": "DELETE"}], "fires": "yes"}]},
    ],
    ids=str,
)
def test_the_schema_for_editors_refuses_mistakes(wrong: dict[str, Any]) -> None:
    schema = jsonschema.Draft7Validator(editor_schema())
    assert schema.is_valid(GOOD)
    assert not schema.is_valid(GOOD | wrong)


def test_the_schema_for_editors_is_a_schema() -> None:
    jsonschema.Draft7Validator.check_schema(editor_schema())
