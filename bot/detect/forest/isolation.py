"""The forest: how strange a row of features is beside the rows it was fitted on. The only home of scikit-learn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from bot.detect.forest.features import GROUP_OF, GROUPS, NAMES
from bot.detect.forest.profiles import Floats

Ints = NDArray[np.int64]
TREES, SAMPLES, SEED = 100, 2048, 7
CHUNK = 250  # rows that fall at a time: 25,000 numbers stay in the processor's cache
LEAST_ROWS = 100  # fewer windows than that say nothing about what is usual
SHARPEN = 1.5  # one very surprising group says more than several slightly surprising ones
RARE = 0.99  # both scores are scaled so that one row in a hundred makes 1


@dataclass(frozen=True)
class Refusal:
    """Why no forest can be fitted, in words."""

    reason: str


@dataclass(frozen=True)
class Trees:
    """An IsolationForest as flat arrays: rows fall through all trees at once.

    A row at node n goes to `child[2n]` where its `feature[n]` is at most `limit[n]`, else to `child[2n + 1]`; a leaf's
    children are itself. Narrow types: half the time of int64 and float64, the same answers.
    """

    roots: NDArray[np.int32]
    child: NDArray[np.int32]
    feature: NDArray[np.int32]
    limit: NDArray[np.float32]
    length: Floats
    depth: int
    normal: float

    def score(self, rows: Floats) -> Floats:
        """Return the anomaly score of Liu, Ting and Zhou (2008), what scikit-learn calls -score_samples."""
        chunks = [self._score(rows[begin : begin + CHUNK]) for begin in range(0, len(rows), CHUNK)]
        return np.concatenate(chunks) if chunks else np.zeros(0)

    def _score(self, rows: Floats) -> Floats:
        count, width = rows.shape
        values = rows.astype(np.float32).ravel()
        begin = np.repeat(np.arange(count, dtype=np.int32) * width, len(self.roots))
        at = np.tile(self.roots, count)
        for _ in range(self.depth):
            above = values.take(begin + self.feature.take(at)) > self.limit.take(at)
            at = self.child.take(2 * at + above)
        scores: Floats = 2.0 ** (-self.length.take(at).reshape(count, -1).sum(axis=1) / self.normal)
        return scores


Grow = Callable[[Floats], Trees]


def grow(rows: Floats) -> Trees:
    """Return the trees of scikit-learn's IsolationForest over these rows, in this process."""
    from sklearn.ensemble import IsolationForest  # late: costs a second and 100 MB

    samples = min(SAMPLES, len(rows))
    forest = IsolationForest(n_estimators=TREES, max_samples=samples, random_state=SEED).fit(rows)
    trees = [estimator.tree_ for estimator in forest.estimators_]
    sizes = np.array([tree.node_count for tree in trees])
    roots = np.concatenate(([0], np.cumsum(sizes)[:-1]))
    leaf = np.concatenate([tree.children_left < 0 for tree in trees])
    here = np.arange(sizes.sum())
    offset = np.repeat(roots, sizes)
    left = np.where(leaf, here, np.concatenate([tree.children_left for tree in trees]) + offset)
    right = np.where(leaf, here, np.concatenate([tree.children_right for tree in trees]) + offset)
    depths = _depths(roots, left, right, leaf)
    return Trees(
        roots=roots.astype(np.int32),
        child=np.stack((left, right), axis=1).ravel().astype(np.int32),
        feature=np.where(leaf, 0, np.concatenate([tree.feature for tree in trees])).astype(np.int32),
        limit=_rounded_down(np.concatenate([tree.threshold for tree in trees])),
        length=depths + _path_length(np.concatenate([tree.n_node_samples for tree in trees])),
        depth=int(depths.max()),
        normal=TREES * float(_path_length(np.array([samples]))[0]),
    )


def _rounded_down(limits: Floats) -> NDArray[np.float32]:
    """Return, of each limit, the greatest float32 that is not above it: which float32 is above one, is above both."""
    near = limits.astype(np.float32)
    return np.where(near > limits, np.nextafter(near, np.float32(-np.inf)), near)


def _depths(roots: Ints, left: Ints, right: Ints, leaf: NDArray[np.bool_]) -> Floats:
    depths = np.zeros(len(left))
    level, nodes = 0, roots
    while len(nodes):
        depths[nodes] = level
        inner = nodes[~leaf[nodes]]
        level, nodes = level + 1, np.concatenate((left[inner], right[inner]))
    return depths


def _path_length(sizes: Ints) -> Floats:
    """Return the mean length of an unsuccessful search in a tree of so many, c(n) of the paper."""
    n = np.maximum(sizes, 2).astype(np.float64)
    length = 2.0 * (np.log(np.maximum(n - 1.0, 1.0)) + np.euler_gamma) - 2.0 * (n - 1.0) / n
    return np.select([sizes <= 1, sizes == 2], [0.0, 1.0], length)


