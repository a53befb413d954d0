"""Detection over the store: the same findings whatever the batches and the order in which events came."""

from __future__ import annotations

import random
import tempfile
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.detect import facts
from bot.detect.loads import MANY
from bot.detect.match import Evaluation
from bot.detect.rules import CompiledRule
from bot.detect.run import Detector
from bot.detect.sigma.load import load_rules
from bot.fields import ACTOR_TYPES, FactSettings
from bot.model import Finding, Record
from bot.store import alerts
from bot.store.log import events
from bot.store.schema import Store
from bot.times import DAY, MINUTE
from tests.conftest import START, add, fresh, record
from tests.laws import law

PLAIN = FactSettings()
RULES = """
title: Deletion
id: 00000000-0000-4000-8000-000000000001
name: deletion
status: stable
level: informational
description: Something was deleted.
logsource: {product: cortex, service: audit}
detection: {it: {action: DELETE}, condition: it}
---
title: Many deletions by one actor
id: 00000000-0000-4000-8000-000000000002
status: stable
level: high
description: Three different things within ten minutes.
correlation:
  {type: value_count, rules: [deletion], group-by: [actor], timespan: 10m, condition: {field: object, gte: 3}}
---
title: Many deletions from one address
id: 00000000-0000-4000-8000-000000000003
status: stable
level: high
description: Three within ten minutes.
correlation: {type: event_count, rules: [deletion], group-by: [ip], timespan: 10m, condition: {gte: 3}}
---
title: New network
id: 00000000-0000-4000-8000-000000000004
status: stable
level: medium
description: A known person from a network never seen.
logsource: {product: cortex, service: audit}
detection: {it: {network_new_for_actor: true, actor_kind: person}, condition: it}
---
title: Back after a pause
id: 00000000-0000-4000-8000-000000000005
status: stable
level: low
description: Away for a day or more.
logsource: {product: cortex, service: audit}
detection: {it: {actor_idle_days|gte: 1}, condition: it}
---
title: A key after a deletion
id: 00000000-0000-4000-8000-000000000007
status: stable
level: high
description: A deletion, then anything else from the same address, within the hour.
correlation:
  type: temporal_ordered
  rules: [deletion, other]
  group-by: [ip]
  timespan: 1h
---
title: Not a deletion
id: 00000000-0000-4000-8000-000000000008
name: other
status: stable
level: informational
description: Anything else.
logsource: {product: cortex, service: audit}
detection: {it: {action: UPDATE}, condition: it}
---
title: Two kinds of deletion by whoever it was
id: 00000000-0000-4000-8000-000000000009
name: twice
status: stable
level: high
description: An actor deletes twice within ten minutes.
correlation: {type: event_count, rules: [deletion], group-by: [actor], timespan: 10m, condition: {gte: 2}}
---
title: Twice, twice
id: 00000000-0000-4000-8000-000000000010
status: stable
level: high
description: That, from one address, twice within half an hour.
correlation: {type: event_count, rules: [twice], group-by: [ip], timespan: 30m, condition: {gte: 2}}
---
title: A type without an actor
id: 00000000-0000-4000-8000-000000000011
status: stable
level: low
description: The first change of a type that names no actor.
logsource: {product: cortex, service: audit}
detection: {it: {type_new_without_actor: true}, condition: it}
alert: {per: [type]}
---
title: By kind of actor
id: 00000000-0000-4000-8000-000000000012
status: stable
level: low
description: Deletions of people, and of keys.
correlation: {type: event_count, rules: [deletion], group-by: [actor_kind], timespan: 10m, condition: {gte: 1}}
---
title: Anything at all
id: 00000000-0000-4000-8000-000000000006
status: experimental
level: low
description: Every event.
logsource: {product: cortex, service: audit}
detection: {it: {action|exists: true}, condition: it}
"""


@cache
def rules() -> tuple[CompiledRule, ...]:
    return tuple(rule for rule in load_rules({"rules.yml": RULES}).rules if rule.reports)


