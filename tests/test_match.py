"""Bursts: the definition, its fine print, and the law that any batching gives the same bursts as one pass."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.detect.columns import BoolColumn, Columns, NumberColumn, TextColumn, encode
from bot.detect.match import Burst, Evaluation, bursts, matching, region
from bot.detect.rules import CompiledRule
from bot.detect.sigma.load import load_rules, read_rule_files
from bot.times import HOUR, MINUTE, SECOND
from tests.laws import law
from tests.rule_naive import naive_bursts, plain_matches
from tests.rule_oracle import compare_once
from tests.rule_random import (
    Allowed,
    Event,
    Spec,
    as_columns,
    load,
    random_correlation,
    random_events,
    random_plain,
)

RULES = Path(__file__).parent / "data" / "rules"
SEEDS = st.integers(0, 2**32)  # not st.randoms: that draws number by number, a hundred times slower
HEAD = "status: test\nlevel: low\ndescription: made up\n"
MATCH = "logsource: {product: cortex, service: audit}\ndetection:\n  selection: {action: %s}\n  condition: selection\n"


def rules(*bodies: str) -> dict[str, CompiledRule]:
    """Return rules by name; each body begins with `name: ...`."""
    documents = [
        f"title: made up\nid: 00000000-0000-4000-8000-{number:012}\n{HEAD}{body}" for number, body in enumerate(bodies)
    ]
    loaded = load_rules({"made.yml": "---\n".join(documents)})
    return {body.split("\n")[0].removeprefix("name: "): rule for body, rule in zip(bodies, loaded.rules, strict=True)}


DELETION = "name: deletion\n" + MATCH % "DELETE"
CREATION = "name: creation\n" + MATCH % "CREATE"


def columns(*events: tuple[Any, ...], ids: Sequence[int] | None = None) -> Columns:
    """Return events given as (second, action, actor, ip, object, type), the last ones only where they matter."""
    rows = [(*event, *(None, None, "thing", "SERVICE")[len(event) - 2 :]) for event in events]
    names = ("action", "actor", "ip", "object", "type")
    fields = {name: encode([row[place + 1] for row in rows]) for place, name in enumerate(names)}
    numbers = np.array(range(len(rows)) if ids is None else ids, dtype=np.int64)
    return Columns(numbers, np.array([int(row[0] * SECOND) for row in rows], dtype=np.int64), dict(fields))


def spans(found: Sequence[Burst]) -> list[tuple[float, float, int]]:
    """Return (first, last, count) in seconds."""
    return [(burst.first / SECOND, burst.last / SECOND, burst.count) for burst in found]


# -- against the naive reading ---------------------------------------------------------------------------------------
@law(40)
@given(SEEDS)
def test_plain_rules_find_what_a_naive_reading_finds(seed: int) -> None:
    """Conditions and bursts of plain rules are those of the definition, event by event."""
    rnd = Random(seed)
    events, spec = random_events(rnd), random_plain(rnd, "plain")
    rule = load(spec).rules[-1]
    assert matching(rule, as_columns(events)).tolist() == [plain_matches(spec, event) for event in events]
    assert bursts(rule, as_columns(events)) == naive_bursts(spec, events)


@pytest.mark.slow
@law(40)
@given(SEEDS)
def test_correlations_find_what_a_naive_reading_finds(seed: int) -> None:
    """Every kind of correlation, with aliases, negation and chains, gives the bursts of the definition."""
    rnd = Random(seed)
    events, spec = random_events(rnd), random_correlation(rnd, "correlation", Allowed(depth=3))
    since, until = sorted((rnd.randint(-5, 205) * SECOND, rnd.randint(-5, 205) * SECOND))
    rule = load(spec).rules[-1]
    assert bursts(rule, as_columns(events)) == naive_bursts(spec, events)
    assert bursts(rule, as_columns(events), since, until) == naive_bursts(spec, events, since, until)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(30))
def test_the_reference_backend_finds_the_same(seed: int) -> None:
    """A random plain rule and a random correlation, over random events, agree with pysigma-backend-sqlite."""
    compare_once(Random(seed))


@pytest.mark.skipif("RULE_ORACLE_MINUTES" not in os.environ, reason="long; set RULE_ORACLE_MINUTES")
def test_the_reference_backend_finds_the_same_for_long() -> None:  # pragma: no cover
    """The same for as long as wanted; `python -m tests.rule_oracle` shows progress."""
    from time import monotonic

    end, seed = monotonic() + 60 * float(os.environ["RULE_ORACLE_MINUTES"]), 1_000
    while monotonic() < end:
        compare_once(Random(seed))
        seed += 1


# -- the law of batches ----------------------------------------------------------------------------------------------
def by_region(rule: CompiledRule, stored: list[Burst], events: Sequence[Event], fresh: Sequence[Event]) -> list[Burst]:
    """Return the bursts after `fresh` came, of which all groups are looked at, but only within the region."""
    times = [event["time"] for event in fresh]
    lo, hi, affected = region(rule, min(times), max(times), [(burst.first, burst.last) for burst in stored])
    needed = [event for event in events if lo - rule.lookback <= event["time"] <= hi]
    kept = [burst for place, burst in enumerate(stored) if place not in affected]
    return in_time(kept + bursts(rule, as_columns(needed), lo, hi))


def by_group(rule: CompiledRule, stored: list[Burst], events: Sequence[Event], fresh: Sequence[Event]) -> list[Burst]:
    """Return the bursts after `fresh` came, of which only their own groups are looked at, each in its own region."""
    groups = {tuple((name, event[name]) for name in rule.group_by if event[name] is not None) for event in fresh}
    result = list(stored)
    for group in groups:
        mine = [burst for burst in result if burst.group == group]
        times = [event["time"] for event in fresh]
        lo, hi, affected = region(rule, min(times), max(times), [(burst.first, burst.last) for burst in mine])
        needed = [event for event in events if lo - rule.lookback <= event["time"] <= hi]
        found = [burst for burst in bursts(rule, as_columns(needed), lo, hi) if burst.group == group]
        gone = {id(mine[place]) for place in affected}
        result = [burst for burst in result if id(burst) not in gone] + found
    return in_time(result)


def in_time(found: Sequence[Burst]) -> list[Burst]:
    return sorted(found, key=lambda burst: (burst.first, burst.last, burst.group))


def in_batches(rnd: Random, spec: Spec, update: Any) -> None:
    events = random_events(rnd)
    rule = load(spec).rules[-1]
    waiting = list(events)
    rnd.shuffle(waiting)
    if rnd.random() < 0.5:  # mostly in order, with some late
        waiting.sort(key=lambda event: event["time"] + (rnd.random() < 0.2) * rnd.randint(0, 60) * SECOND)
    known: list[Event] = []
    stored: list[Burst] = []
    while waiting:
        size = rnd.randint(1, 12)
        fresh, waiting = waiting[:size], waiting[size:]
        known = sorted([*known, *fresh], key=lambda event: (event["time"], event["id"]))
        stored = update(rule, stored, known, fresh)
        assert stored == bursts(rule, as_columns(known))


@pytest.mark.slow
@law(40)
@given(SEEDS)
def test_any_batches_in_any_order_give_the_bursts_of_one_pass(seed: int) -> None:
    """After every batch the bursts are those of one pass over all that is known: chains, aliases, `not` and all."""
    rnd = Random(seed)
    plain = rnd.random() < 0.3
    in_batches(rnd, random_plain(rnd, "r") if plain else random_correlation(rnd, "r", Allowed(depth=3)), by_region)


@pytest.mark.slow
@law(40)
@given(SEEDS)
def test_looking_only_at_the_groups_of_new_events_is_enough(seed: int) -> None:
    """Where `same_groups` holds, only the groups of a batch's events can change."""
    rnd = Random(seed)
    spec = random_correlation(rnd, "r", Allowed(depth=3, same_groups=True))
    if not spec.group_by or not load(spec).rules[-1].same_groups:
        return
    in_batches(rnd, spec, by_group)


