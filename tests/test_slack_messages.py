"""What messages say and how: alerts and answers, within Slack's limits, whatever the names in them."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from slackblocks import InvalidUsageError

from bot.ask.sheet import csv_lines
from bot.errors import QueryError
from bot.model import Alert, AlertState, AlertView, Entity, Event, Finding, Level, Record, Rule
from bot.query import BEGIN, END, Query
from bot.query.build import FIELDS
from bot.sandbox.limits import refusal, view_refusal
from bot.sandbox.slack_state import SITE
from bot.slack import answers, blocks, listings
from bot.slack.alert_message import alert_message, sentence
from bot.slack.blocks import Json, Message, check_limits, payload, plain_payload
from bot.slack.digest_message import digest_message
from bot.slack.home import Home, home_view
from bot.slack.query_form import query_form
from bot.store.journal import Head
from bot.store.messages.digest import Daily, Weekly
from bot.store.people.exceptions import TimedException
from bot.store.queries.search import Page
from bot.store.rule_stats import RuleStats
from bot.store.status import Status
from bot.times import DAY, HOUR, MINUTE
from tests.laws import law
from tests.slack_lab import NOW, RULE, words

UTC = ZoneInfo("UTC")
DECIDE, LOOK = ["alert_assign", "alert_snooze", "alert_expect", "alert_resolve"], ["alert_evidence", "alert_more"]
HOSTILE = (
    "<!channel>", "<@U0GRACE>", "`code` *bold* _it_ ~no~", "<https://evil.example|your bank>", ":bell: :smile:", "",
    "http://evil.example/x", "\u202egnp.exe\u202c", "zero\u200bwidth", "x" * 5_000, "a\nb\n> quote", "&lt;!here&gt;",
    "half\ud800pair", "```block```", "@channel #general", "=1+1", "\u0335" * 500,
)  # fmt: skip


CALLED = ({"type": "user", "user_id": "U0GRACE"}, {"type": "usergroup", "usergroup_id": "S0SECURITY"})


def alert(**changes: Any) -> Alert:
    base = Alert(
        12, Entity("actor", "eve@corp.example"), Level.high, 70, "open", "posted", NOW, NOW - 9 * MINUTE, NOW, 12
    )
    return replace(base, **changes)


def finding(**changes: Any) -> Finding:
    base = Finding(
        1, RULE, "Bulk delete by one actor", Level.high, {}, NOW - 9 * MINUTE, NOW, 12, "eve@corp.example",
        "192.0.2.66", reasons=("12 different values of object in 9 min (12 events)",),
    )  # fmt: skip
    return replace(base, **changes)


def event(number: int = 1, **changes: Any) -> Event:
    base = Event(NOW - number * MINUTE, number, "DELETE", "eve@corp.example", "192.0.2.66", f"svc-{number}", "SERVICE")
    return replace(base, **changes)


def view(shown: Alert | None = None, *findings: Finding, **changes: Any) -> AlertView:
    rule = Rule(
        RULE, "Bulk delete by one actor", Level.high, description="Ten or more in ten minutes.",
        runbook="https://runbooks.corp.example/bulk", references=("https://attack.corp.example/T1485",),
        falsepositives=("The clean-up after a project.",),
    )  # fmt: skip
    return AlertView(
        shown or alert(), findings or (finding(),), {RULE: rule}, (event(1), event(2), event(3)), **changes
    )


def named(name: str) -> AlertView:
    """Return an alert in which every text is the same hostile name."""
    rule = Rule(
        RULE, name, Level.high, description=name, runbook=name, references=(name,) * 9, falsepositives=(name,) * 9
    )
    found = finding(title=name, reasons=(name, name), actor=name, ip=name)
    rows = tuple(event(n, actor=name, ip=name, object=name, type=name, action=name) for n in range(1, 4))
    return AlertView(
        alert(entity=Entity("actor", name), owner=name, state="acknowledged"), (found,) * 8, {RULE: rule}, rows
    )


def query(text: str = "action:delete") -> Query:
    return Query(None, NOW - DAY, NOW, text=text)


def test_the_first_words_can_be_read_aloud() -> None:
    """One sentence says how bad, who, what and how much."""
    said = sentence(view())
    assert said == (
        "High: eve@corp.example: Bulk delete by one actor, 12 different values of object in 9 min (12 events)."
    )
    assert words(alert_message(view()).blocks[0]).strip() == said


def test_the_sentence_names_what_else_was_found_and_a_strange_network() -> None:
    other = finding(title="Known person, never-seen network", level=Level.medium)
    shown = view(None, finding(), other, finding(title="Third"))
    strange = replace(shown, evidence=(event(facts={"network_new_for_actor": True}),))
    assert "never seen for this actor" in sentence(strange)
    assert sentence(shown).endswith(", and Known person, never-seen network and 1 more.")


def test_an_alert_says_level_who_what_how_much_why_where_when_and_who_has_it() -> None:
    said = words(list(alert_message(view()).details))
    for part in (
        "High", "70 risk points", "eve@corp.example", "12 events in 9 min", "192.0.2.66", "Why this is unusual",
        "Ten or more in ten minutes", "May be harmless: The clean-up after a project.",
        "https://runbooks.corp.example/bulk", "https://attack.corp.example/T1485",
        "nobody has it yet", "svc-1", "svc-3",
        "A12", "2026-11-23 07:51 to 08:00 UTC", "Acknowledge", "Resolve",
    ):  # fmt: skip
        assert part in said


def test_a_zone_of_ones_own_stands_beside_utc() -> None:
    assert "08:51 to 09:00 CET" in words(list(alert_message(view(), ZoneInfo("Europe/Berlin")).details))


def test_each_level_has_its_colour_and_its_word() -> None:
    drawn = [alert_message(view(alert(level=level))) for level in Level]
    assert len({shown.color for shown in drawn}) == len(Level)
    assert [shown.text.split(":")[0] for shown in drawn] == ["Informational", "Low", "Medium", "High", "Critical"]


@pytest.mark.parametrize(
    ("state", "buttons"),
    [
        ("open", ["alert_acknowledge", *DECIDE, *LOOK]), ("acknowledged", [*DECIDE, *LOOK]), ("resolved", LOOK),
        ("removed", LOOK),
    ],
)  # fmt: skip
def test_buttons_offer_what_may_still_be_done_and_carry_the_id_alone(state: AlertState, buttons: list[str]) -> None:
    shown = alert_message(view(alert(state=state, owner="U0GRACE", owned_at=NOW)))
    found = [element for block in shown.details for element in block["elements"] if "action_id" in element]
    assert [element["action_id"] for element in found] == buttons
    assert {element.get("value", "12") for element in found} == {"12"}
    values = [option["value"] for element in found for option in element.get("options", ())]
    assert values == ["timeline:12", "note:12", "export:12", "share:12"]


def test_the_one_who_has_it_is_mentioned_with_the_moment() -> None:
    shown = alert_message(view(alert(state="acknowledged", owner="U0GRACE", owned_at=NOW)))
    assert {"type": "user", "user_id": "U0GRACE"} in list(_parts(list(shown.details)))
    assert "2026-11-23 08:00 UTC" in words(list(shown.details))


def test_a_late_alert_and_a_possible_repeat_say_so() -> None:
    said = words(list(alert_message(view(late_by=3 * HOUR), repeat=True).details))
    assert "found 3 h after the last event" in said
    assert "Possible repeat" in said


def test_an_alert_whose_findings_were_withdrawn_still_has_a_message() -> None:
    shown = AlertView(alert(state="open"), (), {}, ())
    assert "no longer holds" in alert_message(shown).text
    assert refusal(payload(alert_message(shown))) is None


def test_an_alert_that_nobody_was_shown_says_so() -> None:
    """`/audit show` finds it all the same; nobody is asked to take it."""
    for decision, why in (("history", "before the first complete poll"), ("quiet, 20 of 30 points", "20 of 30 points")):
        said = words(list(alert_message(view(alert(decision=decision)), buttons=False).details))
        assert "Not posted" in said
        assert why in said
        assert "nobody has it yet" not in said


def test_metadata_holds_the_alerts_id_and_nothing_else() -> None:
    assert alert_message(view()).metadata == {"event_type": "audit_bot_alert", "event_payload": {"alert_id": 12}}


def test_the_same_alert_is_drawn_the_same_twice() -> None:
    assert alert_message(view()) == alert_message(view())


def test_a_runbook_that_is_no_web_address_is_no_link() -> None:
    rule = Rule(RULE, "t", Level.low, runbook="docs/runbooks/bulk-delete.md")
    shown = alert_message(replace(view(), rules={RULE: rule}))
    assert "docs/runbooks/bulk-delete.md" in words(list(shown.details))
    assert not [part for part in _parts(list(shown.details)) if part.get("type") == "link"]


def messages(name: str) -> Iterator[Message]:
    """Yield every message that shows text from events, with this text everywhere."""
    rows = tuple(event(n, actor=name, ip=name, object=name, type=name, action=name) for n in range(50))
    yield alert_message(named(name))
    yield answers.search_answer(query(name), Page(rows, 10_000, more=True), UTC)
    yield answers.top_answer(query(name), [(name, 7)] * 20 + [(None, 1)], UTC)
    yield answers.timeline_answer(query(name), [(NOW, 3), (NOW + HOUR, 0)], UTC)
    yield answers.event_answer(replace(rows[0], facts={"country": name, "hour": 3, "off_hours": True}), UTC)
    yield listings.alerts_answer([alert(entity=Entity("actor", name), owner=name)] * 20, UTC)
    yield listings.rules_answer([Rule(str(n), name, Level.low, file=name) for n in range(120)])
    yield listings.exceptions_answer([excepted(n, name) for n in range(120)], {RULE: name}, UTC)
    yield listings.status_answer(status(name), NOW, UTC)
    yield answers.error_answer(QueryError(f"there is no {name}", f"{name} actro:eve", len(name), name))
    yield answers.sorry_answer(f"No: {name.replace('<@', '')}")
    yield answers.count_answer(query(name), 3, UTC)
    yield answers.waiting_answer(name)
    yield answers.export_answer(query(name), UTC)
    yield listings.exceptions_answer([excepted(1, name)], {}, UTC, revoked=excepted(2, name))
    yield blocks.above(answers.count_answer(query(name), 3, UTC), "Shared by ", blocks.person("U0GRACE"), ":")
    yield blocks.plain_words(name, ("U0GRACE", "S0SECURITY"))
    yield digest_message(daily(name), UTC, repeat=True)
    yield digest_message(weekly(name), UTC)
    yield blocks.beneath(answers.count_answer(query(name), 3, UTC), ("Share", "audit_share", "1", None))


def daily(name: str) -> Daily:
    waits = (alert(entity=Entity("actor", name)), alert(entity=Entity("ip", name), owner=name, state="acknowledged"))
    hid = tuple(excepted(n, name) for n in range(9))
    by_reason = {f"{name} {n}": n for n in range(1, 9)}
    return Daily(
        NOW - DAY, NOW, NOW, 9, waits * 20, {"right": 1}, waits * 20, by_reason, by_reason, hid, 1, 1, 1, None, name,
        Head(7, "f" * 64),
    )  # fmt: skip


def weekly(name: str) -> Weekly:
    rules = [Rule(str(n), name, Level.high, status="experimental" if n % 2 else "stable") for n in range(40)]
    judged = tuple(RuleStats(rule, 9, 99, 9, 99, 1, 8, 1, 8, NOW, 1) for rule in rules)
    return Weekly(NOW - 7 * DAY, NOW, 99, judged, tuple(rules), Head(7, "f" * 64))


def views(name: str) -> Iterator[Json]:
    """Yield every view that shows text from events, or that was typed, with this text everywhere."""
    waits = alert(entity=Entity("actor", name), owner="U0DANIEL", channel="C0ALERTS", ts="1.2")
    shown = Home("U0GRACE", status(name), [waits] * 20, [excepted(n, name) for n in range(20)], SITE)
    yield home_view(shown, NOW, UTC)
    yield query_form(dict.fromkeys(FIELDS, name) | {"verb": "top"})


def _assert_view_inert(view: Json, name: str) -> None:
    assert view_refusal(view) is None
    json.dumps(view).encode()
    for part in _parts(view["blocks"]):
        assert part["type"] not in ("mrkdwn", "usergroup", "channel", "emoji", "broadcast")
        if part["type"] == "plain_text":
            assert len(name.strip()) < 12 or name not in part["text"]
        if part["type"] == "link":
            assert part["url"].startswith(SITE)
        if part["type"] == "user":
            assert part["user_id"] == "U0DANIEL"


def excepted(number: int, text: str, rule: str | None = RULE) -> TimedException:
    return TimedException(number, rule, text, text, text, NOW, NOW + DAY - number * HOUR, findings=number)


def status(text: str) -> Status:
    return Status(
        9, 1, NOW - DAY, NOW, NOW, NOW, ((NOW - HOUR, NOW, text),) * 9, 2, NOW - HOUR, 1, 4, 2, text, text, NOW + DAY
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_are_shown_never_acted_on(name: str) -> None:
    """No name in any message becomes a mention, a link, an emoji or a format, in blocks or in the fallback text."""
    for shown in messages(name):
        _assert_inert(shown, name)


@pytest.mark.slow
@law(6)
@given(st.text(st.characters(exclude_categories=()), max_size=400))
def test_no_text_at_all_becomes_markup_or_breaks_a_limit(name: str) -> None:
    for shown in messages(name):
        _assert_inert(shown, name)
    for view in views(name):
        _assert_view_inert(view, name)


@law()
@given(st.lists(st.text(st.characters(exclude_categories=()), max_size=20) | st.sampled_from(HOSTILE), max_size=5))
def test_no_cell_of_a_file_is_a_formula_and_none_is_lost(names: list[str]) -> None:
    """What a spreadsheet reads back is the name itself, after an apostrophe where it would have been a formula."""
    found = [Record(NOW, "DELETE", name, None, name, "T", "2026", 0, b"") for name in names]
    text = b"".join(csv_lines(found)).decode()
    read = list(csv.reader(io.StringIO(text, newline="")))
    assert len(read) == len(names) + 1
    for name, row in zip(names, read[1:], strict=True):
        assert row[2].removeprefix("'") == name.encode("utf-8", "replace").decode().removeprefix("'")
        assert not row[2].startswith(("=", "+", "-", "@", "\t", "\r"))
        assert row[2] == row[4]


def _assert_inert(shown: Message, name: str) -> None:
    assert check_limits(shown) == []
    for body in (payload(shown) | {"metadata": dict(shown.metadata) or None}, plain_payload(shown)):
        assert refusal(body) is None
        json.dumps(body).encode()
        assert body["mrkdwn"] is False
        assert (body["unfurl_links"], body["unfurl_media"], body.get("link_names")) == (False, False, None)
        assert "<" not in body["text"]
        assert "://" not in body["text"]
    assert sum(blocks.text_sizes([shown.blocks, shown.details])) < 9_000
    assert len(shown.blocks) + len(shown.details) <= 50
    for part in _parts([*shown.blocks, *shown.details]):
        assert part["type"] != "mrkdwn"
        if part["type"] == "link":
            assert part["url"] == name.strip()
        if part["type"] in ("user", "usergroup", "channel", "emoji", "broadcast"):
            assert part in ({"type": "user", "user_id": name}, *CALLED)


def _parts(value: Any) -> Iterator[Json]:
    """Yield every object with a type in blocks."""
    if isinstance(value, dict):
        if "type" in value:
            yield value
        for inner in value.values():
            yield from _parts(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _parts(inner)


def test_plain_text_is_for_the_programs_own_words() -> None:
    """Slack makes emoji of codes in `plain_text`, so no name may ever stand there."""
    for shown in messages("NAME-OF-A-STRANGER"):
        for part in _parts([*shown.blocks, *shown.details]):
            assert part["type"] != "plain_text" or "STRANGER" not in part["text"]
    for view in views("NAME-OF-A-STRANGER"):
        assert not [
            part for part in _parts(view["blocks"]) if part["type"] == "plain_text" and "STRANGER" in part["text"]
        ]


def test_fifty_rows_of_long_names_still_fit() -> None:
    rows = tuple(event(n, actor="a" * 300, object="o" * 300, type="t" * 300) for n in range(50))
    shown = answers.search_answer(query(), Page(rows, 50, more=False), UTC)
    assert len(shown.blocks[1]["rows"]) == 51
    assert check_limits(shown) == []


def test_exceptions_say_what_is_expected_of_which_rule_until_when() -> None:
    """In the order given; a rule by its title, and one that is gone by its id."""
    listed = [excepted(3, "x", "gone"), excepted(2, "deploy", None), excepted(1, "actor:ci-bot")]
    shown = listings.exceptions_answer(listed, {RULE: "Bulk delete"}, UTC)
    rows = [[words(cell).strip() for cell in row] for row in shown.blocks[1]["rows"][1:]]
    assert [row[0] for row in rows] == ["3", "2", "1"]
    assert [row[3] for row in rows] == ["gone", "all", "Bulk delete"]
    assert rows[2][6:] == ["2026-11-24 07:00 UTC", "1 finding"]
    assert shown.text == "3 exceptions in force, the first to end on top"


def test_the_range_that_was_searched_is_echoed() -> None:
    assert "2026-11-22 08:00 to 2026-11-23 08:00 UTC" in words(list(answers.count_answer(query(), 3, UTC).blocks))
    assert "all time" in words(list(answers.count_answer(replace(query(), since=BEGIN, until=END), 3, UTC).blocks))


def test_a_count_beyond_what_is_counted_says_more() -> None:
    assert "1 of 10,000+ events" in answers.search_answer(query(), Page((event(),), 10_000, more=True), UTC).text


def test_an_error_marks_the_place_and_shows_a_corrected_example() -> None:
    error = QueryError("There is no key `actro`. Did you mean `actor`?", "action:delete actro:eve", 14, "actor:eve")
    shown = answers.error_answer(error)
    marked = next(part for part in _parts(list(shown.blocks)) if part["type"] == "rich_text_preformatted")
    assert marked["elements"][0]["text"] == "action:delete actro:eve\n" + " " * 14 + "^"
    assert "/audit actor:eve" in words(list(shown.blocks))


def test_the_mark_finds_its_place_in_a_very_long_query() -> None:
    text = "a" * 3_000 + " (" + "b" * 3_000
    marked = words(list(answers.error_answer(QueryError("unclosed", text, 3_001)).blocks))
    line, mark = marked.split("unclosed ")[1].split("\n")
    assert line[len(mark) - 1] == "("


def test_top_has_bars_in_proportion() -> None:
    rows = answers.top_answer(query(), [("a", 100), ("b", 50), (None, 1)], UTC).blocks[1]["rows"]
    assert [len(row[2]["text"]) for row in rows[1:]] == [16, 8, 1]
    assert rows[3][0]["text"] == "(none)"


def test_nothing_found_is_an_answer_too() -> None:
    for shown in (
        answers.search_answer(query(), Page((), 0, more=False), UTC), answers.top_answer(query(), [], UTC),
        answers.timeline_answer(query(), [], UTC), listings.alerts_answer([], UTC), listings.rules_answer([]),
    ):  # fmt: skip
        assert refusal(payload(shown)) is None
        assert shown.text.startswith("No")


def test_check_limits_names_what_slack_would_refuse() -> None:
    table = blocks.message("t", [blocks.table(["a"], [["b"]])]).blocks
    button = blocks.message("t", [blocks.buttons(("Go", "go", "1", None))]).blocks
    long = blocks.message("t", [blocks.paragraph("x" * 9_500)])
    assert check_limits(Message("", long.blocks)) == ["no fallback text", "9500 characters in blocks, over 9000"]
    assert check_limits(Message("t", table * 2)) == ["more than one table"]
    assert check_limits(Message("t", button * 2)) == ["an action id stands twice"]
    assert "60 blocks, over 50" in check_limits(Message("t", blocks.message("t", [blocks.small("x")]).blocks * 60))


def test_a_block_over_a_limit_cannot_even_be_built() -> None:
    with pytest.raises(InvalidUsageError):
        blocks.buttons(*[("Go", f"go{n}", "1", None) for n in range(26)])
