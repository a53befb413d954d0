"""Whoever clicks what in whatever order: the journal explains how it ended, and nobody decided about themselves."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from bot.errors import DeliveryError
from bot.fields import FactSettings
from bot.model import Level
from bot.slack import alert_forms
from bot.slack.actions import Actions
from bot.slack.alert_message import ACKNOWLEDGE, ASK
from bot.slack.blocks import Json
from bot.slack.cards_message import APPROVE, END, WITHDRAW
from bot.slack.desk import Desk, Gesture, RefusedError
from bot.slack.guard import Person, Verdict
from bot.slack.quieting import Quieting
from bot.slack.submissions import Submissions
from bot.store import alerts, journal
from bot.store.people import exceptions, inquiries, proposals
from bot.store.schema import Store
from bot.times import DAY, HOUR
from tests.conftest import fresh
from tests.laws import law
from tests.slack_lab import NOW, seed_alert

EVE = "eve@corp.example"
PEOPLE = {name: Person(name, "T", f"{name[2:].lower()}@corp.example") for name in ("U0EVE", "U0ANN", "U0BOB")}
SELF = "U0EVE"
DECISIONS = ("acknowledged", "assigned", "resolved", "right", "wrong", "expected", "excepted", "proposed", "approved")


class Quiet:
    """Opens every modal, shows nothing."""

    def open_view(self, trigger: str, view: Json) -> str:
        return "V1"

    def update_view(self, view_id: str, view: Json) -> None:
        raise DeliveryError("not_found", permanent=True)

    def post_file(
        self, channel: str, name: str, content: bytes, title: str, *, alt: str = "", thread_ts: str | None = None
    ) -> None:
        """Take it."""


class World:
    """One alert about Eve, who is on the team, with everybody at the desk."""

    def __init__(self, store: Store, level: Level) -> None:
        self.store, self.now = store, NOW
        self.alert = seed_alert(store, EVE, level)
        desk = Desk(
            store, FactSettings(), lambda: self.now, lambda: None, Quiet(), lambda who: Verdict("allowed", PEOPLE[who])
        )
        quieting = Quieting(desk)
        self.buttons = {**Actions(desk).buttons, **quieting.buttons}
        self.forms = Submissions(desk, quieting).forms

    def do(self, who: str, what: str, value: str, values: dict[str, str]) -> None:
        """Let somebody click or submit; a refusal has to leave everything as it was but the journal."""
        before = self.state()
        gesture = Gesture(what, value, who, PEOPLE[who], "t", values)
        try:
            done: Callable[[Gesture], Any] = self.buttons.get(what) or self.forms[what]
            done(gesture)
        except RefusedError:
            assert self.state() == before

    def state(self) -> list[tuple[Any, ...]]:
        tables = ("alerts", "exceptions", "proposals", "inquiries", "judgements")
        return [row for table in tables for row in self.store.rows(f"SELECT * FROM {table}")]


def explained(store: Store, alert: int) -> tuple[str, str | None]:
    """Return the state and owner of an alert as the journal tells it."""
    state, owner = "open", None
    for entry in journal.entries(store):
        detail = entry["detail"]
        if detail.get("alert") != alert:
            continue
        if entry["what"] in ("acknowledged", "resolved"):
            state, owner = entry["what"], entry["who"]
        elif entry["what"] == "assigned":
            state, owner = "acknowledged", detail["to"]
        elif entry["what"] == "raised" and state == "resolved":
            state, owner = "open", None
    return state, owner


VERDICTS = [{"verdict": word} for word in ("right", "wrong", "expected", "?")]
ABOUT_ALERT: st.SearchStrategy[Any] = st.one_of(
    st.tuples(st.sampled_from([ACKNOWLEDGE, ASK]), st.just({})),
    st.tuples(st.just(alert_forms.RESOLVE_FORM), st.sampled_from(VERDICTS)),
    st.tuples(st.just(alert_forms.ASSIGN_FORM), st.sampled_from([{"assignee": who} for who in PEOPLE])),
    st.tuples(
        st.sampled_from([alert_forms.SNOOZE_FORM, alert_forms.EXPECT_FORM]),
        st.fixed_dictionaries(
            {"reason": st.sampled_from(["because", ""]), "span": st.sampled_from(["1h", "7d", "30d", "90d"]),
             "scope": st.sampled_from(["this", "whole"])}
        ),
    ),
)  # fmt: skip
ABOUT_OTHERS = st.tuples(st.sampled_from([APPROVE, WITHDRAW, END]), st.integers(0, 3))
STEP = st.tuples(st.sampled_from(sorted(PEOPLE)), st.one_of(ABOUT_ALERT, ABOUT_OTHERS)) | st.sampled_from(
    [HOUR, DAY, "yes", "no", "delivered"]
)


@law(15)
@given(level=st.sampled_from([Level.low, Level.high, Level.critical]), steps=st.lists(STEP, max_size=14))
def test_any_order_of_clicks_ends_in_a_state_that_the_journal_explains(level: Level, steps: list[Any]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        store = fresh(Path(folder) / "a.db")
        world = World(store, level)
        for step in steps:
            follow(world, step)
            check(world)
        store.close()


def follow(world: World, step: Any) -> None:
    world.now += 1
    if isinstance(step, int):
        world.now += step
        proposals.lapse(world.store, world.now)
        inquiries.escalate(world.store, world.now)
    elif step == "delivered":
        one = inquiries.get(world.store, 1)
        if one and one.state == "waiting":
            inquiries.delivered(world.store, one, SELF, "D1", "1.1", world.now)
    elif isinstance(step, str):
        inquiries.answer(world.store, 1, SELF, yes=step == "yes", reason="so", now=world.now)
    else:
        who, (what, more) = step
        number = str(world.alert) if isinstance(more, dict) else str(more)
        world.do(who, what, number, more if isinstance(more, dict) else {})


def check(world: World) -> None:
    store = world.store
    found = alerts.alert(store, world.alert)
    assert found is not None
    assert (found.state, found.owner) == explained(store, world.alert)
    entries = list(journal.entries(store))
    answered = [entry for entry in entries if entry["what"] == "answered"]
    own = [entry for entry in entries if entry["who"] == SELF and entry["what"] in DECISIONS]
    assert all(entry["detail"].get("kind") == "answer" for entry in own)  # a yes quiets, and nothing else of Eve's does
    assert len(answered) <= 1
    denied = any(not entry["detail"]["yes"] for entry in answered)
    assert not denied or found.level >= Level.high
    for (text,) in store.rows("SELECT detail FROM journal WHERE what = 'approved'"):
        approved = proposals.get(store, json.loads(text)["proposal"])
        assert approved is not None
        assert approved.decided_by not in (approved.author, SELF)
    for one in exceptions.in_force(store, world.now):
        proposal = store.rows("SELECT why, decided_by FROM proposals WHERE exception = ?", (one.id,))
        assert one.kind == "answer" or all(not why or second for why, second in proposal)
    assert journal.verify(store)[1] == ""
