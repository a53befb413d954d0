"""Where an address is and whose: facts by an address database that the team supplies."""

from __future__ import annotations

import tempfile
from datetime import UTC
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.addresses import AddressBook, ip_kind
from bot.detect import facts
from bot.errors import ConfigError
from bot.fields import FactSettings
from bot.model import Record
from bot.query import parse_query
from bot.settings import load
from bot.slack.alert_message import located, where_from
from bot.slack.blocks import bare
from bot.store.queries import search
from bot.store.schema import Store
from bot.times import DAY
from tests import mmdb
from tests.conftest import START, add, fresh, record
from tests.laws import law
from tests.test_events import value
from tests.test_slack_messages import finding, view

COUNTRIES: dict[str, dict[str, Any]] = {
    "198.51.100.0/24": {"country": {"iso_code": "DE"}},
    "203.0.113.0/24": {"country_code": "FR", "as_name": "Example Telecom"},
    "192.0.2.0/25": {"country": {"iso_code": "DE"}},
    "2001:db8::/32": {"country": {"iso_code": "FR"}},
}
NETWORKS = {"198.51.100.0/25": {"autonomous_system_organization": "Example Net"}}
FACTS = ("ip_kind", "country", "as_name", "country_new_for_actor")


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> AddressBook:
    folder = tmp_path_factory.mktemp("mmdb")
    return AddressBook((mmdb.write(folder / "country.mmdb", COUNTRIES), mmdb.write(folder / "asn.mmdb", NETWORKS)))


@pytest.mark.parametrize(
    ("address", "country", "network"),
    [
        ("198.51.100.7", "DE", "Example Net"),
        ("::ffff:198.51.100.7", "DE", "Example Net"),
        ("203.0.113.9", "FR", "Example Telecom"),
        ("2001:db8:1::1", "FR", None),
        ("192.0.2.200", None, None),
        ("no address", None, None),
    ],
)
def test_an_address_is_looked_up_in_every_spelling(
    book: AddressBook, address: str, country: str | None, network: str | None
) -> None:
    assert (book.country(address), book.as_name(address)) == (country, network)


@pytest.mark.parametrize(
    ("address", "kind"),
    [
        ("8.8.8.8", "public"),
        ("10.1.2.3", "private"),
        ("fe80::1%eth0", "special"),
        ("::1", "special"),
        ("x", "unreadable"),
    ],
)
def test_addresses_are_of_a_kind(address: str, kind: str) -> None:
    assert ip_kind(address) == kind


ADDRESSES = ("198.51.100.1", "192.0.2.1", "203.0.113.1", "2001:db8::1", "192.0.2.200", "odd", None)
EVENTS = st.lists(
    st.builds(
        record,
        st.integers(0, 40).map(lambda half_days: START + half_days * DAY // 2),
        st.just("UPDATE"),
        st.sampled_from(["ann@corp.example", "key-1", None]),
        st.sampled_from(ADDRESSES),
    ),
    min_size=1,
    max_size=15,
)


@pytest.mark.slow
@law(30)
@given(records=EVENTS)
def test_facts_of_addresses_are_what_a_naive_reading_says(book: AddressBook, records: list[Record]) -> None:
    """Over columns, over whole columns, and in SQL; a late event corrects them."""
    known = FactSettings(addresses=book)
    with tempfile.TemporaryDirectory() as folder:
        store = fresh(Path(folder) / "a.db")
        for one in records:
            add(store, [one])
        begin = min(one.time for one in records)
        some = facts.read(store, known)
        whole = facts.read_span(store, known, 0, 1 << 62)
        rows = search.events_by_id(store, some.id.tolist(), known, FACTS)
        for place, event in enumerate(rows):
            country = book.country(event.ip) if event.ip else None
            before = [one for one in records if one.actor == event.actor and one.ip and book.country(one.ip) == country]
            new = event.time == min((one.time for one in before), default=0)
            unknown = None in (event.actor, country) or event.time - begin < 14 * DAY
            wanted = {
                "ip_kind": event.ip and ip_kind(event.ip),
                "country": country,
                "as_name": book.as_name(event.ip) if event.ip else None,
                "country_new_for_actor": None if unknown else new,
            }
            assert event.facts == wanted
            for columns in (some, whole):
                assert {fact: value(columns[fact], place) for fact in FACTS} == wanted
        store.close()


def test_a_file_that_is_no_database_is_refused_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "bad.mmdb").write_text("no")
    for path in (tmp_path / "bad.mmdb", tmp_path / "none.mmdb"):
        with pytest.raises(ConfigError, match=r"AUDIT_BOT_GEOIP_DB.*MaxMind DB file"):
            load(AUDIT_BOT_GEOIP_DB=str(path))


def test_a_query_can_name_a_country(store: Store, book: AddressBook) -> None:
    add(store, [record(START, ip="198.51.100.1"), record(START, ip="203.0.113.1"), record(START, ip=None)])
    query = parse_query("country:de since:2000-01-01", START + DAY, UTC)
    found = search.search(store, query, FactSettings(addresses=book))
    assert [event.ip for event in found.events] == ["198.51.100.1"]


def test_an_alert_says_where_its_addresses_are(book: AddressBook) -> None:
    shown = located(view(None, finding(ip="203.0.113.9")), book)
    assert "203.0.113.9 (FR, Example Telecom" in "".join(map(bare, where_from(shown)))
