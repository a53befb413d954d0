"""Never without bulk delete: what the built-in rule stands in for, and what replaces it."""

from __future__ import annotations

import pytest

from bot.detect.minimum import BULK_DELETE, with_minimum
from bot.detect.sigma.load import load_rules
from bot.reading import SHIPPED
from bot.rulebook import read_rulebook
from bot.store.schema import Store
from tests.conftest import START, add, record
from tests.test_detection import PLAIN

PART = """
title: Part
id: 00000000-0000-4000-8000-000000000001
name: part
status: stable
level: informational
description: x
logsource: {{product: cortex, service: audit}}
detection: {{it: {{{test}}}, condition: it}}
---
"""
WHOLE = """
title: Mine
id: {id}
status: {status}
level: high
description: x
correlation:
  type: value_count
  rules: [part]
  group-by: [{by}]
  timespan: 1h
  condition: {{field: {field}, gte: 40}}
"""
MINE = "00000000-0000-4000-8000-000000000002"


def titles(test: str = "action: DELETE", **more: str) -> list[str]:
    said = {"id": MINE, "status": "stable", "by": "actor", "field": "object", **more}
    return [
        rule.rule.title for rule in with_minimum(load_rules({"a.yml": PART.format(test=test) + WHOLE.format(**said)}))
    ]


def test_the_shipped_rules_need_no_minimum() -> None:
    rules = read_rulebook(SHIPPED)
    assert BULK_DELETE in {rule.id for rule in rules.reporting}
    assert all(rule.rule.file for rule in rules.reporting)


@pytest.mark.parametrize(
    ("test", "more"),
    [("action: DELETE", {}), ("action: DELETE, actor|neq: sync", {}), ("action: UPDATE", {"id": BULK_DELETE})],
    ids=["counts deletions", "with an exception", "the same id"],
)
def test_what_replaces_the_built_in_rule(test: str, more: dict[str, str]) -> None:
    """A rule of the same id, or one that counts what an actor deletes."""
    assert titles(test, **more) == ["Mine"]


@pytest.mark.parametrize(
    ("test", "more"),
    [
        ("action: UPDATE", {}),
        ("action: DELETE, type: TEAM", {}),
        ("action: DELETE, actor_new: true", {}),
        ("action: DELETE", {"by": "ip"}),
        ("action: DELETE", {"field": "type"}),
        ("action: DELETE", {"status": "experimental"}),
    ],
    ids=["updates", "one type", "some actors", "by address", "types", "shadow"],
)
def test_what_does_not_replace_it(test: str, more: dict[str, str]) -> None:
    """Other things, or a part of them, or unseen."""
    assert titles(test, **more) == ["Mine", "Bulk delete by one actor (built in)"]


def test_an_id_has_one_rule() -> None:
    """In shadow or off, the shipped rule gives way to the built-in one."""
    for status in ("experimental", "deprecated"):
        assert titles(id=BULK_DELETE, status=status) == ["Bulk delete by one actor (built in)"]


def test_the_built_in_rule_finds_ten_deletions(store: Store) -> None:
    """It is a rule like any other."""
    from bot.detect import facts
    from bot.detect.match import Evaluation

    add(store, [record(START + place, "DELETE", object_=f"o-{place}") for place in range(10)])
    [rule] = with_minimum(load_rules({"a.yml": PART.format(test="action: DELETE").rstrip("-\n")}))[1:]
    assert [burst.count for burst in Evaluation(facts.read(store, PLAIN)).bursts(rule)] == [10]
