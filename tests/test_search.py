"""Queries against the store: the same answers as a plain walk over all events would give."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC
from ipaddress import IPv6Address, ip_address, ip_network
from itertools import pairwise
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.errors import QueryError
from bot.fields import FACTS, FactSettings
from bot.model import Event, Level
from bot.query import Query, parse_query
from bot.store.queries import search
from bot.store.queries.conditions import DICTIONARIES
from bot.store.schema import Store
from bot.times import DAY, HOUR, MINUTE, parse_time
from tests.conftest import add, fresh, record
from tests.laws import law

NOW = parse_time("2026-11-23T08:00:00Z")
BERLIN = ZoneInfo("Europe/Berlin")
SETTINGS = FactSettings(BERLIN, sensitive=("*KEY*", "team"))
FACT_NAMES = tuple(fact.name for fact in FACTS)


# a store to ask


@dataclass(frozen=True)
class Found:
    """A finding as far as queries care."""

    rule: str
    title: str
    level: int
    group: Mapping[str, str]
    first: int
    last: int
    state: str = "open"


def event(number: int, time: int = NOW, **given: Any) -> Event:
    named = {"action": "UPDATE", "actor": "eve@example.com", "ip": "10.0.0.1", "object": "payments", "type": "SERVICE"}
    return Event(time=time, id=number, **{**named, **given})


def fill(
    store: Store, events: Sequence[Event], findings: Sequence[Found] = (), log_start: int = NOW - 90 * DAY
) -> None:
    """Put exactly these events and findings into a store, with what is remembered of first times."""
    with store.write() as db:
        for table in ("events", "findings", "first_seen", *DICTIONARIES.values(), "networks"):
            db.execute(f"DELETE FROM {table}")
        db.execute("INSERT INTO networks VALUES (1, 'one')")
        for name, table in DICTIONARIES.items():
            extra = ", 1" if name == "ip" else ""
            texts = sorted({getattr(e, name) for e in events} - {None})
            db.executemany(f"INSERT INTO {table} VALUES (NULL, ?{extra})", [(text,) for text in texts])
        ids = {name: dict(db.execute(f"SELECT name, id FROM {table}")) for name, table in DICTIONARIES.items()}
        order = ("actor", "ip", "object", "type", "action")
        db.executemany(
            "INSERT INTO events VALUES (?, ?, ?, 0, ?, ?, ?, ?, ?, 0, ?, NULL)",
            [
                (e.id, e.time, e.id, *(ids[name].get(getattr(e, name)) for name in order), e.id % 4 or None)
                for e in events
            ],
        )
        db.execute("INSERT INTO first_seen VALUES ('log', 0, 0, ?)", (log_start,))
        db.execute("INSERT INTO first_seen SELECT 'actor', actor, 0, min(time) FROM events WHERE actor > 0 GROUP BY 2")
        db.execute("INSERT INTO first_seen SELECT 'ip', ip, 0, min(time) FROM events WHERE ip > 0 GROUP BY 2")
        for f in findings:
            db.execute(
                "INSERT INTO findings (rule, grp, title, level, first, last, state, count, evidence, reasons, hidden,"
                " found, updated) VALUES (?, ?, ?, ?, ?, ?, ?, 1, '[]', '[]', '', 0, 0)",
                (f.rule, json.dumps(dict(f.group)), f.title, f.level, f.first, f.last, f.state),
            )


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """Return a store that property tests fill again and again."""
    store = fresh(tmp_path_factory.mktemp("search") / "audit.db")
    yield store
    store.close()


def ask(text: str, **given: Any) -> Query:
    return parse_query(text, NOW, SETTINGS.zone, **{"default_last": None, **given})


def ids(store: Store, text: str) -> list[int]:
    """Return the ids found, oldest first."""
    return [e.id for e in search.search(store, ask(f"{text} sort:old limit:10000"), SETTINGS).events]


# brute force: a condition as text together with what it means


@dataclass(frozen=True)
class Asked:
    """A query's text, and the same question as a function; `facts` of the event are all there."""

    text: str
    holds: Callable[[Event, Sequence[Found]], bool] = field(repr=False)


