"""Digests: each day told once, whatever restarts and clocks do; figures that are naive counts; in Slack as it shows."""

from __future__ import annotations

import itertools
import json
import random
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.activity import local, start_of
from bot.alert import digest
from bot.alert.pictures import Illustrator
from bot.alert.routing import parse_routing
from bot.alert.routing_keys import DigestTimes
from bot.errors import RuleError
from bot.model import Alert, Entity, Finding, Judgement, Level, Rule, Verdict
from bot.sandbox.slack_state import ALERTS
from bot.store import alerts, journal
from bot.store.log import gaps
from bot.store.messages import digest as gathered
from bot.store.people import exceptions, judgements
from bot.store.schema import Store
from bot.times import DAY, HOUR, MINUTE, WEEK, parse_time
from tests.conftest import fresh
from tests.laws import law
from tests.slack_lab import NOW, RULE, Lab, fill, lab, seed_alert, words
from tests.test_activity import ZONES

MONDAY = parse_time("2026-11-23T00:00:00Z")  # of the lab's now, 08:00
TIMES = DigestTimes()


def spans(store: Store, kind: str = "daily") -> list[tuple[int, int]]:
    """Return what the digests in the outbox cover."""
    bodies = [json.loads(text) for (text,) in store.rows("SELECT body FROM outbox WHERE kind = 'digest' ORDER BY id")]
    return [(one["since"], one["until"]) for one in bodies if one["kind"] == kind]


# -- when ------------------------------------------------------------------------------------------------------------
@law(12)
@given(
    st.lists(st.integers(5 * MINUTE, 40 * HOUR), min_size=1, max_size=12),
    st.sampled_from(ZONES),
    st.sampled_from([0, 2 * 60 + 30, 9 * 60, 23 * 60 + 59]),
)
def test_every_day_is_told_once_and_none_is_left_out(waits: list[int], zone_name: str, at: int) -> None:
    """However rarely it is looked at, with a new process each time, over the change of clocks (25 October)."""
    import tempfile

    zone, now = ZoneInfo(zone_name), parse_time("2026-10-20T10:00:00Z")
    with tempfile.TemporaryDirectory() as folder:
        for wait in waits:
            store = fresh(Path(folder) / "a.db")
            digest.run_once(store, DigestTimes(at), now, zone)
            digest.run_once(store, DigestTimes(at), now, zone)
            told = spans(store)
            for (_, until), (since, _) in itertools.pairwise(told):
                assert until == since
            if told:
                last = local(told[-1][1], zone)
                assert told[-1][1] == start_of(last.date(), zone) <= now
            day = digest.due_until("daily", at, now, zone)
            assert store.meta("digest_daily") == day.isoformat()
            assert timedelta(0) <= local(now, zone).date() - day <= timedelta(days=1)
            store.close()
            now += wait


@pytest.mark.parametrize(
    ("zone", "at", "before", "after"),
    [
        ("UTC", "09:00", "2026-11-23T08:59:59Z", "2026-11-23T09:00:00Z"),
        ("Europe/Berlin", "09:00", "2026-11-23T07:59:59Z", "2026-11-23T08:00:00Z"),
        ("Europe/Berlin", "09:00", "2026-10-25T07:59:59Z", "2026-10-25T08:00:00Z"),  # clocks went back that night
        ("Europe/Berlin", "02:30", "2026-03-29T00:29:59Z", "2026-03-29T01:30:00Z"),  # a time that this day skips
        ("Europe/Berlin", "02:30", "2026-10-25T00:29:59Z", "2026-10-25T00:30:00Z"),  # a time that comes twice
    ],
)
def test_a_digest_is_due_at_its_time_by_the_clocks_of_the_zone(zone: str, at: str, before: str, after: str) -> None:
    minutes = int(at[:2]) * 60 + int(at[3:])
    today = local(parse_time(after), ZoneInfo(zone)).date()
    for moment, day in ((before, today - timedelta(days=1)), (after, today)):
        assert digest.due_until("daily", minutes, parse_time(moment), ZoneInfo(zone)) == day


