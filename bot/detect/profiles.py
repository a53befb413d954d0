"""What is usual for an actor, an address or a class of them, learnt from closed windows."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from bot.times import DAY, HOUR, WEEK

Floats = NDArray[np.float64]

# What is counted in a window and compared with the usual count, each with the group that people read.
COUNTS = {
    "events": "volume",
    "minutes": "volume",
    "deletes": "deletes",
    "delete_minutes": "deletes",
    "deletes_day": "deletes",
    "deletes_week": "deletes",
    "foreign_deletes": "deletes",
    "sensitive": "sensitive",
    "sensitive_minutes": "sensitive",
    "sensitive_day": "sensitive",
    "types": "types",
    "pair_surprise": "types",
    "objects": "objects",
    "new_objects": "objects",
    "cold_objects": "objects",
    "addresses": "address",
    "idle_days": "dormancy",
}
PLACE = {name: place for place, name in enumerate(COUNTS)}

PRIOR = 8.0  # an actor's class weighs as much as so many windows of its own
MEMORY = 150.0  # windows after which the past begins to fade
SPREAD = 0.35  # least standard deviation of a logarithm of counts: steadier than that is chance
PEAK_FADE = 0.995  # a peak is forgotten by half in 140 windows
BUSY = 10.0  # windows after which an actor teaches its class less and less: a class is its members, not its busiest
MAX_OBJECTS, MAX_ADDRESSES, MAX_PAIRS = 3000, 600, 400  # remembered for each actor
_KERNEL = (0.1, 0.2, 0.4, 0.2, 0.1)  # an hour of the day lends to its neighbours


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

    def replace(self, old: Floats, new: Floats, weight: float = 1.0) -> None:
        """Correct a window that was learnt before: late events made it grow."""
        self.sum = self.sum + weight * (new - old)
        self.squares = self.squares + weight * (new * new - old * old)
        self.peak = np.maximum(self.peak, new)

    def shrunk(self, mean: Floats, var: Floats) -> tuple[Floats, Floats]:
        """Return mean and variance, drawn towards the given ones by PRIOR windows (empirical Bayes, Efron 2010)."""
        total = self.weight + PRIOR
        own = (self.sum + PRIOR * mean) / total
        return own, np.maximum((self.squares + PRIOR * (var + mean * mean)) / total - own * own, 0.0)


@dataclass
class Profile:
    """The habits of one actor, one address without an actor, or a class of them."""

    meter: Meter = field(default_factory=Meter)
    windows: float = 0.0
    first_windows: float = 0.0  # of a class: windows that were somebody's first
    hours: Floats = field(default_factory=lambda: np.zeros(24))
    weekends: float = 0.0
    last: int = 0  # begin of the latest window
    addresses: Counter = field(default_factory=lambda: Counter(MAX_ADDRESSES))
    networks: Counter = field(default_factory=lambda: Counter(MAX_ADDRESSES))
    new_addresses: float = 0.0  # windows with an address never seen for the actor
    new_networks: float = 0.0
    unheard_addresses: float = 0.0  # windows with an address never seen for anybody
    pairs: Counter = field(default_factory=lambda: Counter(MAX_PAIRS))
    objects: Counter = field(default_factory=lambda: Counter(MAX_OBJECTS))
    trail: dict[int, tuple[int, int]] = field(default_factory=dict)  # deletes and sensitive changes by hour, a week

    def remember(self, hour: int, deletes: int, sensitive: int) -> None:
        """Keep what idle times and trailing sums need of a window, whether learnt from or not."""
        self.last = max(self.last, hour)
        self.trail[hour] = (deletes, sensitive)
        for old in [old for old in self.trail if old < hour - WEEK]:
            del self.trail[old]

    def trailing(self, hour: int) -> tuple[int, int, int]:
        """Return the deletes of the day and of the week, and the sensitive changes of the day, before this hour."""
        week = [(past, *counts) for past, counts in self.trail.items() if hour - WEEK < past < hour]
        day = [item for item in week if item[0] > hour - DAY]
        return sum(item[1] for item in day), sum(item[1] for item in week), sum(item[2] for item in day)


@dataclass(frozen=True)
class Usual:
    """What was usual when a window began: all that its features compare with.

    A surprise is the negative logarithm of how often such a thing happened so far.
    """

    windows: float
    mean: Floats
    sd: Floats
    peak: Floats
    hour: float  # surprise of this hour of the day
    weekend: float
    newness: float
    idle_days: float
    new_address: float  # surprise of an address never seen for the actor
    new_network: float
    unheard_address: float  # surprise of an address never seen for anybody
    deletes_day: int
    deletes_week: int
    sensitive_day: int


def usual_of(own: Profile, cls: Profile, hour: int) -> Usual:
    """Return what is usual for the owner of a profile as of now, in a window that begins at `hour`."""
    size = len(COUNTS)
    class_mean, class_var = cls.meter.shrunk(np.full(size, 0.5), np.full(size, 0.5))
    mean, var = own.meter.shrunk(class_mean, class_var)
    young = PRIOR / (own.windows + PRIOR)
    n = own.windows
    day, week, sensitive = own.trailing(hour)
    return Usual(
        windows=n,
        mean=mean,
        sd=np.maximum(np.sqrt(var), SPREAD),
        peak=np.maximum(own.meter.peak, young * (class_mean + 2 * np.sqrt(class_var))),
        hour=hour_surprise(own, cls, hour),
        weekend=weekend_surprise(own, cls, hour),
        newness=max(0.0, 1.0 - n / PRIOR) * float(-np.log((cls.first_windows + 1.0) / (cls.windows + 2.0))),
        idle_days=max(0.0, (hour - own.last) / DAY) if own.last else 0.0,
        new_address=rate_surprise(own.new_addresses, n, cls.new_addresses, cls.windows) if n else 0.0,
        new_network=rate_surprise(own.new_networks, n, cls.new_networks, cls.windows) if n else 0.0,
        unheard_address=rate_surprise(own.unheard_addresses, n, cls.unheard_addresses, cls.windows),
        deletes_day=day,
        deletes_week=week,
        sensitive_day=sensitive,
    )


def rate_surprise(own: float, windows: float, class_hits: float, class_windows: float) -> float:
    """Return -log of the share of windows in which a thing happened, drawn towards the class."""
    share = (class_hits + 0.5) / (class_windows + 1.0)
    return float(-np.log(min(1.0, (own + PRIOR * share) / (windows + PRIOR))))


def pair_surprise(pair: str, own: Profile | None, cls: Profile | None) -> float:
    """Return -log of the share of windows that hold this action on this type, backed off to the class."""
    share = (cls.pairs.get(pair, 0.0) + 0.1) / (cls.windows + 1.0) if cls else 0.1
    if own:
        share = (own.pairs.get(pair, 0.0) + PRIOR * share) / (own.windows + PRIOR)
    return float(-np.log(min(share, 1.0)))


def is_weekend(hour: int) -> bool:
    """Tell whether a time is on a Saturday or Sunday (UTC)."""
    return (hour // DAY + 3) % 7 >= 5


def hour_surprise(own: Profile, cls: Profile, hour: int) -> float:
    """Return how much rarer this hour of the day is than the owner's typical one, as a logarithm; 0 if it is not."""
    class_share = (_smooth(cls.hours) + 0.5) / (cls.windows + 12.0)
    share = (_smooth(own.hours) + PRIOR * class_share) / (own.windows + PRIOR)
    typical = float(np.sum(share * share) / np.sum(share))
    return max(0.0, float(np.log(typical / share[hour // HOUR % 24])))


def weekend_surprise(own: Profile, cls: Profile, hour: int) -> float:
    """Return how much rarer than chance a weekend is for the owner, as a logarithm; 0 on a working day."""
    if not is_weekend(hour):
        return 0.0
    class_share = (cls.weekends + 2 / 7) / (cls.windows + 1.0)
    return max(0.0, float(np.log(2 / 7 / ((own.weekends + PRIOR * class_share) / (own.windows + PRIOR)))))


def _smooth(hours: Floats) -> Floats:
    smoothed: Floats = np.zeros(24)
    for shift, weight in zip(range(-2, 3), _KERNEL, strict=True):
        smoothed += weight * np.roll(hours, shift)
    return smoothed
