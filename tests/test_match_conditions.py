"""Conditions on fields: what each modifier means, for every kind of value, present or missing."""

from __future__ import annotations

import numpy as np
import pytest

from bot.detect.columns import BoolColumn, Columns, NumberColumn, TextColumn, encode
from bot.detect.conditions import SameTest, TextTest, View, read_network
from bot.detect.match import matching
from bot.detect.sigma.load import load_rules

RULE = """\
title: made up
id: 6c2f7a9e-0f0c-4d2b-9b53-0b2f9b8f6a01
status: test
level: low
description: made up
logsource: {{product: cortex, service: audit}}
detection:
  selection: {selection}
  condition: {condition}
"""


def texts(field: str, *values: str | None) -> Columns:
    """Return events that differ in one field."""
    rows = np.arange(len(values), dtype=np.int64)
    others = {name: encode(["x"] * len(values)) for name in ("action", "actor", "ip", "object", "type")}
    return Columns(rows, rows, {**others, field: encode(values)})


def found(columns: Columns, selection: str, condition: str = "selection") -> list[int]:
    """Return which events match."""
    rule = load_rules({"made.yml": RULE.format(selection=selection, condition=condition)}).rules[0]
    return np.flatnonzero(matching(rule, columns)).tolist()


OBJECTS = ("svc-1", "SVC-1", "svc-12", "my svc-1", "a*b", "axb", "a\\b", "", "Straße", "STRASSE", "one\ntwo", None)


@pytest.mark.parametrize(
    ("selection", "expected"),
    [
        ("{object: svc-1}", [0, 1]),
        ("{object|cased: svc-1}", [0]),
        ("{object|startswith: SVC-1}", [0, 1, 2]),
        ("{object|endswith: svc-1}", [0, 1, 3]),
        ("{object|contains: 'Y S'}", [3]),
        ("{object|contains|cased: svc}", [0, 2, 3]),
        ("{object|contains|all: [svc, '2']}", [2]),
        ("{object|contains: [svc-12, y]}", [2, 3]),
        ("{object: [svc-1, null]}", [0, 1, 11]),
        ("{object: 'a*b'}", [4, 5, 6]),
        (r"{object: 'a\*b'}", [4]),
        ("{object: 'a?b'}", [4, 5, 6]),
        (r"{object: 'a\b'}", [6]),
        ("{object: 'svc-??'}", [2]),
        ("{object: '*'}", list(range(11))),
        ("{object: ''}", [7]),
        ("{object: one*two}", [10]),
        ("{object: straße}", [8, 9]),
        ("{object|startswith: STRASS}", [8, 9]),
        ("{object: stra*e}", [8, 9]),
        ("{object|cased: Stra*e}", [8]),
        ("{object: null}", [11]),
        ("{object|neq: null}", list(range(11))),
        ("{object|exists: true}", list(range(11))),
        ("{object|exists: false}", [11]),
        ("{object|neq: svc-1}", list(range(2, 12))),
        ("{object|neq: [svc-1, svc-12]}", list(range(3, 12))),
        (r"{object|re: 'svc-\d$'}", [0, 3]),
        (r"{object|re|i: '^svc-\d$'}", [0, 1]),
        ("{object|re: one.two}", []),
        ("{object|re|s: one.two}", [10]),
        ("{object|re|m: ^two$}", [10]),
        ("{object|re|neq: svc}", [1, 4, 5, 6, 7, 8, 9, 10, 11]),
        ("[{object: svc-1}, {object: a*b}]", [0, 1, 4, 5, 6]),
        ("{object|startswith: svc, object|endswith: '2'}", [2]),
    ],
)
def test_texts_compare_as_sigma_says(selection: str, expected: list[int]) -> None:
    """Without regard to case unless cased; wildcards and escapes; regexes search; missing matches only null."""
    assert found(texts("object", *OBJECTS), selection) == expected