@dataclass(frozen=True)
class Tails:
    """How rare a value this high was, for each column, in the rows it was fitted on (as in ECOD, arXiv 2201.00382)."""

    ordered: Floats  # each column sorted

    @classmethod
    def of(cls, rows: Floats) -> Tails:
        """Return the tails of these rows."""
        return cls(np.sort(rows, axis=0))

    def surprise(self, rows: Floats) -> Floats:
        """Return -log of the share of fitted rows that are at least as high, column by column."""
        size = len(self.ordered)
        columns = zip(self.ordered.T, (rows - 1e-9).T, strict=True)
        below = [ordered.searchsorted(values) for ordered, values in columns]
        return -np.log((size - np.stack(below, axis=1) + 1.0) / (size + 1.0))


@dataclass(frozen=True)
class Scale:
    """Makes scores comparable: 0 for a usual row, 1 for one in a hundred."""

    middle: float
    span: float

    @classmethod
    def of(cls, scores: Floats) -> Scale:
        """Return the scale of the scores of the fitted rows."""
        middle, rare = np.quantile(scores, (0.5, RARE))
        return cls(float(middle), max(float(rare - middle), 1e-6))

    def put(self, scores: Floats) -> Floats:
        """Return the scores on this scale."""
        return (scores - self.middle) / self.span


@dataclass(frozen=True)
class Forest:
    """A fitted scorer: the mean of the trees' score and of the groups' tails, each on its own scale.

    The tails are summed as Fisher (1925) sums p-values; a group counts once, by its most surprising feature. A column
    that never varied has no tree that asks for it, but a tail: the first delete ever seen is as rare as can be.
    """

    columns: Ints
    varying: NDArray[np.bool_]  # of these columns
    groups: tuple[str, ...]
    trees: Trees
    tails: Tails
    usual: Floats  # median of each column
    tree_scale: Scale
    tail_scale: Scale
    rows: int

    @cached_property
    def members(self) -> list[Ints]:
        """The places of each group's columns."""
        return _members(self.columns, self.groups)

    def score(self, rows: Floats) -> Floats:
        """Return how strange each row of features is; rows of all NAMES, any number."""
        if not len(rows):
            return np.zeros(0)
        rows = rows[:, self.columns]
        tails = _sum(self.tails.surprise(rows), self.members)
        return (self.tree_scale.put(self.trees.score(rows[:, self.varying])) + self.tail_scale.put(tails)) / 2

    def explain(self, rows: Floats) -> list[tuple[tuple[str, float], ...]]:
        """Return, of each row, the groups by how much the score drops when they are set to their median, the most
        first."""
        each = len(self.groups) + 1
        variants = np.repeat(rows, each, axis=0)
        for number, mine in enumerate(self.members, 1):
            variants[number::each, self.columns[mine]] = self.usual[mine]
        scores = self.score(variants).reshape(-1, each)
        return [self._by_drop((row[0] - row[1:]).tolist()) for row in scores]

    def _by_drop(self, drops: list[float]) -> tuple[tuple[str, float], ...]:
        named = zip(self.groups, drops, strict=True)
        return tuple(sorted(((group, drop) for group, drop in named if drop > 0), key=lambda item: -item[1]))


def _members(columns: Ints, groups: Sequence[str]) -> list[Ints]:
    """Return the places of each group's columns."""
    names = np.array([GROUP_OF[NAMES[column]] for column in columns])
    return [np.flatnonzero(names == group) for group in groups]


def _sum(surprise: Floats, members: Sequence[Ints]) -> Floats:
    """Return the sum of the groups' surprises, each that of its most surprising column."""
    by_group = np.stack([surprise[:, mine].max(axis=1) for mine in members], axis=1)
    total: Floats = (by_group**SHARPEN).sum(axis=1)
    return total


def fit(rows: Floats, groups: Sequence[str] = GROUPS, grow: Grow = grow) -> Forest | Refusal:
    """Fit on rows of all NAMES, of which only the given groups count; the same rows give the same bits, however grown.

    Returns a Refusal with its reason where the rows cannot teach anything.
    """
    if len(rows) < LEAST_ROWS:
        return Refusal(f"too little data: {len(rows)} windows to learn from, {LEAST_ROWS} are needed")
    if not np.isfinite(rows).all():
        return Refusal(f"features that are no numbers: {', '.join(np.array(NAMES)[~np.isfinite(rows).all(axis=0)])}")
    wanted = np.array([GROUP_OF[name] in groups for name in NAMES])
    columns = np.flatnonzero(wanted)
    rows = rows[:, columns]
    varying = np.ptp(rows, axis=0) > 0
    if not varying.any():
        return Refusal("constant features: every window looks the same")
    present = tuple(group for group in GROUPS if group in {GROUP_OF[NAMES[column]] for column in columns})
    tails, trees = Tails.of(rows), grow(rows[:, varying])
    return Forest(
        columns=columns,
        varying=varying,
        groups=present,
        trees=trees,
        tails=tails,
        usual=np.median(rows, axis=0),
        tree_scale=Scale.of(trees.score(rows[:, varying])),
        tail_scale=Scale.of(_sum(tails.surprise(rows), _members(columns, present))),
        rows=len(rows),
    )
