"""Kinds of events: what a rule may look at is never less than what it matches, and no more than that is read."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.detect.columns import Columns, encode
from bot.detect.conditions import AnyOf, Condition, Every, MissingTest, Negation, TextTest, View
from bot.detect.kinds import Kinds, may_hold
from bot.detect.loads import Loader, Task
from bot.detect.rules import CompiledRule
from bot.detect.sigma.load import load_rules
from bot.fields import FactSettings
from bot.store.schema import Store
from bot.times import HOUR
from tests.conftest import START, add, record
from tests.laws import law
from tests.test_match_conditions import RULE

WORDS = ("DELETE", "UPDATE", "x")
TESTS = st.one_of(
    st.builds(TextTest, st.sampled_from(("action", "type", "object")), st.just("equals"), st.sampled_from(WORDS)),
    st.builds(MissingTest, st.sampled_from(("type", "object"))),
)
CONDITIONS = st.recursive(
    TESTS,
    lambda some: st.one_of(
        st.builds(Every, st.lists(some, max_size=3).map(tuple)),
        st.builds(AnyOf, st.lists(some, max_size=3).map(tuple)),
        st.builds(Negation, some),
    ),
    max_leaves=8,
)
TEXTS = st.sampled_from((*WORDS, None))


@law(150)
@given(CONDITIONS, st.lists(st.tuples(TEXTS, TEXTS, TEXTS), min_size=1, max_size=80))
def test_what_may_hold_covers_what_holds(condition: Condition, events: list[tuple[str | None, ...]]) -> None:
    """Whatever else an event has; and a condition on the kind alone is decided by it."""
    fields = {
        name: encode(each) for name, each in zip(("action", "type", "object"), zip(*events, strict=True), strict=True)
    }
    rows = np.arange(len(events), dtype=np.int64)
    view = View(Columns(rows, rows, dict(fields)))
    holds, may = view.mask(condition), may_hold(view, condition)
    assert (may | ~holds).all()
    if "object" not in condition.fields:
        assert (may == holds).all()


def compiled(selection: str) -> CompiledRule:
    return load_rules({"made.yml": RULE.format(selection=selection, condition="selection")}).rules[0]


def test_only_kinds_that_a_rule_may_look_at_are_read(store: Store) -> None:
    """Also kinds that came since it was last asked; a rule that looks at most kinds reads all."""
    loader, deletion, anything = Loader(store, FactSettings()), compiled("{action: DELETE}"), compiled("{actor: eve}")

    def read(*rules: CompiledRule) -> list[int]:
        tasks = [Task(rule, None, START, START + HOUR, ()) for rule in rules]
        loader.kinds.refresh()
        return [len(columns) for columns, _ in loader.loads(tasks)]

    add(store, [record(START + n, action, object_=f"o{n}") for n, action in enumerate(["UPDATE"] * 5 + ["DELETE"] * 3)])
    assert read(deletion) == [3]
    assert sorted(read(deletion, anything)) == [3, 8]
    add(store, [record(START + 9, "DELETE", type_="ROLE"), record(START + 9, "CREATE", type_="ROLE")])
    assert read(deletion) == [4]


def test_a_rule_is_concerned_by_the_kinds_that_it_may_look_at(store: Store) -> None:
    """Where nothing is known of the kinds there are, nothing is ruled out."""
    kinds, deletion = Kinds(store), compiled("{action: DELETE, object: x}")
    kinds.refresh()
    assert kinds.ids([deletion]) is None
    assert kinds.may_concern(deletion, [("UPDATE", "ROLE")])
    add(store, [record(START, "UPDATE", type_="ROLE"), record(START, "DELETE", type_="SERVICE")])
    kinds.refresh()
    assert not kinds.may_concern(deletion, [("UPDATE", "ROLE")])
    assert kinds.may_concern(deletion, [("UPDATE", "ROLE"), ("DELETE", "ROLE")])


class FailedError(Exception):
    """What a pass raises here."""


def test_a_pass_that_failed_leaves_no_kind_behind(store: Store) -> None:
    """The next new kind takes its id."""
    kinds, deletion = Kinds(store), compiled("{type: ROLE}")
    add(store, [record(START, type_="SERVICE")])

    def failing_pass() -> None:
        with store.write():
            add(store, [record(START, type_="TEAM")])
            kinds.refresh()
            raise FailedError

    with pytest.raises(FailedError):
        failing_pass()
    add(store, [record(START, type_="ROLE")])
    kinds.refresh()
    assert {type_ for _, type_ in kinds.all} == {"SERVICE", "ROLE"}
    assert kinds.may_concern(deletion, kinds.all)