@pytest.mark.parametrize(
    ("t0", "t1", "stored", "expected"),
    [
        (100, 110, [], (100, 170, ())),
        (100, 110, [(0, 39)], (100, 170, ())),
        (100, 110, [(0, 40)], (0, 170, (0,))),
        (100, 110, [(230, 300)], (100, 300, (0,))),
        (100, 110, [(231, 300)], (100, 170, ())),
        (100, 110, [(0, 90), (50, 60), (20, 35)], (0, 170, (0, 1, 2))),
    ],
)
def test_region_reaches_as_far_as_a_burst_can_change(
    t0: int, t1: int, stored: list[tuple[int, int]], expected: tuple[int, int, tuple[int, ...]]
) -> None:
    """Bursts within a timespan of what can change are evaluated again, as a whole; others stay as they are."""
    rule = rules(DELETION, correlation("event_count", "1m", "{gte: 2}"))["made"]
    moments = [(first * SECOND, last * SECOND) for first, last in stored]
    lo, hi, affected = region(rule, t0 * SECOND, t1 * SECOND, moments)
    assert (lo / SECOND, hi / SECOND, affected) == expected


# -- the fine print --------------------------------------------------------------------------------------------------
def correlation(
    kind: str, timespan: str, condition: str, group_by: str = "[actor]", names: str = "[deletion]", more: str = ""
) -> str:
    return (
        f"name: made\ncorrelation:\n  type: {kind}\n  rules: {names}\n  group-by: {group_by}\n"
        f"  timespan: {timespan}\n  condition: {condition}\n{more}"
    )