def spell(parts: Sequence[str], *, bare: bool) -> str:
    """Spell literals with stars between them, bare where that is possible and wanted."""
    if bare and all(re.fullmatch(r"[\w@.%/:]*", part) for part in parts) and any(parts):
        return "*".join(parts)
    return '"' + "*".join(re.sub(r'(["\\*])', r"\\\1", part) for part in parts) + '"'


def fits(parts: Sequence[str], text: str | None) -> bool:
    pattern = ".*".join(re.escape(part.casefold()) for part in parts)
    return text is not None and re.fullmatch(pattern, text.casefold(), re.DOTALL) is not None


def same_network(value: str, text: str | None) -> bool:
    """Compare as addresses, where both are some."""
    try:
        network, address = ip_network(value, strict=False), ip_address(text or "")
    except ValueError:
        return False
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    if value.startswith("::ffff:"):
        network = ip_network(f"{network.network_address.ipv4_mapped}/{network.prefixlen - 96}")  # type: ignore[union-attr]
    return address in network


TEXTS = [
    *("eve", "EVE@x", "straße", "STRASSE", "ß", "İ", "i̇", "ΣΑΣ", "σας", "ſ", "K", "k", "ﬁx", "a*b", "*", 'say "hi"'),
    *(
        "100%",
        "1000",
        "a_b",
        "aXb",
        "back\\slash",
        "\\",
        "",
        " ",
        "a b",
        "a–b",
        "a-b",
        "“q”",
        "(p)",
        "a,b",
        "é",
        "e\u0301",
    ),
    *("OR", "-x", "top", "x:y", ">5", "nul\0nul", "NUL\0", "ab\ncd", "last", "7d"),
]
ADDRESSES = ["10.0.0.1", "10.0.1.200", "10.200.0.1", "::ffff:10.0.0.1", "::FFFF:0a00:0001", "2001:db8::1"]
ADDRESSES += ["2001:0DB8:0:0:0:0:0:1", "2001:db8:1::9", "fe80::1%eth0", "not an ip", "010.0.0.1", "::1", ""]
NETWORKS = ["10.0.0.0/8", "10.0.0.0/24", "10.0.0.1", "::ffff:10.0.0.1", "::ffff:10.0.0.0/104", "2001:db8::/32", "::/0"]
NETWORKS += ["2001:DB8::1", "0.0.0.0/0", "10.0.0.77/24"]
RULES = [("rule-a", "Bulk delete"), ("RULE-B", "Straße 5%"), ("forest", "Forest")]

texts = st.sampled_from(TEXTS)
times = st.integers(0, 12).map(lambda n: NOW - n * 5 * HOUR)
literals = st.lists(st.one_of(texts, st.sampled_from(["e", "S", "a", "", "1"])), min_size=1, max_size=3)
events = st.lists(
    st.builds(
        Event,
        time=times,
        id=st.integers(1, 2**40),
        action=st.sampled_from(["CREATE", "DELETE", "straße"]),
        actor=st.none() | texts,
        ip=st.none() | st.sampled_from(ADDRESSES),
        object=texts,
        type=st.sampled_from(["SERVICE", "API_KEY", "TEAM", "ﬁx"]),
    ),
    max_size=12,
    unique_by=lambda e: e.id,
)
groups = st.one_of(
    st.just({}),
    texts.map(lambda text: {"actor": text}),
    st.sampled_from(ADDRESSES).map(lambda text: {"ip": text}),
    st.tuples(texts, texts).map(lambda pair: {"actor": pair[0], "object": pair[1]}),
    st.sampled_from(["person", "key"]).map(lambda kind: {"actor_kind": kind}),
    texts.map(lambda text: {"who": text}),
)
findings = st.lists(
    st.builds(
        lambda rule, level, group, first, length, state: Found(
            rule[0], rule[1], level, group, first, first + length, state
        ),
        st.sampled_from(RULES),
        st.integers(0, 4),
        groups,
        times,
        st.sampled_from([0, 10 * HOUR, 50 * HOUR]),
        st.sampled_from(["open", "open", "withdrawn", "merged"]),
    ),
    max_size=4,
)