def test_a_weekly_report_comes_on_mondays_and_covers_the_week_before(store: Store) -> None:
    kinds = [digest.run_once(store, TIMES, MONDAY + day * DAY + 9 * HOUR, UTC) for day in range(-3, 8)]
    assert [day for day, queued in zip(range(-3, 8), kinds, strict=True) if "weekly" in queued] == [0, 7]
    assert spans(store, "weekly") == [(MONDAY - WEEK, MONDAY), (MONDAY, MONDAY + WEEK)]
    assert len(spans(store)) == 10


def test_after_a_long_silence_a_digest_covers_a_week_at_most(store: Store) -> None:
    """And one that was switched off starts anew, without telling what nobody wanted to hear."""
    digest.run_once(store, TIMES, MONDAY, UTC)
    digest.run_once(store, TIMES, MONDAY + 40 * DAY + 9 * HOUR, UTC)
    assert spans(store) == [(MONDAY + 33 * DAY, MONDAY + 40 * DAY)]
    off = DigestTimes(daily=False, weekly=False)
    assert digest.run_once(store, off, MONDAY + 45 * DAY, UTC) == []
    digest.run_once(store, TIMES, MONDAY + 46 * DAY + 9 * HOUR, UTC)
    assert spans(store)[-1] == (MONDAY + 44 * DAY, MONDAY + 46 * DAY)


@pytest.mark.parametrize(
    ("text", "times"),
    [
        ("", TIMES),
        ('digest: {at: "07:30"}', DigestTimes(450)),
        ("digest: {weekly: false}", DigestTimes(weekly=False)),
        ("digest: off", DigestTimes(daily=False, weekly=False)),
    ],
)
def test_routing_says_when(text: str, times: DigestTimes) -> None:
    assert parse_routing(text, "routing.yml").digest == times


@pytest.mark.parametrize("text", ["digest: {at: 9 o'clock}", "digest: {att: x}", "digest: [1]", "digest: {daily: 7}"])
def test_mistakes_are_told(text: str) -> None:
    with pytest.raises(RuleError, match=r"routing\.yml:1"):
        parse_routing(text, "routing.yml")


# -- what ------------------------------------------------------------------------------------------------------------
def test_the_figures_are_naive_counts(store: Store) -> None:
    """Of random alerts and findings, over the day and around it."""
    rng = random.Random(4)
    since, until = MONDAY - DAY, MONDAY
    decisions = ("posted", "posted, late", "history", "quiet, 10 of 30 points", "quiet, 20 of 30 points")
    states: tuple[Any, ...] = ("open", "acknowledged", "resolved", "removed")
    hides = ("", "history", "shadow", "goes on as before", "exception 1")
    exceptions.add(store, "actor:a*", reason="a", author="U1", now=MONDAY - 5 * DAY, expires=MONDAY + DAY)
    made, found = [], []
    last: dict[int, str] = {}
    for number in range(120):
        opened = rng.choice([since - 1, since, until - 1, until, rng.randrange(since - DAY, until + DAY)])
        one = Alert(
            0, Entity("actor", f"a{number}"), rng.choice(list(Level)), 10, rng.choice(states), rng.choice(decisions),
            opened, opened, opened, 1,
        )  # fmt: skip
        made.append(alerts.insert_alert(store, one, 0))
        finding = Finding(0, RULE, "t", Level.low, {"actor": "a"}, opened, opened, 1, hidden=rng.choice(hides))
        found.append((alerts.insert_finding(store, finding, opened), opened))
        if one.posted and rng.random() < 0.5:
            verdicts: tuple[Verdict, ...] = ("right", "wrong", "expected")
            for verdict in rng.choices(verdicts, k=2):
                judgements.judge(store, made[-1].id, Judgement(verdict, "", "U1", until))
                last[made[-1].id] = verdict
    shown = gathered.daily(store, since, until, MONDAY)
    mine = [one for one in made if since <= one.opened < until]
    assert {one.id for one in shown.posted} == {one.id for one in mine if one.posted}
    assert {one.id for one in shown.still_open} == {
        one.id for one in made if one.posted and one.state in ("open", "acknowledged")
    }
    quiet = Counter("history" if one.decision == "history" else "below 30 points" for one in mine if not one.posted)
    assert shown.quiet == quiet
    hidden = Counter(one.hidden for one, at in found if since <= at < until and one.hidden not in ("", "history"))
    assert shown.hidden == {name: count for name, count in hidden.items() if name != "exception 1"}
    assert [(one.id, one.findings) for one in shown.excepted] == [(1, hidden["exception 1"])]
    assert shown.head is not None
    assert journal.verify(store, shown.head.hash)[1] == ""
    assert shown.verdicts == Counter(last[one.id] for one in mine if one.id in last)


