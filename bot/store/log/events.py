"""Events: adding each exactly once, reading them back as rows, and the first-seen tables that facts rest on."""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from ipaddress import ip_network
from json import dumps
from operator import itemgetter
from typing import Any, Protocol

from bot.addresses import parse_address
from bot.model import Broken, Record
from bot.store.log import pieces
from bot.store.log.learned import learn, take
from bot.store.schema import Connection, Store
from bot.times import DAY, is_iso, iso

FOREVER = 1 << 62


@dataclass(frozen=True)
class Added:
    """What came of adding records: the ids given are those above `after`. Times in microseconds.

    `since` and `until` span every event whose columns are new or changed: a late event changes the facts of later ones
    of the same actor, address or object, and an older beginning of the log ends the learning time of all sooner.
    """

    count: int
    after: int
    since: int
    until: int
    late: bool

    def merge(self, other: Added) -> Added:
        """Return both as one."""
        if not self.count or not other.count:
            return self if self.count else other
        return Added(
            self.count + other.count, min(self.after, other.after), min(self.since, other.since),
            max(self.until, other.until), self.late or other.late,
        )  # fmt: skip


class Seen(Protocol):
    """Counts the fingerprints of one run."""

    def counts(self, fingerprints: Sequence[int]) -> dict[int, int]:
        """Return how often each of these has come so far, without those that have not."""
        ...

    def add(self, fingerprints: Sequence[int]) -> None:
        """Take in the next batch."""
        ...


NOTHING = Added(0, 0, FOREVER, -FOREVER, False)


def number_twins(store: Store, records: Sequence[Record], before: Seen | None = None) -> list[tuple[int, int]]:
    """Return (fingerprint, ordinal) of each record: twins are numbered 0, 1, 2... in order of appearance.

    `before` carries the count from batch to batch of one run. The fingerprint is keyed, so that nobody can make up two
    different records that share one and hide an event.
    """
    key = fingerprint_key(store)
    digests = [
        int.from_bytes(blake2b(record.identity, digest_size=8, key=key).digest(), "big", signed=True)
        for record in records
    ]
    copies = before.counts(digests) if before else {}
    numbered = []
    for digest in digests:
        ordinal = copies.get(digest, 0)
        numbered.append((digest, ordinal))
        copies[digest] = ordinal + 1
    if before:
        before.add(digests)
    return numbered


def fingerprint_key(store: Store) -> bytes:
    """Return this database's own key, made when first asked for."""
    found = store.meta("fingerprint_key")
    if found is None:
        found = secrets.token_hex(16)
        store.set_meta("fingerprint_key", found)
    return bytes.fromhex(found)


def add(store: Store, records: Sequence[Record], numbers: Sequence[tuple[int, int]]) -> Added:
    """Add the records that are not there yet; `numbers` are their fingerprints and ordinals."""
    if not records:
        return NOTHING
    with store.write() as connection:
        after, newest = connection.execute(  # apart: two of them in one SELECT walk through the whole table
            "SELECT (SELECT coalesce(max(id), 0) FROM events), (SELECT coalesce(max(time), ?) FROM events)", (-FOREVER,)
        ).fetchone()
        rows = _rows(connection, records, numbers)
        pieces.index(connection)
        inserted = connection.executemany(
            "INSERT INTO events (time, fingerprint, ordinal, actor, ip, object, type, action, shape, raw_time)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (time, fingerprint, ordinal) DO NOTHING",
            rows,
        )
        count = inserted.rowcount
        if not count:
            return NOTHING
        learning = _first_event(connection)
        if count == len(rows):  # all are new, as they nearly always are
            since, until = rows[0][0], rows[-1][0]
            times, _, _, *named, _, _ = zip(*rows, strict=True)
            take(connection, times, *named)
        else:
            since, until = connection.execute(
                "SELECT min(time), max(time) FROM events WHERE id > ?", (after,)
            ).fetchone()
            learn(connection, after)
        late = bool(since <= newest)
        if learning is not None and since < learning:
            until = max(until, learning + 15 * DAY)  # the *_new facts of the old log's first days are known sooner now
        return Added(count, after, since, until, late)


def _rows(
    connection: Connection, records: Sequence[Record], numbers: Sequence[tuple[int, int]]
) -> list[tuple[Any, ...]]:
    """Return records as rows of events, in order of time, those of one moment as they came; texts that are new are
    added to the dictionaries."""
    times, actions, actors, ips, objects, types, raw_times, shapes, _ = zip(*records, strict=True)
    coded = (
        map((codes | {None: None}).__getitem__, names)
        for codes, names in (
            (_dictionary(connection, "actors", set(actors)), actors),
            (_addresses(connection, set(ips) - {None}), ips),
            (_dictionary(connection, "objects", set(objects)), objects),
            (_dictionary(connection, "types", set(types)), types),
            (_dictionary(connection, "actions", set(actions)), actions),
        )
    )
    spelt = (None if is_iso(text) else text for text in raw_times)
    return sorted(zip(times, *zip(*numbers, strict=True), *coded, shapes, spelt, strict=True), key=itemgetter(0))


