"""The stand-in's modals: opened once by a fresh click, filled in, complained about, changed, closed, as in Slack."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from bot.sandbox.console import seen_by
from bot.sandbox.errors import SlackError
from bot.sandbox.slack_requests import TROUBLE
from bot.sandbox.slack_views import REQUIRED, TRIGGER_AGE, Views
from tests.slack_lab import GRACE, Clock
from tests.view_lab import Bot, choice, field, form, plain, view_lab

TEXT = {"type": "plain_text_input"}


@pytest.fixture(scope="module")
def bot() -> Iterator[Bot]:
    with view_lab() as made:
        yield made


def values(payload: dict[str, Any]) -> dict[str, Any]:
    """Return what was entered, by block and action."""
    state: dict[str, Any] = payload["view"]["state"]["values"]
    return state


def test_a_submission_carries_every_field_in_slacks_form_and_closes_the_modal(bot: Bot) -> None:
    """Texts as `value`, options whole, people as ids; what nobody touched is null, or its initial value."""
    number = bot.open(
        GRACE,
        form(
            field("why", TEXT),
            field("note", TEXT, optional=True),
            field("span", choice("hour", "day", initial_option={"text": plain("Day"), "value": "day"})),
            field("kind", choice("one", "all", kind="radio_buttons")),
            field("who", {"type": "users_select"}),
            field("tags", choice("a", "b", kind="checkboxes"), optional=True),
            private_metadata="12",
        ),
    )
    assert (
        bot.slack.requests.submit(GRACE, number, {"why": "x & <y>", "kind": "all", "who": GRACE, "tags": ["b"]}) == {}
    )
    sent = bot.heard[-1]
    assert (sent["type"], sent["view"]["private_metadata"], sent["view"]["callback_id"]) == (
        "view_submission", "12", "form",
    )  # fmt: skip
    assert values(sent) == {
        "why": {"why": {"type": "plain_text_input", "value": "x & <y>"}},
        "note": {"note": {"type": "plain_text_input", "value": None}},
        "span": {"span": {"type": "static_select", "selected_option": {"text": plain("Day"), "value": "day"}}},
        "kind": {"kind": {"type": "radio_buttons", "selected_option": {"text": plain("All"), "value": "all"}}},
        "who": {"who": {"type": "users_select", "selected_user": GRACE}},
        "tags": {"tags": {"type": "checkboxes", "selected_options": [{"text": plain("B"), "value": "b"}]}},
    }
    assert bot.slack.views.top(GRACE) is None


def test_what_is_missing_or_too_long_never_reaches_the_bot(bot: Bot) -> None:
    number, before = bot.open(GRACE, form(field("why", TEXT | {"max_length": 5}))), len(bot.heard)
    assert bot.slack.requests.submit(GRACE, number) == {"why": REQUIRED}
    assert bot.slack.requests.submit(GRACE, number, {"why": "longer"}).keys() == {"why"}
    assert len(bot.heard) == before


def test_the_bots_errors_stand_under_their_fields_until_the_next_try(bot: Bot) -> None:
    number = bot.open(GRACE, form(field("why", TEXT)))
    bot.answers = [{"response_action": "errors", "errors": {"why": "Say more."}}]
    assert bot.slack.requests.submit(GRACE, number, {"why": "x"}) == {"why": "Say more."}
    open_view = bot.slack.views.top(GRACE)
    assert open_view is not None
    assert open_view.errors == {"why": "Say more."}
    bot.answers = [{"response_action": "errors", "errors": {"no_such_block": "?"}}]
    assert bot.slack.requests.submit(GRACE, number, {"why": "x"}) == {"": TROUBLE}
    assert bot.slack.requests.submit(GRACE, number, {"why": "x"}) == {}


def test_a_submission_may_turn_the_modal_into_another_or_lay_one_on_top(bot: Bot) -> None:
    number = bot.open(GRACE, form(field("why", TEXT, optional=True)))
    bot.answers = [{"response_action": "push", "view": form(field("more", TEXT, optional=True))}]
    bot.slack.requests.submit(GRACE, number)
    upper = bot.slack.views.top(GRACE)
    assert upper is not None
    assert (upper.id != number, upper.root) == (True, number)
    bot.answers = [{"response_action": "update", "view": form(field("last", TEXT), title=plain("Done"))}]
    bot.slack.requests.submit(GRACE, upper.id)
    assert upper.content["title"]["text"] == "Done"
    bot.answers = [{"response_action": "clear"}]
    bot.slack.requests.submit(GRACE, upper.id, {"last": "x"})
    assert bot.slack.views.top(GRACE) is None


def test_a_field_that_dispatches_tells_the_bot_at_each_change(bot: Bot) -> None:
    number = bot.open(GRACE, form(field("span", choice("hour", "day"), dispatch_action=True), field("why", TEXT)))
    bot.slack.requests.act(GRACE, number, "span", {"span": "day", "why": "half"})
    sent = bot.heard[-1]
    assert sent["type"] == "block_actions"
    assert sent["actions"][0]["selected_option"]["value"] == "day"
    assert values(sent)["why"]["why"]["value"] == "half"
    assert sent["container"] == {"type": "view", "view_id": number}
    assert "response_url" not in sent


def test_closing_is_told_where_the_view_asks_for_it(bot: Bot) -> None:
    before = len(bot.heard)
    bot.slack.requests.close(GRACE, bot.open(GRACE, form(field("why", TEXT))))
    assert len(bot.heard) == before
    bot.slack.requests.close(GRACE, bot.open(GRACE, form(field("why", TEXT), notify_on_close=True)))
    assert bot.heard[-1]["type"] == "view_closed"


def views() -> tuple[Views, Clock]:
    clock = Clock()
    return Views(clock, lambda: None, {}), clock


def test_a_trigger_opens_one_modal_within_three_seconds() -> None:
    held, clock = views()
    view = form(field("why", TEXT))
    with pytest.raises(SlackError, match="invalid_trigger_id"):
        held.open("made up", view)
    held.open(held.new_trigger(GRACE, "1"), view)
    with pytest.raises(SlackError, match="exchanged_trigger_id"):
        held.open("1", view)
    held.new_trigger(GRACE, "2")
    clock.leap(TRIGGER_AGE + 1)
    with pytest.raises(SlackError, match="expired_trigger_id"):
        held.open("2", view)


def test_an_update_needs_the_view_and_where_it_is_given_the_right_hash() -> None:
    held, _ = views()
    opened = held.open(held.new_trigger(GRACE, "1"), form(field("why", TEXT)))["view"]
    changed = held.update(form(field("what", TEXT)), opened["id"], opened["hash"])["view"]
    assert changed["blocks"][0]["block_id"] == "what"
    with pytest.raises(SlackError, match="hash_conflict"):
        held.update(form(field("why", TEXT)), opened["id"], opened["hash"])
    held.close(GRACE, opened["id"])
    with pytest.raises(SlackError, match="not_found"):
        held.update(form(field("why", TEXT)), opened["id"])


@pytest.mark.parametrize(
    "view",
    [
        form(),
        form(field("why", TEXT), title=plain("x" * 25)),
        form(field("why", TEXT), submit=plain("x" * 25)),
        {name: part for name, part in form(field("why", TEXT)).items() if name != "submit"},
        form(field("why", TEXT), private_metadata="x" * 3_001),
        form(field("why", TEXT), field("why", TEXT)),
        form(field("why", TEXT), field("other", TEXT) | {"element": {"action_id": "why", **TEXT}}),
        form(field("why", TEXT | {"max_length": 3_001})),
        form(field("why", choice(*map(str, range(101))))),
        form(field("why", choice(*map(str, range(11)), kind="radio_buttons"))),
        form(field("why", choice("x" * 76))),
        form(field("why", choice("a", "a"))),
        form(field("why", choice("a", initial_option={"text": plain("B"), "value": "b"}))),
        form(field("why", {"type": "rich_text_input"})),
        form({"type": "table", "rows": [[{"type": "raw_text", "text": "x"}]]}),
        form(*[{"type": "divider"}] * 101),
        form(field("why", TEXT), type="home"),
    ],
)
def test_a_view_over_a_limit_is_refused(view: dict[str, Any]) -> None:
    held, _ = views()
    with pytest.raises(SlackError, match="invalid_arguments"):
        held.open(held.new_trigger(GRACE, "1"), view)


def test_a_home_view_is_published_anew_in_the_same_place() -> None:
    held, _ = views()
    home = {"type": "home", "blocks": [{"type": "divider"}]}
    first, second = held.publish(GRACE, home)["view"]["id"], held.publish(GRACE, home)["view"]["id"]
    assert first == second
    assert held.top(GRACE) is None


def test_a_direct_message_is_seen_by_its_person_alone(bot: Bot) -> None:
    """Neither the message nor the channel shows to anybody else, and nobody else presses its buttons."""
    channel = bot.slack.direct("U0DANIEL")
    row = {"type": "actions", "elements": [{"type": "button", "action_id": "go", "text": plain("Go")}]}
    ts = bot.slack.post(channel, {"text": "psst", "blocks": [row]})["ts"]
    assert channel.id in seen_by(bot.slack, "U0DANIEL")["messages"]
    assert channel.id not in json.dumps(seen_by(bot.slack, GRACE))
    with pytest.raises(SlackError, match="channel_not_found"):
        bot.slack.requests.click(GRACE, channel.id, ts, "go")
    assert bot.slack.requests.click("U0DANIEL", channel.id, ts, "go").status == 200
