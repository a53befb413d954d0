"""Deeds: what one actor, or one address without an actor, did in one hour, put together before a window takes it in.

Whether events come one by one or by thousands, this is the only way in: a log of ten million is read ten times faster
than event by event, and says the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from bot.detect.columns import BoolColumn, Column, Columns, Ints, NumberColumn, TextColumn, encode
from bot.times import HOUR, MINUTE

EntityKind = Literal["actor", "ip"]
Mask = NDArray[np.bool_]
T = TypeVar("T")


class Seen(NamedTuple):
    """One event as the forest sees it. `time` in microseconds; `object` is its number in the store; `kind` is person,
    key, webhook or none."""

    time: int
    actor: str | None
    ip: str | None
    network: str | None
    object: int
    type: str
    action: str
    kind: str
    sensitive: bool


class WindowKey(NamedTuple):
    """Names a window: whose it is, and the microsecond at which its hour begins."""

    kind: EntityKind
    entity: str
    hour: int


def arrivals(events: Iterable[Seen]) -> Columns:
    """Return events as columns in order of arrival, as `together` takes them, numbered from 0."""
    some = list(events)
    each: Any = Seen._make(zip(*some, strict=True) if some else [()] * len(Seen._fields))
    texts = {"actor": each.actor, "ip": each.ip, "network": each.network, "type": each.type, "action": each.action}
    fields: dict[str, Column] = {name: encode(column) for name, column in texts.items()}
    fields["actor_kind"] = encode(each.kind)
    fields["object_number"] = NumberColumn(np.array(each.object, dtype=np.float64))
    fields["type_sensitive"] = BoolColumn(np.array(each.sensitive, dtype=np.int8))
    return Columns(np.arange(len(some)), np.array(each.time, dtype=np.int64), fields)


@dataclass(frozen=True, slots=True)
class Deeds:
    """What somebody did in an hour, as far as it arrived together. Times in microseconds, in order of arrival.

    `kind` is of the first event. Of each object it is told whether it was created and whether it was deleted here, of
    each place (a network, or an address where its network is not known) the first address. `ip` is the latest event's
    at `ip_at`, None where no address came with the latest event so far.
    """

    key: WindowKey
    kind: str
    first: int
    last: int
    events: int
    minutes: list[int]
    delete_times: list[int]
    sensitive_times: list[int]
    sensitive_types: list[str]
    pairs: list[str]  # "DELETE SERVICE"
    objects: list[tuple[int, bool, bool]]
    addresses: list[str]
    places: list[tuple[str, str]]
    ip: str | None
    ip_at: int


def together(events: Columns) -> Iterator[tuple[int, list[Deeds]]]:
    """Yield the deeds of events in order of arrival by the clock, which is the latest hour so far; each of it once.

    What concerns neither an actor nor an address is no deed, but moves the clock.
    """
    clock = np.maximum.accumulate(events.time - events.time % HOUR)
    owner = _owners(events)
    named = owner >= 0
    grouped = _Grouped(events.take(np.flatnonzero(named)), clock[named], owner[named])
    deeds = grouped.deeds()
    for hour in np.unique(clock).tolist():
        yield hour, [next(deeds) for _ in range(grouped.at(hour))]


def _owners(events: Columns) -> Ints:
    """Return a code of each event's actor, or else its address; -1 where there is neither."""
    actor, ip = events.text("actor"), events.text("ip")
    return np.where(actor.codes >= 0, actor.codes, np.where(ip.codes >= 0, len(actor.values) + ip.codes, -1))


