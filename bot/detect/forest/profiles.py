"""What is usual for an actor, an address or a class of them, learnt from closed windows."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from bot.detect.forest.trail import Span, Trail
from bot.times import DAY, HOUR

Floats = NDArray[np.float64]

# What is counted in a window and compared with the usual count, each with the group that people read.
# Minutes and hours count besides events, because one bulk operation writes many events within seconds.
COUNTS = {
    "events": "volume",
    "minutes": "volume",
    "deletes": "deletes",
    "delete_minutes": "deletes",
    "deletes_week": "deletes",
    "delete_hours_day": "deletes",
    "delete_hours_week": "deletes",
    "foreign_deletes": "deletes",
    "sensitive": "sensitive",
    "sensitive_minutes": "sensitive",
    "sensitive_hours_day": "sensitive",
    "sensitive_hours_week": "sensitive",
    "new_objects": "objects",
    "cold_objects": "objects",
    "more_addresses": "address",
    "idle_days": "dormancy",
}
PLACE = {name: place for place, name in enumerate(COUNTS)}
# Parts of a whole: of its minutes those with deletes, with sensitive changes; of its objects the new, the cold.
SHARES = {"delete_share": "deletes", "sensitive_share": "sensitive", "new_share": "objects", "cold_share": "objects"}
_SHARE_PRIOR = np.array([0.05, 0.2, 0.5, 0.3])  # a class's own, until its windows say otherwise

BUSY = 10.0  # windows after which an actor teaches its class less and less: a class is its members, not its busiest
PRIOR = 8.0  # an actor's class weighs as much as so many windows of its own
MEMORY = 150.0  # windows after which means and spreads begin to fade
HALVE = 1000.0  # windows at which the counts of a profile are halved, so that old habits fade
SPREAD = 0.35  # least standard deviation of a logarithm of counts: steadier than that is chance
PEAK_FADE = 0.995  # a peak is forgotten by half in 140 windows
MAX_OBJECTS, MAX_PLACES, MAX_PAIRS = 3000, 600, 400  # remembered for each actor
_KERNEL = np.array([0.4, 0.2, 0.1, *[0.0] * 19, 0.1, 0.2])  # an hour of the day lends to its neighbours
_SMOOTH = np.stack([np.roll(_KERNEL, hour) for hour in range(24)])


class Counter(dict[str, float]):
    """Counts by text, of which the longest untouched are forgotten beyond `limit`."""

    def __init__(self, limit: int) -> None:
        super().__init__()
        self.limit = limit

    def touch(self, text: str, by: float = 1.0) -> None:
        """Add to a text's count and make it the last to be forgotten."""
        self[text] = self.pop(text, 0.0) + by
        if len(self) > self.limit:
            del self[next(iter(self))]

    def halve(self) -> None:
        """Halve every count."""
        for text in self:
            self[text] /= 2


class Latest:
    """The numbers that were touched last, `limit` of them: 4 bytes each, where a dictionary takes 70."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._numbers = np.zeros(0, np.int32)  # in order of their latest touch

    def __len__(self) -> int:
        return len(self._numbers)

    def among(self, numbers: Collection[int]) -> set[int]:
        """Return those of some numbers that are here."""
        return set(self._numbers[self._are_in(numbers)].tolist())

    def touch(self, numbers: Collection[int]) -> None:
        """Make these, one or more and each once, the last to be forgotten, in their order."""
        untouched = self._numbers[~self._are_in(numbers)]
        self._numbers = np.concatenate((untouched, np.fromiter(numbers, np.int32)))[-self.limit :].copy()

    def _are_in(self, numbers: Collection[int]) -> NDArray[np.bool_]:
        ordered = np.sort(np.fromiter(numbers, np.int32))
        found: NDArray[np.bool_] = ordered[ordered.searchsorted(self._numbers) % len(ordered)] == self._numbers
        return found


class Meter:
    """Mean, spread and peak of the logarithms of a window's counts, fading after MEMORY windows."""

    def __init__(self) -> None:
        size = len(COUNTS)
        self.weight = 0.0
        self.sum, self.squares, self.peak = np.zeros(size), np.zeros(size), np.zeros(size)

    def add(self, x: Floats, weight: float = 1.0) -> None:
        """Learn the logarithms of one window."""
        if self.weight >= MEMORY:
            keep = 1 - weight / MEMORY
            self.weight, self.sum, self.squares = self.weight * keep, self.sum * keep, self.squares * keep
        self.weight += weight
        self.sum = self.sum + weight * x
        self.squares = self.squares + weight * x * x
        self.peak = np.maximum(self.peak * PEAK_FADE, x)

    def replace(self, old: Floats, new: Floats) -> None:
        """Correct a window that was learnt before: late events made it grow."""
        self.sum = self.sum + new - old
        self.squares = self.squares + new * new - old * old
        self.peak = np.maximum(self.peak, new)

    def shrunk(self, mean: Floats, var: Floats) -> tuple[Floats, Floats]:
        """Return mean and variance, drawn towards the given ones by PRIOR windows (empirical Bayes, Efron 2010)."""
        total = self.weight + PRIOR
        own = (self.sum + PRIOR * mean) / total
        return own, np.maximum((self.squares + PRIOR * (var + mean * mean)) / total - own * own, 0.0)


