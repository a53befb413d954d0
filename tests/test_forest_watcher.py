"""The watcher: learns, keeps to its budget, tells what is strange and why, and does the same after a restart."""

from __future__ import annotations

import copy
import itertools
import random
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.detect.forest.budget import Episode, said, threshold
from bot.detect.forest.config import ForestConfig, parse_config
from bot.detect.forest.deeds import Seen, WindowKey, arrivals
from bot.detect.forest.features import features
from bot.detect.forest.watcher import Fitted, Strange, Watcher
from bot.detect.forest.windows import Windows
from bot.errors import RuleError
from bot.model import Level
from bot.times import DAY, HOUR, MINUTE, WEEK
from tests.laws import law
from tests.workforce import START, burst, seen, take_in, workforce

CONFIG = ForestConfig(alarms_per_week=2)
TUESDAY = NOW = START + 20 * WEEK + DAY


@pytest.fixture(scope="module")
def steady() -> list[Seen]:
    """Return twenty-five ordinary weeks."""
    return workforce(25)


@pytest.fixture(scope="module")
def history(steady: list[Seen]) -> list[Seen]:
    """Return twenty ordinary weeks and a Monday."""
    return [event for event in steady if event.time < NOW]


@pytest.fixture(scope="module")
def learnt(history: list[Seen]) -> Watcher:
    """Return a watcher that has learnt from the history; tests take a copy."""
    return warm(history)


@pytest.fixture
def watcher(learnt: Watcher) -> Watcher:
    """Return a copy of the watcher that has learnt."""
    return copy.deepcopy(learnt)


def warm(history: list[Seen], now: int = NOW) -> Watcher:
    """Return a watcher that has learnt from these events."""
    watcher = Watcher(CONFIG)
    watcher.warm([arrivals(history)], now)
    return watcher