def _dictionary(connection: Connection, table: str, names: Iterable[str | None]) -> dict[str, int]:
    wanted = {name for name in names if name is not None}
    some = f"SELECT name, id FROM {table} WHERE name IN (SELECT value FROM json_each(?))"
    known: dict[str, int] = dict(connection.execute(some, (dumps(sorted(wanted)),)))
    if fresh := wanted - known.keys():
        texts = dumps(sorted(fresh))
        connection.execute(
            f"INSERT INTO {table} (name) SELECT value FROM json_each(?) WHERE true ON CONFLICT (name) DO NOTHING",
            (texts,),
        )
        known |= connection.execute(some, (texts,))
    return known


def _addresses(connection: Connection, names: set[str]) -> dict[str, int]:
    known = dict(
        connection.execute(
            "SELECT name, id FROM addresses WHERE name IN (SELECT value FROM json_each(?))", (dumps(sorted(names)),)
        )
    )
    fresh = sorted(names - known.keys())
    if not fresh:
        return known
    networks = _dictionary(connection, "networks", map(network_of, fresh))
    for name in fresh:
        cursor = connection.execute(
            "INSERT INTO addresses (name, network) VALUES (?, ?)", (name, networks[network_of(name)])
        )
        known[name] = cursor.lastrowid
    return known


def network_of(address: str) -> str:
    """Return the IPv4 /24 or IPv6 /48 of an address; a text that is no address is its own network."""
    parsed = parse_address(address)
    if parsed is None:
        return address
    return str(ip_network((parsed, 24 if parsed.version == 4 else 48), strict=False))


def _first_event(connection: Connection) -> int | None:
    found = connection.execute("SELECT time FROM first_seen WHERE kind = 'log' AND a = 0 AND b = 0").fetchone()
    return None if found is None else int(found[0])


def keep_broken(store: Store, broken: Sequence[Broken], since: int, until: int, now: int) -> int:
    """Keep records that cannot be read, each once: the same raw text in an overlapping window is the same record."""
    kept = 0
    counts = Counter(broken)
    with store.write() as connection:
        for one, count in counts.items():
            there = connection.execute(
                "SELECT count(*) FROM malformed WHERE raw = ? AND since <= ? AND until >= ?", (one.raw, until, since)
            ).fetchone()[0]
            connection.execute(  # the window moves on: what is still read is still the same record
                "UPDATE malformed SET until = max(until, ?) WHERE raw = ? AND since <= ? AND until >= ?",
                (until, one.raw, until, since),
            )
            for ordinal in range(there, count):
                connection.execute(
                    "INSERT INTO malformed (raw, ordinal, reason, since, until, found) VALUES (?, ?, ?, ?, ?, ?)",
                    (one.raw, ordinal, one.reason, since, until, now),
                )
                kept += 1
    return kept


def export(
    store: Store, since: int = -FOREVER, until: int = FOREVER, condition: str = "1", parameters: Sequence[Any] = ()
) -> Iterator[Record]:
    """Yield every event of a span, both ends included, oldest first, twins included. `condition` is SQL over `e`."""
    rows = store.stream(
        "SELECT e.time, n.name, a.name, i.name, o.name, t.name, e.raw_time, e.shape FROM events e"
        " JOIN objects o ON o.id = e.object JOIN types t ON t.id = e.type JOIN actions n ON n.id = e.action"
        " LEFT JOIN actors a ON a.id = e.actor LEFT JOIN addresses i ON i.id = e.ip"
        f" WHERE e.time BETWEEN ? AND ? AND ({condition}) ORDER BY e.time, e.id",
        (since, until, *parameters),
    )
    for time, action, actor, ip, object_, type_, raw_time, shape in rows:
        yield Record(time, action, actor, ip, object_, type_, raw_time or iso(time), shape, b"")


def set_actor_types(store: Store, types: Mapping[Record, int]) -> int:
    """Note the actor types (places in ACTOR_TYPES, from 1 on) of records; return for how many events that is new."""
    some = list(types)
    with store.write() as connection:
        before = connection.total_changes
        connection.executemany(
            "UPDATE events SET actor_type = ? WHERE time = ? AND fingerprint = ? AND actor_type IS NOT ?",
            [
                (types[record], record.time, fingerprint, types[record])
                for record, (fingerprint, _) in zip(some, number_twins(store, some), strict=True)
            ],
        )
        return int(connection.total_changes - before)