def test_gaps_and_malformed_records_are_told(store: Store) -> None:
    gaps.note(store, MONDAY - 2 * HOUR, MONDAY - HOUR, "the portal said 500", MONDAY - HOUR)
    gaps.note(store, MONDAY - 4 * HOUR, MONDAY - 3 * HOUR, "the portal said 500", MONDAY - HOUR)
    gaps.close(store, MONDAY - 2 * HOUR, MONDAY - HOUR, MONDAY)
    shown = gathered.daily(store, MONDAY - DAY, MONDAY, MONDAY)
    assert (shown.gaps, shown.missing, shown.malformed, shown.late, shown.nothing) == (2, 1, 0, True, False)


# -- in Slack --------------------------------------------------------------------------------------------------------
@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Lab]:
    with lab(tmp_path) as made:
        yield made
        assert made.slack.recorded.refused == []


def send(bench: Lab, kind: gathered.Kind, since: int, until: int) -> dict[str, Any]:
    from bot.store.messages import outbox

    outbox.put(bench.store, "digest", bench.clock(), body=gathered.body(kind, since, until), urgency=0)
    bench.deliver()
    return bench.slack.messages()[-1]


def test_a_day_without_anything_is_one_short_line(bench: Lab) -> None:
    """Not a wall: and the anchor to note down."""
    bench.store.set_meta("last_poll", str(bench.clock()))
    journal.write(bench.store, NOW, "U0GRACE", "query", {})
    message = send(bench, "daily", MONDAY - DAY, MONDAY)
    assert message["text"] == "Digest of Sun 22 Nov: nothing to tell. 0 events, read without gaps."
    assert len(message["blocks"]) == 2
    head = journal.head(bench.store)
    assert head is not None
    assert head.hash in words(message)
    assert len(words(message)) < 300


def test_a_day_with_alerts_says_what_became_of_them(bench: Lab) -> None:
    """By level, who has what is open, what stayed quiet and why; names from the log stay text."""
    number = seed_alert(bench.store, actor="<!channel> *eve*")
    bench.deliver()
    alerts.acknowledge(bench.store, number, "U0GRACE", NOW)
    exceptions.add(bench.store, "actor:ci*", reason="nightly <job>", author="U1", now=NOW, expires=NOW + DAY)
    hidden = Finding(0, RULE, "t", Level.low, {"actor": "ci"}, NOW, NOW, 1, hidden="exception 1")
    alerts.insert_finding(bench.store, hidden, NOW)
    bench.store.set_meta("forest", "learning until 2026-12-01")
    message = send(bench, "daily", MONDAY, MONDAY + DAY)
    said = " ".join(words(message).split())
    assert message["text"] == "Digest of Mon 23 Nov: 1 alert, 1 still open."
    for part in (
        "1 High:", "1 acknowledged", "A1 High", "<!channel> *eve*", "U0GRACE", "Exception 1 hid:", "1 finding",
        "nightly <job>", "actor:ci*", "12 events, no gaps", "The log is not being read", "learning until 2026-12-01",
    ):  # fmt: skip
        assert part in said
    assert "<!channel>" not in message["text"]