def belongs(e: Event, finding: Found) -> bool:
    if finding.state != "open" or not finding.first <= e.time <= finding.last:
        return False
    own = {name: getattr(e, name) for name in DICTIONARIES}
    named = {**own, **e.facts}
    return all(named[key] == text if key in named else text in own.values() for key, text in finding.group.items())


@st.composite
def words(draw: st.DrawFn) -> Asked:
    parts = draw(literals)
    text = spell(parts, bare=draw(st.booleans()))
    if re.search(r"[:>]|^(OR|-.*|top|last|7d)$", text) and not text.startswith('"'):
        text = f'"{text}"'
    around = ("", *parts, "")
    return Asked(text, lambda e, _: fits(around, e.actor) or fits(around, e.object))


@st.composite
def matches(draw: st.DrawFn) -> Asked:
    name = draw(st.sampled_from([*DICTIONARIES]))
    choices = draw(st.lists(literals, min_size=1, max_size=3))
    values = [spell(parts, bare=draw(st.booleans())) for parts in choices]
    values = [value if not re.match(r"[>/\d:.]", value) else '"' + value + '"' for value in values]
    text = f"{draw(st.sampled_from([name, name.upper()]))}:{','.join(values)}"
    return Asked(text, lambda e, _: any(fits(parts, getattr(e, name)) for parts in choices))


@st.composite
def networks(draw: st.DrawFn) -> Asked:
    value = draw(st.sampled_from(NETWORKS))
    return Asked(f"ip:{value},nothing", lambda e, _: same_network(value, e.ip))


@st.composite
def facts(draw: st.DrawFn) -> Asked:
    fact = draw(st.sampled_from(FACTS))
    if fact.kind == "bool":
        wanted = draw(st.booleans())
        said = draw(st.sampled_from(["true", "Yes"] if wanted else ["FALSE", "no"]))
        return Asked(f"{fact.name}:{said}", lambda e, _: e.facts[fact.name] is wanted)
    if fact.kind == "text":
        value = draw(st.sampled_from(fact.values or ("DE",)))  # without a database no country is known
        return Asked(f"{fact.name}:{value[:2].upper()}*", lambda e, _: fits((value[:2], ""), e.facts[fact.name]))  # type: ignore[arg-type]
    op, number = draw(st.sampled_from(["", ">", ">=", "<", "<="])), draw(st.integers(0, 24))
    compare = {"": "__eq__", ">": "__gt__", ">=": "__ge__", "<": "__lt__", "<=": "__le__"}[op]
    return Asked(
        f"{fact.name}:{op}{number}",
        lambda e, _: (v := e.facts[fact.name]) is not None and bool(getattr(float(v), compare)(float(number))),
    )


@st.composite
def found(draw: st.DrawFn) -> Asked:
    if draw(st.booleans()):
        rule, title = draw(st.sampled_from(RULES))
        wanted = draw(st.sampled_from([rule, title, title[:3]]))
        star = wanted != rule and wanted != title
        parts = (wanted, "") if star else (wanted,)
        text = f"rule:{spell(parts, bare=True)}"
        return Asked(
            text, lambda e, all_: any(belongs(e, f) for f in all_ if fits(parts, f.rule) or fits(parts, f.title))
        )
    level = draw(st.sampled_from(Level))
    return Asked(f"level:>={level.name}", lambda e, all_: any(belongs(e, f) for f in all_ if f.level >= level))


def joined(parts: list[Asked], word: str, every: Callable[[Any], bool]) -> Asked:
    text = word.join(f"({part.text})" if " OR " in part.text else part.text for part in parts)
    return Asked(text, lambda e, all_: every(part.holds(e, all_) for part in parts))


