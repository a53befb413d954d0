"""Answers that go on: pages, sharing, files, revoking, each through the real Bolt app against the stand-in."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from bot.charts.drawing import Picture
from bot.fields import FactSettings
from bot.sandbox.slack_state import ALERTS
from bot.slack.blocks import Message
from bot.slack.commands import EXPORT, NEXT, PICTURE, PREVIOUS, SHARE, Commands
from bot.slack.listings import REVOKE
from bot.store.log import events
from bot.store.people import exceptions
from bot.times import DAY, HOUR, MINUTE
from tests.slack_lab import DANIEL, GRACE, NOW, Lab, eventually, fill, lab, record, words


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """Return one laboratory for the tests that only ask."""
    with lab(tmp_path_factory.mktemp("pages")) as made:
        fill(made.store)
        yield made
        assert made.slack.recorded.refused == []


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Lab]:
    with lab(tmp_path) as made:
        fill(made.store)
        yield made
        assert made.slack.recorded.refused == []


def shown(bench: Lab, user: str = GRACE) -> dict[str, Any]:
    """Return the newest thing that only this user sees."""
    return bench.slack.ephemerals(user)[-1]


def objects(message: dict[str, Any]) -> list[str]:
    """Return the column of objects in an answer."""
    [table] = [block for block in message["blocks"] if block["type"] == "table"]
    return [row[-1]["text"] for row in table["rows"][1:]]


def buttons(message: dict[str, Any]) -> list[str]:
    return [element["action_id"] for block in message["blocks"] if block["type"] == "actions"
            for element in block["elements"]]  # fmt: skip


def press(bench: Lab, message: dict[str, Any], action: str, user: str = GRACE, **more: Any) -> dict[str, Any]:
    """Press a button of an answer, and return what then stands in the answer's place."""

    def changed() -> list[dict[str, Any]]:
        same = [one for one in bench.slack.ephemerals(user) if one["ts"] == message["ts"]]
        return [one for one in same if one["blocks"] != message["blocks"]]

    bench.slack.requests.click(user, ALERTS, message["ts"], action, **more)
    [answer] = eventually(changed)
    return dict(answer)


def test_pages_one_after_the_other_are_the_whole_and_lead_back(bench: Lab) -> None:
    """Also when events come in meanwhile, be it that they are older than the page: the question is as it was."""
    first = bench.ask("search action:delete last:1d limit:5")
    assert buttons(first) == [NEXT, SHARE, EXPORT]
    late = [record(NOW - 5 * MINUTE, "DELETE", "late@corp.example", "late"), record(NOW, "DELETE", None, "new")]
    events.add(bench.store, late, events.number_twins(bench.store, late))
    bench.clock.leap(HOUR)
    seen = objects(first)
    second = press(bench, first, NEXT)
    assert "6 to 10 of 12 events, newest first" in words(second["blocks"])
    assert buttons(second) == [PREVIOUS, NEXT, SHARE, EXPORT]
    seen += objects(second)
    third = press(bench, second, NEXT)
    assert buttons(third) == [PREVIOUS, SHARE, EXPORT]
    assert [*seen, *objects(third)] == [f"svc-{n}" for n in range(12)]
    back = press(bench, press(bench, third, PREVIOUS), PREVIOUS)
    assert back["blocks"] == first["blocks"]
    assert len(bench.slack.ephemerals(GRACE)) == 1
    assert [who for who, _ in bench.journal("page")] == [GRACE] * 4


def test_what_is_shared_is_the_same_answer_with_who_shared_it(bench: Lab) -> None:
    page = press(bench, bench.ask("search action:delete limit:5"), NEXT)
    bench.slack.requests.click(GRACE, ALERTS, page["ts"], SHARE)
    [public] = eventually(bench.slack.messages)
    assert objects(public) == objects(page)
    assert words(public["blocks"]).startswith(f"Shared by  {GRACE}")
    assert buttons(public) == []
    bench.slack.requests.click(GRACE, ALERTS, page["ts"], SHARE)
    eventually(lambda: "You shared that" in words(shown(bench)["blocks"]))
    assert len(bench.slack.messages()) == 1
    [(who, detail)] = bench.journal("share")
    assert (who, json.loads(detail)["text"]) == (GRACE, "search action:delete limit:5")


@pytest.mark.parametrize("value", ["", "9", "1:n:5", "x", "1;DROP", "9" * 400, "1:n:1:1:1", "-1"])
def test_a_button_with_a_value_of_ones_own_making_shows_nothing_of_others(shared: Lab, value: str) -> None:
    """A value is numbers; a question is its asker's; what is neither is answered politely."""
    shared.ask("count action:delete", DANIEL)
    answer = shared.ask("search action:delete limit:5")
    for element in next(block for block in _stored(shared, answer)["blocks"] if block["type"] == "actions")["elements"]:
        element["value"] = value if value != "1:n:1:1:1" else f"{int(element['value'].split(':')[0]) - 1}:n:1:1:1"
    page = press(shared, answer, NEXT)
    assert "too old, or not yours" in words(page["blocks"])


def _stored(bench: Lab, message: dict[str, Any]) -> dict[str, Any]:
    found = bench.slack.whispered(message["to"], message["ts"])
    assert found is not None
    return found