def test_a_window_holds_both_its_ends() -> None:
    """Events exactly a timespan apart are in one window; a microsecond more is too much."""
    rule = rules(DELETION, correlation("event_count", "1m", "{gte: 2}"))["made"]
    assert spans(bursts(rule, columns((0, "DELETE", "eve"), (60, "DELETE", "eve")))) == [(0, 60, 2)]
    assert bursts(rule, columns((0, "DELETE", "eve"), (60.000001, "DELETE", "eve"))) == []


def test_anchors_a_timespan_apart_are_one_burst() -> None:
    """Anchors at most a timespan apart join; first is before the first anchor, last is the last anchor."""
    rule = rules(DELETION, correlation("event_count", "1m", "{gte: 2}"))["made"]
    near = columns(*((second, "DELETE", "eve") for second in (0, 10, 70, 75, 200)))
    assert spans(bursts(rule, near)) == [(0, 75, 4)]
    far = columns(*((second, "DELETE", "eve") for second in (0, 10, 71, 75)))
    assert spans(bursts(rule, far)) == [(0, 10, 2), (71, 75, 2)]


def test_events_of_equal_time_are_in_each_others_windows() -> None:
    """Three events of one moment are three anchors, whatever their order."""
    rule = rules(DELETION, correlation("event_count", "1m", "{gte: 3}"))["made"]
    found = bursts(rule, columns((5, "DELETE", "eve"), (5, "DELETE", "eve"), (5, "DELETE", "eve"), ids=[7, 8, 9]))
    assert spans(found) == [(5, 5, 3)]
    assert found[0].evidence == (7, 8, 9)


def test_a_sequence_is_strict_in_time() -> None:
    """Creation and deletion of one moment are no sequence, one microsecond apart they are."""
    rule = rules(CREATION, DELETION, correlation("temporal_ordered", "1m", "{gte: 2}", names="[creation, deletion]"))
    assert bursts(rule["made"], columns((5, "CREATE", "eve"), (5, "DELETE", "eve"))) == []
    assert spans(bursts(rule["made"], columns((5, "CREATE", "eve"), (5.000001, "DELETE", "eve")))) == [(5, 5.000001, 2)]
    assert bursts(rule["made"], columns((5, "DELETE", "eve"), (6, "CREATE", "eve"))) == []


def test_and_not_looks_back_only() -> None:
    """`a and not b` holds at an event with no b in the timespan before it, whatever comes after."""
    text = correlation("temporal", "1m", "creation and not deletion", names="[creation, deletion]")
    rule = rules(CREATION, DELETION, text)["made"]
    assert spans(bursts(rule, columns((0, "CREATE", "eve"), (10, "DELETE", "eve")))) == [(0, 0, 1)]
    assert bursts(rule, columns((0, "DELETE", "eve"), (10, "CREATE", "eve"))) == []
    assert spans(bursts(rule, columns((0, "DELETE", "eve"), (61, "CREATE", "eve")))) == [(61, 61, 1)]


