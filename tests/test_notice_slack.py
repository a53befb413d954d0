"""The notice of a storm in Slack: the real Bolt app against the stand-in, from the flood to the last click."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.alert import follow
from bot.alert import run as alert_run
from bot.alert.pictures import Illustrator
from bot.alert.routing import Routing
from bot.fields import FactSettings
from bot.model import Alert, Entity, Finding, Level, Rule
from bot.sandbox.limits import refusal
from bot.sandbox.slack_state import ALERTS, GROUP
from bot.slack.blocks import Message, check_limits, payload
from bot.slack.desk import Gesture, RefusedError
from bot.slack.notice_message import LISTED, list_answer, notice_message
from bot.store import alerts
from bot.store.messages import pictures
from bot.store.messages.notices import Notice, NoticeView
from bot.store.messages.outbox import put
from bot.times import MINUTE
from tests.laws import law
from tests.slack_lab import DANIEL, GRACE, NADIA, NOW, RULE, Lab, eventually, lab, words

HOSTILE = "<!channel> `x` *y* \u202e:smile:"


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Lab]:
    with lab(tmp_path) as made:
        yield made
        assert made.slack.recorded.refused == []


def flood(bench: Lab, count: int, level: Level = Level.medium, routing: Routing | None = None, who: str = "a") -> None:
    """Let so many actors do the same at once, one with a hostile name, and post what follows."""
    alerts.remember_rules(
        bench.store, [Rule(RULE, "Bulk delete by one actor", level, file="deletion/bulk.yml", line=3)]
    )
    names = [HOSTILE if who == "a" and n == count - 1 else f"{who}{n}@corp.example" for n in range(count)]
    with bench.store.write():
        found = [
            alerts.insert_finding(
                bench.store,
                Finding(0, RULE, "Bulk delete by one actor", level, {"actor": name}, NOW, NOW, 9, name),
                NOW,
            )
            for name in names
        ]
        now = bench.clock()
        alert_run.run_once(bench.store, found, routing or Routing(), now, history=False, facts=FactSettings())
    bench.deliver()


def test_the_notice_lists_and_opens_what_it_stands_for(bench: Lab) -> None:
    """The list and the opened alert are for the clicker alone; the opened one has its buttons."""
    flood(bench, 14)
    assert len(bench.slack.messages()) == 11
    notice = bench.slack.messages()[-1]
    said = words(notice)
    for part in ("Storm: 4 alerts beyond the limit, the worst medium.", "4 medium", "Bulk delete by one actor (4)"):
        assert part in said
    assert "<!channel>" not in notice["text"]
    ts = str(notice["ts"])
    bench.slack.requests.click(GRACE, ALERTS, ts, "notice_list")
    [listed] = eventually(lambda: bench.slack.ephemerals(GRACE))
    assert "4 alerts of 4, the most urgent first" in words(listed)
    assert "open, in a storm" in words(listed)
    assert HOSTILE.replace("\u202e", "") in words(listed)
    bench.slack.requests.click(GRACE, ALERTS, listed["ts"], "notice_open_12")
    opened = eventually(lambda: bench.slack.ephemerals(GRACE)[1:])[0]
    assert "a11@corp.example" in words(opened)
    bench.slack.requests.click(GRACE, ALERTS, opened["ts"], "alert_resolve")
    eventually(lambda: bench.slack.views.top(GRACE))
    assert bench.submit(GRACE, verdict="wrong") == {}
    assert "3 open, 1 resolved" in words(bench.slack.messages()[-1])
    assert [json.loads(detail) for _, detail in bench.journal("listed")] == [{"found": True, "notice": "1"}]
    assert bench.slack.ephemerals(NADIA) == []


def test_whoever_opens_an_alert_of_a_notice_finds_its_picture_in_the_notices_thread(bench: Lab) -> None:
    """Once, however many look; one that gets a message of its own later has a picture there as well."""
    flood(bench, 12)
    notice = str(bench.slack.messages()[-1]["ts"])
    drawn = Illustrator(bench.store, bench.app, bench.clock)
    for user in (GRACE, GRACE, DANIEL):
        bench.app._buttons["notice_open"](Gesture("notice_open", "11", user, None))
    assert drawn.run_once(20) == 1
    [reply] = bench.slack.messages(thread=notice)
    assert [file["name"] for file in reply["files"]] == ["A11.png"]
    bench.store.connection.execute("UPDATE alerts SET ts = '7.7', channel = ? WHERE id = 11", (ALERTS,))
    for _ in range(2):
        pictures.take_note(bench.store, bench.clock())
        assert bench.store.rows("SELECT ts, state FROM pictures WHERE alert = 11") == [("7.7", "pending")]


def test_others_may_not_list(bench: Lab) -> None:
    """The guard stands before every button."""
    flood(bench, 11)
    bench.slack.requests.click(NADIA, ALERTS, str(bench.slack.messages()[-1]["ts"]), "notice_list")
    [told] = eventually(lambda: bench.slack.ephemerals(NADIA))
    assert "a10" not in words(told)
    assert bench.journal("listed") == []


def test_what_is_decided_about_a_rolled_up_alert_shows_in_the_notice(bench: Lab) -> None:
    """It has no message of its own, so whoever clicks is told in words."""
    flood(bench, 11)

    def press(button: str, value: str) -> Message | None:
        return bench.app._buttons[button](Gesture(button, value, GRACE, None))

    opened = press("notice_open", "11")
    assert opened is not None
    assert any(block["type"] == "actions" for block in opened.details)
    said = press("alert_acknowledge", "11")
    assert said is not None
    assert said.text == "You have acknowledged A11."
    assert "1 acknowledged" in words(bench.slack.messages()[-1])
    with pytest.raises(RefusedError, match="There is no such alert"):
        press("notice_open", "99")
    nothing = press("notice_list", "x")
    assert nothing is not None
    assert nothing.text.startswith("There is no such alert")


def test_a_storm_that_is_over_says_so(bench: Lab) -> None:
    """The last line of the notice."""
    flood(bench, 11)
    bench.clock.leap(11 * MINUTE)
    follow.run_once(bench.store, Routing(), bench.clock(), UTC)
    bench.deliver()
    assert "The storm is over: 1 alert, 2026-11-23 08:00 UTC." in words(bench.slack.messages()[-1])


NAMES = st.text(max_size=40) | st.sampled_from([HOSTILE, "<https://x|y>", "`" * 50, "\u202e" * 9, "x" * 5000])


@law(12)
@given(
    names=st.lists(NAMES, min_size=1, max_size=4),
    count=st.sampled_from([1, 2, 30, 95]),
    title=NAMES,
    kind=st.sampled_from(["storm", "rate", "held"]),
    rules=st.integers(1, 9),
)
def test_names_in_a_notice_never_act_and_every_limit_is_kept(
    names: list[str], count: int, title: str, kind: Any, rules: int
) -> None:
    """Whatever strangers write, and however much of it."""
    listed = [
        Alert(n, Entity("actor", names[n % len(names)]), Level.high, 60, "open", "posted, in a storm", NOW, NOW, NOW, 9)
        for n in range(1, count + 1)
    ]
    notice = Notice(1, kind, RULE, "", Level.high, NOW, NOW, NOW, NOW if rules % 2 else None)
    view = NoticeView(
        notice, count, rules - 1, {Level.high: count}, {"open": count}, tuple((f"{title}{n}", 3) for n in range(rules)),
        tuple((one, title) for one in listed[:3]), Rule(RULE, title, Level.high, file=title, line=3),
    )  # fmt: skip
    for shown in (notice_message(view), list_answer(view, listed[:LISTED], UTC)):
        body = payload(shown)
        assert check_limits(shown) == []
        assert refusal(body) is None
        assert "<" not in body["text"]
        assert "mrkdwn" not in json.dumps([body["blocks"], body.get("attachments")])


def test_whom_a_reminder_calls_is_mentioned_and_nobody_else(bench: Lab) -> None:
    """Only ids of the routing file become mentions; what a name says stays text."""
    number, ts = bench.posted_alert(actor="<!channel> <@U0NADIA>")
    put(bench.store, "reply", NOW, alert=number, body="about <!channel> <@U0NADIA>", mention=(GROUP, GRACE))
    bench.deliver()
    [reply] = bench.slack.messages(thread=ts)
    elements = reply["blocks"][0]["elements"][0]["elements"]
    assert [element["type"] for element in elements] == ["usergroup", "text", "user", "text", "text"]
    assert elements[-1]["text"] == "about <!channel> <@U0NADIA>"
    assert "<" not in reply["text"]
