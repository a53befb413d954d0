"""`audit-bot explain`: the map in the terminal says what the store says, and facts are said in words."""

from __future__ import annotations

import re
from datetime import UTC
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.activity import Activity, gather, shade, shade_bounds
from bot.event_words import event_words, headline
from bot.fields import FACTS
from bot.model import Event
from bot.terminal.heat_text import PLAIN_SHADES, SHADES, heat_lines
from bot.times import DAY, HOUR, MINUTE, parse_time
from tests.conftest import START
from tests.laws import law
from tests.test_activity import END, TIMES, ZONES, quarters

QUIET = re.compile(r"\((\d+) days without an event\)")


@law()
@given(TIMES, st.sampled_from(ZONES), st.integers(0, 40 * HOUR), st.sampled_from([SHADES, PLAIN_SHADES]))
def test_the_map_in_the_terminal_can_be_read_back(times: list[int], zone: str, long: int, shades: str) -> None:
    """Every day has its line or is counted as quiet, every hour its shade, and brackets stand around the episode."""
    shown = gather(quarters(times), "eve", ZoneInfo(zone), END, (END - long, END))
    _, *lines, legend = heat_lines(shown, shades)
    days = list(zip(shown.days, shown.counts, strict=True))
    for line in lines:
        if quiet := QUIET.search(line):
            for _ in range(int(quiet[1])):
                assert not any(days.pop(0)[1])
            continue
        day, row = days.pop(0)
        assert line.startswith(f"{day:%a %e %b}")
        cells, total = line[11:60], line[60:].replace(",", "")
        bounds = shade_bounds(shown.most)
        assert [shades.index(one) for one in cells[1:48:2]] == [shade(count, bounds) for count in row]
        assert int(total or 0) == sum(row)
        assert inside_brackets(cells) == [hour for hour in range(24) if (day, hour) in shown.marked]
    assert days == []
    assert legend.strip().startswith(f"{shades[0]} none")


def inside_brackets(cells: str) -> list[int]:
    """Return the hours that stand between [ and ]."""
    found, inside = [], False
    for hour in range(24):
        edge = cells[2 * hour]
        inside = edge == "[" or (inside and edge != "]")
        found += [hour] * inside
    return found


# -- events in words -------------------------------------------------------------------------------------------------
def said(facts: dict[str, Any], activity: Activity | None = None) -> dict[str, bool]:
    """Return the sentences about an event with some facts, each with whether it is marked."""
    event = Event(END, 1, "DELETE", "eve@corp.example", "192.0.2.1", "svc-1", "SERVICE", facts)
    shown = activity or gather([(END, 1)], "eve@corp.example", UTC, END, (END, END))
    return {one.text: one.unusual for one in event_words(event, shown)}


@pytest.mark.parametrize("fact", [fact.name for fact in FACTS if fact.kind == "bool"])
def test_every_fact_that_can_be_true_is_said(fact: str) -> None:
    """A fact that rules may use and people never see explained would be a riddle."""
    known = {"actor_new": False, "network_new_for_actor": False}
    assert set(said({**known, fact: True})) - set(said(known))


@pytest.mark.parametrize(
    ("facts", "sentence", "unusual"),
    [
        ({"actor_new": True}, "It is the actor's first event ever.", True),
        ({"actor_new": False, "actor_age_days": 63.0}, "The actor's first event was 63 days before.", False),
        ({"actor_new": False, "actor_age_days": 2.0}, "The actor's first event was 2 days before.", True),
        ({"actor_idle_days": 0.25}, "The actor's previous event was 6 h before.", False),
        ({"actor_idle_days": 40.0}, "The actor's previous event was 40 days before.", True),
        (
            {"actor_age_days": 60.0, "ip_age_days_for_actor": 0.1},
            "The actor's first event from 192.0.2.1 was 2 h before.",
            True,
        ),
        (
            {"actor_age_days": 0.2, "ip_age_days_for_actor": 0.1},
            "The actor's first event from 192.0.2.1 was 2 h before.",
            False,
        ),
        ({"ip_new": True}, "It is the first event ever from 192.0.2.1.", True),
        ({"object_by_other": True}, "The object was last created by another actor.", True),
        ({"object_by_other": False}, "The object was last created by the same actor.", False),
        ({"off_hours": False}, "Mon 12:00 is within working hours.", False),
        ({"usual_deletes": 0.5}, "Usual for this actor: 0.5 deletes a day.", False),
        ({}, "What is new for whom is not known in the first 14 days of the log.", False),
    ],
)
def test_facts_are_said_with_what_is_unusual_marked(facts: dict[str, Any], sentence: str, unusual: bool) -> None:
    assert said(facts)[sentence] == unusual


def test_the_usual_stands_beside_the_hour_and_what_is_unusual_comes_first() -> None:
    """Three o'clock at night may be anybody's working time; what the actor did at that hour before says so."""
    times = [END - 9 * HOUR - day * DAY for day in (0, 1, 2, 5)]
    shown = gather(quarters(times), "eve@corp.example", UTC, times[0], (times[0], times[0]))
    words = said({"off_hours": True, "actor_new": False}, shown)
    assert "At this hour on the 29 days before: 3 events on 3 days." in words
    assert list(words.values()) == sorted(words.values(), reverse=True)
    nights = [END + hour * HOUR - day * DAY for day in range(12) for hour in (0, -9 * (day == 0))]
    odd = said({}, gather(quarters(nights), "eve@corp.example", UTC, END, (END - 9 * HOUR, END - 9 * HOUR)))
    assert odd["At this hour on the 29 days before: nothing."]
    event = Event(times[0], 7, "DELETE", None, None, "svc\n-1", "SERVICE")
    assert headline(event, shown) == "DELETE of svc\n-1 (SERVICE) by nobody named, Mon 9 Nov 2026 03:00:00 UTC."


def test_names_from_the_log_cannot_steer_the_terminal() -> None:
    from bot.show import plain

    event = Event(parse_time("2026-03-01"), 1, "DELETE", "\x1b[2Jeve\n", "1.2.3.4", "x", "T", {"ip_new": True})
    shown = gather([], "\x1b[2Jeve\n", UTC, START, (START, START + MINUTE))
    for text in (headline(event, shown), shown.words(), *(one.text for one in event_words(event, shown))):
        assert plain(text).isprintable()
