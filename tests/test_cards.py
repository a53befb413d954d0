"""Cards and forms: within Slack's limits and never markup, whatever names, titles and reasons hold."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.model import (
    AlertState,
    AlertView,
    Entity,
    ExceptionKind,
    Inquiry,
    InquiryState,
    Judgement,
    Level,
    Quiet,
    Standing,
)
from bot.sandbox.limits import refusal, view_refusal
from bot.slack import alert_forms, forms
from bot.slack.alert_message import Face, alert_message
from bot.slack.blocks import Message, check_limits, payload, plain_payload
from bot.slack.cards_message import card_message
from bot.store.messages.cards import InquiryCard, ProposalCard, ShareCard
from bot.store.people.coverage import Preview
from bot.store.people.exceptions import TimedException
from bot.store.people.proposals import Proposal, State
from bot.times import HOUR
from tests.laws import law
from tests.slack_lab import NOW, RULE
from tests.test_slack_messages import HOSTILE, alert, finding, view

NAME = st.one_of(st.sampled_from(HOSTILE), st.text(max_size=60))
STATES: tuple[State, ...] = ("waiting", "approved", "withdrawn", "lapsed")
ANSWERS: tuple[InquiryState, ...] = ("waiting", "asked", "silent", "unreachable", "yes", "no")
KINDS: tuple[ExceptionKind, ...] = ("snooze", "expected", "answer")


def parts(value: Any) -> Iterator[dict[str, Any]]:
    """Yield every object anywhere in a payload."""
    if isinstance(value, dict):
        yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from parts(inner)


def fits(shown: Message) -> None:
    assert check_limits(shown) == []
    for sent in (payload(shown), plain_payload(shown)):
        assert refusal(sent) is None
        assert not any(part.get("type") == "mrkdwn" for part in parts(sent))
        assert "<" not in sent["text"].replace("&lt;", "")
        mentioned = {part["user_id"] for part in parts(sent) if part.get("type") == "user"}
        assert mentioned <= {"U0GRACE", "U0DANIEL", "U0EVE"}


def seen(name: str, title: str, standing: Standing, state: AlertState = "open") -> AlertView:
    about = alert(entity=Entity("actor", name), state=state, owner="U0GRACE", owned_at=NOW)
    found = finding(title=title, actor=name)
    return replace(view(about), findings=(found,), standing=standing, first_seen={"192.0.2.66": NOW})


@pytest.mark.slow
@law(12)
@given(name=NAME, title=NAME, reason=NAME, state=st.sampled_from(STATES), answer=st.sampled_from(ANSWERS),
       kind=st.sampled_from(KINDS), removed=st.booleans())  # fmt: skip
def test_no_text_of_a_stranger_is_markup_and_nothing_is_over_a_limit(
    name: str, title: str, reason: str, state: State, answer: InquiryState, kind: ExceptionKind, removed: bool
) -> None:
    inquiry = Inquiry(3, 12, name, "U0GRACE", NOW, answer, "U0EVE", NOW, NOW + HOUR, NOW, reason[:500])
    quiet = tuple(Quiet(n, kind, RULE, "U0DANIEL", NOW + HOUR) for n in range(3))
    standing = Standing("U0DANIEL", Judgement("wrong", reason[:500], "U0GRACE", NOW), quiet, inquiry, 2)
    shown = seen(name, title, standing, "resolved" if removed else "acknowledged")
    fits(alert_message(shown, face=Face(name, "https://avatars.example/72.png")))
    fits(alert_message(shown, face=Face(name or "x")))
    one = Proposal(
        7, kind, 12, RULE, f"actor:{json.dumps(name)}", reason[:500], "U0GRACE", NOW, NOW + HOUR, Level.high, 3, 1,
        "it lasts longer than 7 days", state, NOW, "U0DANIEL",
    )  # fmt: skip
    made = TimedException(
        1, RULE, "x", "y", "U0GRACE", NOW, NOW + HOUR, NOW if removed else None, "U0DANIEL" if removed else None
    )
    fits(card_message(ProposalCard(one, shown, made), repeat=True))
    fits(card_message(InquiryCard(inquiry, shown), repeat=True))
    fits(card_message(ShareCard(shown)))
    preview = alert_forms.say_preview(Preview(3, 12, 1, 1), "it lasts longer than 7 days")
    for form in (
        alert_forms.resolve_form(shown), alert_forms.assign_form(shown), alert_forms.share_form(shown),
        alert_forms.note_form(shown),
        alert_forms.snooze_form(shown, preview), alert_forms.expect_form(shown, preview),
        alert_forms.expect_form(shown), alert_forms.answer_form(shown, 3, yes=removed), forms.notice("No", name or "-"),
    ):  # fmt: skip
        assert forms.check_view(form) == []
        assert view_refusal(form) is None
        assert not any(part.get("type") == "mrkdwn" for part in parts(form))


def test_what_would_be_over_a_limit_is_noticed() -> None:
    """The check before sending, apart from the stand-in's."""
    good = alert_forms.resolve_form(view())
    assert forms.check_view(good) == []
    for change in (
        {"title": {"type": "plain_text", "text": "x" * 25}}, {"private_metadata": "x" * 3_001},
        {"blocks": [*good["blocks"], good["blocks"][0]]}, {"blocks": good["blocks"] * 40},
        {"blocks": [forms.text_field("a", "", most=5)]},
    ):  # fmt: skip
        assert forms.check_view({**good, **change})
        assert view_refusal({**good, **change})
    without = {name: part for name, part in good.items() if name != "submit"}
    assert forms.check_view(without) == ["fields but no way to submit"]