def test_not_is_plain_negation() -> None:
    """An event that lacks the field satisfies `not`."""
    assert found(texts("object", "a", "b", None), "{object: a}", "not selection") == [1, 2]


ADDRESSES = (
    "10.1.2.3",
    "11.0.0.1",
    "::ffff:10.1.2.3",
    "2001:db8::1",
    "2001:0DB8:0000:0000:0000:0000:0000:0001",
    "[2001:db8::2]",
    "fe80::1%eth0",
    "10.0.0.0/16",
    "0.0.0.0/0",
    "office",
    "",
    None,
)


@pytest.mark.parametrize(
    ("selection", "expected"),
    [
        ("{ip|cidr: 10.0.0.0/8}", [0, 2, 7]),
        ("{ip|cidr: '::ffff:10.0.0.0/104'}", [0, 2, 7]),
        ("{ip|cidr: '2001:db8::/32'}", [3, 4, 5]),
        ("{ip|cidr: '2001:0db8::1/128'}", [3, 4]),
        ("{ip|cidr: 'fe80::/10'}", [6]),
        ("{ip|cidr: 10.1.2.3}", [0, 2]),
        ("{ip|cidr: 0.0.0.0/0}", [0, 1, 2, 7, 8]),
        ("{ip|cidr: '::/0'}", [3, 4, 5, 6]),
        ("{ip|cidr: [11.0.0.0/24, 'fe80::/10']}", [1, 6]),
        ("{ip|cidr|neq: 10.0.0.0/8}", [1, 3, 4, 5, 6, 8, 9, 10, 11]),
    ],
)
def test_networks_hold_addresses_in_any_spelling(selection: str, expected: list[int]) -> None:
    """Real networks: IPv6 in any spelling, mapped IPv4 as IPv4, networks inside networks, no other texts."""
    assert found(texts("ip", *ADDRESSES), selection) == expected


def test_a_mapped_network_wider_than_the_mapped_space_stays_ipv6() -> None:
    """Only what lies within ::ffff:0:0/96 is IPv4."""
    assert str(read_network("::ffff:0:0/95")) == "::fffe:0:0/95"


@pytest.mark.parametrize(
    ("selection", "expected"),
    [
        ("{hour: 3}", [1]),
        ("{hour: [0, 3]}", [0, 1]),
        ("{hour|gte: 3}", [1, 2]),
        ("{hour|gt: 3}", [2]),
        ("{hour|lte: 3}", [0, 1]),
        ("{hour|lt: 3}", [0]),
        ("{hour|gte: 1, hour|lt: 12.5}", [1, 2]),
        ("{hour|neq: 3}", [0, 2, 3]),
        ("{hour|lt|neq: 3}", [1, 2, 3]),
        ("{hour: null}", [3]),
        ("{hour|exists: yes}", [0, 1, 2]),
        ("{hour|gt: -1}", [0, 1, 2]),
    ],
)
def test_numbers_compare_and_missing_ones_do_not(selection: str, expected: list[int]) -> None:
    """Ranges are two lines of one selection."""
    columns = texts("object", *"abcd")
    columns.fields["hour"] = NumberColumn(np.array([0, 3, 12, np.nan]))
    assert found(columns, selection) == expected


@pytest.mark.parametrize(
    ("selection", "expected"),
    [
        ("{actor_new: true}", [0]),
        ("{actor_new: false}", [1]),
        ("{actor_new: null}", [2]),
        ("{actor_new|neq: true}", [1, 2]),
        ("{actor_new|exists: true}", [0, 1]),
        ("{actor_new: [true, null]}", [0, 2]),
    ],
)
def test_truths_may_be_unknown(selection: str, expected: list[int]) -> None:
    """Unknown is neither true nor false."""
    columns = texts("object", *"abc")
    columns.fields["actor_new"] = BoolColumn(np.array([1, 0, -1], dtype=np.int8))
    assert found(columns, selection) == expected


