"""The real Bolt app against the stand-in over real HTTP: commands, clicks, refusals, signatures."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest

from bot.sandbox.slack_requests import signature
from bot.sandbox.slack_state import ALERTS, TEAM, Fault
from bot.times import HOUR, MINUTE, SECOND
from tests.slack_lab import DANIEL, ELSA, GRACE, GUS, NADIA, NOW, ROBIN, SECRET, Lab, eventually, fill, lab, words

ACKNOWLEDGE, RESOLVE = "alert_acknowledge", "alert_resolve"


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Lab]:
    with lab(tmp_path) as made:
        yield made
        assert made.slack.recorded.refused == []  # nothing in any test goes over a limit of Slack


def state(bench: Lab) -> str:
    return str(bench.store.value("SELECT state FROM alerts"))


# -- /audit


@pytest.mark.parametrize(
    ("line", "parts"),
    [
        (
            "top by:actor last:7d",
            ["Top 1 by actor", "eve@corp.example", "12", "█" * 16, "2026-11-16 09:00 to 2026-11-23"],
        ),
        ("search hour:>=0 action:delete limit:3", ["3 of 12 events, newest first", "svc-0", "svc-2", "192.0.2.66"]),
        ("svc-11", ["1 of 1 event,", "svc-11"]),
        ("count action:delete", ["12 events"]),
        ("timeline last:2h", ["12 events", "Compared"]),
        ("alerts", ["1 alert", "A1", "High", "open"]),
        ("alerts resolved", ["No alerts."]),
        ("show A1", ["Bulk delete by one actor", "nobody has it yet"]),
        ("show A77", ["There is no alert A77."]),
        ("show 1", ["Event 1", "eve@corp.example", "actor_kind", "person"]),
        ("rules", ["1 rule", "Bulk delete by one actor", "stable"]),
        ("status", ["Status of the audit bot", "12 since", "Open alerts"]),
        ("help", ["Ask the audit log", "/audit top by:actor last:7d"]),
        ("", ["Ask the audit log"]),
        ("exceptions", ["No exceptions."]),
        ("actro:eve", ["I cannot read that query.", "actor", "^", "/audit actor:eve"]),
        ("last:99", ["I cannot read that query."]),
        ("“svc-1”", ["events", "svc-1"]),
        ("(" * 200 + "a" + ")" * 200, ["I cannot read that query."]),
        ("a" * 3_900, ["I cannot read that query."]),
    ],
)
def test_audit_answers_the_asker_alone_and_the_journal_knows(bench: Lab, line: str, parts: list[str]) -> None:
    bench.posted_alert()
    answer = bench.ask(line)
    said = words(answer["blocks"] + answer.get("attachments", []))
    for part in parts:
        assert part in said
    [(who, detail)] = bench.journal("query")
    assert who == GRACE
    assert json.loads(detail)["outcome"]
    assert len(bench.slack.messages()) == 1
    assert bench.slack.ephemerals(DANIEL) == []


def test_a_command_delivered_twice_is_answered_once(bench: Lab) -> None:
    url = f"{bench.slack.requests.url}/response/{bench.slack.new_handle(GRACE, ALERTS)}"
    form = {
        "command": "/audit",
        "text": "help",
        "user_id": GRACE,
        "team_id": TEAM,
        "trigger_id": "1.2",
        "response_url": url,
    }
    for _ in range(2):
        assert bench.slack.requests.send(urlencode(form)).status == 200
    eventually(lambda: bench.slack.ephemerals(GRACE))
    bench.ask("status")
    assert len(bench.slack.ephemerals(GRACE)) == 2


def test_an_answer_that_slack_refuses_comes_as_plain_text(bench: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """The stand-in is told to find tables too much; the rows still arrive."""
    fill(bench.store)
    monkeypatch.setattr("bot.sandbox.limits.MAX_ROWS", 2)
    answer = bench.ask("search action:delete limit:5")
    assert "svc-3" in answer["text"]
    assert not answer.get("blocks")
    assert [word for _, word, _ in bench.slack.recorded.refused] == ["invalid_blocks"]
    bench.slack.recorded.refused.clear()


def test_a_store_that_cannot_answer_is_said_in_a_sentence(bench: Lab) -> None:
    bench.store.connection.execute("DROP TABLE addresses")
    assert "I cannot answer that now." in words(bench.ask("search ip:192.0.2.0/24")["blocks"])


def test_a_query_that_cannot_be_journaled_is_not_answered(bench: Lab, caplog: pytest.LogCaptureFixture) -> None:
    fill(bench.store)
    bench.store.connection.execute("DROP TABLE journal")
    said = words(bench.ask("search action:delete")["blocks"])
    assert "Something went wrong" in said
    assert "svc-1" not in said
    assert "could not be worked on" in caplog.text


def test_hostile_names_arrive_as_they_are(bench: Lab) -> None:
    fill(bench.store, "<!channel> `x` *y* :smile: \u202e", count=1)
    answer = bench.ask("search action:delete")
    assert "<!channel> `x` *y* :smile:" in words(answer["blocks"])
    assert "<" not in answer["text"]


# -- clicks


def test_acknowledge_then_resolve_shows_in_the_message_and_in_the_journal(bench: Lab) -> None:
    _, ts = bench.posted_alert()
    assert bench.slack.requests.click(GRACE, ALERTS, ts, ACKNOWLEDGE).status == 200
    eventually(lambda: "Acknowledged" in words(bench.slack.messages()))
    assert GRACE in words(bench.slack.messages())
    bench.resolve(DANIEL, ts, "wrong")
    eventually(lambda: "Resolved" in words(bench.slack.messages()))
    assert state(bench) == "resolved"
    assert [who for who, _ in (*bench.journal("acknowledged"), *bench.journal("resolved"))] == [GRACE, DANIEL]
    assert bench.slack.ephemerals(GRACE) == bench.slack.ephemerals(DANIEL) == []


def test_two_people_click_at_once_and_one_of_them_is_told_so(bench: Lab) -> None:
    _, ts = bench.posted_alert()
    clicks = [
        threading.Thread(target=bench.slack.requests.click, args=(who, ALERTS, ts, ACKNOWLEDGE))
        for who in (GRACE, DANIEL)
    ]
    for click in clicks:
        click.start()
    for click in clicks:
        click.join()
    [told] = eventually(lambda: bench.slack.ephemerals(GRACE) + bench.slack.ephemerals(DANIEL))
    assert "already acknowledged by" in words(told["blocks"])
    assert len(bench.journal("acknowledged")) == 1
    assert len(bench.journal("click")) == 1


def test_the_same_click_delivered_twice_counts_once_and_says_nothing(bench: Lab) -> None:
    _, ts = bench.posted_alert()
    bench.app.poke = lambda: None  # else the message may be drawn again, without the button, before the second one
    for _ in range(2):
        bench.slack.requests.click(GRACE, ALERTS, ts, ACKNOWLEDGE, trigger="7.7")
    bench.settle()
    bench.deliver()
    assert "Acknowledged" in words(bench.slack.messages())
    bench.app.close()
    assert bench.slack.ephemerals(GRACE) == []
    assert len(bench.journal("acknowledged")) == 1


def test_a_click_on_a_closed_alert_is_answered_politely(bench: Lab) -> None:
    _, ts = bench.posted_alert()
    bench.store.connection.execute("UPDATE alerts SET state = 'expired'")
    bench.slack.requests.click(GRACE, ALERTS, ts, RESOLVE)
    [told] = eventually(lambda: bench.slack.ephemerals(GRACE))
    assert "already expired: nothing was changed" in words(told["blocks"])
    assert state(bench) == "expired"


def test_a_click_on_an_alert_that_is_gone_is_answered_politely(bench: Lab) -> None:
    _, ts = bench.posted_alert()
    bench.slack.find(bench.slack.channels[ALERTS], ts)["attachments"][0]["blocks"][-1]["elements"][0]["value"] = "x9"
    bench.slack.requests.click(GRACE, ALERTS, ts, ACKNOWLEDGE)
    [told] = eventually(lambda: bench.slack.ephemerals(GRACE))
    assert "There is no such alert" in words(told["blocks"])


@pytest.mark.parametrize("action", [ACKNOWLEDGE, RESOLVE])
def test_nobody_decides_an_alert_about_themselves(bench: Lab, action: str) -> None:
    _, ts = bench.posted_alert(actor="robin.vance@corp.example")
    bench.slack.requests.click(ROBIN, ALERTS, ts, action)
    [told] = eventually(lambda: bench.slack.ephemerals(ROBIN))
    assert "about you" in words(told["blocks"])
    assert state(bench) == "open"
    assert ROBIN in [who for who, _ in bench.journal("click")]


# -- who may


@pytest.mark.parametrize(("who", "why"), [(NADIA, "not listed"), (GUS, "guest"), (ELSA, "foreign workspace")])
def test_others_are_refused_for_commands_and_clicks_and_it_is_journaled(bench: Lab, who: str, why: str) -> None:
    _, ts = bench.posted_alert()
    assert bench.ask("search last:1d", who)["blocks"]
    bench.slack.requests.click(who, ALERTS, ts, RESOLVE)
    eventually(lambda: len(bench.slack.ephemerals(who)) == 2)
    eventually(lambda: len(bench.journal("refusal")) == 2)
    assert {(name, json.loads(detail)["outcome"]) for name, detail in bench.journal("refusal")} == {(who, why)}
    assert state(bench) == "open"
    assert bench.journal("query") == []


def test_unset_means_nobody_and_the_refusal_says_what_to_set(tmp_path: Path) -> None:
    with lab(tmp_path, AUDIT_BOT_ALLOWED="") as bench:
        assert "AUDIT_BOT_ALLOWED=" in words(bench.ask("help")["blocks"])


def test_old_answers_of_slack_are_trusted_for_an_hour_then_the_bot_is_closed(bench: Lab) -> None:
    bench.ask("help")
    for method in ("usergroups.users.list", "users.info", "auth.test"):
        bench.slack.fail(method, Fault("", 503), times=50)
    bench.clock.leap(10 * MINUTE)
    assert "Ask the audit log" in words(bench.ask("help")["blocks"])
    bench.clock.leap(HOUR)
    assert "I cannot check right now" in words(bench.ask("help")["blocks"])


def test_without_the_scope_to_see_people_nobody_gets_in(bench: Lab) -> None:
    bench.slack.scopes.discard("users:read")
    assert "I cannot check right now" in words(bench.ask("help")["blocks"])


# -- what comes over HTTP


def form() -> str:
    return urlencode({"command": "/audit", "text": "help", "user_id": GRACE, "team_id": TEAM, "trigger_id": "5.5"})


@pytest.mark.parametrize("signed", ["", "v0=" + "0" * 64, signature("another-secret", NOW // SECOND, form()), "v0=ü"])
def test_a_forged_signature_gets_nowhere(bench: Lab, signed: str) -> None:
    assert bench.slack.requests.send(form(), signed=signed).status == 401
    assert bench.journal("query") == bench.journal("refusal") == []


@pytest.mark.parametrize("off", [-6 * 60, 6 * 60])
def test_a_stale_or_early_signature_gets_nowhere(bench: Lab, off: int) -> None:
    assert bench.slack.requests.send(form(), at=bench.clock() // SECOND + off).status == 401


def test_a_changed_body_gets_nowhere(bench: Lab) -> None:
    at = bench.clock() // SECOND
    assert bench.slack.requests.send(form() + "x", at=at, signed=signature(SECRET, at, form())).status == 401


def test_without_a_secret_nothing_comes_in_over_http(tmp_path: Path) -> None:
    with lab(tmp_path, SLACK_SIGNING_SECRET="") as bench:
        bench.slack.requests.signing_secret = ""
        assert bench.slack.requests.send(form()).status == 401


def test_a_body_of_several_megabytes_is_refused(bench: Lab) -> None:
    assert bench.slack.requests.send("x" * 2_000_000).status in (413, 0)


def test_an_unknown_command_or_button_is_no_crash(bench: Lab) -> None:
    answer = bench.slack.requests.command(GRACE, "", ALERTS, command="/other")
    assert answer.status == 404
    assert "failed" in bench.slack.ephemerals(GRACE)[0]["text"]


def test_health_is_answered_plainly(bench: Lab) -> None:
    import http.client

    host = bench.slack.requests.events_url.split("/")[2]
    connection = http.client.HTTPConnection(host, timeout=5)
    connection.request("GET", "/healthz")
    assert connection.getresponse().read() == b"ok\n"
    connection.close()