def test_events_without_a_group_field_form_no_group() -> None:
    """In a correlation they are not counted; without group-by all events are one group."""
    events = columns((0, "DELETE", None), (1, "DELETE", "eve"), (2, "DELETE", None))
    by_actor = rules(DELETION, correlation("event_count", "1m", "{gte: 1}"))["made"]
    assert [burst.group for burst in bursts(by_actor, events)] == [(("actor", "eve"),)]
    together = correlation("event_count", "1m", "{gte: 3}").replace("  group-by: [actor]\n", "")
    assert [(burst.group, burst.count) for burst in bursts(rules(DELETION, together)["made"], events)] == [((), 3)]


def test_a_missing_counted_field_adds_no_value_but_counts_and_anchors() -> None:
    """Two addresses and one event without any: two values, three events, the last of them the last anchor."""
    rule = rules(DELETION, correlation("value_count", "1m", "{field: ip, gte: 2}"))["made"]
    events = columns((0, "DELETE", "eve", "10.0.0.1"), (1, "DELETE", "eve", "10.0.0.2"), (2, "DELETE", "eve", None))
    assert [(burst.last / SECOND, burst.count, burst.distinct) for burst in bursts(rule, events)] == [(2, 3, 2)]


def test_several_counted_fields_count_their_combinations() -> None:
    """A value is the pair of object and type."""
    rule = rules(DELETION, correlation("value_count", "1m", "{field: [object, type], gte: 3}"))["made"]
    pairs = [("a", "X"), ("a", "Y"), ("b", "X"), ("b", "X")]
    events = columns(*((n, "DELETE", "eve", None, *pair) for n, pair in enumerate(pairs)))
    assert [(burst.last / SECOND, burst.distinct) for burst in bursts(rule, events)] == [(3, 3)]


def test_numbers_and_truths_may_be_counted() -> None:
    """Their values are as distinct as texts are, and missing ones are none."""
    events = columns(*((second, "DELETE", "eve") for second in range(4)))
    events.fields["hour"] = NumberColumn(np.array([3, 3, 4, np.nan]))
    events.fields["actor_new"] = BoolColumn(np.array([1, 0, 0, -1], dtype=np.int8))
    for field in ("hour", "actor_new"):
        rule = rules(DELETION, correlation("value_count", "1m", f"{{field: {field}, gte: 2}}"))["made"]
        assert [burst.distinct for burst in bursts(rule, events)] == [2]
        assert field in rule.fields


def test_groups_and_values_compare_by_exact_spelling_conditions_do_not() -> None:
    """Eve and eve are two actors, DELETE and delete one action."""
    rule = rules(DELETION, correlation("event_count", "1m", "{gte: 1}"))["made"]
    found = bursts(rule, columns((0, "DELETE", "Eve"), (0, "delete", "eve")))
    assert sorted(burst.group for burst in found) == [(("actor", "Eve"),), (("actor", "eve"),)]


def test_a_plain_rule_groups_by_actor_else_by_address_else_by_nothing() -> None:
    """The group names just the field that applied."""
    events = columns((0, "DELETE", "eve", "10.0.0.1"), (1, "DELETE", None, "10.0.0.1"), (2, "DELETE", None, None))
    groups = [burst.group for burst in bursts(rules(DELETION)["deletion"], events)]
    assert groups == [(("actor", "eve"),), (("ip", "10.0.0.1"),), ()]


def test_per_groups_by_all_its_fields_that_have_a_value() -> None:
    """An event is never lost because it lacks one of them."""
    rule = rules(DELETION + "alert: {per: [actor, ip]}\n")["deletion"]
    events = columns((0, "DELETE", "eve", "10.0.0.1"), (1, "DELETE", None, "10.0.0.1"), (2, "DELETE", None, None))
    groups = [burst.group for burst in bursts(rule, events)]
    assert groups == [(("actor", "eve"), ("ip", "10.0.0.1")), (("ip", "10.0.0.1"),), ()]


