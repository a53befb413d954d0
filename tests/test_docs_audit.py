"""The page about asking is true: each query on it finds what it says, in the log that stands on it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC
from pathlib import Path

import pytest

from bot.ask.answer import Asking, Ranking, answer
from bot.ask.answer import Number as Counted
from bot.errors import QueryError
from bot.model import Record
from bot.query import parse_command
from bot.query.read import VERBS
from bot.settings import load
from bot.show import say_query_error
from bot.store.log import events
from bot.store.queries import search
from bot.store.schema import Store
from bot.times import parse_time
from tests.conftest import fresh

PAGE = (Path(__file__).parents[1] / "docs" / "audit.md").read_text()
NOW = parse_time("2026-11-23T08:00:00Z")
FACTS = load(AUDIT_BOT_TIMEZONE="UTC").fact_settings()
ROWS = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in PAGE.splitlines() if line[:1] == "|"]
LOG = [row for row in ROWS if len(row) == 7 and row[0].isdecimal()]
QUERIES = [(row[0].strip("`"), row[1]) for row in ROWS if len(row) == 3 and row[0].startswith("`")]
LINES = [(row[0].strip("`"), row[1]) for row in ROWS if len(row) == 2 and row[0].startswith("`")]


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    store = fresh(tmp_path_factory.mktemp("docs") / "audit.db")
    found = [
        Record(parse_time(time), action, actor or None, ip or None, thing, kind, "", 0, number.encode())
        for number, time, action, actor, ip, thing, kind in LOG
    ]
    for one in found:  # one after the other, so that the ids are those of the page
        events.add(store, [one], events.number_twins(store, [one]))
    yield store
    store.close()


@pytest.mark.parametrize(("query", "ids"), QUERIES, ids=[query for query, _ in QUERIES])
def test_each_query_finds_what_the_page_says(log: Store, query: str, ids: str) -> None:
    asked = parse_command(query, NOW, UTC).query
    found = [str(event.id) for event in search.search(log, asked, FACTS).events]
    assert " ".join(found) == ids.replace("–", "")


@pytest.mark.parametrize(("line", "says"), LINES, ids=[line for line, _ in LINES])
def test_each_line_is_read_and_what_it_counts_is_true(log: Store, line: str, says: str) -> None:
    command = parse_command(line, NOW, UTC)
    assert command.verb == line.split()[0]
    if command.verb in ("count", "top"):
        found = answer(log, command, FACTS, Asking("U1", NOW, UTC))
        assert isinstance(found, Counted | Ranking)
        counted = [("", found.count)] if isinstance(found, Counted) else found.counts
        assert says == ", ".join(f"{name} {count}".strip() for name, count in counted)


def test_every_verb_stands_on_the_page() -> None:
    assert {line.split()[0] for line, _ in LINES} == set(VERBS)
    assert len(QUERIES) > 30


def test_the_error_on_the_page_is_the_error() -> None:
    shown = PAGE.split("shows what would do:\n\n```\n")[1].split("```")[0]
    with pytest.raises(QueryError) as caught:
        parse_command("actro:eve last:7d", NOW, UTC)
    text, query, mark, example = shown.splitlines()
    assert say_query_error(caught.value).splitlines() == [
        text, "", f"  {query}", f"  {mark}", "", example.replace("Try: /audit", "For example:"),
    ]  # fmt: skip
