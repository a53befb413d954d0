"""Facts as columns: derived from all events ever stored, for the events at hand.

Whatever order and batches the events came in, the same set of events has the same facts: they are computed when asked
for, from the first-seen tables, so that nothing stored can be out of date. `store/views.py` says the same in SQL.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Mapping
from functools import cached_property, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bot.detect.address_facts import first_in_country, of_address
from bot.detect.columns import BoolColumn, Column, Columns, Ints, NumberColumn, TextColumn
from bot.detect.dictionary import Ids, Names, all_names, as_json, distinct, some_names
from bot.fields import (
    ACTOR_KINDS,
    ACTOR_TYPES,
    HABIT_DAYS,
    LEARNING_DAYS,
    LEAST_HABIT,
    OF_ADDRESS,
    RARE_HOUR,
    USUAL_DAYS,
    WEEKDAYS,
    FactSettings,
)
from bot.store.log import blocks
from bot.store.schema import Store
from bot.times import DAY, HOUR, MINUTE

NEVER = np.iinfo(np.int64).max
_COLUMNS = {"actor": "actors", "ip": "addresses", "object": "objects", "type": "types", "action": "actions"}
_ASKED = 10_000  # pairs in one question to the store
_QUARTER = 15 * MINUTE  # no zone changes its offset within one
_KIND_BY_TYPE = np.array([-1, 1, 1, 0, 0, 2], dtype=np.int32)  # of ACTOR_TYPES, from 1 on, as places in ACTOR_KINDS


def read(
    store: Store,
    settings: FactSettings,
    where: str = "1",
    parameters: Any = (),
    whole_of: Collection[str] = (),
    names: Names | None = None,
) -> Columns:
    """Return the events that satisfy an SQL condition over `e`, as columns with every fact at hand.

    `whole_of` names actors of whom the condition leaves out no event between the first and the last one. `names` are
    the texts that were read so far.
    """
    return from_rows(store, settings, blocks.rows(store, where, parameters), whole_of, names)


def from_rows(
    store: Store,
    settings: FactSettings,
    rows: Ints,
    whole_of: Collection[str] = (),
    names: Names | None = None,
) -> Columns:
    """Return events of `blocks.rows` as columns with every fact at hand; the rest is as in `read`."""
    table = dict(zip(blocks.COLUMNS, rows[:, np.lexsort(rows[[blocks.ID, blocks.TIME]])], strict=True))
    names = names or Names(store)
    known = {name: Ids(distinct(table[name])) for name in _COLUMNS}
    fields: dict[str, Column] = {
        name: TextColumn(known[name].codes(table[name]), some_names(names, _COLUMNS[name], known[name].distinct))
        for name in _COLUMNS
    }
    fields["actor_type"] = _actor_types(table["actor_type"])
    facts = _Facts(store, settings, known).catalogue()
    return Columns(table["id"], table["time"], fields, facts, whole_of=whole_of)


def read_span(store: Store, settings: FactSettings, since: int, until: int) -> Columns:
    """Return all events with since <= time <= until: as `read` does, but made for millions.

    The codes are the dictionary's ids themselves, and its texts are read when somebody asks for one.
    """
    table = blocks.read(store, since, until)
    fields: dict[str, Column] = {
        name: TextColumn(table.codes[name], all_names(store, names)) for name, names in _COLUMNS.items()
    }
    fields["actor_type"] = _actor_types(table.codes["actor_type"])
    return Columns(table.id, table.time, fields, _Facts(store, settings, None).catalogue(), whole=True)


def _actor_types(places: NDArray[Any]) -> TextColumn:
    return TextColumn((np.maximum(places, 0) - 1).astype(np.int32), ACTOR_TYPES)  # places from 1 on, 0 and -1: none


class _Facts:
    """Computes the facts of columns whose codes stand for these dictionary ids, or (None) are these themselves."""

    def __init__(self, store: Store, settings: FactSettings, ids: Mapping[str, Ids] | None) -> None:
        self._store, self._settings, self._ids = store, settings, ids
        self._kept: dict[str, tuple[Ints, Ints]] = {}  # first times by kind, where columns are long

    def catalogue(self) -> dict[str, Callable[[Columns], Column]]:
        return {
            "time": lambda c: NumberColumn(c.time.astype(np.float64)),
            "object_number": lambda c: NumberColumn(self._key(c, "object").astype(np.float64)),  # for the forest
            "actor_kind": self._actor_kind,
            "actor_age_days": lambda c: self._days_since(c, "actor", "actor"),
            "actor_idle_days": self._actor_idle_days,
            "actor_new": lambda c: self._new(c, "actor", "actor"),
            "ip_new": lambda c: self._new(c, "ip", "ip"),
            "ip_new_for_actor": lambda c: self._new(c, "actor_ip", "actor", "ip"),
            "network_new_for_actor": lambda c: self._new(c, "actor_network", "actor", "network"),
            **{fact: partial(of_address, settings=self._settings, fact=fact) for fact in OF_ADDRESS},
            "country_new_for_actor": self._country_new,
            "ip_age_days_for_actor": lambda c: self._days_since(c, "actor_ip", "actor", "ip"),
            "type_new_for_actor": lambda c: self._new(c, "actor_type", "actor", "type"),
            "action_new_for_actor": lambda c: self._new(c, "actor_action", "actor", "action"),
            "type_new_without_actor": self._type_new_without_actor,
            "usual_deletes": self._usual_deletes,
            "unusual_hour": self._unusual_hour,
            "object_by_other": self._object_by_other,
            "type_sensitive": self._type_sensitive,
            "hour": self._hour,
            "weekday": self._weekday,
            "off_hours": self._off_hours,
        }

    # -- first seen --------------------------------------------------------------------------------------------
    def _key(self, columns: Columns, name: str) -> Ints:
        """Return the dictionary ids of a column; of `network`, those of the addresses' networks."""
        if name == "network":
            return self._networks(self._key(columns, "ip"))
        codes = columns.text(name).codes
        return codes.astype(np.int64) if self._ids is None else self._ids[name].of(codes)

    def _networks(self, addresses: Ints) -> Ints:
        some = distinct(addresses)
        rows = self._store.rows(
            "SELECT id, network FROM addresses WHERE id IN (SELECT value FROM json_each(?)) ORDER BY id",
            (as_json(some),),
        )
        networks = np.full(int(addresses.max(initial=0)) + 2, -1, dtype=np.int64)  # the last cell is for -1
        for number, network in rows:
            networks[number] = network
        return networks[addresses]

    def _first(self, columns: Columns, kind: str, a: str, b: str | None = None) -> Ints:
        """Return when the key of each event was first seen; NEVER where the event lacks it."""
        keys_b = self._key(columns, b) if b else np.zeros(len(columns), dtype=np.int64)
        return self._first_of(columns, kind, self._key(columns, a), keys_b)

    def _first_of(self, columns: Columns, kind: str, keys_a: Ints, keys_b: Ints) -> Ints:
        known, times = self._known(kind, keys_a)
        there = (keys_a >= 0) & (keys_b >= 0)
        result = np.full(len(columns), NEVER)
        result[there] = times[known.searchsorted(_pair(keys_a[there], keys_b[there]))]
        return result

    def _known(self, kind: str, wanted: Ints) -> tuple[Ints, Ints]:
        """Return the keys of a kind, sorted, each with its first time: at least those whose `a` is wanted."""
        if kind in self._kept:
            return self._kept[kind]
        all_of_them = self._ids is None
        among = "" if all_of_them else " AND a IN (SELECT value FROM json_each(?))"
        parameters = () if all_of_them else (as_json(distinct(wanted)),)
        rows = self._store.rows(
            f"SELECT a, b, time FROM first_seen WHERE kind = ?{among} ORDER BY a, b", (kind, *parameters)
        )
        known = blocks.as_columns(rows, 3)
        found = _pair(known[0], known[1]), known[2]
        if all_of_them:
            self._kept[kind] = found
        return found

    @cached_property
    def _log_start(self) -> int:
        found = self._store.value("SELECT time FROM first_seen WHERE kind = 'log'")
        return NEVER if found is None else int(found)

    def _new(self, columns: Columns, kind: str, a: str, b: str | None = None) -> BoolColumn:
        return self._is_first(columns, self._first(columns, kind, a, b))

    def _is_first(self, columns: Columns, first: Ints) -> BoolColumn:
        """Tell whether events are the first of their key; unknown without one, and while the log is young."""
        known = (first != NEVER) & (columns.time - self._log_start >= LEARNING_DAYS * DAY)
        return BoolColumn(np.where(known, first == columns.time, -1).astype(np.int8))

    def _days_since(self, columns: Columns, kind: str, a: str, b: str | None = None) -> NumberColumn:
        first = self._first(columns, kind, a, b)
        return NumberColumn(np.where(first == NEVER, np.nan, (columns.time - first) / float(DAY)))

    def _type_new_without_actor(self, columns: Columns) -> BoolColumn:
        nobody = np.where(self._key(columns, "actor") < 0, 0, -1)
        first = self._first_of(columns, "nobody_type", nobody, self._key(columns, "type"))
        return self._is_first(columns, first)

    # -- the actor ---------------------------------------------------------------------------------------------
    def _actor_kind(self, columns: Columns) -> TextColumn:
        actors = columns.text("actor")
        by_name = np.array([0 if "@" in name else 1 for name in actors.values] + [3], dtype=np.int32)[actors.codes]
        by_type = _KIND_BY_TYPE[columns.text("actor_type").codes + 1]
        return TextColumn(
            np.where((by_type >= 0) & (actors.codes >= 0), by_type, by_name).astype(np.int32), ACTOR_KINDS
        )

    def _actor_idle_days(self, columns: Columns) -> NumberColumn:
        """Days since the actor's last event before; the columns may lack it, so the store is asked."""
        actors = self._key(columns, "actor")
        order = np.lexsort((columns.time, actors))
        actor, time = actors[order], columns.time[order]
        fresh = np.ones(len(order), dtype=np.bool_)
        fresh[1:] = (actor[1:] != actor[:-1]) | (time[1:] != time[:-1])
        actor, time = actor[fresh], time[fresh]
        before = np.full(len(time), np.nan)
        ask = actor >= 0
        if columns.whole or columns.whole_of:  # then only an actor's first event here is unsure
            there = (actor[1:] == actor[:-1]) & ask[1:] & self._whole(columns)[order][fresh][1:]
            before[1:][there] = time[:-1][there]
            ask[1:] &= ~there
        before[ask] = np.concatenate([[], *self._previous(actor[ask], time[ask])])
        result = np.empty(len(order))
        result[order] = before[fresh.cumsum() - 1]
        return NumberColumn((columns.time - result) / float(DAY))

    def _whole(self, columns: Columns) -> NDArray[np.bool_]:
        """Tell of each event whether none of its actor is left out between the first and the last event."""
        if columns.whole:
            return np.ones(len(columns), dtype=np.bool_)
        actors = columns.text("actor")
        return np.array([name in columns.whole_of for name in actors.values] + [False])[actors.codes]

    def _previous(self, actors: Ints, times: Ints) -> Iterator[NDArray[np.float64]]:
        """Yield when the actor did something before each time, NaN where it never did; some thousand at once."""
        for begin in range(0, len(actors), _ASKED):
            pairs = np.stack((actors[begin : begin + _ASKED], times[begin : begin + _ASKED]), axis=1)
            rows = self._store.rows(
                "SELECT (SELECT max(p.time) FROM events p WHERE p.actor = w.value ->> 0 AND p.time < w.value ->> 1)"
                " FROM json_each(?) w ORDER BY w.key",
                (json.dumps(pairs.tolist()),),
            )
            yield np.array([np.nan if row[0] is None else row[0] for row in rows], dtype=np.float64)

    def _activity(self, actors: Ints, hours: Ints, days: int, least: int = 0) -> tuple[Ints, Ints, Ints]:
        """Return (actor, hour, deletes) of the hours in which these actors did something, with so many deletes at
        least, sorted: of all that count when asked about so many days before these hours."""
        since, until = (int(hours.min()) - 24 * days, int(hours.max())) if len(hours) else (0, 0)
        rows = self._store.rows(
            "SELECT actor, hour, deletes FROM activity WHERE actor IN (SELECT value FROM json_each(?))"
            " AND hour BETWEEN ? AND ? AND deletes >= ? ORDER BY actor, hour",
            (as_json(distinct(actors)), since, until, least),
        )
        actor, hour, deletes = blocks.as_columns(rows, 3)
        return actor, hour, deletes

    def _usual_deletes(self, columns: Columns) -> NumberColumn:
        actors, hours = self._key(columns, "actor"), columns.time // HOUR
        actor, hour, deletes = self._activity(actors, hours, USUAL_DAYS + 1, least=1)
        spans = _Spans(actor, hour)
        since, until = (spans.places(actors, hours - 24 * days) for days in (USUAL_DAYS + 1, 1))
        so_far = np.concatenate(([0], deletes.cumsum()))
        usual = (so_far[until] - so_far[since]) / float(USUAL_DAYS)
        return NumberColumn(np.where(actors >= 0, usual, np.nan))

    def _unusual_hour(self, columns: Columns) -> BoolColumn:
        actors, hours = self._key(columns, "actor"), columns.time // HOUR
        actor, hour, _ = self._activity(actors, hours, HABIT_DAYS)
        spans = _Spans(actor, hour)
        habit = spans.places(actors, hours) - spans.places(actors, hours - 24 * HABIT_DAYS)
        by_hour = _Spans(24 * actor + hour % 24, hour)
        near = np.zeros(len(columns), dtype=np.int64)
        for beside in (-1, 0, 1):
            keys = np.where(actors >= 0, 24 * actors + (hours + beside) % 24, -1)
            near += by_hour.places(keys, hours) - by_hour.places(keys, hours - 24 * HABIT_DAYS)
        return BoolColumn(np.where(habit >= LEAST_HABIT, near * RARE_HOUR < habit, -1).astype(np.int8))

    def _country_new(self, columns: Columns) -> BoolColumn:
        actors = self._key(columns, "actor")
        keys, times = self._known("actor_ip", actors)
        addresses, place = np.unique(keys & 0xFFFFFFFF, return_inverse=True)
        names = Names(self._store).of("addresses", addresses)
        known = (keys >> 32, place, times)
        return self._is_first(columns, first_in_country(columns, actors, known, names, self._settings))

    # -- the object --------------------------------------------------------------------------------------------
    def _object_by_other(self, columns: Columns) -> BoolColumn:
        """Compare the actor with those who created the object last, at or before the event."""
        objects, types, actors = (self._key(columns, name) for name in ("object", "type", "actor"))
        rows = self._store.stream(
            "SELECT object, type, time, actor FROM creations WHERE object IN (SELECT value FROM json_each(?))"
            " ORDER BY object, type, time, actor",
            (as_json(distinct(objects)),),
        )
        made = blocks.as_columns(rows, 4)
        place = _last_at_or_before(_pair(made[0], made[1]), made[2], _pair(objects, types), columns.time)
        known = (place >= 0) & (actors >= 0)
        by_self = np.zeros(len(columns), dtype=bool)
        look = place.copy()
        while (look >= 0).any():  # several may have created it at the same moment
            by_self |= (look >= 0) & (made[3][look] == actors)
            look = np.where((look > 0) & _same(made[:3], look), look - 1, -1)
        return BoolColumn(np.where(known, ~by_self, -1).astype(np.int8))

    # -- settings ----------------------------------------------------------------------------------------------
    def _type_sensitive(self, columns: Columns) -> BoolColumn:
        types = columns.text("type")
        return BoolColumn(
            np.array([self._settings.type_sensitive(name) for name in types.values] + [False], dtype=np.int8)[
                types.codes
            ]
        )

    def _by_quarter(self, columns: Columns, ask: Callable[[int], Any]) -> NDArray[Any]:
        quarters = columns.time // _QUARTER  # as sorted as the times are
        fresh = np.ones(len(columns), dtype=np.bool_)
        fresh[1:] = quarters[1:] != quarters[:-1]
        answers = np.array([ask(quarter * _QUARTER) for quarter in quarters[fresh].tolist()])
        return answers[fresh.cumsum() - 1] if len(columns) else np.empty(0)

    def _hour(self, columns: Columns) -> NumberColumn:
        return NumberColumn(self._by_quarter(columns, self._settings.hour).astype(np.float64))

    def _weekday(self, columns: Columns) -> TextColumn:
        places = self._by_quarter(columns, lambda time: WEEKDAYS.index(self._settings.weekday(time)))
        return TextColumn(places.astype(np.int32), WEEKDAYS)

    def _off_hours(self, columns: Columns) -> BoolColumn:
        return BoolColumn(self._by_quarter(columns, self._settings.off_hours).astype(np.int8))


