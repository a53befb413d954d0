"""What people do with an alert in Slack: judge, assign, look, share; who may not; nothing twice."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bot.sandbox.slack_state import ALERTS, GENERAL, OPS, Fault
from bot.slack.alert_message import ACKNOWLEDGE, ASSIGN, EVIDENCE, EXPECT, MORE, RESOLVE, SNOOZE
from bot.store.people import judgements
from tests.slack_lab import DANIEL, GRACE, GUS, NADIA, ROBIN, Lab, eventually, lab, words


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Lab]:
    with lab(tmp_path) as made:
        yield made
        assert made.slack.recorded.refused == []  # nothing in any test goes over a limit of Slack
        assert made.slack.views.refused == []


def shown(bench: Lab) -> str:
    return said(bench.slack.messages())


def thread(bench: Lab, ts: str) -> str:
    return said(bench.slack.messages(thread=ts))


def said(message: Any) -> str:
    """Return the texts of a message with single spaces, whatever pieces they come in."""
    return " ".join(words(message).split())


def test_resolve_asks_for_the_judgement_which_message_thread_and_journal_know(bench: Lab) -> None:
    number, ts = bench.posted_alert()
    assert bench.resolve(GRACE, ts, "wrong", "a planned <!channel> clean-up") == {}
    assert "Resolved by U0GRACE" in shown(bench)
    assert "as a false alarm : a planned <!channel> clean-up" in shown(bench)
    assert "resolved it as a false alarm: a planned <!channel> clean-up." in thread(bench, ts)
    assert bench.journal("wrong") == [(GRACE, json.dumps({"alert": number, "note": "a planned <!channel> clean-up"}))]
    buttons = [element.get("action_id") for element in last_row(bench)]
    assert buttons == [EVIDENCE, MORE]  # a closed alert can still be looked at


def last_row(bench: Lab) -> list[dict[str, str]]:
    row: list[dict[str, str]] = bench.slack.messages()[-1]["attachments"][0]["blocks"][-1]["elements"]
    return row


def test_what_was_right_teaches_the_forest_nothing(bench: Lab) -> None:
    """The hours of the alert's findings stay out, whichever rule found them, also when all is rebuilt."""
    _, ts = bench.posted_alert()
    assert judgements.confirmed(bench.store) == ([], -1)
    bench.resolve(GRACE, ts, "right")
    [(kind, who, first, last)], newest = judgements.confirmed(bench.store)
    assert (kind, who) == ("actor", "eve@corp.example")
    assert first < last
    assert judgements.confirmed(bench.store, newest) == ([], newest)


def test_a_form_left_open_over_a_change_says_politely_that_it_is_too_late(bench: Lab) -> None:
    _, ts = bench.posted_alert()
    assert bench.press(GRACE, ts, RESOLVE)
    bench.resolve(DANIEL, ts, "right")
    assert bench.submit(GRACE, verdict="wrong") == {}
    view = bench.slack.views.top(GRACE)
    assert view is not None
    assert "already resolved by U0DANIEL : nothing was changed" in said(view.content["blocks"])
    assert bench.journal("wrong") == []


def test_assign_gives_it_to_somebody_who_may_have_it(bench: Lab) -> None:
    _, ts = bench.posted_alert(actor="robin.vance@corp.example")
    assert bench.press(GRACE, ts, ASSIGN)
    assert bench.submit(GRACE, assignee=NADIA).keys() == {"assignee"}
    assert bench.submit(GRACE, assignee=GUS).keys() == {"assignee"}
    assert "about this person" in bench.submit(GRACE, assignee=ROBIN)["assignee"]
    assert bench.submit(GRACE, assignee=DANIEL) == {}
    assert "Assigned to U0DANIEL by U0GRACE at" in shown(bench)
    assert "U0DANIEL" in thread(bench, ts)
    assert [who for who, _ in bench.journal("assigned")] == [GRACE]
    bench.resolve(DANIEL, ts)
    assert "Resolved by U0DANIEL at" in shown(bench)


@pytest.mark.parametrize("action", [ACKNOWLEDGE, ASSIGN, SNOOZE, EXPECT, RESOLVE])
def test_nobody_decides_about_an_alert_about_themselves(bench: Lab, action: str) -> None:
    """Whatever the button; the refusal is in the journal, the alert as it was."""
    _, ts = bench.posted_alert(actor="robin.vance@corp.example")
    assert bench.press(ROBIN, ts, action) is None
    assert "about you" in bench.told(ROBIN)
    assert [(who, json.loads(detail)["action"]) for who, detail in bench.journal("click")] == [(ROBIN, action)]
    assert bench.store.value("SELECT state FROM alerts") == "open"