def test_a_weekly_report_has_figures_advice_and_its_picture(bench: Lab) -> None:
    """The picture goes into its thread, and says the same in words."""
    for number in range(5):
        seed_alert(bench.store, actor=f"e{number}@corp.example", end=NOW - MINUTE - number)
    idle = Rule("9d3f8c52-0000-4000-8000-000000000000", "Never seen", Level.low)
    alerts.remember_rules(bench.store, [*alerts.rule_texts(bench.store).values(), idle])
    bench.deliver()
    for number in (1, 2, 3):
        judgements.judge(bench.store, number, Judgement("wrong", "", "U0GRACE", NOW))
    message = send(bench, "weekly", MONDAY, MONDAY + WEEK)
    said = " ".join(words(message).split())
    assert message["text"] == "Rules, Mon 23 Nov to Sun 29 Nov: 5 alerts, 1 noisy rule."
    [table] = [block for block in message["blocks"] if block["type"] == "table"]
    assert [cell["text"] for cell in table["rows"][1]] == ["Bulk delete by one actor", "High", "5", "5", "0", "3"]
    assert "mostly wrong: raise its threshold" in said
    assert "1 rule never fired: Never seen" in said
    bench.clock.leap(MINUTE)
    drawn = Illustrator(bench.store, bench.app, bench.clock, UTC, digest.drawers(bench.store, UTC))
    assert drawn.run_once(20) >= 1
    [reply] = bench.slack.messages(ALERTS, thread=message["ts"])
    alt = reply["files"][0]["alt_txt"]
    assert alt.startswith("Bursts by rule, 2 Nov to 29 Nov 2026: 5 bursts of 1 rule. Bulk delete by one actor (high) 5")


def test_a_digest_that_slack_refuses_for_now_comes_later_and_once(bench: Lab) -> None:
    from bot.sandbox.slack_state import Fault

    bench.slack.fail("chat.postMessage", Fault("ratelimited", 429, 30))
    digest.run_once(bench.store, TIMES, MONDAY, UTC)
    digest.run_once(bench.store, TIMES, MONDAY + 9 * HOUR, UTC)
    bench.clock.leap(2 * HOUR)
    bench.deliver()
    assert bench.slack.messages() == []
    bench.clock.leap(MINUTE)
    for _ in range(3):
        digest.run_once(bench.store, TIMES, MONDAY + 10 * HOUR, UTC)
        bench.deliver()
    assert len([one for one in bench.slack.messages() if "Digest of" in one["text"]]) == 1


def test_many_alerts_and_long_names_stay_within_slacks_limits(bench: Lab) -> None:
    """A digest of a bad day goes out as drawn, not as plain text."""
    fill(bench.store, count=2)
    for number in range(60):
        opened = Alert(
            0, Entity("actor", f"{number}" + "é*`" * 900), Level.high, 60, "open", "posted", NOW, NOW, NOW, 1
        )
        alerts.insert_alert(bench.store, opened, 0)
        for hide in (f"exception {number}", f"reason {number}"):
            one = Finding(0, RULE, "t", Level.low, {"actor": "x"}, NOW, NOW, 1, hidden=hide)
            alerts.insert_finding(bench.store, one, NOW)
    message = send(bench, "daily", MONDAY, MONDAY + DAY)
    assert message["blocks"]
    assert "and 50 more: /audit alerts open" in words(message)
    long = [Rule(f"r{n}", f"{n} " + "long " * 50, Level(n % 5)) for n in range(60)]
    alerts.remember_rules(bench.store, long)
    for rule in long[:40]:
        alerts.insert_finding(bench.store, Finding(0, rule.id, "t", rule.level, {}, NOW, NOW, 1), NOW)
    assert send(bench, "weekly", MONDAY, MONDAY + WEEK)["blocks"]
