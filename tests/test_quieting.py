"""Snooze and Expected in Slack: the preview, the second person, who never may, what becomes of what was hidden."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bot.alert import run as alert_run
from bot.alert.routing import Routing
from bot.fields import FactSettings
from bot.model import Finding, Level
from bot.sandbox.slack_state import ALERTS
from bot.slack.alert_message import EXPECT, SNOOZE
from bot.slack.cards_message import APPROVE, END, WITHDRAW
from bot.store import alerts
from bot.store.people import exceptions, proposals
from bot.times import DAY, HOUR, MINUTE
from tests.slack_lab import DANIEL, GRACE, NOW, ROBIN, RULE, Lab, fill, lab, words


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Lab]:
    with lab(tmp_path) as made:
        yield made
        assert made.slack.recorded.refused == []
        assert made.slack.views.refused == []


def card(bench: Lab) -> tuple[str, str]:
    """Return the ts and the words of the newest announcement in the channel."""
    newest = bench.slack.messages()[-1]
    return str(newest["ts"]), " ".join(words(newest).split())


def shown(bench: Lab) -> str:
    return " ".join(words(bench.slack.messages()[0]).split())


def thread(bench: Lab, ts: str) -> list[str]:
    """Return what an alert's thread says, line by line."""
    return [" ".join(words(reply["blocks"]).split()) for reply in bench.slack.messages(thread=ts)]


def happens(bench: Lab, actor: str, level: Level = Level.high, later: int = HOUR) -> Finding:
    """Let the same happen again, later; return the finding as the pass left it."""
    end = NOW + later
    fill(bench.store, actor, end=end)
    fresh = Finding(0, RULE, "Bulk delete by one actor", level, {"actor": actor}, end - 9 * MINUTE, end, 12, actor)
    with bench.store.write():
        stored = alerts.insert_finding(bench.store, fresh, end)
        alert_run.run_once(bench.store, [stored], Routing(), end, history=False, facts=FactSettings())
    bench.deliver()
    return alerts.findings(bench.store, "id = ?", (stored.id,))[0]


def test_a_snooze_says_before_what_it_would_have_hidden_and_hides_that_afterwards(bench: Lab) -> None:
    """The preview counts the alert at hand; the channel hears of the snooze; what it hid stays counted."""
    _, ts = bench.posted_alert()
    view = bench.press(GRACE, ts, SNOOZE)
    assert view is not None
    assert "would have hidden 1 finding with 12 events, and 1 whole alert , which was posted." in " ".join(
        words(view["blocks"]).split()
    )
    assert bench.submit(GRACE, span="4h") == {"reason": "Please complete this required field."}
    assert bench.submit(GRACE, span="4h", reason="planned <!here> clean-up") == {}
    assert "Snoozed until 2026-11-23 12:00 UTC by U0GRACE" in shown(bench)
    _, said = card(bench)
    assert 'U0GRACE snoozed actor:"eve@corp.example" until 2026-11-23 12:00 UTC: planned <!here> clean-up' in said
    assert "In force since 2026-11-23 08:00 UTC" in said
    assert happens(bench, "eve@corp.example").hidden == "exception 1"
    assert happens(bench, "other@corp.example").hidden == ""
    [listed] = exceptions.listing(bench.store, NOW + MINUTE)
    assert (listed.kind, listed.findings, listed.events) == ("snooze", 1, 12)


def test_a_snooze_hides_nothing_worse_than_what_was_there_when_it_was_made(bench: Lab) -> None:
    _, ts = bench.posted_alert(level=Level.medium)
    bench.press(GRACE, ts, SNOOZE)
    bench.submit(GRACE, reason="known")
    assert happens(bench, "eve@corp.example", Level.high).hidden == ""


def test_a_snooze_that_is_ended_hides_no_more_and_its_messages_say_so(bench: Lab) -> None:
    _, ts = bench.posted_alert()
    bench.press(GRACE, ts, SNOOZE)
    bench.submit(GRACE, reason="known")
    place, _ = card(bench)
    bench.press(DANIEL, place, END)
    assert "Ended at 2026-11-23 08:00 UTC by U0DANIEL" in card(bench)[1]
    assert "Snoozed" not in shown(bench)
    assert thread(bench, ts) == ["U0GRACE chose to snooze this for 4 h: known.", "U0DANIEL ended exception 1."]
    assert happens(bench, "eve@corp.example").hidden == ""