class _Grouped:
    """Events by clock, owner and own hour: groups in the order in which they begin, each one's events as they came."""

    def __init__(self, events: Columns, clock: Ints, owner: Ints) -> None:
        hour = events.time // HOUR
        group, first = _numbered(clock, hour, owner)
        rows = group.argsort(kind="stable")
        self._events, self._group, self._size = events.take(rows), group[rows], len(first)
        self._begins = self._group.searchsorted(np.arange(self._size))
        self._clock = clock[first]

    def at(self, hour: int) -> int:
        """Return how many groups there are while the clock stands at an hour."""
        return int(np.count_nonzero(self._clock == hour))

    def deeds(self) -> Iterator[Deeds]:
        """Yield the deeds of each group."""
        events, time = self._events, self._events.time
        some, minute = bool(self._size), time // MINUTE
        deleted = np.flatnonzero(_are(events.text("action"), "DELETE"))
        sensitive = np.flatnonzero(events.truths("type_sensitive").values > 0)
        return map(
            Deeds,
            self._keys(),
            _texts(events.text("actor_kind"), self._begins),
            np.minimum.reduceat(time, self._begins).tolist() if some else [],
            np.maximum.reduceat(time, self._begins).tolist() if some else [],
            np.diff(self._begins, append=len(events)).tolist(),
            self._split(minutes := self._distinct(minute), minute[minutes].tolist()),
            self._split(deleted, time[deleted].tolist()),
            self._split(sensitive, time[sensitive].tolist()),
            self._values(events.text("type"), sensitive),
            self._pairs(),
            self._objects(),
            self._values(events.text("ip"), np.flatnonzero(events.text("ip").codes >= 0)),
            self._places(),
            *self._latest(),
        )

    def _keys(self) -> Iterator[WindowKey]:
        events, begins = self._events, self._begins
        actors, addresses = (_texts(events.text(name), begins) for name in ("actor", "ip"))
        hours = events.time[begins] // HOUR * HOUR
        for actor, ip, hour in zip(actors, addresses, hours.tolist(), strict=True):
            yield WindowKey("ip", ip or "", hour) if actor is None else WindowKey("actor", actor, hour)

    def _pairs(self) -> list[list[str]]:
        action, type_ = self._events.text("action"), self._events.text("type")
        rows = self._distinct(action.codes.astype(np.int64) * (len(type_.values) + 1) + type_.codes)
        each = zip(_texts(action, rows), _texts(type_, rows), strict=True)
        return self._split(rows, [f"{action} {type_}" for action, type_ in each])

    def _objects(self) -> list[list[tuple[int, bool, bool]]]:
        events = self._events
        objects = events.numbers("object_number").values.astype(np.int64)
        number, rows = _numbered(self._group, objects)
        told = []
        for action in ("CREATE", "DELETE"):
            happened = np.zeros(len(rows), dtype=np.bool_)
            happened[number[_are(events.text("action"), action)]] = True
            told.append(happened.tolist())
        return self._split(rows, list(zip(objects[rows].tolist(), *told, strict=True)))

    def _places(self) -> list[list[tuple[str, str]]]:
        network, ip = self._events.text("network"), self._events.text("ip")
        place = np.where(network.codes >= 0, network.codes, len(network.values) + ip.codes)
        rows = self._distinct(place, np.flatnonzero(ip.codes >= 0))
        each = zip(_texts(network, rows), _texts(ip, rows), strict=True)
        return self._split(rows, [(network or ip, ip) for network, ip in each])

    def _latest(self) -> tuple[list[str | None], list[int]]:
        """Return, of each group, the address of the last event that was the latest so far and had one, and its time."""
        time, ip = self._events.time, self._events.text("ip")
        since = time - time.min(initial=0)
        rising = self._group * (since.max(initial=0) + 1) + since  # so that the latest so far begins anew in each group
        latest = rising == np.maximum.accumulate(rising)
        places = np.where(latest & (ip.codes >= 0), np.arange(len(time)), -1)
        rows = np.maximum.reduceat(places, self._begins) if self._size else places
        addresses = [text if row >= 0 else None for row, text in zip(rows.tolist(), _texts(ip, rows), strict=True)]
        return addresses, time[rows].tolist()

    def _values(self, column: TextColumn, rows: Ints) -> list[list[str]]:
        """Return the different texts of each group among these rows."""
        rows = self._distinct(column.codes, rows)
        return self._split(rows, _texts(column, rows))

    def _distinct(self, codes: NDArray[np.integer[Any]], rows: Ints | None = None) -> Ints:
        """Return the rows, among these or all, at which a code first occurs in its group."""
        if rows is None:
            return _numbered(self._group, codes)[1]
        return rows[_numbered(self._group[rows], codes[rows])[1]]

    def _split(self, rows: Ints, values: list[T]) -> list[list[T]]:
        """Return the values of rows, which rise, group by group."""
        bounds = self._group[rows].searchsorted(np.arange(self._size + 1)).tolist()
        return [values[begin:end] for begin, end in pairwise(bounds)]


def _numbered(*keys: NDArray[np.integer[Any]]) -> tuple[Ints, Ints]:
    """Return a number for each combination of keys, rising as they first occur, and where each does so."""
    met: dict[tuple[int, ...], int] = {}
    firsts = [met.setdefault(key, row) for row, key in enumerate(zip(*(key.tolist() for key in keys), strict=True))]
    first = np.fromiter(met.values(), np.int64, len(met))
    return first.searchsorted(firsts), first


def _texts(column: TextColumn, rows: Ints) -> list[Any]:
    """Return the texts of rows, None where there is none."""
    values = (*column.values, None)
    return [values[code] for code in column.codes[rows].tolist()]


def _are(column: TextColumn, text: str) -> Mask:
    """Return which events have a text."""
    return np.asarray(column.codes == (column.values.index(text) if text in column.values else -2))