def test_a_form_that_somebody_else_s_rights_opened_is_worth_nothing(bench: Lab) -> None:
    """Whoever is no longer allowed when a form is sent is refused in the form itself."""
    _, ts = bench.posted_alert()
    bench.press(GRACE, ts, RESOLVE)
    bench.slack.groups["S0SECURITY"] = (DANIEL,)
    bench.clock.leap(3_600_000_000)
    bench.submit(GRACE, verdict="wrong")
    view = bench.slack.views.top(GRACE)
    assert view is not None
    assert "You may not use this bot" in words(view.content["blocks"])
    eventually(lambda: bench.journal("refusal"))
    assert bench.store.value("SELECT state FROM alerts") == "open"


def test_evidence_and_timeline_show_the_alerts_events_to_the_clicker_alone(bench: Lab) -> None:
    number, ts = bench.posted_alert()
    bench.press(GRACE, ts, EVIDENCE)
    assert "12 of 12 events" in bench.told(GRACE)
    bench.press(DANIEL, ts, MORE, f"timeline:{number}")
    assert "12 events" in bench.told(DANIEL)
    assert len(bench.slack.messages()) == 1


def test_a_note_goes_into_thread_and_journal_and_decides_nothing(bench: Lab) -> None:
    """Also where the alert is closed by then; what it says stays text."""
    number, ts = bench.posted_alert()
    assert bench.press(GRACE, ts, MORE, f"note:{number}")
    for nothing in ("", " \n "):
        assert bench.submit(GRACE, note=nothing).keys() == {"note"}
    bench.resolve(DANIEL, ts)
    assert bench.submit(GRACE, note="called <!here> the owner") == {}
    assert "U0GRACE notes: called <!here> the owner" in thread(bench, ts)
    assert bench.journal("note") == [(GRACE, json.dumps({"alert": number, "note": "called <!here> the owner"}))]
    assert bench.store.value("SELECT state FROM alerts") == "resolved"


def test_the_export_is_a_file_in_the_thread_in_which_no_cell_is_a_formula(bench: Lab) -> None:
    number, ts = bench.posted_alert(actor="=cmd|' /C calc'!A0")
    bench.press(GRACE, ts, MORE, f"export:{number}")
    [file] = bench.slack.files.stored()
    assert file.content is not None
    lines = file.content.decode().splitlines()
    assert (file.name, len(lines)) == ("A1.csv", 13)
    assert lines[1].split(",")[2].startswith("'=cmd")
    assert bench.slack.messages(thread=ts)[-1]["files"]


def test_share_shows_the_alert_elsewhere_without_buttons(bench: Lab) -> None:
    number, ts = bench.posted_alert()
    bench.press(GRACE, ts, MORE, f"share:{number}")
    assert bench.submit(GRACE, place=OPS) == {}
    [copy] = bench.slack.messages(OPS)
    assert "Bulk delete by one actor" in words(copy)
    assert not any(block["type"] == "actions" for block in copy["attachments"][0]["blocks"])
    bench.press(GRACE, ts, MORE, f"share:{number}")
    bench.submit(GRACE, place=GENERAL)
    assert bench.slack.messages(GENERAL) == []
    assert "could not be posted (not_in_channel)" in words(bench.slack.messages(OPS))


def test_the_person_behind_the_actor_is_named_with_a_picture_when_slack_knows_them(bench: Lab) -> None:
    bench.posted_alert(actor="fatima.alzahra@corp.example")
    [portrait] = [b for b in bench.slack.messages()[0]["attachments"][0]["blocks"] if b["type"] == "context"][:1]
    assert portrait["elements"][0]["image_url"].endswith("/avatar/U0FATIMA.svg")
    assert portrait["elements"][1]["text"] == "Fatima Alzahra"


def test_without_an_answer_about_the_person_the_message_shows_the_address(bench: Lab) -> None:
    """A look-up that fails costs the message nothing, and the next messages not even the try."""
    bench.slack.fail("users.lookupByEmail", Fault("", 503), times=2)
    _, ts = bench.posted_alert(actor="fatima.alzahra@corp.example")
    bench.press(GRACE, ts, ACKNOWLEDGE)
    assert "fatima.alzahra@corp.example" in shown(bench)
    assert "avatar" not in json.dumps(bench.slack.messages())
    assert bench.slack.fault("users.lookupByEmail") is not None  # the second was never asked for


@pytest.mark.parametrize("value", ["", "x", "99", "9" * 30, "1; DROP TABLE alerts", "timeline:"])
def test_a_value_that_is_no_id_is_answered_politely(bench: Lab, value: str) -> None:
    _, ts = bench.posted_alert()
    last_button = bench.slack.find(bench.slack.channels[ALERTS], ts)["attachments"][0]["blocks"][-1]["elements"][0]
    last_button["value"] = value
    assert bench.press(GRACE, ts, ACKNOWLEDGE) is None
    assert "There is no such alert" in bench.told(GRACE)
