"""The detectors that are compared: each fits on rows of features and says how strange others are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np

from bot.detect.forest.isolation import Refusal, fit
from bot.detect.forest.profiles import Floats


class Detector(Protocol):
    """Learns from older windows, scores others; called once for every week of the log, in order."""

    def fit(self, rows: Floats) -> None:
        """Learn from these rows; they begin with those of the week before."""

    def score(self, rows: Floats) -> Floats:
        """Return how strange each row is."""


class Ours:
    """The forest as shipped."""

    def fit(self, rows: Floats) -> None:
        """Fit anew."""
        fitted = fit(rows)
        if isinstance(fitted, Refusal):
            raise SystemExit(fitted.reason)
        self.forest = fitted

    def score(self, rows: Floats) -> Floats:
        """Score."""
        return self.forest.score(rows)


class Ecod:
    """ECOD of pyod: empirical tails of each column, summed (arXiv 2201.00382)."""

    def fit(self, rows: Floats) -> None:
        """Fit anew."""
        from pyod.models.ecod import ECOD

        self.model = ECOD().fit(rows)

    def score(self, rows: Floats) -> Floats:
        """Score."""
        found: Floats = self.model.decision_function(rows)
        return found


class HalfSpace:
    """Half-space trees of river: they learn row by row (Tan, Ting and Liu, 2011)."""

    def __init__(self) -> None:
        from river.anomaly import HalfSpaceTrees

        self.model = HalfSpaceTrees(n_trees=50, height=8, window_size=250, seed=7)
        self.learnt = 0

    def fit(self, rows: Floats) -> None:
        """Learn what is new among the rows."""
        for row in _unit(rows[self.learnt :]):
            self.model.learn_one(dict(enumerate(row.tolist())))
        self.learnt = len(rows)

    def score(self, rows: Floats) -> Floats:
        """Score."""
        return np.array([self.model.score_one(dict(enumerate(row.tolist()))) for row in _unit(rows)])


def _unit(rows: Floats) -> Floats:
    return 1 - np.exp(-rows / 3)


class Plain:
    """Plain z-scores: the most standard deviations above the mean of any column."""

    def fit(self, rows: Floats) -> None:
        """Take means and deviations."""
        self.mean, self.sd = rows.mean(axis=0), np.maximum(rows.std(axis=0), 1e-6)
        self.varies = np.ptp(rows, axis=0) > 0

    def score(self, rows: Floats) -> Floats:
        """Score."""
        found: Floats = (((rows - self.mean) / self.sd)[:, self.varies]).max(axis=1)
        return found


DETECTORS: dict[str, Callable[[], Detector]] = {
    "forest": Ours,
    "ECOD": Ecod,
    "half-space trees": HalfSpace,
    "z-scores": Plain,
}