def negated(part: Asked, sign: str) -> Asked:
    return Asked(f"{sign}({part.text})", lambda e, all_: not part.holds(e, all_))


leaves = st.one_of(words(), matches(), networks(), facts(), found())
conditions = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.builds(negated, inner, st.sampled_from(["-", "NOT "])),
        st.builds(joined, st.lists(inner, min_size=1, max_size=4), st.sampled_from([" ", " AND "]), st.just(all)),
        st.builds(joined, st.lists(inner, min_size=1, max_size=4), st.just(" OR "), st.just(any)),
    ),
    max_leaves=8,
)


@pytest.mark.slow
@law(40)
@given(events, findings, conditions, st.booleans(), st.tuples(times, times), st.integers(1, 5))
def test_every_answer_is_that_of_a_walk_over_all_events(
    shared: Store,
    stored: list[Event],
    findings: list[Found],
    asked: Asked,
    newest_first: bool,
    span: tuple[int, int],
    limit: int,
) -> None:
    fill(shared, stored, findings, log_start=NOW - 15 * DAY)
    by_id = search.events_by_id(shared, [e.id for e in stored], SETTINGS, FACT_NAMES)
    assert list(by_id) == stored
    since, until = min(span), max(span)
    hits = sorted(e for e in by_id if since <= e.time <= until and asked.holds(e, findings))
    if newest_first:
        hits.reverse()

    query = replace(ask(asked.text, max_limit=50), since=since, until=until, newest_first=newest_first, limit=limit)
    for part, expected in (
        (None, hits[:limit]),
        *((search.Part(e.time, e.id), hits[place + 1 :][:limit]) for place, e in [*enumerate(hits)][-2:]),
        *((search.Part(e.time, e.id, before=True), hits[:place][-limit:]) for place, e in [*enumerate(hits)][-2:]),
    ):
        page = search.search(shared, query, SETTINGS, part, FACT_NAMES)
        assert [e.id for e in page.events] == [e.id for e in expected]
        assert [e.facts for e in page.events] == [e.facts for e in expected]
        assert (page.total, page.more) == (len(hits), False)
    assert search.count(shared, query, SETTINGS) == len(hits)
    assert sum(n for _, n in search.timeline(shared, query, SETTINGS)) == len(hits)
    for name in DICTIONARIES:
        counted = Counter(getattr(e, name) for e in hits)
        ranked = sorted(counted.items(), key=lambda item: (-item[1], item[0] is None, item[0] or ""))
        assert search.top(shared, replace(query, by=name), SETTINGS) == ranked[:limit]


# by example


def test_ties_in_time_are_ordered_by_id_in_the_direction_of_time(store: Store) -> None:
    fill(store, [event(3), event(1), event(2), event(4, NOW - 1)])
    assert [e.id for e in search.search(store, ask(""), SETTINGS).events] == [3, 2, 1, 4]
    assert [e.id for e in search.search(store, ask("sort:old"), SETTINGS).events] == [4, 1, 2, 3]


def test_both_ends_of_a_range_are_included(store: Store) -> None:
    fill(store, [event(n, NOW + n) for n in range(1, 6)])
    query = replace(ask("sort:old"), since=NOW + 2, until=NOW + 4)
    assert [e.id for e in search.search(store, query, SETTINGS).events] == [2, 3, 4]


def test_events_dated_in_the_future_are_found_by_an_open_end(store: Store) -> None:
    fill(store, [event(1, NOW + DAY)])
    assert ids(store, "since:1d") == [1]
    assert ids(store, "last:1d") == []


def test_what_is_missing_fits_nothing_but_a_negation(store: Store) -> None:
    fill(store, [event(1, actor=None), event(2, actor="bob"), event(3, ip=None)])
    assert ids(store, "-actor:bob") == [1, 3]
    assert ids(store, "actor:*") == [2, 3]
    assert ids(store, "-ip:10.0.0.0/8") == [3]
    assert ids(store, "-(actor:bob OR -actor:*)") == [3]
    assert ids(store, "-actor_age_days:>=0") == [1]
    assert ids(store, "-actor_idle_days:*") == [1, 2, 3]


