"""Deeds: however events are cut into pages, windows and profiles become what they become event by event."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from bot.detect.forest.deeds import Seen
from bot.detect.forest.window import Tally, Window
from bot.detect.forest.windows import Windows
from bot.times import HOUR, MINUTE
from tests.laws import law
from tests.test_forest_watcher import plain
from tests.workforce import START, seen, take_in

EVENTS = st.lists(
    st.builds(
        seen,
        st.integers(0, 40).map(lambda place: START + place * 7 * MINUTE),
        st.sampled_from(["ann@example.com", "ci", None]),
        st.sampled_from(["CREATE", "UPDATE", "DELETE"]),
        st.sampled_from("abc"),
        st.sampled_from(["SERVICE", "API_KEY"]),
        st.sampled_from(["10.0.0.1", "10.0.0.2", "10.1.0.1", None]),
    ),
    max_size=40,
)


class OneByOne(Windows):
    """Learns from each closed window by itself."""

    def _fold(self, windows: Sequence[Window], counted: Tally) -> None:
        for place, window in enumerate(windows):
            super()._fold([window], counted.take([place]))


def state(windows: Windows) -> list[Any]:
    """Return all that windows hold."""
    known = (windows.table, windows.profiles, windows.classes, windows.places, windows.objects, windows.open)
    return [windows.hour, windows.began, *map(plain, known)]


@law(60)
@given(EVENTS, st.lists(st.integers(0, 40), max_size=4))
def test_pages_of_any_size_do_what_single_events_do(events: list[Seen], cuts: list[int]) -> None:
    """Late events, repeated ones, those of nobody, and several in one moment included. Closed windows teach as much
    in one go as one by one."""
    single, paged = OneByOne(), Windows()
    for event in events:
        take_in(single, [event])
    for begin, end in pairwise(sorted({0, *cuts, len(events)})):
        take_in(paged, events[begin:end])
    assert state(paged) == state(single)
    closed = [plain(windows.advance(START + 100 * HOUR)) for windows in (single, paged)]
    assert closed[0] == closed[1]
    assert state(paged) == state(single)