def _pair(a: Ints, b: Ints) -> Ints:
    """Return two dictionary ids as one number that sorts as they do."""
    return (a << 32) | b


class _Spans:
    """Sorted (key, hour) pairs, to be counted between two hours of a key."""

    def __init__(self, keys: Ints, hours: Ints) -> None:
        self._base = int(hours.min(initial=0))
        self._width = int(hours.max(initial=0)) - self._base + 1
        self._both = np.sort(keys * self._width + hours - self._base)

    def places(self, keys: Ints, hours: Ints) -> Ints:
        """Return how many pairs come before each (key, hour)."""
        inside = np.clip(hours - self._base, 0, self._width)
        return self._both.searchsorted(keys * self._width + inside)


def _last_at_or_before(keys: Ints, times: Ints, wanted: Ints, at: Ints) -> Ints:
    """Return, for each wanted key, the place of its last entry at or before a time, -1 where there is none.

    `keys` and `times` are sorted together.
    """
    both = np.concatenate([keys, wanted])
    order = np.lexsort((np.repeat([0, 1], [len(keys), len(wanted)]), np.concatenate([times, at]), both))
    is_entry = order < len(keys)
    last = np.maximum.accumulate(np.where(is_entry, order, -1))
    asked = order[~is_entry] - len(keys)
    found = np.full(len(wanted), -1, dtype=np.int64)
    found[asked] = last[~is_entry]
    hit = found >= 0
    hit[hit] = keys[found[hit]] == wanted[hit]
    return np.where(hit, found, -1)


def _same(made: NDArray[np.int64], place: Ints) -> NDArray[np.bool_]:
    """Tell whether the entry before is the same thing created at the same moment."""
    before = np.maximum(place - 1, 0)
    same: NDArray[np.bool_] = (made[:, before] == made[:, place]).all(axis=0)
    return same
