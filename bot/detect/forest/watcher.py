"""The watcher: keeps windows and forest up to date with the events, and tells which windows are strange."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bot.detect.columns import Columns
from bot.detect.forest.budget import Spoken, said, threshold
from bot.detect.forest.config import ForestConfig
from bot.detect.forest.deeds import EntityKind, WindowKey, together
from bot.detect.forest.features import features
from bot.detect.forest.fits import Fits
from bot.detect.forest.isolation import Forest, Refusal
from bot.detect.forest.packing import pack, unpack
from bot.detect.forest.reasons import say
from bot.detect.forest.window import Window
from bot.detect.forest.windows import EVERYTHING_NEW, Windows
from bot.model import Level
from bot.times import HOUR, WEEK, iso

LEARN = 2 * WEEK  # before that, rules only
TRAIL = 8  # weeks that set the threshold
SPAN = 26 * WEEK  # in which these weeks lie, as weeks without any window do not count
HISTORY = 60 * WEEK  # windows older than that are forgotten
MOST_ROWS = 20_000  # the latest windows to fit on: more teach nothing more
REASONS = 3


@dataclass(frozen=True)
class Strange:
    """One window above the threshold, as it is now. Times in microseconds; `score` is 1 at the threshold.

    `reasons` are sentences on the three strongest `groups` of features; `ip` is the latest address.
    """

    kind: EntityKind
    entity: str
    hour: int
    first: int
    last: int
    events: int
    score: float
    level: Level
    reasons: tuple[str, ...]
    groups: tuple[str, ...]
    ip: str | None


@dataclass(frozen=True)
class Fitted:
    """A forest, and the scores from which on a window is alerted on, and is of level high."""

    forest: Forest
    alarm: float
    high: float


class Watcher:
    """Scores every window again as it grows; fits the forest again in every week of the log."""

    def __init__(
        self,
        config: ForestConfig,
        excluded: Iterable[WindowKey] = (),
        spoken: Spoken = lambda since: (),
        fits: Fits | None = None,
    ) -> None:
        self.config, self.fits = config, fits or Fits()
        self.windows = Windows(excluded)
        self.history: dict[WindowKey, bytes] = {}  # features of closed windows, packed
        self.told: set[WindowKey] = set()  # windows of which people were told: nothing to fit on
        self.spoken = spoken  # what posted rules told: costs no alarm more
        self.fitted: Fitted | Refusal = Refusal("waiting for the first events")
        self.due = False  # another week began
        self.until, self.refit_at = 0, 0  # that week, by the log's own clock: a restart fits what was fitted before

    def warm(self, pages: Iterable[Columns], now: int, alerted: Iterable[WindowKey] = ()) -> None:
        """Rebuild the state from all stored events in order of time, and fit. `alerted` were reported at the time."""
        self.told.update(alerted)
        self.windows.alerted.update(self.told)
        for page in pages:
            self._add(page, now)
        self._refit(now)

    def observe(self, pages: Iterable[Columns], now: int) -> list[Strange]:
        """Add a batch of events in order of arrival and return the windows it made strange, or grow, by their hour."""
        touched = {window.key: window for page in pages for window in self._add(page, now)}
        self._refit(now)
        if not touched or isinstance(self.fitted, Refusal):
            return []
        return self._strange(self.fitted, list(touched.values()))

    def exclude(self, kind: EntityKind, entity: str, hour: int) -> None:
        """Leave a window that people confirmed as bad out of threshold and refits, and out of what is not yet learnt.

        What the profile already learnt of it goes when the watcher is built anew with it in `excluded`.
        """
        self.windows.exclude(WindowKey(kind, entity, hour))

    def state(self) -> str:
        """Return one sentence on whether the forest watches, and by what."""
        if isinstance(self.fitted, Refusal):
            return self.fitted.reason
        rows, alarms = self.fitted.forest.rows, self.config.alarms_per_week
        return f"fitted on {rows:,} actor-hours, {alarms:g} alarms a week, threshold {self.fitted.alarm:.2f}"

    def _add(self, page: Columns, now: int) -> list[Window]:
        joined: list[Window] = []
        until_now = np.flatnonzero(page.time <= now + HOUR)  # a later date would close all windows until then
        for hour, deeds in together(page.take(until_now)):
            if hour > self.windows.hour:
                self._turn_hour(hour)
            joined += self.windows.join(deeds)
        return joined

    def _turn_hour(self, hour: int) -> None:
        """Pass into another hour of the log, and keep the features of the windows that close."""
        closed = self.windows.advance(hour)
        self.history.update(zip(closed, pack(list(closed.values())), strict=True))
        self._turn_week()

    def _strange(self, fitted: Fitted, windows: Sequence[Window]) -> list[Strange]:
        rows = features(windows)
        scores, excluded = fitted.forest.score(rows), self.windows.excluded
        high = [place for place in np.flatnonzero(scores > fitted.alarm).tolist() if windows[place].key not in excluded]
        found = []
        for place, why in zip(high, fitted.forest.explain(rows[high]), strict=True):
            window = windows[place]
            self.windows.alerted.add(window.key)
            self.told.add(window.key)
            found.append(_describe(window, why, float(scores[place]), fitted))
        return sorted(found, key=lambda strange: (strange.hour, strange.entity))

    def _turn_week(self) -> None:
        """When the log's clock passes into another week: forget what is too old, and let the forest be fitted anew."""
        began = self.windows.began
        if began is None or self.windows.hour < self.refit_at:
            return
        self.until = max(began + LEARN, self.windows.hour - (self.windows.hour - began) % WEEK)
        self.refit_at = self.until + WEEK
        oldest = self.until - HISTORY
        for key in [key for key in self.history if key.hour < oldest]:
            del self.history[key]
        self.told = {key for key in self.told if key.hour >= oldest}
        self.windows.forget(oldest)
        self.due = True

    def _refit(self, now: int) -> None:
        began = self.windows.began
        if began is None:
            return
        ready = began + LEARN
        if now < ready:
            self.fitted = Refusal(f"learning until {iso(ready)[:10]}")
        elif self.due:
            self.due = False
            rows = self.history.items()
            good = {key: row for key, row in rows if key.hour < self.until and key not in self.windows.excluded}
            episodes = self.spoken(self.until - SPAN)
            self.fitted = fit_budget(good, self.told, said(good, episodes), began, self.config, self.fits)
            kept = {key: row for key, row in good.items() if key.hour >= self.refit_at - HISTORY}
            weeks = [*weeks_of(kept, began), (self.until - began) // WEEK]  # by then the one that began now is over
            self.fits.expect(lessons(kept, self.told, began, weeks), self.config.groups)


def fit_budget(
    rows: dict[WindowKey, bytes],
    told: set[WindowKey],
    by_rules: dict[WindowKey, int],
    began: int,
    config: ForestConfig,
    fits: Fits,
) -> Fitted | Refusal:
    """Fit on older windows, and set the threshold on those of the latest weeks, which the forest has not seen.

    `rows` are packed. Weeks without any window do not count. The log's very first windows teach nothing, because
    everything was new then, nor do those that people were `told` of. `by_rules` are the windows of episodes that posted
    rules tell of.
    """
    weeks = weeks_of(rows, began)
    trail, since = trail_of(weeks, began)
    recent = {key: row for key, row in rows.items() if key.hour >= since}
    forest = fits.of(lessons(rows, told, began, weeks), config.groups)
    if isinstance(forest, Refusal):
        return forest
    alarms = round(config.alarms_per_week * trail)
    if len(recent) <= alarms:
        return Refusal(f"too little data: {len(recent)} windows in {trail} weeks, and {alarms} alarms to choose")
    keys, scores = list(recent), forest.score(unpack(list(recent.values())))
    alarm = threshold(keys, scores, alarms, {key: by_rules[key] for key in keys if key in by_rules})
    return Fitted(forest, alarm, max(alarm, threshold(keys, scores, round(config.high_per_week * trail))))


def weeks_of(keys: Iterable[WindowKey], began: int) -> list[int]:
    """Return the weeks since the log began that hold windows."""
    return sorted({(key.hour - began) // WEEK for key in keys})


def trail_of(weeks: Sequence[int], began: int) -> tuple[int, int]:
    """Return how many of these weeks set the threshold, the latest, and when they begin."""
    trail = max(1, min(TRAIL, len(weeks) // 2))
    return trail, began + weeks[-trail] * WEEK if weeks else began


def lessons(
    rows: Mapping[WindowKey, bytes], told: Collection[WindowKey], began: int, weeks: Sequence[int]
) -> list[bytes]:
    """Return the rows to fit on: those before the weeks that set the threshold."""
    _, since = trail_of(weeks, began)
    burn = began + min(EVERYTHING_NEW, (since - began) // 4)
    return [row for key, row in rows.items() if burn <= key.hour < since and key not in told][-MOST_ROWS:]


def _describe(window: Window, why: Sequence[tuple[str, float]], score: float, fitted: Fitted) -> Strange:
    groups = tuple(group for group, _ in why[:REASONS])
    return Strange(
        kind=window.key.kind,
        entity=window.key.entity,
        hour=window.key.hour,
        first=window.first,
        last=window.last,
        events=window.events,
        score=score,
        level=Level.high if score > fitted.high else Level.medium,
        reasons=tuple(say(window, group) for group in groups),
        groups=groups,
        ip=window.ip,
    )
