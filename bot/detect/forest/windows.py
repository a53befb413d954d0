"""Windows, an actor's hour each: filled as events arrive, closed when the log's clock passes, then learnt from.

All windows that begin or close together are compared and learnt in one go: each step of numpy on few numbers costs more
than what it computes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from bot.detect.forest.deeds import Deeds, EntityKind, WindowKey
from bot.detect.forest.features import features
from bot.detect.forest.numbers import NOBODY, NUMBERS, Table, plain, weighed
from bot.detect.forest.objects import Objects
from bot.detect.forest.profiles import Counter, Floats, Profile
from bot.detect.forest.trail import Span
from bot.detect.forest.usual import Begin, is_weekend, pair_surprises, usual_of
from bot.detect.forest.window import Tally, Window, tally
from bot.times import DAY, HOUR, WEEK

MAX_KNOWN = 300_000  # objects, and places, remembered for the whole workspace
EVERYTHING_NEW = 4 * WEEK  # from the log's first event: what is new then was only never looked at
COLD = 30 * DAY  # an object that nobody touched for so long is cold
QUARANTINE = DAY  # so long people have to say that an alert was right, before its window is learnt from
LATE = 2 * DAY  # a closed window takes late events for so long
BUSY = 10.0  # windows after which an actor teaches its class less and less: a class is its members, not its busiest
UNKNOWN = Profile(NOBODY)  # of whom nothing closed so far

Joined = tuple[Window, Deeds, Profile]  # a window, what joins it, and its owner's profile


class Windows:
    """The state: profiles of actors and classes, what the workspace has seen, and the windows still in reach."""

    def __init__(self, excluded: Iterable[WindowKey] = ()) -> None:
        self.table = Table()
        self.profiles: dict[tuple[EntityKind, str], Profile] = {}
        self.classes: dict[str, Profile] = {}
        self.places = Counter(MAX_KNOWN)
        self.objects = Objects(MAX_KNOWN)
        self.recent: dict[WindowKey, Window] = {}  # open or closed, young enough for late events
        self.open: dict[WindowKey, Window] = {}
        self.alerted: set[WindowKey] = set()  # learnt from only after QUARANTINE
        self.excluded = set(excluded)  # bad windows: never learnt from
        self.waiting: deque[Window] = deque()  # alerted and closed, not yet learnt from
        self.hour = 0
        self.began: int | None = None

    # -- the clock passes into another hour --------------------------------------------------------------------
    def advance(self, hour: int) -> dict[WindowKey, Floats]:
        """Close the windows that began before this hour, which now is the log's latest, and learn from them.

        Return their features.
        """
        self.hour = hour
        if self.began is None:
            self.began = hour
        closing = [self.open.pop(key) for key in sorted(key for key in self.open if key.hour < hour)]
        closed = dict[WindowKey, Floats]()
        for some in _one_of_each(closing):
            counted = tally(some)
            closed.update(zip((window.key for window in some), features(some, counted), strict=True))
            self._remember(some)
            self.waiting += [window for window in some if window.key in self.alerted]
            self._fold(some, counted)
        self._release(hour - QUARANTINE)
        reach = hour - LATE
        for key in [key for key in self.recent if key.hour < reach and key not in self.open]:
            del self.recent[key]
        return closed

    def _remember(self, windows: Sequence[Window]) -> None:
        """Keep what idle times and trailing sums need of windows of different owners, whether learnt from or not."""
        profiles, hours = [self._profile(window.key) for window in windows], list[Span]()
        for profile, window in zip(profiles, windows, strict=True):
            key, trail = window.key, profile.trail
            profile.last = max(profile.last, key.hour)
            if key in self.alerted:
                trail.told = max(trail.told, key.hour)
            if key not in self.excluded:
                trail.remember(key.hour, len(window.delete_times), len(window.sensitive_times))
            hours.append(trail.age(key.hour))
        old = np.array(hours, dtype=np.float64)[:, :3]
        moved = np.flatnonzero(old[:, 0]).tolist()
        if moved:
            rows = [profiles[place].row for place in moved]
            self.table.grow_old(rows, old[moved])
            classes = [self.classes[windows[place].cls].row for place in moved]
            self.table.grow_old(classes, old[moved] * self._weights(rows)[:, None])

    def _release(self, until: int) -> None:
        """Learn from the windows that people could say something about until then."""
        released = []
        while self.waiting and self.waiting[0].key.hour <= until:
            released.append(self.waiting.popleft())
        self.alerted.difference_update(window.key for window in released)
        for some in _one_of_each(released):
            self._fold(some, tally(some))

    def exclude(self, key: WindowKey) -> None:
        """Leave a bad window out of all that is not yet learnt."""
        self.excluded.add(key)
        if key[:2] in self.profiles:
            self.profiles[key[:2]].trail.drop(key.hour)

    def forget(self, oldest: int) -> None:
        """Drop the profiles of those who did nothing since then."""
        for owner in [owner for owner, profile in self.profiles.items() if profile.last < oldest]:
            self.table.free(self.profiles.pop(owner).row)

    # -- closed windows are learnt from ------------------------------------------------------------------------
    def _fold(self, windows: Sequence[Window], counted: Tally) -> None:
        """Learn from windows of different owners, but for those that are excluded or wait."""
        good = [
            (place, window)
            for place, window in enumerate(windows)
            if window.key not in self.alerted and window.key not in self.excluded
        ]
        fresh = [(place, window) for place, window in good if window.folded is None]
        if fresh:
            self._learn([window for _, window in fresh], counted.take([place for place, _ in fresh]))
        for place, window in good:
            profile, old, window.folded = self._profile(window.key), window.folded, counted.logs[place]
            if old is not None:
                self.table.correct(profile.row, old, window.folded)
            for name in window.places:
                profile.places.touch(name, float(old is None))
                self.places.touch(name)
            profile.objects.touch(window.objects)
        self.objects.touch([(window.objects, window.key.hour, window.key[:2]) for _, window in good])

    def _learn(self, windows: Sequence[Window], counted: Tally) -> None:
        profiles = [self._profile(window.key) for window in windows]
        rows = [profile.row for profile in profiles]
        taught = self._lessons(windows, counted, self.table.windows(rows))
        weights = self._weights(rows)
        for profile, window in zip(profiles, windows, strict=True):
            for pair in window.pairs:
                profile.pairs.touch(pair)
        for place in self.table.learn(rows, taught):
            profiles[place].halve()
        for window, lesson, weight in zip(windows, weighed(taught, weights), weights.tolist(), strict=True):
            cls = self.classes[window.cls]
            for pair in window.pairs:
                cls.pairs.touch(pair, weight)
            if self.table.learn_next(cls.row, lesson):
                cls.halve()

    def _lessons(self, windows: Sequence[Window], counted: Tally, known: Sequence[float]) -> Floats:
        """Return what each window adds to the numbers of its owner, who is known from so many windows."""
        hours, settled_at = np.array([window.key.hour for window in windows]), (self.began or 0) + EVERYTHING_NEW
        settled, newcomer = hours >= settled_at, np.array(known) == 0
        places = np.array([(window.new_address is not None, window.unheard) for window in windows])
        taught = np.zeros(len(windows), NUMBERS)
        taught["weight"] = taught["windows"] = 1.0
        taught["sum"] = taught["peak"] = counted.logs
        taught["squares"] = counted.logs * counted.logs
        taught["hours"][np.arange(len(windows)), hours // HOUR % 24] = 1.0
        taught["weekends"] = is_weekend(hours)
        taught["shares"] = counted.parts / counted.wholes
        taught["judged"] = settled & ~newcomer
        taught["strange_places"] = places & (settled & ~newcomer)[:, None]
        taught["firsts"] = settled & newcomer
        taught["unheard_firsts"] = settled & newcomer & places[:, 1]
        return plain(taught)

    def _weights(self, rows: Sequence[int]) -> Floats:
        """Return how much each owner teaches its class."""
        return BUSY / (BUSY + np.array(self.table.windows(rows)))

    # -- windows begin -----------------------------------------------------------------------------------------
    def _begin(self, some: Sequence[Deeds]) -> None:
        owners = [self.profiles.get(deeds.key[:2], UNKNOWN) for deeds in some]
        names = ["address" if deeds.key.kind == "ip" else deeds.kind for deeds in some]
        for name in names:
            if name not in self.classes:
                self.classes[name] = Profile(self.table.take())
        own = self.table.numbers([owner.row for owner in owners])
        cls = self.table.numbers([self.classes[name].row for name in names])
        begins = [_begin_of(owner, deeds.key.hour) for owner, deeds in zip(owners, some, strict=True)]
        for deeds, name, usual in zip(some, names, usual_of(own, cls, begins), strict=True):
            self.recent[deeds.key] = Window(deeds.key, name, usual, deeds.first, deeds.first)

    def _profile(self, key: WindowKey) -> Profile:
        profile = self.profiles.get(key[:2])
        if profile is None:
            profile = self.profiles[key[:2]] = Profile(self.table.take())
        return profile

    # -- deeds join their windows ------------------------------------------------------------------------------
    def join(self, some: Sequence[Deeds]) -> list[Window]:
        """Take in deeds of the hour of the clock, and return the window of each. A closed one opens again."""
        if not some:
            return []
        begin = [deeds for deeds in some if deeds.key not in self.recent]
        if begin:
            self._begin(begin)
        joined = [(self.recent[deeds.key], deeds, self.profiles.get(deeds.key[:2], UNKNOWN)) for deeds in some]
        self._add_pairs(joined)
        self._add_objects(joined)
        for window, deeds, own in joined:
            self.open[window.key] = window
            self._add(window, deeds, own)
        return [window for window, _, _ in joined]

    def _add(self, window: Window, deeds: Deeds, own: Profile) -> None:
        if deeds.ip is not None and deeds.ip_at >= window.last:
            window.ip = deeds.ip
        window.first, window.last = min(window.first, deeds.first), max(window.last, deeds.last)
        window.events += deeds.events
        window.minutes.update(deeds.minutes)
        window.delete_times += deeds.delete_times
        window.sensitive_times += deeds.sensitive_times
        window.sensitive_types.update(dict.fromkeys(deeds.sensitive_types))
        window.addresses.update(deeds.addresses)
        for place, ip in deeds.places:
            if place not in window.places:
                self._add_place(window, ip, place, own.places.get(place, 0.0))

    def _add_place(self, window: Window, ip: str, place: str, before: float) -> None:
        window.places[place] = before
        if not before:
            window.new_address = ip
            window.unheard = window.unheard or place not in self.places

    def _add_pairs(self, joined: Sequence[Joined]) -> None:
        new = [
            (window, pair, own, self.classes[window.cls])
            for window, deeds, own in joined
            for pair in deeds.pairs
            if pair not in window.pairs
        ]
        if not new:
            return
        counts = [(own.pairs.get(pair, 0.0), cls.pairs.get(pair, 0.0)) for _, pair, own, cls in new]
        own_windows, class_windows = (
            np.array(self.table.windows([profile.row for profile in profiles]))
            for profiles in ([own for _, _, own, _ in new], [cls for _, _, _, cls in new])
        )
        own_counts, class_counts = np.array(counts).T
        surprises = pair_surprises(own_counts, own_windows, class_counts, class_windows)
        for (window, pair, _, _), surprise in zip(new, surprises.tolist(), strict=True):
            window.pairs[pair] = surprise

    def _add_objects(self, joined: Sequence[Joined]) -> None:
        known = iter(self.objects.of([number for _, deeds, _ in joined for number, *_ in deeds.objects]))
        for window, deeds, own in joined:
            mine, objects = own.objects.among([number for number, *_ in deeds.objects]), window.objects
            cold = window.key.hour - COLD
            for (number, created, deleted), (touched, maker) in zip(deeds.objects, known, strict=False):
                if created:
                    window.new_objects.discard(number)
                    window.cold_objects.discard(number)
                elif number not in objects:
                    if number not in mine:
                        window.new_objects.add(number)
                    if touched < cold:
                        window.cold_objects.add(number)
                objects[number] = created or objects.get(number, False)
                if deleted and number not in mine and maker not in (None, window.key[:2]):
                    window.foreign_deletes.add(number)


def _one_of_each(windows: Iterable[Window]) -> Iterator[list[Window]]:
    """Yield windows in their order, together as long as no owner comes twice."""
    some: dict[tuple[EntityKind, str], Window] = {}
    for window in windows:
        if window.key[:2] in some:
            yield list(some.values())
            some = {}
        some[window.key[:2]] = window
    if some:
        yield list(some.values())


def _begin_of(owner: Profile, hour: int) -> Begin:
    idle = max(0.0, (hour - owner.last) / DAY) if owner.last else 0.0
    return Begin(hour, idle, *owner.trail.up_to(hour))
