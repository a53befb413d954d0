"""Alerts in the store: gathering findings, queueing messages, and what people decide."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bot.alert import run as alert_run
from bot.alert.routing import Routing, parse_routing
from bot.errors import RuleError
from bot.fields import FactSettings
from bot.model import SILENCE, Finding, Level
from bot.slack.alert_message import alert_message
from bot.store import alerts, journal
from bot.store.messages import outbox
from bot.store.schema import Store
from bot.times import DAY, HOUR, MINUTE, SECOND
from tests.conftest import START

NOW = START + 5 * MINUTE


def found(store: Store, rule: str = "r1", level: Level = Level.medium, at: int = START, **more: object) -> Finding:
    known: dict[str, object] = {"actor": "eve@corp.example", "ip": "192.0.2.1", **more}
    fresh = Finding(0, rule, f"Title of {rule}", level, {"actor": "eve@corp.example"}, at, at, 1, **known)  # type: ignore[arg-type]
    return alerts.insert_finding(store, fresh, NOW)


def take(store: Store, *findings: Finding, now: int = NOW, history: bool = False) -> alert_run.Report:
    with store.write():
        return alert_run.run_once(store, findings, Routing(), now, history=history, facts=FactSettings())


def queued(store: Store) -> list[tuple[str, int | None]]:
    return store.rows("SELECT kind, alert FROM outbox WHERE state = 'pending' ORDER BY id")


def test_a_finding_becomes_an_alert_and_a_message_to_post(store: Store) -> None:
    """One entity, one episode, one message."""
    report = take(store, found(store), found(store, "r2", at=START + MINUTE))
    assert report.posted == [1]
    [one] = alerts.listing(store)
    assert (one.entity.name, one.level, one.points, one.decision) == ("eve@corp.example", Level.medium, 60, "posted")
    assert queued(store) == [("post", 1)]


def test_growth_updates_the_message_and_does_not_post_again(store: Store) -> None:
    """The root message is redrawn as the episode grows."""
    take(store, found(store))
    row = outbox.claim(store, NOW)
    assert row
    outbox.posted(store, row, NOW, "C1", "1.1")
    take(store, found(store, "r2", Level.high, START + 10 * MINUTE), now=NOW + 10 * SECOND)
    assert queued(store) == [("reply", 1), ("update", 1)]
    reply = outbox.claim(store, NOW + 44 * SECOND)
    assert reply
    assert reply.body == "Now high, it was medium.\nNew: Title of r2 (high)."
    assert outbox.claim(store, NOW + 44 * SECOND) is None  # at most once in 45 s
    assert outbox.claim(store, NOW + 45 * SECOND)


def test_a_second_finding_of_the_same_rule_is_news_too(store: Store) -> None:
    """The message lists what was found: also more of the same, within the episode."""
    take(store, found(store))
    row = outbox.claim(store, NOW)
    assert row
    outbox.posted(store, row, NOW, "C1", "1.1")
    take(store, found(store, at=START + 30 * MINUTE), now=START + 31 * MINUTE)
    assert queued(store) == [("reply", 1), ("update", 1)]


def grow(store: Store, number: int, at: int) -> list[tuple[str, int | None]]:
    """Let a posted alert's finding go on until a moment; return what that queues."""
    store.connection.execute("UPDATE outbox SET state = 'posted', done = 0")
    one = replace(alerts.findings(store, "id = ?", (number,))[0], last=at, count=9)
    alerts.update_finding(store, one, at)
    take(store, one, now=at)
    return queued(store)


def test_once_the_episode_is_over_mere_going_on_is_not_drawn(store: Store) -> None:
    """After an hour without growth, and after a day; what is new or worse is drawn all the same."""
    take(store, found(store))
    assert grow(store, 1, START + HOUR) == [("update", 1)]
    assert grow(store, 1, START + 3 * HOUR) == []
    assert grow(store, 1, START + 3 * HOUR + MINUTE) == []
    take(store, found(store, "r2", at=START + 3 * HOUR), now=START + 3 * HOUR)
    assert grow(store, 1, START + 4 * HOUR) == [("update", 1)]
    for hour in range(5, 24):
        assert grow(store, 1, START + hour * HOUR) == [("update", 1)]
    assert grow(store, 1, START + 24 * HOUR + MINUTE) == []


