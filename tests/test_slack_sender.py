"""The Sender over real HTTP: posting, redrawing, finding again, and what each failure of Slack means."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from bot.errors import ConfigError, DeliveryError
from bot.model import AlertView
from bot.sandbox.slack import FakeSlack, fake_slack
from bot.sandbox.slack_state import ALERTS, ARCHIVED, GENERAL, OPS, Fault
from bot.serving import serve
from bot.slack.sender import SlackSender
from bot.store import alerts
from bot.store.schema import Store
from bot.times import HOUR
from tests.slack_lab import NOW, SECRET, Clock, all_taken, eventually, lab, seed_alert, settings, words


class Desk:
    """A sender, its Slack and one alert."""

    def __init__(self, slack: FakeSlack, sender: SlackSender, view: AlertView) -> None:
        self.slack, self.sender, self.view = slack, sender, view

    def post(self, channel: str = ALERTS) -> str:
        return self.sender.post_alert(channel, self.view, repeat=False)[1]


@pytest.fixture
def desk(store: Store) -> Iterator[Desk]:
    clock = Clock()
    fake, slack = fake_slack("", SECRET, clock)
    number = seed_alert(store)
    view = alerts.view(store, number, NOW)
    assert view is not None
    with serve(fake) as server:
        yield Desk(slack, SlackSender(settings(server.url), clock), view)
        all_taken(slack)


def test_a_posted_alert_stands_in_the_channel_with_its_id_as_metadata(desk: Desk) -> None:
    channel, ts = desk.sender.post_alert(ALERTS, desk.view, repeat=False)
    [message] = desk.slack.messages()
    assert (channel, ts) == (ALERTS, message["ts"])
    assert message["metadata"]["event_payload"] == {"alert_id": desk.view.alert.id}
    assert desk.slack.recorded.refused == []
    _, given = next(call for call in desk.slack.recorded.calls if call[0] == "chat.postMessage")
    assert (given["unfurl_links"], given["unfurl_media"], given["mrkdwn"]) == (False, False, False)


def test_a_channel_may_be_named_and_the_id_comes_back(desk: Desk) -> None:
    assert desk.sender.post_alert("#security-alerts", desk.view, repeat=False)[0] == ALERTS


def test_an_update_replaces_what_the_message_says(desk: Desk) -> None:
    ts = desk.post()
    changed = AlertView(desk.view.alert, (), {}, ())
    desk.sender.update_alert(ALERTS, ts, changed)
    [message] = desk.slack.messages()
    assert "no longer holds" in message["text"]
    assert message["metadata"]["event_payload"] == {"alert_id": desk.view.alert.id}


def test_plain_text_goes_to_a_channel_or_a_thread_and_is_read_by_nobody_as_markup(desk: Desk) -> None:
    ts = desk.post()
    reply = desk.sender.post_text(ALERTS, "grew to 46 <!channel>\n*second* line", ts)
    notice = desk.sender.post_text(OPS, "x" * 20_000)
    [shown] = desk.slack.messages(thread=ts)
    assert shown["ts"] == reply
    assert shown["blocks"][0]["elements"][0]["elements"] == [
        {"type": "text", "text": "grew to 46 <!channel>\n*second* line"}
    ]
    assert shown["text"].startswith("grew to 46 &lt;!channel&gt;")
    assert desk.slack.messages(OPS)[0]["ts"] == notice


def test_a_message_is_found_again_by_its_metadata(desk: Desk) -> None:
    ts = desk.post()
    for _ in range(3):
        desk.sender.post_text(ALERTS, "noise")
    assert desk.sender.find_alert(ALERTS, desk.view.alert.id, NOW - HOUR) == ts
    assert desk.sender.find_alert(ALERTS, 999, NOW - HOUR) is None
    assert desk.sender.find_alert(ALERTS, desk.view.alert.id, NOW + HOUR) is None


def test_a_message_is_found_on_a_later_page(desk: Desk) -> None:
    ts = desk.post()
    for _ in range(230):
        desk.slack.post(desk.slack.channels[ALERTS], {"text": "noise"})
    assert desk.sender.find_alert(ALERTS, desk.view.alert.id, NOW - HOUR) == ts


def test_metadata_that_another_app_forged_counts_for_nothing(desk: Desk) -> None:
    forged = {"event_type": "audit_bot_alert", "event_payload": {"alert_id": desk.view.alert.id}}
    desk.slack.post(desk.slack.channels[ALERTS], {"text": "x", "metadata": forged}, bot_id="B0OTHER")
    assert desk.sender.find_alert(ALERTS, desk.view.alert.id, NOW - HOUR) is None


@pytest.mark.parametrize(
    ("channel", "code"), [("C0NOWHERE", "channel_not_found"), (GENERAL, "not_in_channel"), (ARCHIVED, "is_archived")]
)
def test_a_channel_that_cannot_be_used_is_a_permanent_error(desk: Desk, channel: str, code: str) -> None:
    with pytest.raises(DeliveryError) as caught:
        desk.post(channel)
    assert (caught.value.code, caught.value.permanent) == (code, True)


@pytest.mark.parametrize(
    ("fault", "code", "permanent", "wait"),
    [
        (Fault("ratelimited", 429, 7), "ratelimited", False, 7.0),
        (Fault("ratelimited", 429), "ratelimited", False, None),
        (Fault("ratelimited"), "ratelimited", False, None),
        (Fault("internal_error", 500), "http_500", False, None),
        (Fault("", 503), "http_503", False, None),
        (Fault("fatal_error"), "fatal_error", False, None),
        (Fault("token_revoked"), "token_revoked", True, None),
        (Fault("account_inactive"), "account_inactive", True, None),
        (Fault("missing_scope"), "missing_scope", True, None),
        (Fault("restricted_action"), "restricted_action", True, None),
    ],
)
def test_each_failure_says_whether_trying_again_helps(
    desk: Desk, fault: Fault, code: str, permanent: bool, wait: float | None
) -> None:
    desk.slack.fail("chat.postMessage", fault)
    with pytest.raises(DeliveryError) as caught:
        desk.post()
    assert (caught.value.code, caught.value.permanent, caught.value.retry_after) == (code, permanent, wait)
    assert desk.slack.messages() == []


def test_a_wrong_token_is_a_permanent_error(desk: Desk, store: Store) -> None:
    with serve(fake_slack("", SECRET, Clock())[0]) as server:
        sender = SlackSender(settings(server.url, SLACK_BOT_TOKEN="xoxb-other"), Clock())
        with pytest.raises(DeliveryError) as caught:
            sender.post_text(ALERTS, "hello")
    assert (caught.value.code, caught.value.permanent) == ("invalid_auth", True)


def test_a_reply_lost_after_acceptance_is_said_and_posted_only_once(desk: Desk) -> None:
    """The connection is cut after Slack took the message: one message, one passing error, found again by look-up."""
    desk.slack.fail("chat.postMessage", Fault(drop=True))
    with pytest.raises(DeliveryError) as caught:
        desk.post()
    assert (caught.value.code, caught.value.permanent) == ("reply_lost", False)
    [message] = desk.slack.messages()
    assert desk.sender.find_alert(ALERTS, desk.view.alert.id, NOW - HOUR) == message["ts"]


def test_a_slack_that_is_down_or_gone_is_a_passing_error(store: Store) -> None:
    fake, slack = fake_slack("", SECRET, Clock())
    with serve(fake) as server:
        sender = SlackSender(settings(server.url), Clock())
        slack.down = True
        with pytest.raises(DeliveryError, match="http_503"):
            sender.post_text(ALERTS, "hello")
    with pytest.raises(DeliveryError) as caught:
        sender.post_text(ALERTS, "hello")
    assert (caught.value.code, caught.value.permanent) == ("unreachable", False)


def test_an_update_survives_a_cut_connection_by_itself(desk: Desk) -> None:
    """Redrawing twice does no harm, so the client tries again where posting would not."""
    ts = desk.post()
    desk.slack.fail("chat.update", Fault(drop=True))
    desk.sender.update_alert(ALERTS, ts, desk.view)
    assert [name for name, _ in desk.slack.recorded.calls].count("chat.update") == 2


def test_a_deleted_message_cannot_be_updated(desk: Desk) -> None:
    ts = desk.post()
    desk.slack.delete(ALERTS, ts)
    with pytest.raises(DeliveryError) as caught:
        desk.sender.update_alert(ALERTS, ts, desk.view)
    assert (caught.value.code, caught.value.permanent) == ("message_not_found", True)


@pytest.mark.parametrize("code", ["invalid_blocks", "invalid_attachments", "msg_too_long", "msg_blocks_too_long"])
def test_what_slack_finds_too_complex_goes_out_as_plain_text(desk: Desk, code: str) -> None:
    desk.slack.fail("chat.postMessage", Fault(code))
    desk.post()
    [message] = desk.slack.messages()
    assert (message["blocks"], message["attachments"]) == ([], [])
    for part in ("eve@corp.example", "Bulk delete by one actor", "svc-2", "A1: Open since"):
        assert part in message["text"]
    assert message["metadata"]["event_payload"] == {"alert_id": desk.view.alert.id}
    desk.slack.recorded.calls.clear()


def test_without_a_token_there_is_no_sender() -> None:
    with pytest.raises(ConfigError, match="SLACK_BOT_TOKEN"):
        SlackSender(settings("http://127.0.0.1:1").model_copy(update={"slack_bot_token": None}), Clock())


def test_a_crash_between_acceptance_and_record_ends_in_one_message(tmp_path: Path) -> None:
    """The outbox, started anew, finds what the killed process had posted instead of posting it twice."""
    with lab(tmp_path) as bench:
        number = seed_alert(bench.store)
        view = alerts.view(bench.store, number, NOW)
        assert view is not None
        bench.store.connection.execute("UPDATE outbox SET state = 'sending'")
        bench.app.post_alert(ALERTS, view, False)
        bench.postman.recover()
        bench.deliver()
        [message] = bench.slack.messages()
        assert bench.store.value("SELECT ts FROM alerts") == message["ts"]


def test_an_alert_in_the_outbox_is_redrawn_after_a_click(tmp_path: Path) -> None:
    with lab(tmp_path) as bench:
        _, ts = bench.posted_alert()
        bench.slack.requests.click("U0GRACE", ALERTS, ts, "alert_acknowledge")
        eventually(lambda: bench.slack.messages()[0].get("edited"))
        said = words(bench.slack.messages())
        assert "Acknowledged" in said
        assert "alert_acknowledge" not in json.dumps(bench.slack.messages())
