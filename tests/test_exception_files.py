"""Exceptions as Sigma filters: the strict loader takes them, and they leave out the same events."""

from __future__ import annotations

import re

import numpy as np
import pytest

from bot.detect import facts
from bot.detect.match import matching
from bot.detect.sigma.load import load_rules
from bot.errors import ConfigError
from bot.fields import FactSettings
from bot.model import FOREST
from bot.query import parse_condition
from bot.reading import SHIPPED
from bot.rulebook import check, read_rulebook
from bot.store.people.exceptions import TimedException
from bot.store.queries.conditions import prepare, sql_condition
from bot.store.schema import Store
from bot.strict.yaml_text import write_document
from bot.terminal.exception_files import filter_file
from bot.times import DAY, MINUTE
from tests.conftest import START, add, record

BOOK = read_rulebook(SHIPPED)
BULK = next(rule for rule in BOOK.reporting if rule.rule.title == "Bulk delete by one actor")
EVERYTHING = """\
title: Everything
id: 5f1d8ed8-3f0c-4d0e-9f2b-7a0a3d7e1c55
status: stable
level: low
description: x
logsource: {product: cortex, service: audit}
detection: {anything: {action: '*'}, condition: anything}
"""
WHO = ("ci-bot", "eve@corp.example", None, "Straße*", "a\\b", "yes", "12:30", "null", "")
WHERE = ("192.0.2.1", "::ffff:10.1.2.3", "2001:db8::1", None)


def excepted(condition: str, rule: str | None = None) -> TimedException:
    return TimedException(3, rule, condition, "clean-up: nightly", "ann", START, START + DAY)


@pytest.mark.parametrize(
    "condition",
    [
        "actor:ci-bot",
        "actor:ci-bot,eve* action:DELETE",
        "ip:10.0.0.0/8,2001:db8::1",
        "bot",
        "bot type:SERVICE",
        'actor:"Straße\\*"',
        'actor:"a\\\\b"',
        'actor:yes,null OR actor:"12:30"',
        "type:SERVICE -actor:eve*",
        "type:SERVICE -actor:* -ip:192.0.2.0/24",
        "(actor:ci* OR object:o1) -(action:DELETE type:TEAM)",
        "actor:ci* -(-(actor:*bot))",
        "actor_age_days:<2 hour:9,10 off_hours:false",
        "actor_idle_days:* actor_kind:key",
        "weekday:mon ip_new:false,true OR action:*",
        "ip:*",
        'actor:""',
        "object:o? OR object:O1",
    ],
)
def test_the_filter_leaves_out_exactly_what_is_expected(condition: str, store: Store) -> None:
    """One event at a time, against the same condition as SQL."""
    combined = [(a, b, c) for a in WHO for b in WHERE for c in ("o1", "p2")]
    days = [START - 20 * DAY, *(START + i * MINUTE for i in range(1, len(combined)))]
    records = [record(t, "DELETE", a, b, c, "TEAM" if c == "o1" else "SERVICE") for t, (a, b, c) in zip(days, combined)]  # noqa: B905 -- as many
    add(store, records)
    settings = FactSettings()
    prepare(store.connection, settings)
    sql, values = sql_condition(parse_condition(condition), settings)
    expected = {row[0] for row in store.rows(f"SELECT e.id FROM events e WHERE {sql}", values)}
    text = filter_file(excepted(condition), check({"all.yml": EVERYTHING}))
    [rule] = load_rules({"all.yml": EVERYTHING, "exceptions/exception-3.yml": text}).rules
    columns = facts.read(store, settings, "1")
    kept = set(columns.id[np.flatnonzero(matching(rule, columns))].tolist())
    assert kept == set(columns.id.tolist()) - expected
    assert expected, "it says nothing about these events"


def test_an_exception_of_a_shipped_correlation_names_what_it_counts() -> None:
    """A filter on a correlation would bind to nothing."""
    text = filter_file(excepted("actor:ci-bot action:DELETE", BULK.id), BOOK)
    assert BULK.id not in text
    assert BULK.correlation is not None
    assert re.findall(r"^  - (.+)$", text, re.MULTILINE) == [slot.rule.id for slot in BULK.correlation.slots]
    assert "# Was exception 3 until 2026-03-03" in text


@pytest.mark.parametrize(
    ("condition", "rule", "word"),
    [
        ("-actor:eve", BULK.id, "everything but what it names"),
        ("actor:ci-bot", FOREST, "forest"),
        ("actor:ci-bot", "00000000-0000-4000-8000-000000000000", "no rule file"),
        ("actor:ci-bot" + " -(type:x" * 24 + " -(type:z type:y)" + ")" * 24, None, "deep"),
    ],
)
def test_what_sigma_cannot_say_is_an_error_in_one_line(condition: str, rule: str | None, word: str) -> None:
    with pytest.raises(ConfigError, match=word) as error:
        filter_file(excepted(condition, rule), BOOK)
    assert str(error.value).startswith("Exception 3 ")
    assert len(str(error.value).splitlines()) == 1


def test_an_exception_that_is_a_filter_already_is_told() -> None:
    text = filter_file(excepted("actor:ci-bot"), BOOK)
    with pytest.raises(ConfigError, match=r"mine\.yml:4: the id .* is also that of"):
        filter_file(excepted("actor:ci-bot"), check({**BOOK.files, "exceptions/mine.yml": text}))


def test_long_conditions_have_short_titles() -> None:
    text = filter_file(excepted("actor:" + ",".join(f"bot-{i}" for i in range(100))), BOOK)
    assert "…" in text


def test_what_is_written_keeps_its_order_and_its_kind() -> None:
    assert write_document({"b": "no", "a": [1, True]}) == "b: 'no'\na:\n- 1\n- true\n"
