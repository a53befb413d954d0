"""The features of a window: past only, one-sided, the same however events arrive."""

from __future__ import annotations

import pickle
import random
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.detect.forest import profiles
from bot.detect.forest.deeds import EntityKind, Seen, WindowKey, arrivals, together
from bot.detect.forest.features import GROUP_OF, NAMES, features
from bot.detect.forest.objects import Objects, Owner
from bot.detect.forest.packing import pack, unpack
from bot.detect.forest.profiles import Counter, Floats, Latest
from bot.detect.forest.window import Window
from bot.detect.forest.windows import Windows
from bot.times import DAY, HOUR, MINUTE
from tests.laws import law
from tests.workforce import START, burst, number_of, seen, take_in, workforce

WEEKS = 5
MONDAY = START + WEEKS * 7 * DAY  # after the history


@pytest.fixture(scope="module")
def history() -> list[Seen]:
    """Return five ordinary weeks."""
    return workforce(WEEKS)


@pytest.fixture(scope="module")
def learnt(history: list[Seen]) -> bytes:
    """Return windows that have seen the history, pickled: a test takes a copy of its own."""
    windows = Windows()
    take_in(windows, history)
    return pickle.dumps(windows)


@pytest.fixture(scope="module")
def ordinary(learnt: bytes) -> dict[str, float]:
    """Return the features of an ordinary hour."""
    return by_group(row_of(last_window(learnt, burst(MONDAY + 10 * HOUR, 1))))


def last_window(learnt: bytes, events: list[Seen]) -> Window:
    """Return the window of the last event, after what was learnt."""
    windows: Windows = pickle.loads(learnt)
    return take_in(windows, events)[-1]


def row_of(window: Window) -> Floats:
    """Return the features of a window alone."""
    row: Floats = features([window])[0]
    return row


def by_group(row: Floats) -> dict[str, float]:
    """Return the highest feature of each group."""
    found: dict[str, float] = {}
    for name, value in zip(NAMES, row, strict=True):
        found[GROUP_OF[name]] = max(found.get(GROUP_OF[name], 0.0), float(value))
    return found


def all_rows(events: list[Seen]) -> dict[WindowKey, Floats]:
    """Return the features of all windows once they are closed."""
    windows = Windows()
    rows: dict[WindowKey, Floats] = {}
    for hour, deeds in together(arrivals(events)):
        rows.update(windows.advance(hour))
        windows.join(deeds)
    rows.update(windows.advance(windows.hour + HOUR))
    assert not windows.open
    return rows


def test_features_are_finite_and_never_negative(history: list[Seen]) -> None:
    """No NaN, no infinity, whatever the history: the forest takes no such thing."""
    rows = np.stack(list(all_rows([seen(START, None), *history, *burst(MONDAY, 40, action="DELETE")]).values()))
    assert np.isfinite(rows).all()
    assert (rows >= 0).all()