def test_facts_come_as_python_values(store: Store) -> None:
    fill(store, [event(1, NOW - DAY, type="API_KEY"), event(2, actor=None)])
    shown = search.events_by_id(store, [2, 1, 99], SETTINGS, ("actor_new", "type_sensitive", "hour", "actor_idle_days"))
    assert [e.id for e in shown] == [2, 1]
    assert shown[0].facts == {"actor_new": None, "type_sensitive": False, "hour": 9, "actor_idle_days": None}
    assert shown[1].facts == {"actor_new": True, "type_sensitive": True, "hour": 9, "actor_idle_days": None}
    assert search.events_by_id(store, [1])[0].facts == {}


def test_two_settings_of_facts_live_side_by_side_on_one_connection(store: Store) -> None:
    fill(store, [event(1, parse_time("2026-11-23T23:30:00Z"))])
    query, other = ask("weekday:tue hour:0"), FactSettings(UTC)
    running = store.connection.execute("SELECT audit_log.id FROM audit_log")
    assert search.count(store, query, SETTINGS) == 1
    assert search.count(store, query, other) == 0
    assert search.count(store, query, SETTINGS) == 1
    assert running.fetchall() == [(1,)]


def test_totals_are_counted_up_to_ten_thousand(store: Store) -> None:
    fill(store, [event(n) for n in range(1, 10_001)])
    page = search.search(store, ask("payments limit:2"), SETTINGS)
    assert (len(page.events), page.total, page.more) == (2, 10_000, False)
    fill(store, [event(n) for n in range(1, 10_002)])
    page = search.search(store, ask("payments limit:2"), SETTINGS)
    assert (page.total, page.more) == (10_000, True)
    assert search.count(store, ask("payments"), SETTINGS) == 10_001


def test_a_timeline_has_hours_up_to_two_days_then_days_and_no_holes(store: Store) -> None:
    noon = parse_time("2026-03-28T12:10:00+01:00")  # the night after has 23 hours
    fill(store, [event(1, noon), event(2, noon + HOUR), event(3, noon + 3 * HOUR), event(4, noon + 2 * DAY)])
    hours = search.timeline(store, replace(ask(""), since=noon, until=noon + 4 * HOUR), SETTINGS)
    assert hours == [(noon - 10 * MINUTE + n * HOUR, count) for n, count in enumerate((1, 1, 0, 1, 0))]
    days = search.timeline(store, replace(ask(""), since=noon, until=noon + 3 * DAY), SETTINGS)
    midnights = ("2026-03-28", "2026-03-29", "2026-03-30", "2026-03-31")
    assert days == [(parse_time(day, SETTINGS.zone), n) for day, n in zip(midnights, (3, 0, 1, 0), strict=True)]


def test_a_timeline_of_many_days_joins_some(store: Store) -> None:
    fill(store, [event(1, NOW), event(2, NOW - 99 * DAY)])
    joined = search.timeline(store, ask("since:100d until:1s"), SETTINGS, buckets=30, zone=UTC)
    assert len(joined) <= 30
    assert {later - earlier for (earlier, _), (later, _) in pairwise(joined)} == {4 * DAY}
    assert search.timeline(store, ask("since:100d"), SETTINGS, zone=UTC)[-1] == (NOW - 8 * HOUR, 1)


def test_a_timeline_of_all_time_has_no_more_buckets(store: Store) -> None:
    fill(store, [event(1), event(2, NOW + HOUR)])
    buckets = search.timeline(store, ask("since:0001-02-03 until:9999-01-01"), SETTINGS)
    assert len(buckets) <= 400
    assert sum(n for _, n in buckets) == 2