EVENTS = st.lists(
    st.builds(
        record,
        st.one_of(
            st.integers(0, 60).map(lambda minute: START + 20 * DAY + minute * MINUTE),
            st.integers(0, 60).map(lambda half_day: START + half_day * DAY // 2),
        ),
        st.sampled_from(["UPDATE", "DELETE", "DELETE"]),
        st.sampled_from(["ann@corp.example", "key-1", None]),
        st.sampled_from(["192.0.2.1", "198.51.100.1", None]),
        st.sampled_from(["a", "b", "c", "d"]),
        st.sampled_from(["SERVICE", "ROLE"]),
    ),
    min_size=1,
    max_size=30,
)

Shape = tuple[str, str, int, int, int]


def shapes(findings: list[Finding]) -> list[Shape]:
    return sorted(
        (one.rule_id, alerts.group_key(one.group.items()), one.first, one.last, one.count)
        for one in findings
        if one.state == "open"
    )


def in_one_pass(store: Store) -> list[Shape]:
    evaluation = Evaluation(facts.read(store, PLAIN))
    found = [(rule.id, burst) for rule in rules() for burst in evaluation.bursts(rule)]
    return sorted((rule, alerts.group_key(burst.group), burst.first, burst.last, burst.count) for rule, burst in found)


@law(16)
@given(EVENTS, st.integers(0, 10**6), st.integers(1, 9), st.booleans(), st.sampled_from((2, MANY)))
def test_any_batches_in_any_order_give_the_findings_of_one_pass(
    records: list[Record], seed: int, size: int, shuffled: bool, many: int
) -> None:
    """Live, import and back-test are one function: late events extend, join, and undo bursts."""
    with tempfile.TemporaryDirectory() as folder:
        store = fresh(Path(folder) / "a.db")
        numbered = list(zip(records, events.number_twins(store, records), strict=True))
        random.Random(seed).shuffle(numbered) if shuffled else numbered.sort(key=lambda pair: pair[0].time)
        detector = Detector(store, PLAIN, many)
        for begin in range(0, len(numbered), size):
            some = numbered[begin : begin + size]
            with store.write():
                added = events.add(store, [one for one, _ in some], [number for _, number in some])
                report = detector.run_once(rules(), added, START, history=False)
            assert not report.failed
        assert shapes(alerts.findings(store)) == in_one_pass(store)
        store.close()


def live(store: Store, records: list[Record]) -> list[Finding]:
    with store.write():
        return Detector(store, PLAIN).run_once(rules(), add(store, records), START, history=False).changed


def deletions(first: int, count: int, step: int = MINUTE, **more: str) -> list[Record]:
    return [
        record(START + first * MINUTE + i * step, "DELETE", object_=f"svc-{first}-{i}", **more) for i in range(count)
    ]


def of(store: Store, number: int) -> list[Finding]:
    return alerts.findings(store, "rule LIKE ?", (f"%0{number}",))


def test_a_growing_burst_keeps_its_finding(store: Store) -> None:
    """Evaluating again updates, it never doubles."""
    live(store, deletions(0, 3))
    live(store, deletions(5, 3))
    [one] = of(store, 2)
    assert one.count == 6
    assert one.reasons == ("6 different objects in 7 min",)


def test_a_late_event_that_joins_two_bursts_merges_their_findings(store: Store) -> None:
    """The older id stays, the other is closed as merged."""
    live(store, deletions(0, 3))
    live(store, deletions(18, 3))
    first, second = of(store, 2)
    live(store, deletions(9, 3))
    after = {one.id: one for one in of(store, 2)}
    assert after[first.id].count == 9
    assert after[second.id].state == "merged"


def test_a_finding_that_no_longer_holds_is_withdrawn(store: Store) -> None:
    """An earlier event that came late shows that the network was not new at all."""
    live(store, [record(START - 30 * DAY, actor="old")])
    at = START + 10 * MINUTE
    live(store, [record(at, ip="203.0.113.7")])
    live(store, [record(at - 5 * MINUTE, ip="203.0.113.8")])
    assert [(f.first, f.state) for f in of(store, 4)] == [(at, "withdrawn"), (at - 5 * MINUTE, "open")]
    assert shapes(alerts.findings(store)) == in_one_pass(store)


def test_an_earlier_automatic_change_of_the_type_withdraws_a_finding(store: Store) -> None:
    """Nothing but the type and the missing actor joins the two events, and yet the later one is the first no more."""
    live(store, [record(START - 30 * DAY, actor="old")])
    live(store, [record(START, actor=None, ip=None, object_="a", type_="ROLE")])
    live(store, [record(START - DAY, actor=None, ip=None, object_="b", type_="ROLE")])
    assert [(f.first, f.state) for f in of(store, 11)] == [(START, "withdrawn"), (START - DAY, "open")]
    assert shapes(alerts.findings(store)) == in_one_pass(store)


def test_what_kind_an_actor_is_may_be_learnt_later(store: Store) -> None:
    """The event leaves the group of keys, and the finding of that group goes with it."""
    deletion = record(START, "DELETE", actor="ann")
    live(store, [deletion])
    with store.write():
        events.set_actor_types(store, {deletion: ACTOR_TYPES.index("OAUTH2") + 1})
        Detector(store, PLAIN).run_span(rules(), START, START, START, history=False)
    assert [(f.group["actor_kind"], f.state) for f in of(store, 12)] == [("key", "withdrawn"), ("person", "open")]
    assert shapes(alerts.findings(store)) == in_one_pass(store)


def test_a_rule_that_raises_stops_neither_the_others_nor_the_events(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Detection never stops ingestion: what could not be looked at is named."""
    real = Evaluation.bursts

    def bursts(self: Evaluation, rule: CompiledRule, since: int | None = None, until: int | None = None) -> object:
        if rule.id.endswith("02"):
            raise ZeroDivisionError("a bug")
        return real(self, rule, since, until)

    monkeypatch.setattr(Evaluation, "bursts", bursts)
    with store.write():
        report = Detector(store, PLAIN).run_once(rules(), add(store, deletions(0, 3)), START, history=False)
    assert report.failed == [("00000000-0000-4000-8000-000000000002", "ZeroDivisionError: a bug")]
    assert of(store, 3)
    assert store.value("SELECT count(*) FROM events") == 3
