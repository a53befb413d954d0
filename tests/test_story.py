"""The made-up company and the attacks on it: a log that reads like a real one, told the same way each time."""

from __future__ import annotations

import hashlib
import json
import os
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable
from ipaddress import ip_address, ip_network
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.fields import ACTOR_TYPES
from bot.sandbox.attacks import ATTACKS, KILLED, NEW_ADMIN, STRANGE, attack, demo
from bot.sandbox.objects import areas
from bot.sandbox.story import Told, history, live
from bot.sandbox.workforce import dice, workforce
from bot.times import DAY, HOUR, MINUTE, SECOND, parse_time
from tests.laws import law

NOW = parse_time("2026-03-11T10:00:00Z")  # a Wednesday
SENSITIVE = ("API_KEY", "ALLOW_LIST_ENTRY", "USER_ROLE", "AWS_CONFIGURATION", "GITHUB_CONFIGURATION")
DIGEST = """
import hashlib, json
from bot.sandbox.story import history
told = history(5, {now}, 4)
print(hashlib.sha256(json.dumps([[dict(t.record), t.visible_at, t.actor_type] for t in told]).encode()).hexdigest())
"""


def raw(told: Iterable[Told]) -> str:
    return json.dumps([[dict(t.record), t.visible_at, t.actor_type, t.request_type] for t in told])


@pytest.fixture(scope="module")
def quarter() -> list[Told]:
    return history(7, NOW)


def test_the_same_seed_tells_the_same_bytes_in_any_process() -> None:
    """Neither hash seeds nor caches nor the zone of the machine change a byte."""
    told = [[dict(t.record), t.visible_at, t.actor_type] for t in history(5, NOW, 4)]
    here = hashlib.sha256(json.dumps(told).encode()).hexdigest()
    environment = {**os.environ, "PYTHONHASHSEED": "77", "TZ": "Asia/Tokyo"}
    command = [sys.executable, "-c", DIGEST.format(now=NOW)]
    there = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    assert there.stdout.strip() == here


def test_another_seed_tells_another_story() -> None:
    """The seed is the only source of chance."""
    assert raw(history(1, NOW, 2)) != raw(history(2, NOW, 2))


@law(10)
@given(st.lists(st.integers(0, 3 * DAY), max_size=8))
def test_slices_of_any_size_join_to_the_whole(cuts: list[int]) -> None:
    """Cutting a period anywhere loses nothing, doubles nothing and keeps the order."""
    edges = [NOW, *(NOW + cut for cut in sorted(cuts)), NOW + 3 * DAY]
    sliced = [told for start, end in pairwise(edges) for told in live(7, start, end)]
    assert raw(sliced) == raw(live(7, NOW, NOW + 3 * DAY))


def test_history_goes_on_where_it_ends() -> None:
    """What is told live after `until` is what a later history would have told."""
    assert raw(history(7, NOW, 2) + live(7, NOW, NOW + DAY)) == raw(history(7, NOW + DAY, 3))