def test_a_timeline_with_open_ends_spans_what_is_found(store: Store) -> None:
    fill(store, [event(1, NOW), event(2, NOW - HOUR), event(3, NOW + 999 * DAY, actor="bob")])
    assert [n for _, n in search.timeline(store, ask("-actor:bob"), SETTINGS)] == [1, 1]
    assert search.timeline(store, ask("actor:nobody"), SETTINGS) == []


def test_what_takes_too_long_is_given_up_with_advice(store: Store) -> None:
    fill(store, [event(n, object=f"thing é {n}") for n in range(20_000)])
    with pytest.raises(QueryError, match="Narrow the range") as caught:
        search.count(store, ask("é " * 300), SETTINGS, time_limit=0.05)
    ask(caught.value.example)
    with pytest.raises(QueryError, match="Narrow the range"):  # also where SQLite itself is interrupted
        search.count(store, ask("hour:>2"), SETTINGS, time_limit=0)
    assert search.count(store, ask(""), SETTINGS) == 20_000, "the connection is free again"


def test_a_query_of_a_thousand_parts_is_answered(store: Store) -> None:
    """SQLite's own limit is a depth of 1,000."""
    fill(store, [event(1)])
    assert ids(store, "p " * 950) == [1]
    assert ids(store, "p OR " * 350 + "q") == [1]
    assert ids(store, "object:x" + ",p" * 950) == []
    assert ids(store, "-(a " * 49 + "q" + ")" * 49) == [1]
    assert ids(store, "(q OR -" * 49 + "(q)" + ")" * 49) == [1]


def test_values_are_parameters_not_sql(store: Store) -> None:
    fill(store, [event(1, object="x'); DROP TABLE events; --")])
    assert ids(store, """object:"x'); DROP TABLE events; --" """) == [1]
    assert ids(store, """object:"' OR 1=1 --" """) == []


def test_a_lone_surrogate_is_looked_for_like_any_text(store: Store) -> None:
    """The shell hands over bytes that are no UTF-8 in this way."""
    fill(store, [event(1)])
    assert ids(store, "object:caf\udce9 OR \udce9") == []


def test_reading_takes_no_write_lock(store: Store, tmp_path: Path) -> None:
    fill(store, [event(1)])
    writer = fresh(tmp_path / "audit.db")
    with writer.write():
        assert search.count(store, ask("payments level:high"), SETTINGS) == 0
    writer.close()


def test_a_name_with_a_nul_in_it_is_found_as_a_whole(store: Store) -> None:
    """SQLite hands a text to a function only up to its first NUL: nobody may hide behind one."""
    hidden, plain = "svc\0gone", "svc"
    add(store, [record(NOW, object_=hidden, ip="192.0.2.1\0x"), record(NOW, object_=plain, type_="TEAM\0x")])
    for text, wanted in (
        ('object:"svc\0gone"', [hidden]),
        ('"c\0g"', [hidden]),
        ("object:svc", [plain]),
        ("ip:192.0.2.0/24", [plain]),
        ("type_sensitive:true", []),
    ):
        query = replace(ask(text), since=NOW, until=NOW)
        assert [event.object for event in search.search(store, query, SETTINGS).events] == wanted, text


@pytest.mark.parametrize("text", ["type:SERVICE", "ip:192.0.2.0/24", "ann", "type:SERVICE -ip:10.0.0.0/8"])
def test_a_short_span_is_not_walked_along_all_that_a_name_ever_did(store: Store, text: str) -> None:
    """Whichever index SQLite takes, the span of time is part of how it is read."""
    add(store, [record(NOW - n * HOUR, actor="ann") for n in range(3)])
    asked: list[str] = []
    store.connection.set_trace_callback(asked.append)
    assert search.count(store, ask(f"{text} last:90m"), SETTINGS) == 2
    store.connection.set_trace_callback(None)
    walks = [
        step
        for sql in asked
        if "FROM events e WHERE" in sql
        for *_, step in store.rows(f"EXPLAIN QUERY PLAN {sql}")
        if step.startswith(("SEARCH e ", "SCAN e "))
    ]
    assert walks
    assert all("time>? AND time<?" in walk for walk in walks)
