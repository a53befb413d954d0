"""docs/rules.md, docs/fields.md and the runbooks say what is true."""

from __future__ import annotations

import re

import pytest

from bot.detect.sigma.correlations import KINDS
from bot.detect.sigma.header import ALERT_KEYS, STATUSES
from bot.detect.sigma.items import MODIFIERS
from bot.detect.sigma.load import load_rules
from bot.detect.sigma.run_tests import run_tests
from bot.detect.sigma.tests_block import EVENT_KEYS
from bot.model import Level
from bot.reading import SHIPPED
from bot.rulebook import read_rulebook
from bot.terminal.rule_docs import BEGIN, DOCS, END, fields_page, rules_table, with_table

PAGE = (DOCS / "rules.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
EXAMPLE, FILTER = (block for block in BLOCKS if block.startswith("title:"))
REMAKE = "run python -m bot.terminal.rule_docs"


def test_the_page_of_fields_is_made_from_the_catalogue() -> None:
    assert (DOCS / "fields.md").read_text(encoding="utf-8") == fields_page(), REMAKE


def test_the_table_of_shipped_rules_is_made_from_the_files() -> None:
    assert with_table(PAGE, rules_table(read_rulebook(SHIPPED).reporting)) == PAGE, REMAKE


def test_a_page_without_the_marks_is_refused() -> None:
    with pytest.raises(ValueError, match="lacks"):
        with_table("no marks here", "")
    assert with_table(f"a{BEGIN}old{END}b", "new\n") == f"a{BEGIN}\nnew\n{END}b"


def test_the_worked_example_loads_and_passes_its_tests() -> None:
    rules = load_rules({"teams.yml": EXAMPLE})
    assert rules.warnings == ()
    assert [outcome.explanation for outcome in run_tests(rules.rules) if not outcome.passed] == []


def test_the_example_of_a_filter_takes_out_what_it_names() -> None:
    test = "{at: 0s, repeat: 10, action: DELETE, actor: catalog-sync, object: 'a-{i}', type: SERVICE}"
    rule = f"""\
title: Deleted
id: 5f1d8ed8-3f0c-4d0e-9f2b-7a0a3d7e1c55
name: deletion
status: stable
level: low
description: x
logsource: {{product: cortex, service: audit}}
detection: {{deleted: {{action: DELETE}}, condition: deleted}}
tests: [{{name: the sync, events: [{test}], fires: no}}]
"""
    assert [outcome.passed for outcome in run_tests(load_rules({"a.yml": rule}).rules)] == [False]
    assert [outcome.passed for outcome in run_tests(load_rules({"a.yml": rule, "b.yml": FILTER}).rules)] == [True]


@pytest.mark.parametrize(
    "word",
    sorted({*ALERT_KEYS, *STATUSES, *KINDS, *Level.__members__, *EVENT_KEYS[:3], *MODIFIERS} - {"ignorecase"}),
)
def test_every_word_that_a_rule_may_use_is_taught(word: str) -> None:
    long_flags = {"m", "s", "multiline", "dotall"}  # flags of regexes: the page names i, and where to read on
    assert word in long_flags or re.search(rf"(?<![a-z_]){re.escape(word)}(?![a-z_])", PAGE), word


@pytest.mark.slow
@pytest.mark.parametrize(
    "title", re.findall(r"\*([A-Z][^*|]+)\*", PAGE.partition("## Which levels")[2].partition("##")[0])
)
def test_the_rules_named_as_worth_raising_exist_and_are_low(title: str) -> None:
    rules = {rule.rule.title: rule.rule.level for rule in read_rulebook(SHIPPED).reporting}
    assert rules[" ".join(title.split())] == Level.low


def test_the_measured_table_names_only_rules_that_exist() -> None:
    titles = {rule.rule.title for rule in read_rulebook(SHIPPED).reporting}
    named = re.findall(r"^\| ([^|*]+?) \| \w+(?:, shadow)? \| [\d.]+ \|", PAGE, re.MULTILINE)
    assert named
    assert [name for name in named if name not in titles] == []


@pytest.mark.parametrize("path", sorted((DOCS / "runbooks").glob("*.md")), ids=lambda path: path.name)
def test_a_runbook_is_short_and_has_its_three_answers(path: object) -> None:
    text = (DOCS / "runbooks" / str(getattr(path, "name", path))).read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 16
    assert "**What happened.**" in text
    assert "**Is it bad?**" in text
    assert re.search(r"^1\. ", text, re.MULTILINE)
