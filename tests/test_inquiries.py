"""Was this you? The question to the person, each answer and none at all, and who may answer."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from bot.model import Level
from bot.sandbox.slack_state import Fault
from bot.slack.alert_message import ASK
from bot.slack.cards_message import NO, YES
from bot.store import alerts
from bot.store.people import exceptions, inquiries
from bot.times import DAY, HOUR, MINUTE
from tests.slack_lab import GRACE, NADIA, NOW, Lab, eventually, lab, words
from tests.test_quieting import happens, shown

FATIMA, EMAIL = "U0FATIMA", "fatima.alzahra@corp.example"


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Lab]:
    with lab(tmp_path) as made:
        yield made
        assert made.slack.recorded.refused == []
        assert made.slack.views.refused == []


def ask(bench: Lab, level: Level = Level.high, actor: str = EMAIL) -> tuple[str, str]:
    """Post an alert and ask the person; return the ts of the alert and of the question."""
    _, ts = bench.posted_alert(actor=actor, level=level)
    bench.press(GRACE, ts, ASK)
    [question] = bench.slack.messages("D0FATIMA")
    return ts, str(question["ts"])


def thread(bench: Lab, ts: str) -> str:
    return " ".join(words(bench.slack.messages(thread=ts)).split())


def test_the_question_is_in_plain_words_and_only_its_person_sees_it(bench: Lab) -> None:
    ts, _ = ask(bench)
    [question] = bench.slack.messages("D0FATIMA")
    said = " ".join(words(question).split())
    for part in ("your account fatima.alzahra@corp.example did something unusual", "12 events", "Was this you?"):
        assert part in said
    assert "U0FATIMA was asked; until 2026-11-23 10:00 UTC an answer is waited for" in shown(bench)
    assert "was asked" in thread(bench, ts)
    assert bench.journal("asked")[0][0] == GRACE
    assert ASK not in json.dumps(bench.slack.messages()[0])  # nobody is asked twice


def test_yes_is_evidence_closes_medium_and_quiets_the_same_for_21_hours(bench: Lab) -> None:
    ts, place = ask(bench, Level.medium)
    assert bench.press(FATIMA, place, YES)
    assert bench.submit(FATIMA) == {"reason": "Please complete this required field."}
    assert bench.submit(FATIMA, reason="cleaning <!channel> up") == {}
    assert "yes, that was me (“cleaning <!channel> up”). This is evidence, not proof." in thread(bench, ts)
    assert "Resolved by the bot at 2026-11-23 08:00 UTC as expected" in shown(bench)
    assert "U0FATIMA said yes" in shown(bench)
    assert "You answered yes" in " ".join(words(bench.slack.messages("D0FATIMA")).split())
    assert happens(bench, EMAIL, Level.medium).hidden == "exception 1"
    assert happens(bench, EMAIL, Level.high, later=2 * HOUR).hidden == ""
    assert happens(bench, EMAIL, Level.medium, later=22 * HOUR).hidden == ""


@pytest.mark.parametrize("level", [Level.high, Level.critical])
def test_yes_closes_neither_high_nor_critical(bench: Lab, level: Level) -> None:
    _, place = ask(bench, level)
    bench.press(FATIMA, place, YES)
    bench.submit(FATIMA, reason="it was me")
    assert bench.store.value("SELECT state FROM alerts") == "open"
    assert "Quiet for Bulk delete by one actor until 2026-11-24 05:00 UTC by U0FATIMA" in shown(bench)


def test_no_raises_the_alert_to_high_at_least_and_calls_who_asked(bench: Lab) -> None:
    """Also where it was closed in the meantime: then it is open again. The level stays when findings come and go."""
    ts, place = ask(bench, Level.low)
    bench.resolve(GRACE, ts, "expected")
    bench.press(FATIMA, place, NO)
    assert bench.submit(FATIMA) == {}
    assert bench.slack.messages()[0]["text"].startswith("High")
    assert "Open since" in shown(bench)
    assert "U0GRACE the person answered: no, that was not me. The alert is high at least." in thread(bench, ts)
    happens(bench, EMAIL, Level.low, later=0)
    alert = alerts.alert(bench.store, 1)
    assert alert is not None
    assert (alert.level, alert.floor) == (Level.high, Level.high)


def test_silence_is_told_after_two_hours_once_and_a_late_answer_still_counts(bench: Lab) -> None:
    ts, place = ask(bench)
    assert inquiries.escalate(bench.store, bench.clock() + HOUR) == 0
    bench.clock.leap(2 * HOUR + MINUTE)
    assert inquiries.escalate(bench.store, bench.clock()) == 1
    assert inquiries.escalate(bench.store, bench.clock()) == 0
    bench.deliver()
    assert "U0GRACE no answer to “was this you?” in 2 h" in thread(bench, ts)
    assert "U0FATIMA did not answer in 2 h" in shown(bench)
    bench.press(FATIMA, place, NO)
    bench.submit(FATIMA, reason="on holiday")
    assert "said no at" in shown(bench)


def test_only_the_person_who_was_asked_answers_and_only_once(bench: Lab) -> None:
    """Being allowed to use the bot is neither needed nor enough."""
    _, place = ask(bench)
    bench.press(FATIMA, place, YES)
    held = bench.slack.views.top(FATIMA)
    assert held is not None
    for user in (GRACE, NADIA):
        view = bench.slack.views.described(held)
        trigger = bench.slack.views.new_trigger(user, f"t.{user}")
        stolen = bench.slack.views.open(trigger, {name: view[name] for name in ("type", "title", "submit", "blocks",
            "private_metadata", "callback_id")})["view"]["id"]  # fmt: skip
        bench.slack.requests.submit(user, stolen, {"reason": "not mine"})
        refused = bench.slack.views.top(user)
        assert refused is not None
        assert "asked of somebody else" in words(refused.content["blocks"])
    bench.submit(FATIMA, reason="mine")
    [answered] = bench.journal("answered")
    assert answered[0] == FATIMA
    assert not inquiries.answer(bench.store, 1, FATIMA, yes=False, reason="", now=bench.clock()).done
    assert exceptions.in_force(bench.store, bench.clock())[0].kind == "answer"


def test_whoever_was_asked_may_do_nothing_else(bench: Lab) -> None:
    ts, _ = ask(bench)
    bench.press(FATIMA, ts, "alert_acknowledge")
    eventually(lambda: bench.told(FATIMA))
    assert "You may not use this bot" in bench.told(FATIMA)
    assert bench.store.value("SELECT state FROM alerts") == "open"


@pytest.mark.parametrize("actor", ["ghost@corp.example", "elsa@elsewhere.example"])
def test_where_slack_knows_nobody_the_thread_says_so(bench: Lab, actor: str) -> None:
    """A member of another workspace is nobody here: nothing of the log goes out of the house."""
    _, ts = bench.posted_alert(actor=actor)
    bench.press(GRACE, ts, ASK)
    assert "Nobody could be asked whether it was them: Slack says users_not_found." in thread(bench, ts)
    assert f"Slack knows nobody to ask behind {actor}" in shown(bench)
    assert "D0ELSA" not in bench.slack.channels


def test_a_question_outlives_slacks_absence_and_a_restart(bench: Lab) -> None:
    """What was asked for stands in the store; it goes out when Slack is back, once."""
    _, ts = bench.posted_alert(actor=EMAIL)
    bench.slack.fail("conversations.open", Fault("", 503), times=5)
    bench.press(GRACE, ts, ASK)
    assert "is on its way" in shown(bench)
    assert "D0FATIMA" not in bench.slack.channels
    while bench.slack.fault("conversations.open"):
        pass
    bench.clock.leap(10 * MINUTE)
    bench.postman.recover()
    bench.deliver()
    assert len(bench.slack.messages("D0FATIMA")) == 1
    assert inquiries.get(bench.store, 1).state == "asked"  # type: ignore[union-attr]  # it is there


def test_keys_and_rules_that_do_not_say_so_are_never_asked_about(bench: Lab) -> None:
    _, ts = bench.posted_alert(actor="ci-terraform")
    assert ASK not in json.dumps(bench.slack.messages()[0])
    assert not inquiries.ask(bench.store, 1, GRACE, NOW + DAY).done
    assert not inquiries.ask(bench.store, 77, GRACE, NOW + DAY).done
    assert ts