def test_a_short_exception_for_one_actor_and_rule_needs_nobody_else(bench: Lab) -> None:
    _, ts = bench.posted_alert()
    bench.press(GRACE, ts, EXPECT)
    assert bench.submit(GRACE, span="7d", reason="the migration") == {}
    [one] = exceptions.in_force(bench.store, bench.clock())
    assert (one.rule, one.condition, one.author) == (RULE, 'actor:"eve@corp.example"', GRACE)
    assert "Expected for Bulk delete by one actor until 2026-11-30" in shown(bench)


@pytest.mark.parametrize(
    ("level", "values", "why"),
    [
        (Level.high, {"span": "30d"}, "it lasts longer than 7 days"),
        (Level.high, {"span": "1d", "scope": "whole"}, "it holds for whatever the rule finds"),
        (Level.critical, {"span": "1d"}, "the alert is critical"),
    ],
)
def test_what_is_long_wide_or_critical_waits_for_a_second_person(
    bench: Lab, level: Level, values: dict[str, str], why: str
) -> None:
    """The form says so beforehand; the author cannot approve it, nobody can twice; then it is in force."""
    _, ts = bench.posted_alert(level=level)
    bench.press(GRACE, ts, EXPECT)
    assert why in bench.choose(GRACE, "span", **values)
    bench.submit(GRACE, reason="agreed", **values)
    place, said = card(bench)
    assert "wants to expect" in said
    assert f"A second person has to approve it within 24 h: {why}" in said
    assert exceptions.in_force(bench.store, bench.clock()) == []
    assert "an exception waits for a second person" in shown(bench)
    bench.press(GRACE, place, APPROVE)
    assert "a second person has to approve it" in bench.told(GRACE)
    bench.press(DANIEL, place, APPROVE)
    assert "In force" in card(bench)[1]
    assert "approved by U0DANIEL" in card(bench)[1]
    assert len(exceptions.in_force(bench.store, bench.clock())) == 1
    assert [who for who, _ in bench.journal("proposed")] == [GRACE]
    assert [who for who, _ in bench.journal("approved")] == [DANIEL]
    assert "waits for a second person" not in shown(bench)
    what = "whatever the rule finds" if "scope" in values else "this"
    asked, agreed = thread(bench, ts)
    assert asked.startswith(f"U0GRACE wants to expect {what} for ")
    assert agreed == "U0DANIEL approved it: the exception is in force."


def test_a_proposal_lapses_after_a_day_and_can_be_withdrawn_before(bench: Lab) -> None:
    _, ts = bench.posted_alert()
    for _ in range(2):
        bench.press(GRACE, ts, EXPECT)
        bench.submit(GRACE, span="90d", reason="agreed")
        bench.clock.leap(2 * MINUTE)
    bench.press(DANIEL, card(bench)[0], WITHDRAW)
    assert "Withdrawn" in card(bench)[1]
    bench.clock.leap(DAY + MINUTE)
    assert proposals.lapse(bench.store, bench.clock()) == 1
    assert not proposals.approve(bench.store, 1, DANIEL, bench.clock()).done
    bench.deliver()
    assert "Lapsed" in words(bench.slack.messages()[1])
    assert thread(bench, ts)[2:] == [
        "U0DANIEL withdrew the exception that was asked for.", "Nobody approved the exception in time: it has lapsed.",
    ]  # fmt: skip
    assert exceptions.in_force(bench.store, bench.clock()) == []


def test_switched_off_nothing_waits(tmp_path: Path) -> None:
    with lab(tmp_path, AUDIT_BOT_TWO_PERSON=False) as bench:
        _, ts = bench.posted_alert(level=Level.critical)
        bench.press(GRACE, ts, EXPECT)
        bench.submit(GRACE, span="90d", scope="whole", reason="agreed")
        assert len(exceptions.in_force(bench.store, bench.clock())) == 1


