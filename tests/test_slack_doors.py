"""The Home tab, the form that builds a query, the shortcuts and the first word in a channel, through the real app."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bot.sandbox.slack_state import ALERTS, GENERAL, Fault
from bot.slack.answers import BUILD, LOOK_UP
from bot.slack.commands import NEXT, SHARE
from bot.slack.doors import JOINED
from bot.slack.listings import REVOKE
from bot.slack.query_form import QUERY_FORM, VERBS
from bot.store import alerts
from bot.store.people import exceptions
from bot.times import DAY
from tests.slack_lab import DANIEL, ELSA, GRACE, GUS, NADIA, NOW, Lab, eventually, fill, lab, words


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Lab]:
    with lab(tmp_path) as made:
        yield made
        assert (made.slack.recorded.refused, made.slack.views.refused) == ([], [])


def home(bench: Lab, user: str = GRACE) -> dict[str, Any]:
    """Open the Home tab, and return what stands there."""
    assert bench.slack.requests.open_home(user).status == 200
    return dict(eventually(lambda: bench.slack.views.home(user)).content)


def modal(bench: Lab, user: str = GRACE) -> Any:
    return eventually(lambda: bench.slack.views.top(user))


def said(bench: Lab, user: str, before: int = 0) -> str:
    """Return the next thing that only this user sees."""
    return words(eventually(lambda: bench.slack.ephemerals(user)[before:])[-1]["blocks"])


# -- Home


def test_home_says_how_the_bot_is_what_waits_with_the_readers_own_first_and_how_to_ask(bench: Lab) -> None:
    bench.posted_alert(actor="<!channel> eve")
    other, _ = bench.posted_alert(actor="mallory")
    alerts.acknowledge(bench.store, other, GRACE, NOW)
    shown = words(home(bench)["blocks"])
    for part in ("How the bot is doing", "Gaps:", "Forest:", "2 alerts", "<!channel> eve", "/audit top", "CET"):
        assert part in shown
    assert shown.index("mallory") < shown.index("<!channel> eve")
    assert ", yours" in shown
    assert f"https://sandbox.slack.test/archives/{ALERTS}/p" in shown


def test_what_i_keep_quiet_is_listed_and_ended_on_the_home_tab(bench: Lab) -> None:
    """Only one's own; what another person approved stands in /audit exceptions."""
    for who, name in ((GRACE, "ci-bot"), (DANIEL, "cron"), (GRACE, "deployer")):
        exceptions.add(bench.store, f"actor:{name}", reason="deploys", author=who, now=NOW, expires=NOW + DAY)
    shown = words(home(bench)["blocks"])
    assert "2 exceptions" in shown
    assert "actor:ci-bot" in shown
    assert "cron" not in shown
    view = bench.slack.views.home(GRACE)
    assert view is not None
    bench.slack.requests.act(GRACE, view.id, REVOKE, {REVOKE: "1"})
    eventually(lambda: "1 exception" in words(view.content["blocks"]) and "ci-bot" not in words(view.content["blocks"]))
    assert exceptions.get(bench.store, 1).removed_by == GRACE


@pytest.mark.parametrize(("who", "why"), [(NADIA, "AUDIT_BOT_ALLOWED"), (GUS, "Guests"), (ELSA, "own workspace")])
def test_home_tells_others_only_whom_to_ask(bench: Lab, who: str, why: str) -> None:
    bench.posted_alert()
    shown = words(home(bench, who)["blocks"])
    assert why in shown
    assert "eve@corp.example" not in shown
    assert "alert" not in shown
    assert "Build a query" not in shown


def test_a_tab_that_is_not_home_changes_nothing(bench: Lab) -> None:
    bench.slack.requests.event({"type": "app_home_opened", "user": GRACE, "tab": "messages"})
    bench.ask("help")
    assert bench.slack.views.home(GRACE) is None


# -- the form


def test_the_form_shows_the_text_that_it_makes_and_asks_it(bench: Lab) -> None:
    fill(bench.store)
    helped = bench.ask("help")
    bench.slack.requests.click(GRACE, ALERTS, helped["ts"], BUILD)
    view = modal(bench)
    assert "/audit search last:24h" in words(view.content["blocks"])
    assert view.content["callback_id"] == QUERY_FORM
    values = {"ask_verb": "top", "ask_actor": "eve*", "ask_time": "last:7d"}
    bench.slack.requests.act(GRACE, view.id, "ask_verb", values)
    eventually(lambda: "/audit top actor:eve* last:7d" in words(view.content["blocks"]))
    assert bench.slack.requests.submit(GRACE, view.id, {**values, "ask_by": "type"}) == {}
    assert "Top 1 by type" in said(bench, GRACE, 1)
    assert bench.slack.views.top(GRACE) is None
    assert bench.journal("query")[-1][0] == GRACE


def test_what_is_wrong_in_the_form_stands_at_its_field(bench: Lab) -> None:
    bench.slack.requests.shortcut(GRACE, BUILD)
    view = modal(bench)
    wrong = bench.slack.requests.submit(GRACE, view.id, {"ask_ip": "10.0.0.0/99", "ask_actor": "eve"})
    assert wrong == {"ask_ip": "`10.0.0.0/99` is not a network."}
    long = {f"ask_{name}": "x," * 99 for name in ("actor", "action", "type", "object")}
    assert bench.slack.requests.submit(GRACE, view.id, long | {"ask_ip": '",' * 99}) == {}


