"""Windows, an actor's hour each: filled as events arrive, closed when the log's clock passes, then learnt from."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np

from bot.detect.columns import Columns
from bot.detect.forest.deeds import Deeds, EntityKind, WindowKey, together
from bot.detect.forest.objects import Objects
from bot.detect.forest.profiles import BUSY, Counter, Floats, Profile, Usual, is_weekend, pair_surprise, usual_of
from bot.times import DAY, HOUR, MINUTE, WEEK

MAX_KNOWN = 300_000  # objects, and places, remembered for the whole workspace
EVERYTHING_NEW = 4 * WEEK  # from the log's first event: what is new then was only never looked at
COLD = 30 * DAY  # an object that nobody touched for so long is cold
QUARANTINE = DAY  # so long people have to say that an alert was right, before its window is learnt from
LATE = 2 * DAY  # a closed window takes late events for so long


@dataclass
class Window:
    """What one actor, or one address without an actor, did in one hour so far, beside what is usual."""

    key: WindowKey
    cls: str
    usual: Usual
    first: int
    last: int
    events: int = 0
    minutes: set[int] = field(default_factory=set)
    delete_times: list[int] = field(default_factory=list)
    sensitive_times: list[int] = field(default_factory=list)
    sensitive_types: dict[str, None] = field(default_factory=dict)
    objects: dict[int, bool] = field(default_factory=dict)  # whether it was created here
    new_objects: set[int] = field(default_factory=set)
    cold_objects: set[int] = field(default_factory=set)
    foreign_deletes: set[int] = field(default_factory=set)
    pairs: dict[str, float] = field(default_factory=dict)  # "DELETE SERVICE": its surprise
    addresses: set[str] = field(default_factory=set)
    places: dict[str, float] = field(default_factory=dict)  # with the owner's past windows there
    new_address: str | None = None  # one from a place never seen for the owner
    unheard: bool = False  # a place never seen for anybody
    ip: str | None = None  # the latest
    folded: Floats | None = None  # what the profile has learnt of it

    def logs(self) -> Floats:
        """Return the logarithms of the counts, in the order of COUNTS."""
        usual, deletes, sensitive = self.usual, len(self.delete_times), len(self.sensitive_times)
        counts = (
            self.events,
            len(self.minutes),
            deletes,
            _minutes(self.delete_times),
            usual.week.deletes + deletes if deletes else 0,  # an hour without is not strange for those before
            usual.day.with_deletes + 1 if deletes else 0,
            usual.week.with_deletes + 1 if deletes else 0,
            len(self.foreign_deletes),
            sensitive,
            _minutes(self.sensitive_times),
            usual.day.with_sensitive + 1 if sensitive else 0,
            usual.week.with_sensitive + 1 if sensitive else 0,
            len(self.new_objects),
            len(self.cold_objects),
            max(len(self.addresses) - 1, 0),
            usual.idle_days,
        )
        return np.log1p(np.array(counts, dtype=np.float64))

    def parts(self) -> tuple[Floats, Floats]:
        """Return the parts and the wholes of SHARES."""
        minutes, objects = float(len(self.minutes)), float(len(self.objects))
        new, cold = float(len(self.new_objects)), float(len(self.cold_objects))
        parts = np.array((_minutes(self.delete_times), _minutes(self.sensitive_times), new, cold), dtype=np.float64)
        return parts, np.array((minutes, minutes, objects, objects))


def _minutes(times: Iterable[int]) -> int:
    return len({time // MINUTE for time in times})


class Windows:
    """The state: profiles of actors and classes, what the workspace has seen, and the windows still in reach."""

    def __init__(self, excluded: Iterable[WindowKey] = ()) -> None:
        self.profiles: dict[tuple[EntityKind, str], Profile] = {}
        self.classes: dict[str, Profile] = {}
        self.places = Counter(MAX_KNOWN)
        self.objects = Objects(MAX_KNOWN)
        self.recent: dict[WindowKey, Window] = {}  # open or closed, young enough for late events
        self.open: dict[WindowKey, Window] = {}
        self.closed: list[Window] = []  # since they were last taken
        self.alerted: set[WindowKey] = set()  # learnt from only after QUARANTINE
        self.excluded = set(excluded)  # bad windows: never learnt from
        self.waiting: deque[Window] = deque()  # alerted and closed, not yet learnt from
        self.hour = 0
        self.began: int | None = None

    def observe(self, events: Columns) -> Iterator[Window | None]:
        """Take in events in order of arrival and yield the windows that they join, None for an hour of nobody.

        The clock is the latest event's: an hour closes when an event of a later one arrives.
        """
        for hour, some in together(events):
            if self.began is None:
                self.began = hour
            if hour > self.hour:
                self.advance(hour)
            yield from map(self._join, some) if some else (None,)

    def _join(self, deeds: Deeds) -> Window:
        window = self.recent.get(deeds.key) or self._begin(deeds)
        self.open[deeds.key] = window  # a closed one opens again for an event that comes late
        self._add(window, deeds)
        return window

    def advance(self, hour: int) -> None:
        """Close the windows that began before this hour and learn from them."""
        self.hour = hour
        for key in sorted(key for key in self.open if key.hour < hour):
            window = self.open.pop(key)
            self.closed.append(window)
            self._remember(window)
            if key in self.alerted:
                self.waiting.append(window)
            elif key not in self.excluded:
                self._fold(window)
        while self.waiting and self.waiting[0].key.hour + QUARANTINE <= hour:
            self._release(self.waiting.popleft())
        for key in [key for key in self.recent if key.hour < hour - LATE and key not in self.open]:
            del self.recent[key]

    def _remember(self, window: Window) -> None:
        """Keep what idle times and trailing sums need of a window, whether learnt from or not."""
        profile, key = self._profile(window.key), window.key
        profile.last = max(profile.last, key.hour)
        if key in self.alerted:
            profile.trail.told = max(profile.trail.told, key.hour)
        if key not in self.excluded:
            profile.trail.remember(key.hour, len(window.delete_times), len(window.sensitive_times))
        self.classes[window.cls].trail.learn(profile.trail.age(key.hour) * BUSY / (BUSY + profile.windows))

    def _release(self, window: Window) -> None:
        self.alerted.discard(window.key)
        if window.key not in self.excluded:
            self._fold(window)

    def exclude(self, key: WindowKey) -> None:
        """Leave a bad window out of all that is not yet learnt."""
        self.excluded.add(key)
        if key[:2] in self.profiles:
            self.profiles[key[:2]].trail.week.pop(key.hour, None)

    def forget(self, oldest: int) -> None:
        """Drop the profiles of those who did nothing since then."""
        for owner in [owner for owner, profile in self.profiles.items() if profile.last < oldest]:
            del self.profiles[owner]

    def take_closed(self) -> list[Window]:
        """Return the windows that closed since the last call."""
        closed, self.closed = self.closed, []
        return closed

    def _begin(self, deeds: Deeds) -> Window:
        key = deeds.key
        cls = "address" if key.kind == "ip" else deeds.kind
        own, peers = self.profiles.get(key[:2]) or Profile(), self.classes.setdefault(cls, Profile())
        usual = usual_of(own, peers, key.hour)
        window = self.recent[key] = Window(key, cls, usual, deeds.first, deeds.first)
        return window

    def _profile(self, key: WindowKey) -> Profile:
        profile = self.profiles.get(key[:2])
        if profile is None:
            profile = self.profiles[key[:2]] = Profile()
        return profile

    # -- deeds join their window -------------------------------------------------------------------------------
    def _add(self, window: Window, deeds: Deeds) -> None:
        own = self.profiles.get(window.key[:2])
        if deeds.ip is not None and deeds.ip_at >= window.last:
            window.ip = deeds.ip
        window.first, window.last = min(window.first, deeds.first), max(window.last, deeds.last)
        window.events += deeds.events
        window.minutes.update(deeds.minutes)
        window.delete_times += deeds.delete_times
        window.sensitive_times += deeds.sensitive_times
        window.sensitive_types.update(dict.fromkeys(deeds.sensitive_types))
        for pair in deeds.pairs:
            if pair not in window.pairs:
                window.pairs[pair] = pair_surprise(pair, own, self.classes[window.cls])
        self._add_objects(window, deeds, own)
        window.addresses.update(deeds.addresses)
        for place, ip in deeds.places:
            self._add_place(window, ip, place, own)

    def _add_objects(self, window: Window, deeds: Deeds, own: Profile | None) -> None:
        numbers = [number for number, *_ in deeds.objects]
        mine = own.objects.among(numbers) if own else set()
        known = self.objects.of(numbers)
        for (number, created, deleted), (touched, maker) in zip(deeds.objects, known, strict=True):
            if created:
                window.new_objects.discard(number)
                window.cold_objects.discard(number)
            elif number not in window.objects:
                if number not in mine:
                    window.new_objects.add(number)
                if touched < window.key.hour - COLD:
                    window.cold_objects.add(number)
            window.objects[number] = created or window.objects.get(number, False)
            if deleted and number not in mine and maker not in (None, window.key[:2]):
                window.foreign_deletes.add(number)

    def _add_place(self, window: Window, ip: str, place: str, own: Profile | None) -> None:
        if place in window.places:
            return
        window.places[place] = own.places.get(place, 0.0) if own else 0.0
        if not window.places[place]:
            window.new_address = ip
            window.unheard = window.unheard or place not in self.places

    # -- a closed window is learnt from ------------------------------------------------------------------------
    def _fold(self, window: Window) -> None:
        own, cls = self._profile(window.key), self.classes[window.cls]
        x, old = window.logs(), window.folded
        window.folded = x
        if old is None:
            weight = BUSY / (BUSY + own.windows)
            settled = window.key.hour >= (self.began or 0) + EVERYTHING_NEW
            judged, newcomer = own.windows > 0 and settled, own.windows == 0 and settled
            _learn(own, window, x, 1.0, judged)
            _learn(cls, window, x, weight, judged, newcomer)
        else:
            own.meter.replace(old, x)
        for place in window.places:
            own.places.touch(place, float(old is None))
            self.places.touch(place)
        own.objects.touch(window.objects)
        self.objects.touch(window.objects, window.key.hour, window.key[:2])


def _learn(profile: Profile, window: Window, x: Floats, weight: float, judged: bool, newcomer: bool = False) -> None:
    parts, wholes = window.parts()
    profile.meter.add(x, weight)
    profile.windows += weight
    profile.hours[window.key.hour // HOUR % 24] += weight
    profile.weekends += weight * is_weekend(window.key.hour)
    profile.shares = profile.shares + weight * parts / wholes
    for pair in window.pairs:
        profile.pairs.touch(pair, weight)
    if newcomer:
        profile.firsts += 1
        profile.unheard_firsts += window.unheard
    if judged:
        profile.judged += weight
        profile.new_places += weight * (window.new_address is not None)
        profile.unheard_places += weight * window.unheard
    profile.fade()