def run(watcher: Watcher, events: list[Seen], step: int = 5 * MINUTE) -> list[Strange]:
    """Let the watcher see the events in batches by time."""
    found: list[Strange] = []
    ends = sorted({event.time // step * step + step for event in events})
    for end in ends:
        found += watcher.observe([arrivals([event for event in events if end - step <= event.time < end])], end)
    return found


@pytest.mark.slow
def test_says_what_it_learns_and_until_when(learnt: Watcher) -> None:
    """Two weeks of rules only, then enough windows, then a fitted forest: each in one sentence."""
    watcher = Watcher(CONFIG)
    assert watcher.observe([arrivals([])], START) == []
    assert watcher.state() == "waiting for the first events"
    few = workforce(3, people=1)
    watcher.observe([arrivals([event for event in few if event.time < START + WEEK])], START + WEEK)
    assert watcher.state() == "learning until 2026-01-19"
    watcher.observe([arrivals([event for event in few if event.time >= START + WEEK])], START + 3 * WEEK)
    assert watcher.state().startswith("too little data: ")
    assert learnt.state().startswith("fitted on ")


def test_bulk_delete_from_a_new_address_is_strange_and_says_why(watcher: Watcher) -> None:
    """Figures and the usual beside them, the strongest reasons first."""
    attack = burst(TUESDAY + 10 * HOUR, 40, 10_000_000, action="DELETE", ip="203.0.113.9")
    last = run(watcher, attack)[-1]
    assert (last.kind, last.entity, last.hour, last.events, last.ip) == (
        "actor",
        "p03@example.com",
        TUESDAY + 10 * HOUR,
        40,
        "203.0.113.9",
    )
    assert last.level is Level.high
    assert {"deletes", "address"} <= set(last.groups)
    text = " | ".join(last.reasons)
    assert "deletes" in text
    assert "usual" in text
    assert "address 203.0.113.9 from a network never seen for anybody" in text


@pytest.mark.slow
@pytest.mark.parametrize(
    ("group", "attack"),
    [
        ("deletes", burst(TUESDAY + 10 * HOUR, 15, action="DELETE")),
        ("sensitive", burst(TUESDAY + 10 * HOUR, 12, type_="USER_ROLE")),
        ("time", burst(TUESDAY + 2 * HOUR, 3, ip="203.0.113.9")),
        ("address", burst(TUESDAY + 2 * HOUR, 3, ip="203.0.113.9")),
        ("dormancy", burst(TUESDAY + 80 * DAY + 10 * HOUR, 6, action="DELETE")),
    ],
)
def test_right_group_is_among_the_reasons(watcher: Watcher, group: str, attack: list[Seen]) -> None:
    """Injected behaviour is explained by what was injected."""
    found = run(watcher, attack)
    assert found
    assert group in found[-1].groups


def attacks(rng: random.Random) -> Iterator[tuple[set[str], list[Seen]]]:
    """Yield attacks of eight kinds by anybody, each with the groups of features that say what it was."""
    for _ in range(5):
        number = rng.randrange(12)
        who, home = f"p{number:02}@example.com", f"10.0.{number}.1"
        at = TUESDAY + rng.randrange(10, 15) * HOUR
        mine = partial(burst, actor=who, ip=home)
        yield {"deletes"}, mine(at, rng.randrange(12, 40), 9_000_000, action="DELETE")
        yield {"deletes"}, mine(TUESDAY + 9 * HOUR, rng.randrange(7, 20), 25 * MINUTE, action="DELETE")
        yield (
            {"newness", "sensitive"},
            burst(at, rng.randrange(3, 9), actor="new@example.com", ip="203.0.113.5", type_="USER_ROLE"),
        )
        yield {"address", "time"}, burst(TUESDAY + 3 * HOUR, rng.randrange(2, 9), actor=who, ip="203.0.113.6")
        yield {"sensitive"}, mine(at, rng.randrange(8, 30), type_="USER_ROLE")
        yield {"types", "objects"}, mine(at, rng.randrange(2, 5), type_="NEVER_SEEN")
        yield {"volume", "objects"}, mine(at, rng.randrange(60, 200), 10_000_000)
        yield {"dormancy"}, mine(at + 70 * DAY, rng.randrange(3, 9), action="DELETE")


@pytest.mark.slow
def test_right_group_is_in_the_top_three_nearly_always(history: list[Seen], learnt: Watcher) -> None:
    """At least 95 of 100 attacks are explained by what they were."""
    assert isinstance(learnt.fitted, Fitted)
    named = []
    for right, events in attacks(random.Random(5)):
        windows = copy.deepcopy(learnt.windows)
        window = take_in(windows, events)[-1]
        top = [group for group, _ in learnt.fitted.forest.explain(features([window]))[0][:3]]
        named.append(bool(right & set(top)))
    assert sum(named) >= 0.95 * len(named)


def test_memory_grows_with_actors_and_not_with_time() -> None:
    """Twice the weeks of the same people: no more profiles, no longer trails, no more windows in reach."""
    sizes: list[tuple[int, int, bool]] = []
    for weeks in (5, 10):
        windows = Windows()
        take_in(windows, workforce(weeks, people=6))
        trail = max(len(profile.trail.hours) for profile in windows.profiles.values())
        bounded = trail <= WEEK // HOUR and len(windows.recent) < 6 * 72
        sizes.append((len(windows.profiles), len(windows.classes), bounded))
    assert sizes[0] == sizes[1] == (6, 1, True)


def plain(thing: Any) -> Any:
    """Return something as lists, sets in order, dictionaries as the order of their keys is."""
    if isinstance(thing, np.ndarray):
        return thing.tolist()
    if isinstance(thing, dict):
        return [(key, plain(value)) for key, value in thing.items()]
    if isinstance(thing, tuple):
        return [plain(one) for one in thing]
    if isinstance(thing, set):
        return sorted(thing)
    return plain(vars(thing)) if hasattr(thing, "__dict__") else thing


def figures(watcher: Watcher) -> list[Any]:
    """Return all that a watcher's scores hang on."""
    windows, fitted = watcher.windows, watcher.fitted
    state = (
        windows.table,
        windows.profiles,
        windows.classes,
        windows.places,
        windows.objects,
        windows.alerted,
        watcher.told,
    )
    limits = [fitted.alarm, fitted.high] if isinstance(fitted, Fitted) else [fitted.reason]
    return [*map(plain, state), sorted(windows.recent), plain(watcher.history), limits]


@pytest.mark.slow
@law(4)
@given(
    seed=st.integers(0, 99), sizes=st.lists(st.sampled_from((3, 40, 300)), min_size=1, max_size=9), cut=st.floats(0, 1)
)
def test_any_batches_and_a_restart_give_the_same_figures(seed: int, sizes: list[int], cut: float) -> None:
    """The state that grew event by event is the state that is rebuilt, with late events and alarms in between."""
    dice = random.Random(seed)
    events = workforce(4, people=5, seed=seed)
    events += burst(START + 3 * WEEK + DAY + 10 * HOUR, 30, 10_000_000, action="DELETE")
    arrived = sorted(events, key=lambda event: event.time + (dice.random() < 0.1) * dice.randrange(3 * HOUR))
    watcher = Watcher(CONFIG)
    at, now, restart = 0, 0, int(cut * len(arrived))
    for size in itertools.cycle(sizes):
        batch = arrived[at : at + size]
        if not batch:
            break
        now = max([now, *(event.time for event in batch)])
        watcher.observe([arrivals(batch)], now)
        if at <= restart < at + size:
            before, watcher = watcher, Watcher(CONFIG)
            watcher.warm([arrivals(arrived[: at + size])], now, before.told)
            assert figures(watcher) == figures(before)
        at += size
    rebuilt = Watcher(CONFIG)
    rebuilt.warm([arrivals(arrived)], now, watcher.told)
    assert figures(rebuilt) == figures(watcher)


def test_window_is_told_again_when_it_grows(watcher: Watcher) -> None:
    """Every batch that adds to a strange window tells it again, with its figures of now."""
    found = run(watcher, burst(TUESDAY + 10 * HOUR, 30, MINUTE, action="DELETE"))
    assert len(found) > 2
    assert [one.events for one in found] == sorted({one.events for one in found})
    assert {one.hour for one in found} == {TUESDAY + 10 * HOUR}


@pytest.mark.slow
def test_keeps_to_its_budget_on_steady_work(steady: list[Seen], watcher: Watcher) -> None:
    """Two alarms a week were asked for; five more weeks of the same work give about as many."""
    found = run(watcher, [event for event in steady if event.time >= NOW], HOUR)
    alarms = {(one.entity, one.hour // DAY) for one in found}
    assert 0.4 * 10 <= len(alarms) <= 2 * 10


@pytest.mark.slow
def test_restart_tells_the_same(history: list[Seen], watcher: Watcher) -> None:
    """No model file: what is rebuilt from the events says what the watcher one would have said."""
    more = workforce(2, seed=9, start=NOW + 6 * DAY)
    attack = burst(NOW + 22 * DAY, 9, action="DELETE")
    told = {WindowKey(one.kind, one.entity, one.hour) for one in run(watcher, more, HOUR)}
    now = more[-1].time + HOUR
    watcher.observe([arrivals([])], now)
    restarted = Watcher(CONFIG)
    restarted.warm([arrivals([*history, *more])], now, alerted=told)
    assert restarted.state() == watcher.state()
    assert run(restarted, attack) == run(watcher, attack)


@pytest.mark.slow
def test_excluded_window_is_neither_told_nor_learnt(watcher: Watcher) -> None:
    """Once confirmed as bad, a window is history; the same behaviour is as strange as before."""
    attack = burst(TUESDAY + 10 * HOUR, 20, action="DELETE")
    again = burst(TUESDAY + 12 * DAY + 10 * HOUR, 20, action="DELETE")
    learning, told = watcher, copy.deepcopy(watcher)
    assert run(told, attack[:10])
    told.exclude("actor", "p03@example.com", TUESDAY + 10 * HOUR)
    assert not run(told, attack[10:])
    run(learning, attack)
    later = workforce(1, people=2, seed=8, start=NOW + 6 * DAY)
    scores = [run(one, [*later, *again])[-1].score for one in (learning, told)]
    assert scores[1] > scores[0]


@pytest.mark.slow
def test_address_without_actor_is_watched(history: list[Seen]) -> None:
    """Changes without an actor belong to their address."""
    calls = [seen(START + i * 3 * HOUR, None, ip="192.0.2.5", thing=f"auto-{i % 5}") for i in range(20 * 56)]
    attack = [seen(TUESDAY + i * MINUTE, None, "DELETE", f"p{i % 9}-{i}", "TEAM", "192.0.2.5") for i in range(30)]
    found = run(warm(sorted([*history, *calls], key=lambda event: event.time)), attack)
    assert (found[-1].kind, found[-1].entity) == ("ip", "192.0.2.5")


def test_adjacent_hours_of_one_actor_are_one_alarm() -> None:
    """The budget counts what people receive: a strange morning is one message."""
    keys = [WindowKey("actor", "ann", hour * HOUR) for hour in (1, 2, 3)] + [WindowKey("actor", "bob", HOUR)]
    scores = np.array([9.0, 8.0, 7.0, 6.0])
    assert threshold(keys, scores, 1) == 6.0
    assert threshold(keys, scores, 9) == 6.0


def test_what_rules_and_forest_both_tell_costs_nothing() -> None:
    """They share the budget: an episode of posted rules costs an alarm where the forest does not see it too."""
    keys = [WindowKey("actor", name, HOUR) for name in "abcdefgh"]
    scores = np.array([9.0, 8.0, 7.0, 6.0, 5.0, 4.0, 3.0, 2.0])
    assert threshold(keys, scores, 3) == 6.0
    assert threshold(keys, scores, 3, {keys[0]: 0, keys[1]: 0}) == 4.0  # both pass: as if they were not there
    assert threshold(keys, scores, 3, {keys[6]: 0}) == 7.0  # the rules alone: one alarm of the three is theirs
    assert threshold(keys, scores, 5, {keys[6]: 0}) == threshold(keys, scores, 4) == 5.0
    assert threshold(keys, scores, 5, {keys[6]: 0, keys[7]: 1}) == 5.0  # the forest keeps its part


def test_windows_next_to_an_episode_of_rules_belong_to_it() -> None:
    """As their findings would join its alert: an hour before to an hour after."""
    keys = [WindowKey("actor", "ann", hour * HOUR) for hour in range(8)] + [WindowKey("ip", "ann", 4 * HOUR)]
    found = said(keys, [Episode("actor", "ann", 4 * HOUR + MINUTE, 4 * HOUR + 2 * MINUTE)])
    assert {key.hour // HOUR for key in found} == {3, 4, 5}
    assert {key.kind for key in found} == {"actor"}


def test_shipped_settings_are_the_default() -> None:
    """rules/forest.yml says what holds without it."""
    path = Path(__file__).parent.parent / "rules" / "forest.yml"
    assert parse_config(path.read_text(encoding="utf-8"), "forest.yml") == ForestConfig() == parse_config("", "x")


def test_settings_are_read() -> None:
    """Budget, level, features off."""
    config = parse_config("alarms_per_week: 7\nlevels: {high: 2}\nfeatures: {time: false}\n", "forest.yml")
    assert (config.alarms_per_week, config.high_per_week) == (7, 2)
    assert "time" not in config.groups
    assert "deletes" in config.groups


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("alarms_per_week: 3\nfeature: {}\n", 2, "did you mean features?"),
        ("features:\n  volumes: true\n", 2, "did you mean volume?"),
        ("features:\n  volume: 3\n", 2, "true or false"),
        ("alarms_per_week: many\n", 1, "how many a week"),
        ("alarms_per_week: 0\n", 1, "how many a week"),
        ("alarms_per_week: 1\nlevels:\n  high: 2\n", 3, "more than all"),
        ("- 1\n", 1, "not a mapping"),
        ("a: [\n", 2, "YAML"),
        (
            "features: {" + ", ".join(f"{group}: no" for group in ForestConfig().groups) + "}\n",
            1,
            "all features are off",
        ),
    ],
)
def test_mistake_in_the_settings_is_told_with_its_line(text: str, line: int, says: str) -> None:
    """A typo never switches anything silently."""
    with pytest.raises(RuleError) as error:
        parse_config(text, "forest.yml")
    assert error.value.problems[0].line == line
    assert says in str(error.value)