@dataclass
class Profile:
    """The habits of one actor, one address without an actor, or a class of them.

    A place is a network, or an address where its network is not known.
    """

    meter: Meter = field(default_factory=Meter)
    windows: float = 0.0
    hours: Floats = field(default_factory=lambda: np.zeros(24))
    weekends: float = 0.0
    shares: Floats = field(default_factory=lambda: np.zeros(len(SHARES)))  # sums over windows
    pairs: Counter = field(default_factory=lambda: Counter(MAX_PAIRS))  # windows by action and type
    objects: Latest = field(default_factory=lambda: Latest(MAX_OBJECTS))
    places: Counter = field(default_factory=lambda: Counter(MAX_PLACES))
    judged: float = 0.0  # windows in which a place could be new: not the owner's first, not the log's first weeks
    new_places: float = 0.0  # of those, windows with a place never seen for the owner
    unheard_places: float = 0.0  # of those, windows with a place never seen for anybody
    firsts: float = 0.0  # of a class: members' first windows
    unheard_firsts: float = 0.0  # of those, windows with a place never seen for anybody
    last: int = 0  # begin of the latest window
    trail: Trail = field(default_factory=Trail)

    def fade(self) -> None:
        """Halve the counts once there are many."""
        if self.windows >= HALVE:
            self.windows, self.weekends, self.judged = self.windows / 2, self.weekends / 2, self.judged / 2
            self.new_places, self.unheard_places = self.new_places / 2, self.unheard_places / 2
            self.hours, self.shares = self.hours / 2, self.shares / 2
            self.pairs.halve()
            self.places.halve()


@dataclass(frozen=True)
class Usual:
    """What was usual when a window began: all that its features compare with.

    A surprise is the negative logarithm of how often such a thing happened so far.
    """

    windows: float
    mean: Floats
    sd: Floats
    peak: Floats
    shares: Floats
    hour: float  # surprise of this hour of the day
    weekend: float
    newness: float  # 1 for an actor's first window, less with every other
    idle_days: float
    new_place: float  # surprise of a place never seen for the actor
    unheard_place: float  # surprise of a place never seen for anybody; of a newcomer's, among newcomers
    day: Span  # up to this hour
    week: Span
    slow: Floats  # shares of the active hours before this week: with deletes, with sensitive changes


def usual_of(own: Profile, cls: Profile, hour: int) -> Usual:
    """Return what is usual for the owner of a profile as of now, in a window that begins at `hour`."""
    size = len(COUNTS)
    class_mean, class_var = cls.meter.shrunk(np.full(size, 0.5), np.full(size, 0.5))
    mean, var = own.meter.shrunk(class_mean, class_var)
    young = PRIOR / (own.windows + PRIOR)
    class_shares = (cls.shares + PRIOR * _SHARE_PRIOR) / (cls.windows + PRIOR)
    class_slow = (cls.trail.before[1:] + PRIOR * _SHARE_PRIOR[:2]) / (cls.trail.before[0] + PRIOR)
    return Usual(
        windows=own.windows,
        mean=mean,
        sd=np.maximum(np.sqrt(var), SPREAD),
        peak=np.maximum(own.meter.peak, young * (class_mean + 2 * np.sqrt(class_var))),
        shares=(own.shares + PRIOR * class_shares) / (own.windows + PRIOR),
        hour=hour_surprise(own, cls, hour),
        weekend=weekend_surprise(own, cls, hour),
        newness=max(0.0, 1.0 - own.windows / PRIOR),
        idle_days=max(0.0, (hour - own.last) / DAY) if own.last else 0.0,
        new_place=_rate_surprise(own.new_places, own.judged, cls.new_places, cls.judged) if own.windows else 0.0,
        unheard_place=_rate_surprise(own.unheard_places, own.judged, cls.unheard_places, cls.judged)
        if own.windows
        else _rate_surprise(0.0, 0.0, cls.unheard_firsts, cls.firsts),
        day=own.trail.day(hour),
        week=own.trail.up_to(hour),
        slow=(own.trail.before[1:] + PRIOR * class_slow) / (own.trail.before[0] + PRIOR),
    )


def _rate_surprise(own: float, windows: float, class_hits: float, class_windows: float) -> float:
    """Return -log of the share of windows in which a thing happened, drawn towards the class."""
    share = (class_hits + 0.5) / (class_windows + 1.0)
    return float(-np.log((own + PRIOR * share) / (windows + PRIOR)))


def pair_surprise(pair: str, own: Profile | None, cls: Profile) -> float:
    """Return -log of the share of windows that hold this action on this type, backed off to the class."""
    share = (cls.pairs.get(pair, 0.0) + 0.1) / (cls.windows + 1.0)
    if own is not None:
        share = (own.pairs.get(pair, 0.0) + PRIOR * share) / (own.windows + PRIOR)
    return float(-np.log(min(share, 1.0)))


def is_weekend(hour: int) -> bool:
    """Tell whether a time is on a Saturday or Sunday (UTC)."""
    return (hour // DAY + 3) % 7 >= 5


def hour_surprise(own: Profile, cls: Profile, hour: int) -> float:
    """Return how much rarer this hour of the day is than the owner's typical one, as a logarithm; 0 if it is not."""
    class_share = (_SMOOTH @ cls.hours + 0.5) / (cls.windows + 12.0)
    share = (_SMOOTH @ own.hours + PRIOR * class_share) / (own.windows + PRIOR)
    typical = float(share @ share / share.sum())
    return max(0.0, float(np.log(typical / share[hour // HOUR % 24])))


def weekend_surprise(own: Profile, cls: Profile, hour: int) -> float:
    """Return how much rarer than chance a weekend is for the owner, as a logarithm; 0 on a working day."""
    if not is_weekend(hour):
        return 0.0
    class_share = (cls.weekends + 2 / 7) / (cls.windows + 1.0)
    return max(0.0, float(np.log(2 / 7 / ((own.weekends + PRIOR * class_share) / (own.windows + PRIOR)))))
