"""What is usual for an owner of windows when one begins: drawn from its own numbers and those of its class."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bot.detect.columns import Ints
from bot.detect.forest.numbers import Numbers
from bot.detect.forest.profiles import COUNTS, Floats
from bot.detect.forest.trail import Span
from bot.times import DAY, HOUR

PRIOR = 8.0  # an actor's class weighs as much as so many windows of its own
SPREAD = 0.35  # least standard deviation of a logarithm of counts: steadier than that is chance
_COUNT_PRIOR = np.full(len(COUNTS), 0.5)  # mean and variance of a class's logarithms, until its windows say otherwise
_SHARE_PRIOR = np.array([0.05, 0.2, 0.5, 0.3])  # a class's shares until then
_AROUND = np.arange(-2, 26) % 24  # the hours of a day between those of its neighbours


class Usual(NamedTuple):
    """What was usual when a window began: all that its features compare with.

    A surprise is the negative logarithm of how often such a thing happened so far.
    """

    windows: float
    mean: Floats
    sd: Floats
    peak: Floats
    shares: Floats
    slow: Floats  # shares of the active hours before this week: with deletes, with sensitive changes
    hour: float  # surprise of this hour of the day
    weekend: float
    newness: float  # 1 for an actor's first window, less with every other
    new_place: float  # surprise of a place never seen for the actor
    unheard_place: float  # surprise of a place never seen for anybody; of a newcomer's, among newcomers
    idle_days: float
    day: Span  # up to this hour
    week: Span


class Begin(NamedTuple):
    """The begin of a window. `idle_days` since the owner's latest window, `day` and `week` up to this hour."""

    hour: int
    idle_days: float
    day: Span
    week: Span


def usual_of(own: Numbers, cls: Numbers, begins: Sequence[Begin]) -> list[Usual]:
    """Return what is usual as of now where windows begin: of each owner and its class a row of numbers."""
    windows, hours = own["windows"], np.array([begin.hour for begin in begins])
    class_mean, class_var = _shrunk(cls, _COUNT_PRIOR, _COUNT_PRIOR)
    mean, var = _shrunk(own, class_mean, class_var)
    young = PRIOR / (windows + PRIOR)
    class_shares = _drawn(cls["shares"], cls["windows"], _SHARE_PRIOR)
    class_slow = _drawn(cls["before"][:, 1:], cls["before"][:, 0], _SHARE_PRIOR[:2])
    columns: tuple[Iterable[Any], ...] = (
        windows.tolist(),
        mean,
        np.maximum(np.sqrt(var), SPREAD),
        np.maximum(own["peak"], young[:, None] * (class_mean + 2 * np.sqrt(class_var))),
        _drawn(own["shares"], windows, class_shares),
        _drawn(own["before"][:, 1:], own["before"][:, 0], class_slow),
        _hour_surprise(own, cls, hours).tolist(),
        _weekend_surprise(own, cls, hours).tolist(),
        np.maximum(0.0, 1.0 - windows / PRIOR).tolist(),
        *_place_surprises(own, cls).T.tolist(),
    )
    return list(map(Usual, *columns, *list(zip(*begins, strict=True))[1:]))


def _shrunk(numbers: Numbers, mean: Floats, var: Floats) -> tuple[Floats, Floats]:
    """Return means and variances, drawn towards the given ones by PRIOR windows (empirical Bayes, Efron 2010)."""
    total = (numbers["weight"] + PRIOR)[:, None]
    own = (numbers["sum"] + PRIOR * mean) / total
    return own, np.maximum((numbers["squares"] + PRIOR * (var + mean * mean)) / total - own * own, 0.0)


def _drawn(hits: Floats, tries: Floats, share: Floats) -> Floats:
    """Return shares, drawn towards the given ones by PRIOR windows."""
    found: Floats = (hits + PRIOR * share) / (tries + PRIOR)[:, None]
    return found


def _place_surprises(own: Numbers, cls: Numbers) -> Floats:
    """Return -log of the shares of windows with a place that is new to the owner, and with one that is new to all.

    Drawn towards the class; of newcomers nothing is surprising but what is new to all, among newcomers.
    """
    share = (cls["strange_places"] + 0.5) / (cls["judged"] + 1.0)[:, None]
    share = _drawn(own["strange_places"], own["judged"], share)
    newcomers = np.flatnonzero(own["windows"] == 0)
    if len(newcomers):
        share[newcomers, 0] = 1.0
        share[newcomers, 1] = (cls["unheard_firsts"][newcomers] + 0.5) / (cls["firsts"][newcomers] + 1.0)
    return np.abs(np.log(share))


def pair_surprises(own: Floats, windows: Floats, class_hits: Floats, class_windows: Floats) -> Floats:
    """Return -log of the shares of windows that hold an action on a type, backed off to the class."""
    share = (class_hits + 0.1) / (class_windows + 1.0)
    return -np.log(np.minimum((own + PRIOR * share) / (windows + PRIOR), 1.0))


def is_weekend(hours: Ints) -> NDArray[np.bool_]:
    """Tell which times are on a Saturday or Sunday (UTC)."""
    return np.asarray((hours // DAY + 3) % 7 >= 5)


def _hour_surprise(own: Numbers, cls: Numbers, hours: Ints) -> Floats:
    """Return how much rarer an hour of the day is than the owner's typical one, as a logarithm; 0 if it is not."""
    class_share = (_smooth(cls["hours"]) + 0.5) / (cls["windows"] + 12.0)[:, None]
    share = _drawn(_smooth(own["hours"]), own["windows"], class_share)
    typical = (share * share).sum(axis=1) / share.sum(axis=1)
    return np.asarray(np.maximum(0.0, np.log(typical / share[np.arange(len(hours)), hours // HOUR % 24])))


def _smooth(hours: Floats) -> Floats:
    """Return what is left of hours of the day where each lends to its neighbours.

    Not by a product of matrices, whose rounding hangs on how many rows there are.
    """
    around = hours[:, _AROUND]
    near, far = around[:, 1:-3] + around[:, 3:-1], around[:, :-4] + around[:, 4:]
    return np.asarray(0.4 * hours + 0.2 * near + 0.1 * far)


def _weekend_surprise(own: Numbers, cls: Numbers, hours: Ints) -> Floats:
    """Return how much rarer than chance a weekend is for the owner, as a logarithm; 0 on a working day."""
    weekend = is_weekend(hours)
    if not np.count_nonzero(weekend):
        return np.zeros(len(hours))
    class_share = (cls["weekends"] + 2 / 7) / (cls["windows"] + 1.0)
    share = (own["weekends"] + PRIOR * class_share) / (own["windows"] + PRIOR)
    surprise: Floats = np.where(weekend, np.maximum(0.0, np.log(2 / 7 / share)), 0.0)
    return surprise