@pytest.mark.parametrize(
    ("selection", "expected"),
    [
        ("{actor|fieldref: object}", [0]),
        ("{actor|fieldref|contains: object}", [0, 1, 2]),
        ("{actor|fieldref|startswith: object}", [0, 1]),
        ("{actor|fieldref|endswith: object}", [0, 2]),
        ("{actor|fieldref|neq: object}", [1, 2, 3, 4]),
    ],
)
def test_fields_compare_with_each_other(selection: str, expected: list[int]) -> None:
    """Texts of one event, without regard to case, nothing special in them; both must be there."""
    columns = texts("actor", "Eve", "eve@example.com", "a.*eve", "eve", None)
    columns.fields["object"] = encode(["eVE", "EVE", "eve", None, None])
    assert found(columns, selection) == expected


def test_numbers_and_truths_compare_with_their_own_kind() -> None:
    """Equal, and both known."""
    columns = texts("object", *"abc")
    columns.fields["hour"] = NumberColumn(np.array([3, 4, np.nan]))
    columns.fields["actor_age_days"] = NumberColumn(np.array([3, 5, np.nan]))
    assert found(columns, "{hour|fieldref: actor_age_days}") == [0]
    columns.fields["actor_new"] = BoolColumn(np.array([1, 0, -1], dtype=np.int8))
    columns.fields["ip_new"] = BoolColumn(np.array([1, 1, -1], dtype=np.int8))
    assert found(columns, "{actor_new|fieldref: ip_new}") == [0]


@pytest.mark.parametrize(
    ("condition", "expected"),
    [("1 of sel_*", [0, 1, 2]), ("all of sel_*", [1]), ("all of them", []), ("1 of them and not other", [0, 1, 2])],
)
def test_selectors_join_selections(condition: str, expected: list[int]) -> None:
    """1 of, all of, them, patterns."""
    text = RULE.format(selection="{object: q}", condition=condition).replace("  selection:", "  other:")
    text = text.replace("  other:", "  sel_a: {object|contains: a}\n  sel_b: {object|contains: b}\n  other:")
    text = text if "other" in condition or "them" in condition else text.replace("  other: {object: q}\n", "")
    rule = load_rules({"made.yml": text}).rules[0]
    assert np.flatnonzero(matching(rule, texts("object", "a", "ab", "b", "c"))).tolist() == expected


def test_odd_texts_do_not_stop_a_regex() -> None:
    """Half a surrogate pair, as JSON may hold it, is just another character."""
    assert found(texts("object", "a\ud800b", "é", ""), "{object|re: ^a.b$}") == [0]
    assert found(texts("object", "a\ud800b", "é", ""), "{object: 'a?b'}") == [0]


def test_a_column_of_another_kind_is_a_fault_that_is_named() -> None:
    """Not a wrong answer."""
    columns = texts("object", "a")
    columns.fields["hour"] = encode(["a"])
    columns.fields["actor_new"] = encode(["a"])
    columns.fields["actor"] = NumberColumn(np.array([1.0]))
    for selection, name in (("{hour: 3}", "hour"), ("{actor_new: true}", "actor_new"), ("{actor: x}", "actor")):
        with pytest.raises(TypeError, match=name):
            found(columns, selection)
    with pytest.raises(TypeError, match="different kinds"):
        SameTest("object", "equals", "actor").decide(View(columns))


def test_each_distinct_text_is_decided_once() -> None:
    """However many events share it."""
    values = ["svc-1", "svc-2"]
    column = TextColumn(np.tile(np.array([0, 1], dtype=np.int32), 500_000), values)
    rows = np.arange(len(column.codes), dtype=np.int64)
    view = View(Columns(rows, rows, {"object": column}))
    assert view.mask(TextTest("object", "regex", "1$")).sum() == 500_000
    assert len(view.texts("object").encoded) == 2
