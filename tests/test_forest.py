"""The forest: refusals, determinism, the same scores as scikit-learn, the right reasons."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from bot.detect.forest.features import GROUP_OF, NAMES
from bot.detect.forest.isolation import SEED, TREES, Forest, Refusal, fit
from bot.detect.forest.profiles import Floats

PLACE = {name: place for place, name in enumerate(NAMES)}


def usual_rows(count: int = 400, seed: int = 3) -> Floats:
    """Return rows in which nothing is strange: small, often 0."""
    rng = np.random.default_rng(seed)
    rows: Floats = np.maximum(rng.normal(size=(count, len(NAMES))), 0.0)
    return rows


@cache
def usual_forest() -> Forest:
    """Return the forest of the usual rows."""
    return fitted(usual_rows())


def fitted(rows: Floats) -> Forest:
    """Return the forest of these rows."""
    forest = fit(rows)
    assert isinstance(forest, Forest)
    return forest


@pytest.mark.slow
def test_flat_trees_score_as_scikit_learn_does() -> None:
    """Our arrays are another way to walk its trees, no other forest."""
    from sklearn.ensemble import IsolationForest

    rows, others = usual_rows(), usual_rows(seed=4) * 3
    theirs = IsolationForest(n_estimators=TREES, max_samples=len(rows), random_state=SEED).fit(rows)
    assert np.allclose(fitted(rows).trees.score(others), -theirs.score_samples(others), atol=1e-9)


def test_same_rows_give_the_same_bits() -> None:
    """Why no model file is needed."""
    assert np.array_equal(
        fitted(usual_rows()).score(usual_rows(seed=5)), fitted(usual_rows()).score(usual_rows(seed=5))
    )


def test_score_of_a_row_does_not_depend_on_its_batch() -> None:
    """One at a time or all together."""
    forest, rows = usual_forest(), usual_rows(20, seed=5)
    assert np.allclose(forest.score(rows), np.concatenate([forest.score(row[None]) for row in rows]))
    assert forest.score(rows[:0]).shape == (0,)


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        (usual_rows(40), "too little data: 40 windows"),
        (np.zeros((300, len(NAMES))), "constant features"),
        (np.where(np.eye(300, len(NAMES)) > 0, np.nan, usual_rows(300)), "features that are no numbers"),
    ],
)
def test_refusal_names_its_reason(rows: Floats, reason: str) -> None:
    """Data that cannot teach anything are refused, in words."""
    refusal = fit(rows)
    assert isinstance(refusal, Refusal)
    assert reason in refusal.reason


@pytest.mark.parametrize("group", sorted(set(GROUP_OF.values())))
def test_explanation_names_the_group_that_was_moved(group: str) -> None:
    """One group far out: it is the first reason."""
    row = np.zeros(len(NAMES))
    for name in NAMES:
        if GROUP_OF[name] == group:
            row[PLACE[name]] = 9.0
    assert usual_forest().explain(row[None])[0][0][0] == group


def test_group_that_is_off_counts_for_nothing() -> None:
    """forest.yml may switch features off: neither score nor reasons look at them."""
    forest = fit(usual_rows(), groups=("deletes", "time"))
    assert isinstance(forest, Forest)
    row = np.zeros(len(NAMES))
    row[PLACE["events"]] = 50.0
    assert forest.score(row[None]) == forest.score(np.zeros((1, len(NAMES))))
    assert not forest.explain(row[None])[0]


def test_what_never_varied_has_a_say_when_it_does() -> None:
    """The first delete ever seen: no tree asks for it, its tail does."""
    rows = usual_rows()
    rows[:, PLACE["deletes"]] = 0.0
    row = np.median(rows, axis=0)
    first = row.copy()
    first[PLACE["deletes"]] = 3.0
    forest = fitted(rows)
    assert forest.score(first[None])[0] > forest.score(row[None])[0] + 0.2
    assert forest.explain(first[None])[0][0][0] == "deletes"
