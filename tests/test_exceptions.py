"""Timed exceptions: what is approved, what that hides, and when it is seen again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.alert import run as alert_run
from bot.alert.routing import Routing
from bot.errors import ConfigError, QueryError
from bot.fields import FactSettings
from bot.model import FOREST, SILENCE, Finding, Level, Record, Rule
from bot.store import alerts, journal
from bot.store.people import coverage, exceptions
from bot.store.people.exceptions import TimedException
from bot.store.schema import Store
from bot.times import DAY, HOUR, MINUTE
from tests.conftest import START, add, fresh, record
from tests.laws import law

NOW = START + HOUR
RULE = "1f0c2f0e-5a1e-4d0e-8f9b-6a4f3f1f7c11"
FACTS = FactSettings()


@pytest.fixture
def known(store: Store) -> Store:
    """Return a store that knows one rule."""
    alerts.remember_rules(store, [Rule(RULE, "Bulk delete by one actor", Level.high)])
    return store


def expect(store: Store, condition: str, rule: str | None = None, days: float = 30, now: int = NOW) -> TimedException:
    return exceptions.add(
        store, condition, reason="clean-up", author="ann", now=now, expires=now + round(days * DAY), rule=rule
    )


def deletes(count: int, actor: str | None = "ci-bot", start: int = START, **more: str) -> list[Record]:
    return [record(start + i * MINUTE, "DELETE", actor, object_=f"o{i}", **more) for i in range(count)]


def found(store: Store, records: list[Record], group: dict[str, str] | None = None, rule: str = RULE) -> Finding:
    """Store records, and a finding of all of them."""
    add(store, records)
    times = [one.time for one in records]
    group = {"actor": "ci-bot"} if group is None else group
    fresh = Finding(0, rule, "Bulk delete", Level.high, group, min(times), max(times), len(records), group.get("actor"))
    return alerts.insert_finding(store, fresh, NOW)


def take(store: Store, *some: Finding, now: int = NOW, history: bool = False) -> alert_run.Report:
    with store.write():
        return alert_run.run_once(store, some, Routing(), now, history=history, facts=FACTS)


def hidden(store: Store, finding: Finding) -> str:
    return alerts.findings(store, "id = ?", (finding.id,))[0].hidden


def grown(store: Store, finding: Finding, records: list[Record]) -> Finding:
    """Store more records, and let the finding take them in, as detection does."""
    add(store, records)
    [before] = alerts.findings(store, "id = ?", (finding.id,))
    after = replace(before, last=max(one.time for one in records), count=before.count + len(records))
    alerts.update_finding(store, after, NOW)
    return after


# -- approving


def test_what_is_approved_is_listed_and_journaled(known: Store) -> None:
    """Who, why, until when; the rule as its file spells it."""
    one = expect(known, "actor:ci-bot", RULE.upper())
    assert exceptions.listing(known, NOW) == [one]
    assert (one.rule, one.name, one.state(NOW), one.expires) == (RULE, "exception 1", "in force", NOW + 30 * DAY)
    [entry] = journal.entries(known)
    assert (entry["who"], entry["what"], entry["detail"]["condition"]) == ("ann", "excepted", "actor:ci-bot")


@pytest.mark.parametrize(
    "condition",
    [
        "*",
        "actor:*",
        "-actor:eve",
        "type:x OR -type:x",
        "ip:0.0.0.0/0",
        "actor_age_days:*",
        "off_hours:*",
        "off_hours:false",
        "-(-*)",
    ],
)
def test_what_names_nothing_may_be_expected_of_one_rule_only(known: Store, condition: str) -> None:
    """An exception for everybody but somebody would blind the bot."""
    with pytest.raises(ConfigError, match="name who or what"):
        expect(known, condition)
    assert expect(known, condition, FOREST).rule == FOREST


@pytest.mark.parametrize(
    "condition", ["actor:ci-bot", "type:TEAM -actor:eve", "type:TEAM off_hours:false", "type:TEAM -actor:*", "deploy"]
)
def test_what_names_something_may_be_expected_of_all_rules(known: Store, condition: str) -> None:
    assert expect(known, condition).rule is None


@pytest.mark.parametrize("days", [0, -1, 90.001])
def test_an_exception_lasts_at_most_ninety_days(known: Store, days: float) -> None:
    with pytest.raises(ConfigError, match="90 days"):
        expect(known, "actor:ci-bot", days=days)
    assert expect(known, "actor:ci-bot", days=90)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"reason": "  "}, "reason"),
        ({"reason": "x" * 501}, "reason"),
        ({"author": "\x1b[2J"}, "author"),
        ({"condition": "actor:\udc80"}, "condition"),
        ({"rule": "no-such-rule"}, "no rule no-such-rule"),
        ({"rule": SILENCE}, "about the log itself|no rule"),
        ({"condition": "level:high"}, "cannot stand in an exception"),
        ({"condition": "rule:x actor:y"}, "cannot stand in an exception"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(known: Store, change: dict[str, str], word: str) -> None:
    given_: dict[str, Any] = {"condition": "actor:ci-bot", "reason": "clean-up", "author": "ann", **change}
    with pytest.raises(ConfigError, match=word) as error:
        exceptions.add(known, now=NOW, expires=NOW + DAY, **given_)
    assert len(str(error.value).splitlines()) == 1
    assert exceptions.listing(known, NOW, include_ended=True) == []


@pytest.mark.parametrize("condition", ["", "actor:x last:7d", "actr:x"])
def test_a_condition_that_cannot_be_read_is_told_as_in_a_query(known: Store, condition: str) -> None:
    with pytest.raises(QueryError):
        expect(known, condition)


def test_an_exception_is_ended_once(known: Store) -> None:
    """Ended ones stay listed with who and when."""
    one = expect(known, "actor:ci-bot")
    exceptions.remove(known, one.id, "bob", NOW + HOUR)
    for number, word in ((one.id, "was removed by bob already"), (99, "no exception 99")):
        with pytest.raises(ConfigError, match=word):
            exceptions.remove(known, number, "eve", NOW + HOUR)
    assert exceptions.listing(known, NOW + HOUR) == []
    [ended] = exceptions.listing(known, NOW + HOUR, include_ended=True)
    assert (ended.removed_by, ended.state(NOW + HOUR)) == ("bob", "removed")
    assert [entry["what"] for entry in journal.entries(known)] == ["excepted", "unexcepted"]


def test_what_has_expired_cannot_be_removed(known: Store) -> None:
    one = expect(known, "actor:ci-bot", days=1)
    assert exceptions.in_force(known, NOW + DAY - 1)
    assert exceptions.in_force(known, NOW + DAY) == []
    with pytest.raises(ConfigError, match="expired"):
        exceptions.remove(known, one.id, "bob", NOW + DAY)


# -- hiding


def test_a_hidden_finding_opens_nothing_and_stays_counted(known: Store) -> None:
    """Named on the finding, counted in the list."""
    one = expect(known, "actor:ci-bot action:DELETE", RULE)
    finding = found(known, deletes(12))
    assert take(known, finding) == alert_run.Report()
    assert hidden(known, finding) == "exception 1"
    assert alerts.listing(known, posted_only=False) == []
    assert known.value("SELECT count(*) FROM outbox") == 0
    [listed] = exceptions.listing(known, NOW)
    assert (listed.id, listed.findings, listed.events) == (one.id, 1, 12)


def test_one_event_of_somebody_else_shows_all(known: Store) -> None:
    """An exception for the bot does not hide whoever works beside it."""
    expect(known, "actor:ci-bot")
    both = [*deletes(5), record(START + 90 * 1_000_000, "DELETE", "eve@corp.example")]
    assert take(known, found(known, both, {"type": "SERVICE"})).posted == [1]
    assert take(known, found(known, deletes(5, start=START + DAY), {"type": "SERVICE"}), now=NOW + DAY).posted == []


def test_an_exception_of_one_rule_leaves_the_others(known: Store) -> None:
    expect(known, "actor:ci-bot", FOREST)
    assert take(known, found(known, deletes(3))).posted
    later = found(known, deletes(3, start=START + DAY), rule=FOREST)
    assert take(known, later, now=NOW + DAY).posted == []


def test_a_finding_that_outgrows_its_exception_is_seen(known: Store) -> None:
    """Decided anew with every change, back and forth, until people were told."""
    expect(known, "actor:ci-bot object:o*")
    finding = found(known, deletes(5))
    take(known, finding)
    more = grown(known, finding, [record(START + 10 * MINUTE, "DELETE", "ci-bot", object_="payments")])
    assert take(known, more).posted == [1]
    assert hidden(known, finding) == ""
    expect(known, "actor:ci-bot")
    again = grown(known, finding, deletes(1, start=START + 15 * MINUTE))
    take(known, again)
    assert hidden(known, finding) == ""  # what was told stays told


@pytest.mark.parametrize("removed", [True, False])
def test_what_goes_on_after_the_end_is_news_again(known: Store, removed: bool) -> None:
    one = expect(known, "actor:ci-bot", days=1)
    finding = found(known, deletes(5))
    take(known, finding)
    later = NOW + (HOUR if removed else DAY)
    if removed:
        exceptions.remove(known, one.id, "bob", NOW + MINUTE)
    assert take(known, grown(known, finding, deletes(1, start=START + 20 * MINUTE)), now=later).posted == [1]
    assert exceptions.listing(known, later, include_ended=True)[0].findings == 0


def test_history_that_is_excepted_stays_quiet_when_it_goes_on(known: Store) -> None:
    """A burst begun in the history, with an alert of the history, is no news when an exception covers it."""
    finding = replace(found(known, deletes(5)), hidden="history")
    alerts.update_finding(known, finding, NOW)
    take(known, finding, history=True)
    expect(known, "actor:ci-bot")
    live = replace(grown(known, finding, deletes(1, start=START + 10 * MINUTE)), hidden="")
    assert take(known, live).posted == []
    assert (hidden(known, finding), alerts.listing(known, posted_only=False)[0].decision) == ("exception 1", "history")


def test_history_becomes_history_again(known: Store) -> None:
    """What an exception no longer covers is only news where the pass is."""
    one = expect(known, "actor:ci-bot")
    finding = replace(found(known, deletes(5)), hidden="history")
    alerts.update_finding(known, finding, NOW)
    take(known, finding, history=True)
    assert hidden(known, finding) == "exception 1"
    exceptions.remove(known, one.id, "bob", NOW)
    take(known, alerts.findings(known)[0], history=True)
    assert hidden(known, finding) == "history"


def test_the_log_itself_is_never_expected(known: Store) -> None:
    expect(known, "actor:ci-bot")
    assert take(known, found(known, deletes(3), {}, SILENCE)).posted == [1]


def test_a_group_that_does_not_tell_the_events_hides_nothing(known: Store) -> None:
    """Such as names that a rule gave to other fields: fewer events are found than were counted."""
    expect(known, "type:SERVICE", RULE)
    assert take(known, found(known, deletes(3), {"actor": "payments"})).posted == [1]


def test_a_name_of_the_rules_own_is_looked_for_in_every_field(known: Store) -> None:
    """Aliases: `who` may be the object of one event and the actor of the next."""
    expect(known, "ci-key", RULE)
    events = [record(START, "CREATE", "ann", object_="ci-key"), record(START + MINUTE, "DELETE", "ci-key")]
    assert take(known, found(known, events, {"who": "ci-key"})).posted == []


def test_facts_may_be_part_of_a_group_and_of_a_condition(known: Store) -> None:
    expect(known, "actor_kind:key off_hours:false type_sensitive:false", RULE)
    assert take(known, found(known, deletes(3), {"actor_kind": "key", "weekday": "mon"})).posted == []


def test_the_longest_and_deepest_conditions_are_decided(known: Store) -> None:
    """What may be approved must never stop a pass."""
    deep = "-object:o*"
    for level in range(49):
        deep = f"-(type:TEAM{level} {deep})"
    expect(known, deep, RULE)
    expect(known, "actor:ci-bot OR " + " OR ".join(f"-(type:b{i})" for i in range(120)), RULE)
    expect(known, " ".join(f"-object:x{i}" for i in range(150)), RULE)
    finding = found(known, deletes(3))
    for one in exceptions.in_force(known, NOW):
        assert coverage.Coverage(known, [one], FACTS).covering(finding) == one


def test_a_condition_of_an_older_grammar_hides_nothing(known: Store) -> None:
    expect(known, "actor:ci-bot")
    known.connection.execute("UPDATE exceptions SET condition = 'no(longer'")
    assert take(known, found(known, deletes(3))).posted == [1]


WHO, WHAT = st.sampled_from(["ci-bot", "eve", None]), st.sampled_from(["o1", "p1"])
CONDITIONS: dict[str, Callable[[str | None, str], bool]] = {
    "actor:ci-bot": lambda who, what: who == "ci-bot",
    "object:o* -actor:eve": lambda who, what: what.startswith("o") and who != "eve",
    "-actor:*": lambda who, what: who is None,
    "actor:eve OR object:p1": lambda who, what: who == "eve" or what == "p1",
}


@law(20)
@given(
    burst=st.lists(st.tuples(WHO, WHAT), min_size=1, max_size=6),
    around=st.lists(st.tuples(WHO, WHAT), max_size=3),
    condition=st.sampled_from(sorted(CONDITIONS)),
)
def test_a_burst_is_hidden_if_and_only_if_all_its_events_are_expected(
    tmp_path_factory: pytest.TempPathFactory,
    burst: list[tuple[str | None, str]],
    around: list[tuple[str | None, str]],
    condition: str,
) -> None:
    """Whatever happens before and after, and in other groups meanwhile."""
    store = fresh(tmp_path_factory.mktemp("law") / "audit.db")
    alerts.remember_rules(store, [Rule(RULE, "t", Level.high)])
    expect(store, condition, RULE)
    events = [record(START + i * MINUTE, "DELETE", who, object_=what) for i, (who, what) in enumerate(burst)]
    before = [record(START - HOUR - i * MINUTE, "DELETE", who, object_=what) for i, (who, what) in enumerate(around)]
    beside = [record(START + i, "DELETE", who, object_=what, type_="TEAM") for i, (who, what) in enumerate(around)]
    add(store, [*before, *beside])
    take(store, found(store, events, {"type": "SERVICE"}))
    all_expected = all(CONDITIONS[condition](who, what) for who, what in burst)
    assert (alerts.findings(store)[0].hidden == "exception 1") is all_expected
    assert bool(alerts.listing(store)) is not all_expected
    store.close()


# -- looking ahead


def test_a_preview_counts_findings_and_the_alerts_that_they_make_up(known: Store) -> None:
    """An alert that something else holds up too would have stayed."""
    take(known, found(known, deletes(4)))
    mixed = [found(known, deletes(2, start=START + DAY)), found(known, deletes(2, start=START + DAY), {})]
    add(known, [record(START + DAY + 1, "DELETE", "eve")])
    take(known, *mixed, now=NOW + DAY)
    long_ago = found(known, deletes(3, start=START - 40 * DAY))
    take(known, long_ago)
    one = expect(known, "actor:ci-bot", now=NOW + DAY)
    seen = coverage.preview(known, one, FACTS, NOW + DAY)
    assert (seen.findings, seen.events) == (2, 6)
    assert (seen.alerts, seen.posted) == (2, 2)


def test_the_store_is_the_only_state(known: Store, tmp_path: Path) -> None:
    """Another process approves; the next pass of this one knows."""
    other = Store(known.path)
    expect(other, "actor:ci-bot")
    other.close()
    assert take(known, found(known, deletes(3))).posted == []