def test_quiet_for_parts_the_bursts_of_a_plain_rule() -> None:
    """By default an hour, both ends inclusive."""
    rule = rules(DELETION)["deletion"]
    events = columns(*((second, "DELETE", "eve") for second in (0, 3600, 7201)))
    assert spans(bursts(rule, events)) == [(0, 3600, 2), (7201, 7201, 1)]
    assert (rule.join, rule.lookback) == (HOUR, 0)


def test_since_and_until_bound_anchors_and_leave_the_look_back() -> None:
    """The second deletion is an anchor because of the first, which is before `since`."""
    rule = rules(DELETION, correlation("event_count", "1m", "{gte: 2}"))["made"]
    events = columns(*((second, "DELETE", "eve") for second in (0, 30, 60)))
    assert spans(bursts(rule, events, since=30 * SECOND, until=30 * SECOND)) == [(0, 30, 2)]


def test_a_burst_names_its_one_actor_and_its_latest_address() -> None:
    """With several actors, or an event without one, there is no one actor."""
    rule = rules(DELETION, correlation("event_count", "1m", "{gte: 2}", group_by="[type]"))["made"]
    one = bursts(
        rule, columns((0, "DELETE", "eve", "10.0.0.1"), (1, "DELETE", "eve", "10.0.0.2"), (2, "DELETE", "eve"))
    )
    assert [(burst.actor, burst.ip) for burst in one] == [("eve", "10.0.0.2")]
    two = bursts(rule, columns((0, "DELETE", "eve"), (1, "DELETE", None)))
    assert [(burst.actor, burst.ip) for burst in two] == [(None, None)]


def test_evidence_is_the_first_a_middle_and_the_last_event() -> None:
    """Up to three ids, none twice."""
    rule = rules(DELETION)["deletion"]
    assert bursts(rule, columns((0, "DELETE", "eve"), ids=[4]))[0].evidence == (4,)
    five = columns(*((second, "DELETE", "eve") for second in range(5)), ids=[5, 6, 7, 8, 9])
    assert bursts(rule, five)[0].evidence == (5, 7, 9)


def test_aliases_let_rules_name_different_fields_for_one_group() -> None:
    """Who was made an owner, and then deletes: the object of one event is the actor of the other."""
    aliases = "  aliases: {who: {creation: object, deletion: actor}}\n"
    text = correlation("temporal_ordered", "1m", "{gte: 2}", "[who]", "[creation, deletion]", aliases)
    rule = rules(CREATION, DELETION, text)["made"]
    events = columns((0, "CREATE", "root", None, "eve"), (5, "DELETE", "eve", None, "svc"), (6, "DELETE", "root"))
    assert [(burst.group, burst.actor) for burst in bursts(rule, events)] == [((("who", "eve"),), "eve")]
    assert matching(rule, events).all()
    assert not rule.same_groups


def test_aliases_apply_to_counted_fields() -> None:
    """One word stands for the object of one rule and the type of the other, and equal texts are one value."""
    aliases = "  aliases: {thing: {creation: object, deletion: type}}\n"
    text = correlation("value_count", "1m", "{field: thing, gte: 2}", "[actor]", "[creation, deletion]", aliases)
    rule = rules(CREATION, DELETION, text)["made"]
    same = columns((0, "CREATE", "eve", None, "X", "Y"), (1, "DELETE", "eve", None, "Y", "X"))
    assert bursts(rule, same) == []
    other = columns((0, "CREATE", "eve", None, "X", "Y"), (1, "DELETE", "eve", None, "X", "Y"))
    assert [burst.distinct for burst in bursts(rule, other)] == [2]


def test_a_chain_counts_the_anchors_of_what_it_names() -> None:
    """A key, then a bulk delete; the look-back is the sum of both windows."""
    named = {rule.rule.title: rule for rule in load_rules(read_rule_files(RULES)).rules}
    chain = named["API key created, then a bulk delete"]
    deletes = [(100 + second, "DELETE", "eve", None, f"svc-{second}") for second in range(12)]
    found = bursts(chain, columns((0, "CREATE", "eve", None, "k1", "API_KEY"), *deletes))
    assert spans(found) == [(0, 111, 4)]  # the key, and the three deletions at which there were ten
    assert (chain.lookback, chain.join) == (70 * MINUTE, 60 * MINUTE)