def test_a_file_of_all_events_comes_as_a_direct_message(bench: Lab) -> None:
    """More than the page shows, the oldest first, and no cell of it is a formula."""
    odd = [record(NOW - HOUR, "DELETE", "=cmd|'/C calc'!A0", "+1", "@SUM", "-1")]
    events.add(bench.store, odd, events.number_twins(bench.store, odd))
    answer = bench.ask("search action:delete limit:5")
    bench.slack.requests.click(GRACE, ALERTS, answer["ts"], EXPORT)
    [message] = eventually(lambda: bench.slack.messages("D0GRACE"))
    [file] = message["files"]
    assert file["title"] == "13 events, the oldest first."
    with urlopen(file["url_private"]) as response:  # noqa: S310 -- the stand-in's own address
        rows = list(csv.reader(io.StringIO(response.read().decode())))
    assert rows[0] == ["time", "action", "actor", "ip", "object", "type"]
    assert rows[1][2:] == ["'=cmd|'/C calc'!A0", "'-1", "'+1", "'@SUM"]
    assert [row[4] for row in rows[2:]] == [f"svc-{n}" for n in reversed(range(12))]
    assert json.loads(bench.journal("export")[0][1])["outcome"] == "answered"


def test_the_verb_export_sends_the_file_at_once(bench: Lab) -> None:
    assert "comes as a direct message" in words(bench.ask("export actor:eve* last:2h")["blocks"])
    assert eventually(lambda: bench.slack.messages("D0GRACE"))[0]["files"][0]["name"].endswith(".csv")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("line", "title", "alt"),
    [
        ("top by:type on:2026-11-23", "Events by type, 2026-11-23 00:00 to", "SERVICE 12."),
        ("timeline last:3d", "Events, 2026-11-20", "Most: Mon 23 Nov, 12. Empty: 3."),
        ("show 1", "eve@corp.example: events by hour, the last 30 days", "12 events on 1 of 30 days"),
    ],
)
def test_an_answer_has_a_picture_for_who_likes_to_see(bench: Lab, line: str, title: str, alt: str) -> None:
    """It comes as a direct message, with the same figures in words, and stands in the journal."""
    answer = bench.ask(line)
    bench.slack.requests.click(GRACE, ALERTS, answer["ts"], PICTURE)
    [message] = eventually(lambda: bench.slack.messages("D0GRACE"), 15)
    [file] = message["files"]
    assert file["title"].startswith(title)
    assert alt in file["alt_txt"]
    assert json.loads(bench.journal("picture")[0][1])["outcome"] == "answered"


def test_nothing_has_no_picture(shared: Lab) -> None:
    """Nor has a list of events, which a table shows better; nobody draws from somebody else's answer."""
    for line in ("top actor:nobody", "count", "search", "help"):
        assert PICTURE not in buttons(shared.ask(line))
    shared.ask("top")
    [(newest,)] = shared.store.rows("SELECT max(id) FROM questions")
    commands = Commands(shared.store, FactSettings(), shared.clock)
    assert isinstance(commands.picture(DANIEL, str(newest)), Message)
    assert isinstance(commands.picture(GRACE, str(newest)), Picture)


def test_exceptions_are_listed_and_ended_from_the_list(bench: Lab) -> None:
    for name in ("ci-bot", "cron"):
        exceptions.add(bench.store, f"actor:{name}", reason="deploys", author=GRACE, now=NOW, expires=NOW + DAY)
    listed = bench.ask("exceptions")
    assert "2 exceptions in force" in words(listed["blocks"])
    after = press(bench, listed, REVOKE, value="1")
    assert "Exception 1 has ended. 1 exception in force" in words(after["blocks"])
    assert [who for who, _ in bench.journal("unexcepted")] == [GRACE]
    assert "was removed by U0GRACE already" in words(bench.ask("exceptions revoke 1")["blocks"])
    assert "Exception 2 has ended. No exceptions." in words(bench.ask("exceptions revoke 2")["blocks"])
    assert "There is no exception 99" in words(bench.ask("exceptions revoke 99")["blocks"])
    assert "needs the number" in words(bench.ask("exceptions revoke")["blocks"])


def test_times_are_those_of_the_readers_own_zone(shared: Lab) -> None:
    """Grace works in Berlin, Daniel in New York; each day begins where its reader is."""
    assert "2026-11-23 00:00 to 23:59 CET" in words(shared.ask("count on:today")["blocks"])
    assert "2026-11-23 00:00 to 23:59 EST" in words(shared.ask("count on:today", DANIEL)["blocks"])
    assert "Time (EST)" in words(shared.ask("search action:delete", DANIEL)["blocks"])


def test_an_answer_that_takes_long_is_announced_and_then_takes_the_notices_place(shared: Lab) -> None:
    many = [record(NOW - n, "UPDATE", "é", f"thing é {n}") for n in range(5_000)]
    events.add(shared.store, many, events.number_twins(shared.store, many))
    shared.app._asking.patience = 0.02
    try:
        before = len(shared.slack.ephemerals(GRACE))
        shared.slack.requests.command(GRACE, "count " + "é " * 20, ALERTS)
        notice = eventually(lambda: shared.slack.ephemerals(GRACE)[before:])[0]
        assert "Still looking" in words(notice["blocks"])
        eventually(lambda: "5,000 events" in words(shown(shared)["blocks"]))
        assert len(shared.slack.ephemerals(GRACE)) == before + 1
    finally:
        shared.app._asking.patience = 60


@pytest.mark.parametrize(
    ("line", "parts"),
    [
        ("alerts open level:high", ["No alerts"]),
        ("alerts type:SERVICE", ["says nothing about alerts", "^"]),
        ("rules level:high bulk", ["No rules"]),
        ("exceptions ip:10.0.0.0/8", ["says nothing about exceptions"]),
        ("export limit:0", ["I cannot read that query."]),
    ],
)
def test_lists_take_the_keys_that_say_something_about_them(shared: Lab, line: str, parts: list[str]) -> None:
    said = words(shared.ask(line)["blocks"])
    for part in parts:
        assert part in said