def test_what_grew_while_we_were_away_is_drawn(store: Store) -> None:
    """Three hours that come at once are no three hours of quiet."""
    take(store, found(store))
    store.set_meta("last_poll", str(START + MINUTE))
    assert grow(store, 1, START + 3 * HOUR) == [("update", 1)]
    store.set_meta("last_poll", str(START + 5 * HOUR))
    assert grow(store, 1, START + 5 * HOUR + MINUTE) == []


def test_what_goes_on_in_the_log_itself_is_drawn_as_long_as_it_does(store: Store) -> None:
    """A message that says how long the log has been silent has to stay true."""
    take(store, found(store, SILENCE, Level.high))
    assert [grow(store, 1, START + hours * HOUR) for hours in (2, 4, 40)] == [[("update", 1)]] * 3


def test_what_no_longer_holds_is_said_in_the_thread(store: Store) -> None:
    """And the message says so too; the alert stays for somebody to close."""
    take(store, found(store))
    store.connection.execute("UPDATE outbox SET state = 'posted', done = 0")
    gone = replace(alerts.findings(store, "id = 1")[0], state="withdrawn")
    alerts.update_finding(store, gone, NOW)
    take(store, gone)
    assert queued(store) == [("reply", 1), ("update", 1)]
    assert store.value("SELECT body FROM outbox WHERE kind = 'reply'") == "No longer holds: Title of r1."
    view = alerts.view(store, 1, NOW)
    assert view
    assert "though what was found no longer holds" in str(alert_message(view).plain)


def test_new_findings_are_bundled_into_one_reply(store: Store) -> None:
    """One at once, what follows within five minutes together, and no endless list."""
    take(store, found(store))
    store.connection.execute("UPDATE outbox SET state = 'posted', done = 0")
    store.connection.execute("UPDATE alerts SET channel = 'C1', ts = '1.1'")
    for number in range(2, 20):
        take(store, found(store, f"r{number}", at=START + number * SECOND), now=NOW + number * SECOND)
        while row := outbox.claim(store, NOW + number * SECOND):
            outbox.posted(store, row, NOW)
    assert store.value("SELECT count(*) FROM outbox WHERE kind = 'reply' AND state = 'posted'") == 1
    [(body, due)] = store.rows("SELECT body, due FROM outbox WHERE kind = 'reply' AND state = 'pending'")
    assert due == NOW + 2 * SECOND + 5 * MINUTE
    assert body.splitlines()[0] == "New: Title of r3 (medium)."
    assert len(body.splitlines()) == 9
    assert body.endswith("and more: the message shows all of it")


def test_low_findings_wait_until_they_add_up(store: Store) -> None:
    """Quiet is decided, named, and can change."""
    assert take(store, found(store, "r1", Level.low)).quiet == [(1, "quiet, 10 of 30 points")]
    take(store, found(store, "r2", Level.low, START + MINUTE))
    assert queued(store) == []
    assert take(store, found(store, "r3", Level.low, START + 2 * MINUTE)).posted == [1]


def test_history_is_listed_and_never_posted(store: Store) -> None:
    """A backfill must not ring 90 days of bells."""
    take(store, found(store, level=Level.critical, hidden="history"), history=True)
    assert queued(store) == []
    assert [one.decision for one in alerts.listing(store, posted_only=False)] == ["history"]
    assert alerts.listing(store) == []


def test_shadow_findings_open_nothing(store: Store) -> None:
    """An experimental rule is counted, and quiet."""
    take(store, found(store, hidden="shadow"))
    assert alerts.listing(store, posted_only=False) == []


def test_what_is_heard_of_late_is_posted_and_marked(store: Store) -> None:
    """After hours of silence the alert says how old it is."""
    take(store, found(store), now=START + 3 * HOUR)
    view = alerts.view(store, 1, START + 3 * HOUR)
    assert view
    assert view.alert.decision == "posted, late"
    assert view.late_by == 3 * HOUR


def test_what_goes_on_for_days_is_told_once(store: Store) -> None:
    """The same rule at the same level opens nothing new after a day; something worse does."""
    take(store, found(store))
    for hour in range(1, 40):
        take(store, found(store, at=START + hour * HOUR - hour * SECOND), now=START + hour * HOUR)
    assert len(alerts.listing(store, posted_only=False)) == 1
    take(store, found(store, "r2", Level.high, START + 39 * HOUR + MINUTE), now=START + 40 * HOUR)
    assert len(alerts.listing(store)) == 2


