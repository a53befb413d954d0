"""The latest events in memory: nearly all that rules look back on, without asking SQLite for it in every pass."""

from __future__ import annotations

import numpy as np

from bot.detect.columns import Ints
from bot.store.log import blocks
from bot.store.log.events import FOREVER
from bot.store.schema import Store

MOST = 20_000  # events, 1.3 MB; after some time between half as many and so many
_NOTHING = np.zeros((len(blocks.COLUMNS), 0), dtype=np.int64)


class Recent:
    """The log's latest events by time, as `blocks.rows` returns them.

    What is kept from pass to pass was committed before the one at hand, so one that is rolled back leaves nothing here.
    Whoever changes stored events says so; that some are deleted is noticed.
    """

    def __init__(self, store: Store, most: int = MOST) -> None:
        self._store, self._most = store, most
        self._kept: Ints | None = None  # all events from `_since` on, up to the id `_known`, in order of time
        self._since, self._known = 0, 0
        self._changed = FOREVER  # events from then on have to be read again
        self._after = 0  # of the pass at hand, if there is one, as its events
        self._fresh: Ints | None = None
        self._all: Ints | None = None  # what is kept and what is fresh, as soon as somebody asked

    def changed(self, since: int) -> None:
        """Note that stored events from then on may have changed; do not answer until another pass begins."""
        self._changed = min(self._changed, since)
        self.end()

    def end(self) -> None:
        """Do not answer until another pass begins."""
        self._fresh = self._all = None

    def begin(self, after: int, fresh: Ints) -> None:
        """Begin a pass, whose events are `fresh`; `after` is the newest id before them."""
        self._after, self._fresh, self._all = after, fresh, None

    def between(self, since: int, until: int) -> Ints | None:
        """Return all events with since <= time <= until, in order of time; None where memory does not reach so far."""
        if self._all is None and self._fresh is not None:
            self._kept = self._caught_up()
            self._all = _by_time(self._kept, self._fresh)
        if self._all is None or since < self._since:
            return None
        first, last = self._all[blocks.TIME].searchsorted((since, until + 1))
        return self._all[:, first:last]

    # Below, a plus keeps SQLite from walking through all ids, of which there are as many as events.

    def _caught_up(self) -> Ints:
        """Return what is kept, with what was committed or changed since; all anew where that is unsure."""
        kept, news = self._kept, self._after - self._known
        if kept is None or not 0 <= news <= self._most or not self._is_whole(kept):
            return self._begun()
        if kept.shape[1] > self._most:
            self._since = int(kept[blocks.TIME, -self._most // 2])
        first, last = kept[blocks.TIME].searchsorted((self._since, self._changed))
        again = blocks.rows(self._store, "e.time >= ? AND +e.id <= ?", (self._changed, self._known))
        more = blocks.rows(self._store, "e.id BETWEEN ? AND ?", (self._known + 1, self._after))
        self._known, self._changed = self._after, FOREVER
        added = np.hstack((again, more))
        return _by_time(kept[:, first:last], added[:, added[blocks.TIME] >= self._since])

    def _begun(self) -> Ints:
        """Return the latest of all committed events."""
        cut = "SELECT time + 1 FROM events WHERE +id <= ? ORDER BY time DESC LIMIT 1 OFFSET ?"
        since = self._store.value(cut, (self._after, self._most))
        self._since, self._known, self._changed = -FOREVER if since is None else since, self._after, FOREVER
        return _by_time(_NOTHING, blocks.rows(self._store, "e.time >= ? AND +e.id <= ?", (self._since, self._after)))

    def _is_whole(self, kept: Ints) -> bool:
        """Tell whether all that is kept is still stored: ids are never given twice, so counting is enough."""
        counted = "SELECT count(*) FROM events WHERE time >= ? AND +id <= ?"  # .3 ms for 20,000
        return bool(self._store.value(counted, (self._since, self._known)) == kept.shape[1])


def _by_time(earlier: Ints, later: Ints) -> Ints:
    """Return both in order of time; the earlier ones are sorted, and the later ones mostly come after them."""
    both = np.hstack((earlier, later))
    time = both[blocks.TIME]
    return both if (time[1:] >= time[:-1]).all() else both[:, time.argsort(kind="stable")]