def test_the_answer_to_the_shortcuts_form_comes_as_a_direct_message_that_can_be_gone_on_with(bench: Lab) -> None:
    fill(bench.store, count=30)
    bench.slack.requests.shortcut(GRACE, BUILD)
    bench.slack.requests.submit(GRACE, modal(bench).id, {"ask_object": "svc-*", "ask_time": "last:24h"})
    [message] = eventually(lambda: bench.slack.messages("D0GRACE"))
    assert "20 of 30 events" in words(message["blocks"])
    bench.slack.requests.click(GRACE, "D0GRACE", message["ts"], NEXT)
    eventually(lambda: "21 to 30 of 30 events" in words(bench.slack.messages("D0GRACE")))
    bench.slack.requests.click(GRACE, "D0GRACE", message["ts"], SHARE)
    assert "nobody here to share it with" in said(bench, GRACE)


def test_where_the_bot_is_no_member_the_forms_answer_comes_directly(bench: Lab) -> None:
    bench.slack.requests.command(GRACE, "help", GENERAL)
    helped = eventually(lambda: bench.slack.ephemerals(GRACE))[-1]
    bench.slack.requests.click(GRACE, GENERAL, helped["ts"], BUILD)
    bench.slack.requests.submit(GRACE, modal(bench).id, {"ask_verb": "count"})
    assert "0 events" in words(eventually(lambda: bench.slack.messages("D0GRACE")))


@pytest.mark.parametrize("verb", [value for value, _ in VERBS])
def test_every_verb_of_the_form_is_answered(bench: Lab, verb: str) -> None:
    fill(bench.store)
    bench.slack.requests.shortcut(GRACE, BUILD)
    bench.slack.requests.submit(GRACE, modal(bench).id, {"ask_verb": verb, "ask_time": "since:2000-01-01"})
    eventually(lambda: bench.slack.messages("D0GRACE"))
    assert bench.journal("query")[-1][1].find('"answered"') > 0


def test_the_form_is_not_for_others(bench: Lab) -> None:
    bench.slack.requests.shortcut(NADIA, BUILD)
    assert "You may not use this bot" in words(modal(bench, NADIA).content["blocks"])
    assert eventually(lambda: bench.journal("refusal"))[0][0] == NADIA


# -- looking up what a message names


def test_what_a_message_names_is_looked_up_for_the_asker_alone(bench: Lab) -> None:
    fill(bench.store, "eve@corp.example")
    channel = bench.slack.channels[ALERTS]
    text = "Is <mailto:eve@corp.example|eve@corp.example> one of us?"
    ts = bench.slack.post(channel, {"text": text}, bot_id=None, user=DANIEL)["ts"]
    bench.slack.requests.message_shortcut(GRACE, ALERTS, ts, LOOK_UP)
    answer = said(bench, GRACE)
    assert "12 of 12 events" in answer
    assert "actor:eve@corp.example last:7d" in answer
    nothing = bench.slack.post(channel, {"text": "good morning"}, bot_id=None, user=DANIEL)["ts"]
    bench.slack.requests.message_shortcut(GRACE, ALERTS, nothing, LOOK_UP)
    assert "I see no e-mail address" in said(bench, GRACE, 1)


def test_the_bots_own_alert_can_be_looked_up(bench: Lab) -> None:
    _, ts = bench.posted_alert()
    bench.slack.requests.message_shortcut(GRACE, ALERTS, ts, LOOK_UP)
    assert "12 of 12 events" in said(bench, GRACE)


# -- the first word in a channel


def test_the_first_word_in_a_channel_comes_once_and_says_where_alerts_go(bench: Lab) -> None:
    assert bench.slack.requests.invite(GENERAL).status == 200
    [hello] = eventually(lambda: bench.slack.messages(GENERAL))
    shown = words(hello["blocks"])
    for part in ("audit-bot", "Three things to try", "/audit top by:actor last:7d"):
        assert part in shown
    assert {"type": "channel", "channel_id": ALERTS} in hello["blocks"][3]["elements"][0]["elements"]
    bench.slack.requests.invite(GENERAL)
    bench.slack.requests.invite(ALERTS)
    [here] = eventually(lambda: bench.slack.messages(ALERTS))
    assert "Alerts go  here ." in words(here["blocks"])
    assert len(bench.slack.messages(GENERAL)) == 1


def test_nobody_elses_joining_is_greeted(bench: Lab) -> None:
    bench.slack.requests.invite(GENERAL, NADIA)
    bench.ask("help")
    assert bench.slack.messages(GENERAL) == []


def test_a_greeting_that_failed_comes_at_the_next_invitation(bench: Lab, caplog: pytest.LogCaptureFixture) -> None:
    bench.slack.fail("chat.postMessage", Fault("internal_error"))
    bench.slack.requests.invite(GENERAL)
    eventually(lambda: "could not be worked on" in caplog.text)
    bench.slack.requests.invite(GENERAL)
    eventually(lambda: bench.slack.messages(GENERAL))


def test_an_event_that_comes_twice_is_heard_once(bench: Lab) -> None:
    body = {"type": "event_callback", "team_id": "T0SANDBOX", "event_id": "Ev1",
            "event": {"type": JOINED, "user": "U0AUDITBOT", "channel": ALERTS}}  # fmt: skip
    for _ in range(2):
        assert bench.slack.requests.send(json.dumps(body), kind="application/json").status == 200
    eventually(lambda: bench.slack.messages(ALERTS))
