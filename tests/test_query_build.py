"""Queries that the bot writes for people: they read back as exactly what was chosen, whatever the names."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.query import parse_command, parse_condition
from bot.query.build import FIELDS, LOOKED_UP, TIMES, VERBS, look_up, spell, write
from bot.query.tree import And, Condition, Match, Pattern, Within, Word, terms
from bot.times import parse_time
from tests.laws import law
from tests.test_query import BERLIN

NOW = parse_time("2026-11-23T08:00:00Z")
odd = st.sampled_from('aé*"\\ ()<>:-–“”’.@/=+_7\u00a0ORnot')
hard = st.text(odd | st.characters(exclude_categories=["Cs"]), max_size=12)
pieces = hard | st.sampled_from(["eve@x.example", "192.0.2.1", "::1", '"q', "`name*`", "“ab”"])


def wanted(name: str, text: str) -> Condition:
    values = [" ".join(part.split()) for part in text.split(",")]
    return Match(name, tuple(Pattern(tuple(v.casefold().split("*"))) for v in values if v))


@law()
@given(st.fixed_dictionaries({"verb": st.sampled_from(VERBS), "time": st.sampled_from(TIMES)}, optional={
    name: hard for name in FIELDS if name != "ip"
} | {"by": st.sampled_from(["actor", "ip", "type", "action", "object"])}))  # fmt: skip
def test_a_form_reads_back_as_what_was_chosen(chosen: dict[str, str]) -> None:
    line = write(chosen)
    command = parse_command(line, NOW, BERLIN)
    parts = [wanted(name, chosen[name]) for name in FIELDS if chosen.get(name, "").replace(",", " ").split()]
    assert command.query.condition == (None if not parts else parts[0] if len(parts) == 1 else And(tuple(parts)))
    assert command.verb == chosen["verb"]
    assert command.query.by == (chosen.get("by") if chosen["verb"] == "top" else None)


def test_an_empty_form_asks_for_the_last_day() -> None:
    assert write({}) == "search last:24h"
    assert write({"verb": "top", "by": "ip", "ip": "10.0.0.0/8, 192.0.2.7", "time": "last:7d"}) == (
        "top ip:10.0.0.0/8,192.0.2.7 by:ip last:7d"
    )


@pytest.mark.parametrize(
    ("text", "query"),
    [
        ("who is eve@corp.example?", "actor:eve@corp.example last:7d"),
        ("<mailto:Eve@corp.example|Eve@corp.example>, eve@corp.example.", "actor:Eve@corp.example last:7d"),
        ("from 192.0.2.66, then 2001:db8::1 and 10.0.0.0/8.", "ip:192.0.2.66,2001:db8::1,10.0.0.0/8 last:7d"),
        ('see "svc-1" and “two words” and `a*b`', '"svc-1" OR "two words" OR "a\\*b" last:7d'),
        ('eve@a.example at 07:48 on "x" from 192.0.2.66', "actor:eve@a.example OR ip:192.0.2.66 last:7d"),
        ("nothing 1.2.3 12:30 here, 999.1.1.1, a@b", None),
        ("", None),
    ],
)
def test_what_a_message_names_is_looked_up(text: str, query: str | None) -> None:
    assert look_up(text) == query


def test_only_so_many_names_are_taken_from_one_message() -> None:
    text = " ".join(f"a{n}@b.example 10.0.0.{n} `name {n}`" for n in range(30))
    assert (look_up(text) or "").count(",") + 1 == LOOKED_UP


@law()
@given(st.lists(pieces, max_size=20).map(" ".join))
def test_any_message_gives_a_query_that_reads_or_none(text: str) -> None:
    query = look_up(text)
    if query is not None:
        command = parse_command(query, NOW, BERLIN)
        assert command.verb == "search"
        assert command.query.condition is not None
        assert {type(term) for term in terms(command.query.condition)} <= {Match, Word, Within}


@law()
@given(hard)
def test_a_spelt_value_is_the_value(value: str) -> None:
    assert parse_condition(f"object:{spell(value)}") == Match("object", (Pattern(tuple(value.casefold().split("*"))),))
