"""Deeds: however events are cut into pages, windows and profiles become what they become event by event."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from bot.detect.forest.deeds import Seen, arrivals
from bot.detect.forest.windows import Windows
from bot.times import HOUR, MINUTE
from tests.laws import law
from tests.test_forest_watcher import plain
from tests.workforce import START, seen

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


def state(windows: Windows) -> list[Any]:
    """Return all that windows hold."""
    known = (windows.profiles, windows.classes, windows.places, windows.objects, windows.open)
    return [windows.hour, windows.began, *map(plain, known)]


@law(60)
@given(EVENTS, st.lists(st.integers(0, 40), max_size=4))
def test_pages_of_any_size_do_what_single_events_do(events: list[Seen], cuts: list[int]) -> None:
    """Late events, repeated ones, those of nobody, and several in one moment included."""
    single, paged = Windows(), Windows()
    for event in events:
        list(single.observe(arrivals([event])))
    for begin, end in pairwise(sorted({0, *cuts, len(events)})):
        list(paged.observe(arrivals(events[begin:end])))
    assert state(paged) == state(single)
    for windows in (single, paged):
        windows.advance(START + 100 * HOUR)
    assert state(paged) == state(single)
