"""The query language: what it reads, and how its errors help."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from datetime import UTC
from ipaddress import ip_network
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.errors import QueryError
from bot.fields import FACTS, TEXT_FIELDS
from bot.query import BEGIN, END, Query, field_names, parse_command, parse_condition, parse_query
from bot.query.read import VERBS
from bot.query.tree import And, Compare, Condition, Flag, Match, Not, Or, Pattern, Within, Word
from bot.times import DAY, HOUR, MINUTE, SECOND, iso, parse_time
from tests.laws import law

NOW = parse_time("2026-11-23T08:00:00Z")
BERLIN = ZoneInfo("Europe/Berlin")


def query(text: str) -> Query:
    return parse_query(text, NOW, UTC)


def failure(text: str, parse: Callable[[str], object] = query) -> QueryError:
    """Return the error of a text, after a look at what every error promises."""
    with pytest.raises(QueryError) as caught:
        parse(text)
    error = caught.value
    assert error.query == text
    assert 0 <= error.position <= len(text)
    parse(error.example)
    assert error.example.strip()
    return error


def actor(text: str) -> Match:
    return Match("actor", (Pattern(tuple(text.split("*"))),))


def word(text: str) -> Word:
    return Word(Pattern(("", text, "")))


# what is read


@pytest.mark.parametrize(
    ("text", "condition"),
    [
        ("actor:eve", actor("eve")),
        ("ACTOR:Eve", actor("eve")),
        ("actor:eve,bob", Match("actor", (Pattern(("eve",)), Pattern(("bob",))))),
        ("actor:eve, bob", Match("actor", (Pattern(("eve",)), Pattern(("bob",))))),
        ("actor:*@example.com", actor("*@example.com")),
        ('actor:"eve mallory*"', actor("eve mallory*")),
        (r'object:"a \"b\" \* \\ c\d"', Match("object", (Pattern(('a "b" * \\ c\\d',)),))),
        ("-actor:eve", Not(actor("eve"))),
        ("NOT actor:eve", Not(actor("eve"))),
        ("actor:eve payments", And((actor("eve"), word("payments")))),
        ("actor:eve AND payments", And((actor("eve"), word("payments")))),
        ("a OR b c", Or((word("a"), And((word("b"), word("c")))))),
        ("(a OR b) c", And((Or((word("a"), word("b"))), word("c")))),
        ("-(a OR -b)", Not(Or((word("a"), Not(word("b")))))),
        ("or and not ORDER", And((word("or"), word("and"), word("not"), word("order")))),
        ("audit-bot", word("audit-bot")),
        ("a*b", Word(Pattern(("", "a", "b", "")))),
        ("ip:10.0.0.0/8", Or((Within((ip_network("10.0.0.0/8"),)), Match("ip", (Pattern(("10.0.0.0/8",)),))))),
        ("ip:10.*", Match("ip", (Pattern(("10.", "")),))),
        ("hour:>=20", Compare("hour", ">=", 20)),
        ("actor_age_days:<0.5", Compare("actor_age_days", "<", 0.5)),
        ("hour:1,2", Or((Compare("hour", "=", 1), Compare("hour", "=", 2)))),
        ("actor_new:yes", Flag("actor_new", True)),
        ("actor_new:FALSE", Flag("actor_new", False)),
        ("level:>medium", Match("level", (Pattern(("high",)), Pattern(("critical",))))),
        ("rule:*bulk*", Match("rule", (Pattern(("", "bulk", "")),))),
        ('"actor:eve"', word("actor:eve")),
    ],
)
def test_a_condition_reads_as_the_grammar_says(text: str, condition: Condition) -> None:
    assert parse_condition(text) == condition


def test_values_are_casefolded_not_only_lowered() -> None:
    assert parse_condition("object:STRASSE") == parse_condition("object:straße")


def test_addresses_written_as_ipv6_are_the_ipv4_networks_they_map() -> None:
    read = parse_condition("ip:::ffff:10.0.0.0/104")
    assert isinstance(read, Or)
    assert read.parts[0] == Within((ip_network("10.0.0.0/8"),))


@pytest.mark.parametrize("name", [*TEXT_FIELDS, "level", "rule", *(fact.name for fact in FACTS)])
def test_every_field_and_fact_is_a_key(name: str) -> None:
    assert field_names(parse_condition(f"{name}:*")) == {name}


def test_field_names_are_those_of_the_whole_tree() -> None:
    condition = parse_condition("-(level:high OR hour:>5) actor_new:true ip:10.0.0.0/8 payments")
    assert field_names(condition) == {"level", "hour", "actor_new", "ip", "actor", "object"}


def test_what_chat_clients_make_of_quotes_and_dashes_is_turned_back() -> None:
    """A curly quote shows that a client was at work; inside straight ones the text is what was typed."""
    assert parse_condition("—actor:“eve mallory”") == parse_condition('-actor:"eve mallory"')
    assert parse_condition("actor:“a–b’s\u00a0c”") == actor("a-b's c")
    assert parse_condition('actor:"a–b’s\u00a0c"') == actor("a–b’s\u00a0c")
    assert parse_condition("a\u00a0b") == And((word("a"), word("b")))


def test_verbs_are_found_in_any_case_and_a_search_is_the_default() -> None:
    for verb in set(VERBS) - {"show"}:
        assert parse_command(f" {verb.upper()} ", NOW, UTC).verb == verb
    assert parse_command("actor:eve", NOW, UTC).verb == "search"


def test_a_word_that_is_a_verb_is_looked_for_where_it_cannot_be_one() -> None:
    for text in ('"top"', "search top", "topper", "(top)"):
        command = parse_command(text, NOW, UTC)
        assert (command.verb, command.query.condition) == ("search", word(text.strip('"()').split()[-1]))
    assert query("top").condition == word("top")


def test_arguments() -> None:
    assert parse_command("show a12", NOW, UTC).argument == "A12"
    assert parse_command("show 12 ", NOW, UTC).argument == "12"
    assert parse_command("alerts open last:7d", NOW, UTC).argument == "open"
    assert parse_command("alerts last:7d", NOW, UTC).argument is None
    assert parse_command("help me (", NOW, UTC).argument == "me ("


@pytest.mark.parametrize(
    ("text", "since", "until"),
    [
        ("", "2026-11-22T08:00:00.000Z", "2026-11-23T08:00:00.000Z"),
        ("last:90m", "2026-11-23T06:30:00.000Z", "2026-11-23T08:00:00.000Z"),
        ("eve last 7D limit:3", "2026-11-16T08:00:00.000Z", "2026-11-23T08:00:00.000Z"),
        ("since:2026-05-01T10:00:00+02:00", "2026-05-01T08:00:00.000Z", iso(END)),
        ('since:"2026-05-01 10:00"', "2026-05-01T08:00:00.000Z", iso(END)),
        ("since:2026-05-01", "2026-04-30T22:00:00.000Z", iso(END)),
        ("since:2d until:1d", "2026-11-21T08:00:00.000Z", "2026-11-22T08:00:00.000Z"),
        ("last:2d until:1d", "2026-11-21T08:00:00.000Z", "2026-11-22T08:00:00.000Z"),
        ("until:2026-05-01T10:00:00Z", iso(BEGIN), "2026-05-01T10:00:00.000Z"),
        ("until:2026-05-01", iso(BEGIN), "2026-05-01T21:59:59.999999Z"),
        ("on:today", "2026-11-22T23:00:00.000Z", "2026-11-23T22:59:59.999999Z"),
        ("on:yesterday", "2026-11-21T23:00:00.000Z", "2026-11-22T22:59:59.999999Z"),
        ("on:2026-10-25", "2026-10-24T22:00:00.000Z", "2026-10-25T22:59:59.999999Z"),  # 25 hours
        ("last:999999999w", iso(BEGIN), "2026-11-23T08:00:00.000Z"),
    ],
)
def test_ranges_are_resolved_in_the_zone(text: str, since: str, until: str) -> None:
    read = parse_query(text, NOW, BERLIN)
    assert (iso(read.since), iso(read.until)) == (since, until)


def test_a_query_without_a_time_may_mean_all() -> None:
    read = parse_query("eve", NOW, UTC, default_last=None)
    assert (read.since, read.until) == (BEGIN, END)
    assert parse_query("eve", NOW, UTC, default_last=HOUR).since == NOW - HOUR


def test_settings_stand_anywhere_at_the_top_and_go_with_the_whole_query() -> None:
    text = "actor:a last:7d OR limit:5 sort:OLD actor:b by:type"
    assert query(text) == Query(Or((actor("a"), actor("b"))), NOW - 7 * DAY, NOW, 5, False, "type", text)


def test_a_query_may_begin_with_a_dash() -> None:
    assert query("-actor:eve last:1h").condition == Not(actor("eve"))


# what is refused


@pytest.mark.parametrize(
    ("text", "position", "example"),
    [
        ("actro:eve", 0, "actor:eve"),
        ("eve OR Actro:eve", 7, "eve OR actor:eve"),
        ("2001:db8::1", 0, '"2001:db8::1"'),
        ("time:5", 0, "last:7d"),
        ("(a", 0, "(a)"),
        ("a (b (c)", 2, "a (b (c))"),
        ("a)", 1, "a"),
        ("a ()", 2, "a"),
        ('a "bc', 2, 'a "bc"'),
        ("actor:", 5, "actor:*"),
        ("actor: eve", 5, "actor:eve"),
        ("actor:a,", 7, "actor:a"),
        ("a OR", 2, "a"),
        ("(a OR) b", 3, "(a ) b"),
        ("AND a", 0, "a"),
        ("a OR OR b", 5, "a OR   b"),
        ("--a", 1, "-a"),
        ("a - b", 2, "a -b"),
        (":a", 0, "a"),
        ("actor:>5", 6, "actor:5"),
        ("hour:late", 5, "hour:7"),
        ("hour:>5pm", 6, "hour:>5"),
        ("actor_new:maybe", 10, "actor_new:true"),
        ("weekday:monday", 8, "weekday:mon"),
        ("level:hihg", 6, "level:high"),
        ("level:>hihg", 7, "level:>high"),
        ("ip:10.0.0.0/33", 3, "ip:10.0.0.0/8"),
        ("limit:0", 6, "limit:20"),
        ("limit:99999", 6, "limit:10000"),
        ("limit:many", 6, "limit:20"),
        ("limit:5 a limit:6", 10, "limit:5 a"),
        ("limit:5,6", 8, "limit:5"),
        ("limit:>5", 6, "limit:5"),
        ("sort:older", 5, "sort:old"),
        ("by:actr", 3, "by:actor"),
        ("last:7y", 5, "last:7d"),
        ("last:7", 5, "last:7d"),
        ("a last 7y", 7, "a last 7d"),
        ("since:soon", 6, "since:2026-11-23"),
        ("since:2026-13-01", 6, "since:2026-11-23"),
        ("on:monday", 3, "on:2026-11-23"),
        ("since:1d until:2d", 9, "since:2d until:1d"),
        ("last:1d until:2d", 8, "last:1d"),
        ("on:today last:7d", 9, "on:today"),
        ("since:7d last:7d", 9, "since:7d"),
        ("(last:7d a)", 1, "( a) last:7d"),
        ("-last:7d", 0, "last:7d"),
        ("a OR last:7d", 5, "a   last:7d"),
        ("last:7d OR a", 0, "last:7d   a"),
        ("actro:a OR hour:x)", 17, "actor:a OR hour:7"),  # one after the other
    ],
)
def test_an_error_marks_the_place_and_shows_a_correction(text: str, position: int, example: str) -> None:
    error = failure(text)
    assert (error.position, error.example) == (position, example)


def test_a_position_counts_in_the_text_that_was_typed() -> None:
    assert failure("“x\u00a0y” — actro:eve").position == 6
    assert failure("TOP  actro:eve", lambda text: parse_command(text, NOW, UTC)).position == 5


def test_an_example_keeps_the_verb() -> None:
    error = failure("top actro:eve", lambda text: parse_command(text, NOW, UTC))
    assert error.example == "top actor:eve"


@pytest.mark.parametrize("text", ["show", "show eve", "show 12 last:7d"])
def test_show_wants_an_id(text: str) -> None:
    assert failure(text, lambda text: parse_command(text, NOW, UTC)).example == "show A12"


@pytest.mark.parametrize("text", ["", "  ", "eve last:7d", "eve limit:5"])
def test_a_condition_alone_has_neither_time_nor_options(text: str) -> None:
    assert "last" not in failure(text, parse_condition).example


def test_more_than_2000_characters_are_refused() -> None:
    assert query("a" * 2_000).condition
    assert failure("a" * 2_001).position == 2_000


def test_more_than_50_levels_are_refused() -> None:
    assert query("(" * 50 + "a" + ")" * 50).condition == word("a")
    assert query("-(" * 50 + "a" + ")" * 50).condition
    assert failure("(" * 51 + "a" + ")" * 51).position == 50


@pytest.mark.parametrize(
    "text",
    [
        *("(" * 2_000, ")" * 2_000, "-" * 2_000, '"' * 1_999, "a:" * 1_000, " OR" * 600, "a," * 1_000, '\\"' * 1_000),
        *("a " * 1_000, "a OR " * 399 + "b", "object:" + "*a" * 990, "object:a" + ",a" * 990, "a b:" * 500),
    ],
)
def test_hostile_texts_are_answered_quickly(text: str) -> None:
    begun = time.monotonic()
    try:
        query(text)
    except QueryError:
        failure(text)
    assert time.monotonic() - begun < 5


PIECES = ["(", ")", '"', "-", ",", ":", ">", "*", "\\", " ", "OR", "AND ", "NOT ", "actor:", "ip:", "hour:", "last:"]
PIECES += [
    "until:",
    "on:",
    "level:",
    "limit:",
    "7d",
    "5",
    "eve",
    "“",
    "—",
    "actor_new:",
    "true",
    "10.0.0.0/8",
    "last 7d",
]


@pytest.mark.slow
@law()
@given(st.lists(st.sampled_from(PIECES) | st.text(max_size=3), max_size=25).map("".join))
def test_any_text_is_read_or_refused_with_a_place_and_an_example_that_reads(text: str) -> None:
    """The promise of every error, for text that nobody would think of; no other exception ever comes out."""

    def command(text: str) -> object:
        return parse_command(text, NOW, BERLIN)

    for parse in (command, query, parse_condition):
        try:
            parse(text)
        except QueryError:
            failure(text, parse)


@law()
@given(st.text("ab*", max_size=12), st.text("aAb", max_size=12))
def test_a_pattern_matches_as_the_same_regular_expression_would(pattern: str, text: str) -> None:
    expected = re.fullmatch(pattern.replace("*", ".*"), text, re.IGNORECASE) is not None
    assert Pattern(tuple(pattern.split("*"))).matches(text) == expected


def test_durations_have_all_their_units() -> None:
    for unit, size in {"s": SECOND, "m": MINUTE, "h": HOUR, "d": DAY, "w": 7 * DAY}.items():
        assert query(f"last:2{unit}").since == NOW - 2 * size
