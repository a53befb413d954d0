"""Fits made a week before they are asked for: the same alarms, whatever was expected and whatever becomes of it."""

from __future__ import annotations

import multiprocessing
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from bot.detect.forest import fits
from bot.detect.forest.ahead import FitsAhead, fits_ahead
from bot.detect.forest.deeds import Seen, arrivals
from bot.detect.forest.fits import Fits, Rows
from bot.detect.forest.isolation import Forest, Refusal, fit
from bot.detect.forest.packing import pack
from bot.detect.forest.watcher import Strange, Watcher
from bot.times import DAY, HOUR, WEEK
from tests.test_forest import usual_rows
from tests.test_forest_watcher import CONFIG
from tests.workforce import START, burst, workforce

WEEKS = 7


def run(watcher: Watcher, events: Sequence[Seen]) -> list[Strange]:
    """Let the watcher see seven weeks, day by day; in the sixth people say that an old hour was bad."""
    found: list[Strange] = []
    for day in range(WEEKS * 7):
        begin = START + day * DAY
        if day == 36:
            watcher.exclude(*next(key for key in watcher.history if key.hour > START + 2 * WEEK))
        found += watcher.observe([arrivals(one for one in events if begin <= one.time < begin + DAY)], begin + DAY)
    return found


def test_the_same_alarms_and_nearly_nothing_to_wait_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the first fit is made when asked, and the one after people changed what there is to learn from."""
    here: list[int] = []

    def counted(*arguments: object) -> Forest | Refusal:
        if threading.current_thread() is threading.main_thread():
            here.append(1)
        return fit(*arguments)  # type: ignore[arg-type]

    events = sorted(
        [*workforce(WEEKS, people=6), *burst(START + 70 * DAY + 9 * HOUR, 40, action="DELETE")],
        key=lambda one: one.time,
    )
    plain = run(Watcher(CONFIG), events)
    monkeypatch.setattr(fits, "fit", counted)
    with ThreadPoolExecutor(1) as pool:
        ahead = run(Watcher(CONFIG, fits=FitsAhead(pool)), events)
    assert plain == ahead
    assert plain
    assert len(here) == 2


@pytest.mark.slow
def test_another_process_says_the_same_and_is_not_missed() -> None:
    """To the bit; and where it was ended, the fit is made here."""
    rows: Rows = pack(list(usual_rows(300)))
    groups = CONFIG.groups
    wanted = Fits().of(rows, groups)
    assert isinstance(wanted, Forest)
    with fits_ahead() as ahead:
        ahead.expect(rows, groups)
        found = ahead.of(list(rows), groups)
        [other] = multiprocessing.active_children()
        other.kill()
        ahead.expect(rows, groups)
        alone = ahead.of(rows, groups)
    for one in (found, alone):
        assert isinstance(one, Forest)
        assert one.score(usual_rows(50)).tolist() == wanted.score(usual_rows(50)).tolist()
