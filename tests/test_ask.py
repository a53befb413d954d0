"""The terminal and Slack answer alike, and as a plain walk over all events would: every verb, page by page."""

from __future__ import annotations

import io
import json
from collections import Counter
from collections.abc import Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from bot.errors import ConfigError
from bot.model import Event
from bot.query.grammar import MAX_CHARACTERS
from bot.settings import Settings, load
from bot.slack.answers import _event_cells
from bot.slack.blocks import Message
from bot.slack.commands import NEXT, PREVIOUS, SHOWN_FACTS, Commands
from bot.store.queries import search
from bot.store.queries.conditions import DICTIONARIES
from bot.store.schema import Store
from bot.terminal.answer import answer
from bot.times import iso
from tests.conftest import fresh
from tests.laws import law
from tests.slack_lab import seed_alert
from tests.test_search import BERLIN, NOW, Asked, Found, conditions, events, fill, findings, times

GRACE = "U0GRACE"


@dataclass(frozen=True)
class Both:
    """One store with the two that answer from it."""

    settings: Settings
    store: Store
    slack: Commands

    def lines(self, text: str) -> list[dict[str, Any]]:
        """Return what `audit-bot query` prints for programs."""
        out = io.StringIO()
        with redirect_stdout(out):
            answer(self.settings, text, "jsonl")
        return [json.loads(line) for line in out.getvalue().splitlines()]


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    folder = tmp_path_factory.mktemp("ask")
    settings = load(AUDIT_BOT_DB=folder / "audit.db", AUDIT_BOT_RULES=folder / "none", AUDIT_BOT_TIMEZONE=str(BERLIN))
    store = fresh(settings.db)
    yield Both(settings, store, Commands(store, settings.fact_settings(), lambda: NOW))
    store.close()


def rows(shown: Message) -> list[tuple[str, ...]]:
    """Return the table in an answer, without its head."""
    return [tuple(cell["text"] for cell in row) for block in shown.blocks if block["type"] == "table"
            for row in block["rows"][1:]]  # fmt: skip


def value_of(shown: Message, action: str) -> str | None:
    """Return the value of an answer's button."""
    buttons = [element for block in shown.blocks for element in block.get("elements", ())]
    return next((str(element["value"]) for element in buttons if element.get("action_id") == action), None)


@pytest.mark.slow
@law(20)
@given(events, findings, conditions, st.booleans(), st.tuples(times, times), st.integers(1, 5))
def test_every_verb_answers_like_a_walk_over_all_events(
    both: Both,
    stored: list[Event],
    findings: list[Found],
    asked: Asked,
    newest_first: bool,
    span: tuple[int, int],
    limit: int,
) -> None:
    line = f"{asked.text} since:{iso(min(span))} until:{iso(max(span))}"
    assume(len(line) < MAX_CHARACTERS - 50)
    fill(both.store, stored, findings)
    facts = both.settings.fact_settings()
    known = search.events_by_id(both.store, [e.id for e in stored], facts, SHOWN_FACTS)
    hits = sorted(
        (e for e in known if min(span) <= e.time <= max(span) and asked.holds(e, findings)), reverse=newest_first
    )
    order = f" sort:{'new' if newest_first else 'old'}"

    printed = both.lines(f"{line}{order} limit:10000")
    assert [row["id"] for row in printed] == [e.id for e in hits]
    assert [{name: row[name] for name in SHOWN_FACTS} for row in printed] == [dict(e.facts) for e in hits]
    assert both.lines(f"count {line}") == [{"events": len(hits)}]
    assert sum(row["events"] for row in both.lines(f"timeline {line}")) == len(hits)
    for name in DICTIONARIES:
        counted = Counter(getattr(e, name) for e in hits)
        ranked = sorted(counted.items(), key=lambda item: (-item[1], item[0] is None, item[0] or ""))
        wanted = [{name: text, "events": count} for text, count in ranked[:limit]]
        assert both.lines(f"top {line} by:{name} limit:{limit}") == wanted

    shown = both.slack.answer(GRACE, f"{line}{order} limit:{limit}", BERLIN).message
    cells = [_event_cells(e, BERLIN) for e in hits]
    assert pages(both.slack, shown) == [cells[at : at + limit] for at in range(0, len(cells), limit)]
    assert shown.text.startswith("No events" if not hits else f"{min(limit, len(hits))} of {len(hits)} event")


def pages(slack: Commands, shown: Message) -> list[list[tuple[str, ...]]]:
    """Return the rows of all pages, having gone to the last and back to the first."""
    forth = [rows(shown)] if rows(shown) else []
    while to := value_of(shown, NEXT):
        shown = slack.turn(GRACE, to)
        forth.append(rows(shown))
    back = [rows(shown)] if rows(shown) else []
    while to := value_of(shown, PREVIOUS):
        shown = slack.turn(GRACE, to)
        back.append(rows(shown))
    assert back[::-1] == forth
    return forth


@pytest.fixture
def seeded(tmp_path: Path) -> Iterator[Both]:
    settings = load(AUDIT_BOT_DB=tmp_path / "audit.db", AUDIT_BOT_RULES=tmp_path / "none", AUDIT_BOT_TIMEZONE="UTC")
    store = fresh(settings.db)
    seed_alert(store)
    yield Both(settings, store, Commands(store, settings.fact_settings(), lambda: NOW))
    store.close()


@pytest.mark.parametrize(
    ("line", "key", "value"),
    [
        ("alerts open level:high actor:eve* bulk", "alert", ["A1"]),
        ("alerts ip:192.0.2.0/24", "alert", ["A1"]),
        ("alerts -rule:*bulk*", "alert", []),
        ("alerts mine", "alert", []),
        ("alerts until:2026-11-01", "alert", []),
        ("rules level:>=high", "title", ["Bulk delete by one actor"]),
        ("rules level:low OR nothing", "title", []),
        ("show A1", "who", ["eve@corp.example"]),
        ("show 1", "action", ["DELETE"]),
        ("status", "alerts_open", [1]),
        ("exceptions", "id", []),
    ],
)
def test_lists_are_the_same_at_the_terminal(seeded: Both, line: str, key: str, value: list[Any]) -> None:
    assert [row[key] for row in seeded.lines(line)] == value
    answered = seeded.slack.answer(GRACE, line).message.text
    assert answered.startswith("No ") is (not value)


def test_the_terminal_prints_the_file_that_slack_sends(seeded: Both, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    answer(seeded.settings, "export since:2026-01-01", "table")
    printed = capfdbinary.readouterr().out
    value = seeded.slack.answer(GRACE, "export since:2026-01-01").file_of
    sheet = seeded.slack.sheet(GRACE, value)
    assert not isinstance(sheet, Message)
    assert sheet.content == printed
    assert len(printed.splitlines()) == 13


def test_what_is_not_there_is_said_at_both_places(seeded: Both) -> None:
    with pytest.raises(ConfigError, match="There is no event 99"):
        answer(seeded.settings, "show 99", "jsonl")
    assert seeded.slack.answer(GRACE, "show 99").message.text == "There is no event 99."