@pytest.mark.parametrize(
    ("inner", "outer", "same"),
    [
        ("[actor]", "[actor]", True),
        ("[actor, ip]", "[actor]", True),
        ("[actor]", "[actor, ip]", False),
        ("[ip]", "[actor]", False),
    ],
)
def test_a_chain_tells_whether_events_touch_only_their_own_group(inner: str, outer: str, same: bool) -> None:
    """By address inside and by actor outside, an event may make one of another actor an anchor."""
    texts = [correlation("event_count", "1m", "{gte: 2}", group) for group in (inner, outer)]
    outer_text = texts[1].replace("name: made", "name: outer").replace("[deletion]", "[made]")
    rule = rules(DELETION, texts[0], outer_text)["outer"]
    assert rule.same_groups is same
    first = columns((0, "DELETE", "eve", "1"), (1, "DELETE", "eve", "2"))
    late = columns((0, "DELETE", "eve", "1"), (0, "DELETE", "bob", "2"), (1, "DELETE", "eve", "2"))
    assert (bursts(rule, first) == bursts(rule, late)) or not same


def test_rules_match_as_their_own_tests_say() -> None:
    """The `tests:` of the sample files hold."""
    for rule in load_rules(read_rule_files(RULES)).rules:
        for test in rule.tests:
            rows = [(e.at / SECOND, e.action, e.actor, e.ip, e.object, e.type) for e in test.events]
            assert test.passes(len(bursts(rule, columns(*sorted(rows))))), (rule.rule.title, test.name)


# -- evaluation ------------------------------------------------------------------------------------------------------
def test_nothing_comes_of_no_events() -> None:
    """Empty columns are no special case for any kind."""
    for rule in load_rules(read_rule_files(RULES)).rules:
        if not rule.fields & {"type_sensitive"}:
            assert bursts(rule, columns()) == []


def test_an_evaluation_computes_a_shared_field_once() -> None:
    """Two rules on the same derived column make one computation, and the same bursts as apart."""
    made = rules(DELETION, correlation("event_count", "1m", "{gte: 2}"))
    events = columns((0, "DELETE", "eve"), (1, "DELETE", "eve"))
    calls: list[int] = []
    action = events.fields.pop("action")

    def compute(_: Columns) -> Any:
        calls.append(1)
        return action

    derived = Columns(events.id, events.time, events.fields, {"action": compute})
    evaluation = Evaluation(derived)
    together = [evaluation.bursts(made[name]) for name in ("deletion", "made", "made")]
    assert together[1] == together[2] == bursts(made["made"], derived)
    assert calls == [1]


def test_a_few_rows_of_a_long_history_look_only_at_their_own_texts() -> None:
    """Columns taken from a large dictionary give the same answer as fresh ones."""
    many = columns(*((n, "DELETE", f"actor-{n}") for n in range(1000)))
    few = many.take(np.array([3, 500]))
    found = bursts(rules(DELETION)["deletion"], few)
    assert [burst.group for burst in found] == [(("actor", "actor-3"),), (("actor", "actor-500"),)]


def test_groups_of_many_fields_fit_beside_row_numbers() -> None:
    """Codes of several wide fields are packed anew where their product would overflow."""
    size = 2**21
    texts = [str(number) for number in range(size)]
    rows = np.arange(3)
    wide = {
        name: TextColumn(np.array([size - 1, size - 1, 5], dtype=np.int32), texts) for name in ("actor", "ip", "object")
    }
    events = Columns(rows, rows * SECOND, {**wide, "action": encode(["DELETE"] * 3), "type": encode(["X"] * 3)})
    rule = rules(DELETION, correlation("event_count", "1m", "{gte: 2}", group_by="[actor, ip, object]"))["made"]
    assert [(burst.count, dict(burst.group)["actor"]) for burst in bursts(rule, events)] == [(2, str(size - 1))]