@pytest.mark.slow
def test_features_of_a_window_do_not_depend_on_what_comes_later(history: list[Seen]) -> None:
    """The past only: cutting the log off after a window changes nothing in it."""
    cut = history[len(history) // 2].time // HOUR * HOUR
    full, part = all_rows(history), all_rows([event for event in history if event.time < cut])
    assert part
    for key, row in part.items():
        assert np.array_equal(row, full[key])


@pytest.mark.slow
def test_order_of_arrival_within_an_hour_does_not_change_the_features(history: list[Seen]) -> None:
    """Events of one hour may come in any order."""
    rng = random.Random(2)
    shuffled = sorted(history, key=lambda event: (event.time // HOUR, rng.random()))
    ordered = all_rows(history)
    for key, row in all_rows(shuffled).items():
        assert np.allclose(row, ordered[key])


def test_ordinary_hour_is_usual(learnt: bytes) -> None:
    """Somebody doing the usual, from the usual address, has nearly no features."""
    usual = [seen(MONDAY + hour * HOUR, "p03@example.com", thing="p3-1", ip="10.0.3.1") for hour in (9, 11)]
    window = last_window(learnt, usual)
    assert max(by_group(row_of(window)).values()) < 2.5


@pytest.mark.slow
@pytest.mark.parametrize(
    ("group", "what"),
    [
        ("volume", burst(MONDAY + 10 * HOUR, 200, 10_000_000)),
        ("deletes", burst(MONDAY + 10 * HOUR, 20, action="DELETE")),
        ("sensitive", burst(MONDAY + 10 * HOUR, 15, type_="USER_ROLE")),
        ("types", burst(MONDAY + 10 * HOUR, 2, type_="NEVER_SEEN")),
        ("objects", burst(MONDAY + 10 * HOUR, 30)),
        ("address", burst(MONDAY + 10 * HOUR, 1, ip="203.0.113.9")),
        ("time", burst(MONDAY + 2 * HOUR, 1)),
        ("time", burst(MONDAY + 5 * DAY + 10 * HOUR, 1)),
        ("dormancy", burst(MONDAY + 100 * DAY + 10 * HOUR, 1)),
        ("newness", burst(MONDAY + 10 * HOUR, 1, actor="newcomer@example.com")),
    ],
)
def test_each_behaviour_moves_its_own_group(
    learnt: bytes, ordinary: dict[str, float], group: str, what: list[Seen]
) -> None:
    """Strange in one way: its group stands out against an ordinary hour."""
    strange = by_group(row_of(last_window(learnt, what)))
    assert strange[group] > ordinary[group] + 0.9


def test_slow_deletes_are_seen_over_the_day(learnt: bytes) -> None:
    """Two deletes an hour are little, and much when they go on all day."""
    slow = burst(MONDAY + 8 * HOUR, 16, 30 * MINUTE, action="DELETE")
    first, last = last_window(learnt, slow[:2]), last_window(learnt, slow)
    assert by_group(row_of(last))["deletes"] > by_group(row_of(first))["deletes"] + 1


def test_rotating_addresses_are_no_surprise(history: list[Seen], learnt: bytes) -> None:
    """A key whose every session has a new address is expected to have another one."""
    calls = [seen(START + day * DAY + 9 * HOUR, "ci", ip=f"198.51.{day}.7") for day in range(WEEKS * 7)]
    rotating = last_window(pickle.dumps(Windows()), sorted([*history, *calls, seen(MONDAY, "ci", ip="198.51.99.7")]))
    steady = last_window(learnt, burst(MONDAY, 1, ip="198.51.99.7"))
    assert row_of(rotating)[NAMES.index("address_new")] < 1 < row_of(steady)[NAMES.index("address_new")]


def test_address_without_actor_has_windows_of_its_own(learnt: bytes) -> None:
    """Automatic changes have no actor: their address is who they are."""
    assert last_window(learnt, [seen(MONDAY, None, ip="203.0.113.9")]).key[:2] == ("ip", "203.0.113.9")
    assert list(together(arrivals([seen(MONDAY, None, ip=None)]))) == [(MONDAY, [])]


def test_late_event_joins_its_window(learnt: bytes) -> None:
    """An event that comes late counts in the hour in which it happened, and the profile learns of it once."""
    windows: Windows = pickle.loads(learnt)
    on_time, late = burst(MONDAY, 3), burst(MONDAY + 5 * MINUTE, 2, action="DELETE")
    take_in(windows, [*on_time, seen(MONDAY + 3 * HOUR, "p01@example.com")])
    mine = [windows.profiles["actor", "p03@example.com"].row]
    before = windows.table.windows(mine)
    found = take_in(windows, late)[-1]
    assert found.events == 5
    assert found.key in windows.advance(MONDAY + 4 * HOUR)
    assert windows.table.windows(mine) == before


@pytest.mark.slow
def test_excluded_window_teaches_nothing(history: list[Seen]) -> None:
    """What people confirmed as bad stays strange when it happens again."""
    bad, again = burst(MONDAY, 30, action="DELETE"), burst(MONDAY + DAY, 1, action="DELETE", ip="203.0.113.9")
    key = WindowKey("actor", "p03@example.com", MONDAY)
    learnt, left_out = Windows(), Windows(excluded=[key])
    for windows in (learnt, left_out):
        take_in(windows, [*history, *bad, *again])
    mine: tuple[EntityKind, str] = ("actor", "p03@example.com")
    peaks = [windows.table.numbers([windows.profiles[mine].row])["peak"].max() for windows in (left_out, learnt)]
    assert peaks[0] < peaks[1]
    assert not left_out.profiles[mine].objects.among([number_of("p5-3"), number_of("p6-4")])


def test_memory_of_an_actor_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many things somebody touches, only so many are remembered: those touched last."""
    counter = Counter(3)
    for name in "abcda":
        counter.touch(name)
    assert list(counter) == ["c", "d", "a"]
    monkeypatch.setattr(profiles, "MAX_OBJECTS", 5)
    windows = Windows()
    take_in(windows, burst(MONDAY, 50, HOUR))
    assert len(windows.profiles["actor", "p03@example.com"].objects) == 5
    assert len(windows.recent) < 60


TOUCHES = st.lists(st.lists(st.dictionaries(st.integers(0, 7), st.booleans(), min_size=1), max_size=4))


@law(50)
@given(st.integers(1, 4), TOUCHES)
def test_objects_that_were_touched_last_are_known_with_their_makers(
    limit: int, batches: list[list[dict[int, bool]]]
) -> None:
    """The others are as if nobody ever touched them."""
    objects, plain = Objects(limit), dict[int, tuple[int, Any]]()
    for batch in batches:
        touches = [(some, START + (5 - place) * HOUR, owner(place)) for place, some in enumerate(batch)]
        objects.touch(touches)
        for some, hour, maker in touches:
            for number, made in some.items():
                latest, before = plain.pop(number, (0, None))
                plain[number] = (max(latest, hour), maker if made else before)
        plain = dict(list(plain.items())[-limit:])
        assert objects.of(range(8)) == [plain.get(number, (0, None)) for number in range(8)]
        assert len(objects) == len(plain)


def owner(place: int) -> Owner:
    """Return somebody."""
    return ("actor", f"p{place}")


@law(50)
@given(st.integers(1, 6), st.lists(st.lists(st.integers(0, 9), min_size=1, unique=True)))
def test_what_was_touched_last_is_known_whatever_is_touched_together(limit: int, touches: list[list[int]]) -> None:
    """As if one by one."""
    latest, plain = Latest(limit), list[int]()
    for some in touches:
        latest.touch(some)
        for number in some:
            plain = [*(one for one in plain if one != number), number][-limit:]
        assert latest.among(range(10)) == set(plain)
        assert len(latest) == len(plain)


@law(25)
@given(st.lists(st.lists(st.sampled_from((0.0, 5e-324, 0.1, 1e300)), min_size=len(NAMES), max_size=len(NAMES))))
def test_packed_rows_are_the_same_to_the_bit(rows: list[list[float]]) -> None:
    """Also none at all, none but zeros, and none that is zero."""
    whole = np.array(rows).reshape(-1, len(NAMES))
    assert unpack(pack(list(whole))).tobytes() == whole.tobytes()