def test_nobody_asks_for_or_approves_what_would_hide_findings_about_themselves(bench: Lab) -> None:
    """A whole rule may be about somebody whom the alert at hand does not name."""
    _, ts = bench.posted_alert()
    bench.posted_alert(actor="robin.vance@corp.example")
    bench.press(ROBIN, ts, EXPECT)
    bench.submit(ROBIN, scope="whole", reason="noise")
    view = bench.slack.views.top(ROBIN)
    assert view is not None
    assert "would hide findings about you" in words(view.content["blocks"])
    assert proposals.get(bench.store, 1) is None
    bench.press(GRACE, ts, EXPECT)
    bench.submit(GRACE, scope="whole", reason="noise")
    bench.press(ROBIN, card(bench)[0], APPROVE)
    assert "about you" in bench.told(ROBIN)
    assert exceptions.in_force(bench.store, bench.clock()) == []
    assert [json.loads(detail)["action"] for who, detail in bench.journal("click")] == ["expect_form", APPROVE]


def test_a_persons_exceptions_are_capped(bench: Lab) -> None:
    _, ts = bench.posted_alert()
    for number in range(proposals.MOST_EACH):
        exceptions.add(
            bench.store, f"actor:x{number}", reason="x", author=GRACE, now=bench.clock(), expires=bench.clock() + DAY
        )
    bench.press(GRACE, ts, SNOOZE)
    assert "end one of them first" in bench.submit(GRACE, reason="one more")["reason"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "actor", ['a"b\\c*', "*", "<!channel> `x`", "x" * 5_000, "a b, c OR d)", "“curly”", "\u202egnp"]
)
def test_whatever_an_actor_is_called_the_exception_holds_for_it_alone(bench: Lab, actor: str) -> None:
    """A name is never read as a pattern; what cannot be said in a condition is refused, not widened."""
    _, ts = bench.posted_alert(actor=actor)
    bench.press(GRACE, ts, SNOOZE)
    wrong = bench.submit(GRACE, reason="known")
    made = exceptions.in_force(bench.store, bench.clock())
    assert bool(wrong) != bool(made)
    assert happens(bench, "somebody.else@corp.example").hidden == ""
    if made:
        assert happens(bench, actor).hidden == made[0].name


def test_the_same_form_sent_twice_makes_one_exception(bench: Lab) -> None:
    """Whether Slack delivers it twice, or somebody opens and sends the same again at once."""
    _, ts = bench.posted_alert()
    for _ in range(2):
        bench.press(GRACE, ts, SNOOZE)
        wrong = bench.submit(GRACE, reason="known")
    assert "the same a moment ago" in wrong["reason"]
    assert len(exceptions.in_force(bench.store, bench.clock())) == 1
    assert bench.slack.messages(ALERTS)[2:] == []


def test_what_has_no_actor_is_expected_by_rule_and_never_snoozed(bench: Lab) -> None:
    _, ts = bench.posted_alert()
    with bench.store.write() as connection:
        connection.execute("UPDATE alerts SET entity_kind = 'unknown', entity = ''")
    assert bench.press(GRACE, ts, SNOOZE) is None
    assert "nobody to snooze" in bench.told(GRACE)
    with bench.store.write() as connection:
        connection.execute("UPDATE alerts SET entity_kind = 'workspace'")
    assert bench.press(GRACE, ts, EXPECT) is None
    assert "never expected" in bench.told(GRACE)


def buttons(message: dict[str, Any]) -> list[str]:
    blocks = [*message["blocks"], *(b for a in message.get("attachments", ()) for b in a["blocks"])]
    return [element["action_id"] for block in blocks for element in block.get("elements", ()) if "action_id" in element]


def test_an_announcement_offers_what_may_still_be_done(bench: Lab) -> None:
    _, ts = bench.posted_alert()
    bench.press(GRACE, ts, EXPECT)
    bench.submit(GRACE, span="30d", reason="agreed")
    place, _ = card(bench)
    assert buttons(bench.slack.messages()[-1]) == [APPROVE, WITHDRAW]
    bench.press(DANIEL, place, APPROVE)
    assert buttons(bench.slack.messages()[-1]) == [END]
    bench.press(GRACE, place, END)
    assert buttons(bench.slack.messages()[-1]) == []
    assert bench.slack.find(bench.slack.channels[ALERTS], place)["edited"]