@pytest.mark.slow
def test_a_working_day_has_some_hundred_events_and_a_weekend_fewer(quarter: list[Told]) -> None:
    """The volume is that of a mid-sized portal, and people rest."""
    days = Counter(told.time // DAY for told in quarter)
    working = sorted(count for day, count in days.items() if (day + 3) % 7 < 5)
    weekend = sorted(count for day, count in days.items() if (day + 3) % 7 > 4)
    assert 150 <= working[len(working) // 2] <= 400
    assert weekend[len(weekend) // 2] < working[len(working) // 2] / 2


def test_records_have_the_shape_of_the_api(quarter: list[Told]) -> None:
    """Six fields, of which actor and address may be missing or null; times with milliseconds and Z, in order."""
    for told in quarter:
        assert {"action", "objectIdentifier", "objectType", "timestamp"} <= told.record.keys()
        assert parse_time(told.record["timestamp"] or "") == told.time
        assert told.actor_type in ACTOR_TYPES
        assert 0 <= told.visible_at - told.time <= 60 * SECOND
    assert [told.time for told in quarter] == sorted(told.time for told in quarter)
    timestamps = {len(told.record["timestamp"] or "") for told in quarter}
    assert timestamps == {len("2026-03-11T10:00:00.000Z")}


def test_gitops_shows_no_actor_and_no_address_in_both_spellings(quarter: list[Told]) -> None:
    """Fields left out and fields that are null both occur."""
    nameless = [told.record for told in quarter if told.record.get("actorIdentifier") is None]
    assert {"actorIdentifier" in record for record in nameless} == {True, False}
    assert all(record.get("ipAddress") is None for record in nameless)


def test_some_sixty_actors_take_part_most_of_them_people(quarter: list[Told]) -> None:
    """People by e-mail, keys by name, and one without a name."""
    actors = {told.record.get("actorIdentifier") for told in quarter}
    people = {actor for actor in actors if actor and actor.endswith("@corp.example")}
    assert 50 <= len(people) <= len(actors) <= 70
    assert {"deploy-bot", "backstage-sync", "ci-terraform", None} <= actors


def test_objects_are_created_before_they_change_and_rest_when_they_are_deleted(quarter: list[Told]) -> None:
    """Nobody touches what does not exist: creation comes first, deletion last, in every object's life."""
    lives: dict[tuple[str | None, str | None], list[str | None]] = {}
    for told in quarter:
        lives.setdefault((told.record["objectType"], told.record["objectIdentifier"]), []).append(told.record["action"])
    for thing, life in lives.items():
        assert "CREATE" not in life[1:], f"{thing} is touched before its creation"
        assert "DELETE" not in life[:-1], f"{thing} is touched after its deletion"
    assert sum(life[0] == "CREATE" for life in lives.values()) > 100
    assert sum(life[-1] == "DELETE" for life in lives.values()) > 100


def test_late_events_and_twins_are_few_but_real(quarter: list[Told]) -> None:
    """A few percent show late, about one percent has an identical twin."""
    late = sum(told.visible_at > told.time for told in quarter) / len(quarter)
    twins = sum(count - 1 for count in Counter(map(str, (dict(told.record) for told in quarter))).values())
    assert 0.01 < late < 0.06
    assert 0.002 < twins / len(quarter) < 0.03


def test_sensitive_changes_are_rare_and_by_the_same_few_people_from_the_office(quarter: list[Told]) -> None:
    """Three administrators and the office network: what else there is deserves an alert."""
    found = [told.record for told in quarter if told.record["objectType"] in SENSITIVE]
    admins = workforce(7).admins
    assert {record.get("actorIdentifier") for record in found} == {admin.name for admin in admins}
    assert {record.get("ipAddress") for record in found} == {admin.desk for admin in admins}
    assert len(found) < len(quarter) / 100


def test_addresses_are_from_ranges_that_belong_to_nobody(quarter: list[Told]) -> None:
    """Only documentation and benchmark networks, and never the attackers' one."""
    nobody = [ip_network(n) for n in ("198.51.100.0/24", "203.0.113.0/24", "198.18.0.0/15", "2001:db8::/32")]
    for address in {told.record.get("ipAddress") for told in quarter} - {None}:
        assert any(ip_address(str(address)) in network for network in nobody)
        assert address not in STRANGE


def test_people_keep_their_hours_and_holidays() -> None:
    """In a year each person works most days but not all, at the hours of the own zone."""
    for person in workforce(3).people:
        worked = [day for day in range(20_000, 20_365) if person.at_work(day)]
        assert 150 < len(worked) < 262
        moments = [person.moment(day, dice(day)) - day * DAY for day in worked]
        assert max(moments) - min(moments) < 12 * HOUR


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_is_told_the_same_way_for_the_same_chance(name: str) -> None:
    """Oldest first, from its start on, the same bytes again."""
    told = attack(name, NOW, random.Random(4), workforce(7))
    assert raw(told) == raw(attack(name, NOW, random.Random(4), workforce(7)))
    assert told[0].time >= NOW
    assert [event.time for event in told] == sorted(event.time for event in told)
    assert ATTACKS[name].__doc__


def test_a_stolen_key_sweeps_many_types_and_then_deletes_services_within_minutes() -> None:
    """A dozen types, then 46 different services in under five minutes, from a network that nobody uses."""
    told = attack("stolen-key", NOW, random.Random(4), workforce(7))
    swept = {event.record["objectType"] for event in told if event.record["action"] == "UPDATE"}
    deleted = {event.record["objectIdentifier"] for event in told if event.record["action"] == "DELETE"}
    assert len(swept) >= 10
    assert len(deleted) == KILLED
    assert told[-1].time - told[0].time < 5 * MINUTE
    assert {(event.record["actorIdentifier"], event.record["ipAddress"]) for event in told} == {
        ("ci-terraform", STRANGE[0])
    }


def test_a_leaving_employee_never_deletes_ten_things_in_ten_minutes() -> None:
    """Low and slow: 34 on the last day, yet two never within ten minutes."""
    told = attack("leaving-employee", NOW, random.Random(4), workforce(7))
    assert all(later.time - sooner.time > 10 * MINUTE for sooner, later in pairwise(told))
    assert sum(event.time > told[-1].time - DAY for event in told) >= 34
    assert len({event.record["objectIdentifier"] for event in told}) == len(told)


def test_a_new_admin_opens_the_allow_list_and_makes_a_key() -> None:
    """Never seen before, and the first acts are the worst."""
    told = attack("new-admin", NOW, random.Random(4), workforce(7))
    assert NEW_ADMIN not in {person.name for person in workforce(7).people}
    made = [(e.record["objectType"], e.record["objectIdentifier"]) for e in told if e.record["action"] == "CREATE"]
    assert made[0] == ("ALLOW_LIST_ENTRY", "0.0.0.0/0")
    assert "API_KEY" in {kind for kind, _ in made}


def test_a_shared_address_has_five_actors_within_a_quarter_of_an_hour() -> None:
    """One address, several known people, none of whom was there before."""
    told = attack("shared-address", NOW, random.Random(4), workforce(7))
    assert {event.record["ipAddress"] for event in told} == {STRANGE[3]}
    assert len({event.record["actorIdentifier"] for event in told}) == 5
    assert told[-1].time - told[0].time < 15 * MINUTE


def test_what_attackers_delete_is_not_touched_again(quarter: list[Told]) -> None:
    """The company works on other services, so that the story stays one of objects that exist."""
    quiet = {thing.name for area in areas(7).values() for thing in area.quiet}
    killed = {told.record["objectIdentifier"] for told in demo(7, NOW) if told.record["action"] == "DELETE"}
    assert killed <= quiet
    assert not quiet & {told.record["objectIdentifier"] for told in quarter}


def first(told: list[Told], actor: str) -> int:
    return next(event.time for event in told if event.record.get("actorIdentifier") == actor) - NOW


def test_the_demo_tells_its_attacks_one_after_the_other() -> None:
    """The key after 15 s, the admin after a minute, the employee's thirtieth deletion of the day after 150 s."""
    told = demo(7, NOW)
    assert first(told, "ci-terraform") == 15 * SECOND
    assert first(told, NEW_ADMIN) == 60 * SECOND
    leaver = workforce(7).team("search")[-1].name
    ahead = [event.time for event in told if event.record["actorIdentifier"] == leaver and event.time > NOW]
    assert 140 * SECOND < ahead[0] - NOW < 160 * SECOND
    assert len(ahead) == 5


def test_a_fast_demo_is_five_times_quicker_and_has_the_same_past() -> None:
    """Only what lies ahead comes sooner."""
    slow, fast = demo(7, NOW), demo(7, NOW, fast=True)
    assert len(slow) == len(fast)
    assert first(fast, "ci-terraform") == 3 * SECOND
    assert raw(e for e in slow if e.time <= NOW) == raw(e for e in fast if e.time <= NOW)
    assert all(parse_time(event.record["timestamp"] or "") == event.time for event in fast)
