"""Who silences what: one's own alerts, and more than usual, are told where everybody sees it. And the journal."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bot.store import journal
from bot.store.people import exceptions
from bot.store.schema import Store
from bot.times import DAY, HOUR
from bot.watch.silencing import PAST, Silencing
from tests.conftest import START
from tests.test_alerts import found
from tests.test_cli import audit_bot, json_lines

MAIL = {"U1EVE": "eve@corp.example", "U2BOB": "bob@corp.example"}


def excepted(store: Store, author: str, condition: str, at: int = START) -> int:
    return exceptions.add(store, condition, reason="tidying up", author=author, now=at, expires=at + DAY).id


def notices(store: Store) -> list[str]:
    return [body for (body,) in store.rows("SELECT body FROM outbox WHERE kind = 'notice' ORDER BY id")]


@pytest.mark.parametrize("author", ["U1EVE", "Eve@corp.example"])
def test_who_silences_alerts_about_themselves_is_named(store: Store, author: str) -> None:
    """In the channel of alerts, once; the exception stays, since only people can know whether it is right."""
    watch = Silencing(store, MAIL.get)
    excepted(store, author, "actor:eve@corp.example action:DELETE")
    excepted(store, "U2BOB", "actor:eve@corp.example action:CREATE")
    [text] = watch.run_once(START + HOUR)
    assert f"exception 1 by {author}" in text
    assert "tidying up" in text
    assert watch.run_once(START + 2 * HOUR) == []
    assert notices(store) == [text]
    assert [one["what"] for one in journal.entries(store)][-1] == "warned"


def test_an_exception_that_hides_ones_own_findings_without_naming_oneself_is_told(store: Store) -> None:
    """Hiding one's address does as well as hiding one's name."""
    number = excepted(store, "U1EVE", "ip:192.0.2.1")
    found(store, hidden=f"exception {number}")
    assert "Somebody silenced alerts about themselves" in Silencing(store, MAIL.get).run_once(START + HOUR)[0]


def test_silence_beyond_the_usual_is_told_once_a_day(store: Store) -> None:
    """Three times what the four weeks before had, and never for a handful."""
    for day in range(PAST):
        for number in range(2):
            excepted(store, "U2BOB", f"actor:x{number}", START + HOUR - (day + 1) * DAY)
    watch = Silencing(store, lambda _: None)
    for number in range(6):
        excepted(store, "U2BOB", f"actor:y{number}")
    assert watch.run_once(START + HOUR) == []
    excepted(store, "U2BOB", "actor:z")
    assert watch.run_once(START + HOUR) == [
        "Silence grows unusual: 7 exceptions were approved within a day, 2.0 a day are usual."
    ]
    assert watch.run_once(START + 2 * HOUR) == []


def test_findings_hidden_beyond_the_usual_are_told(store: Store) -> None:
    """One wide exception silences as much as many."""
    for number in range(25):
        found(store, rule=f"r{number}", hidden="exception 1")
    told = Silencing(store, lambda _: None).run_once(START + HOUR)
    assert told == ["Silence grows unusual: 25 findings were hidden by exceptions within a day, 0.0 a day are usual."]


def test_the_journal_is_exported_and_a_cut_tail_shows_against_an_anchor(store: Store) -> None:
    """JSON lines with hashes; what was cut after the last anchor nobody can see, which the docs say."""
    for number in range(5):
        journal.write(store, START, "U1", "query", {"text": f"\x1b[31m{number}"})
    newest = journal.head(store)
    assert newest
    anchor = newest.hash
    folder = store.path.parent
    done = audit_bot("journal", "export", folder=folder)
    out = json_lines(done.stdout)
    assert [one["detail"]["text"] for one in out] == [f"\x1b[31m{number}" for number in range(5)]
    assert "\x1b" not in done.stdout
    assert out[-1]["hash"] == anchor
    store.connection.execute("DELETE FROM journal WHERE id = 5")
    assert journal.verify(store) == (4, "")
    done = audit_bot("journal", "verify", "--anchor", anchor, folder=folder)
    assert done.returncode == 1
    assert "cut or changed" in done.stderr


@pytest.mark.parametrize("column", ["time", "who", "what", "detail", "hash"])
def test_any_change_of_any_column_breaks_the_chain(store: Store, column: str, tmp_path: Path) -> None:
    for number in range(4):
        journal.write(store, START + number, "U1", "query", {"n": number})
    store.connection.execute(f"UPDATE journal SET {column} = ? WHERE id = 2", (json.dumps({"n": 9}),))
    good, wrong = journal.verify(store)
    assert good == 1
    assert wrong.startswith("entry 2")