def test_an_episode_is_one_alert_however_its_findings_are_handed_over(store: Store) -> None:
    """An import finds rule by rule, not hour by hour."""
    steps = [found(store, rule, at=START + minute * MINUTE) for rule in ("r1", "r2") for minute in (0, 50, 100, 150)]
    take(store, *reversed(steps), history=True)
    [one] = alerts.listing(store, posted_only=False)
    assert (one.first, one.last) == (START, START + 150 * MINUTE)


def test_a_withdrawn_finding_leaves_the_alert_and_its_points(store: Store) -> None:
    """The message stays, and says what still holds."""
    one, other = found(store), found(store, "r2", Level.high)
    take(store, one, other)
    gone = replace(alerts.findings(store, "id = ?", (other.id,))[0], state="withdrawn")
    alerts.update_finding(store, gone, NOW)
    take(store, gone)
    assert alerts.listing(store)[0].points == 30


def test_acknowledge_resolve_and_the_second_click(store: Store) -> None:
    """Whoever clicks second learns who was first; nothing happens twice."""
    take(store, found(store))
    assert alerts.acknowledge(store, 1, "U1", NOW).done
    assert "already acknowledged by <@U1>" in alerts.acknowledge(store, 1, "U2", NOW).reason
    assert alerts.resolve(store, 1, "U2", NOW + MINUTE).done
    assert "already resolved" in alerts.resolve(store, 1, "U1", NOW).reason
    assert not alerts.resolve(store, 99, "U1", NOW).done
    assert [entry["what"] for entry in journal.entries(store)] == ["acknowledged", "resolved"]
    assert queued(store) == [("post", 1), ("update", 1), ("reply", 1), ("reply", 1)]


def test_more_of_the_same_after_resolve_stays_quiet(store: Store) -> None:
    """A decision holds for what was decided."""
    take(store, found(store))
    alerts.resolve(store, 1, "U1", NOW)
    take(store, found(store, at=START + 10 * MINUTE), now=NOW + 10 * MINUTE)
    assert [one.state for one in alerts.listing(store)] == ["resolved"]
    take(store, found(store, at=START + DAY), now=START + DAY)
    assert [one.state for one in alerts.listing(store)] == ["open", "resolved"]


def test_an_address_with_several_actors_has_an_alert_of_its_own(store: Store) -> None:
    """Unless all its events have one actor: then it joins that actor's."""
    address = Finding(0, "r9", "t", Level.high, {"ip": "192.0.2.1"}, START, START, 5)
    take(store, found(store), alerts.insert_finding(store, replace(address, actor="eve@corp.example"), NOW))
    take(store, alerts.insert_finding(store, address, NOW))
    assert {one.entity.kind for one in alerts.listing(store)} == {"actor", "ip"}


def test_a_changed_journal_is_noticed(store: Store) -> None:
    """Each entry's hash covers all before it; a cut at the end shows against an anchor."""
    for number in range(3):
        journal.write(store, NOW + number, "U1", "query", {"text": str(number)})
    head = list(journal.entries(store))[-1]["hash"]
    assert journal.verify(store, head) == (3, "")
    store.connection.execute("DELETE FROM journal WHERE id = 3")
    assert journal.verify(store) == (2, "")
    assert "cut" in journal.verify(store, head)[1]
    store.connection.execute("UPDATE journal SET who = 'U2' WHERE id = 2")
    assert journal.verify(store)[1].startswith("entry 2")


def test_routing_is_read_and_mistakes_are_told_with_their_lines() -> None:
    """An empty file is the built-in routing."""
    assert parse_routing("", "routing.yml") == Routing()
    good = parse_routing("post_from: 40\nchannels: {high: C1}\n", "routing.yml")
    assert (good.post_from, good.channels) == (40, {Level.high: "C1"})
    with pytest.raises(RuleError) as error:
        parse_routing("post_form: 40\nchannels:\n  hihg: C1\n", "routing.yml")
    assert [problem.line for problem in error.value.problems] == [1, 3]
    assert "did you mean post_from?" in str(error.value)
