"""Events as the forest sees them, read from the store page by page, so that no read holds up anybody for long."""

from __future__ import annotations

import json
from collections.abc import Iterator
from sys import intern

import numpy as np

from bot.detect import facts
from bot.detect.columns import Columns, TextColumn
from bot.fields import FactSettings
from bot.store.schema import Store

PAGE = 4_000  # events: some 30 ms of the forest's work
BEGIN = -(2**63)
_FIELDS = ("actor", "ip", "type", "action", "actor_kind", "object_number", "type_sensitive")


class Reader:
    """Reads events of a store; `facts` says which types are sensitive."""

    def __init__(self, store: Store, settings: FactSettings) -> None:
        self._store, self._settings = store, settings

    def by_time(self, newest: int) -> Iterator[Columns]:
        """Yield all events up to an id, in order of time."""
        time, number = BEGIN, 0
        where = "time >= ? AND (time > ? OR id > ?) AND id <= ? ORDER BY time, id"
        while len(page := self._page(where, (time, time, number, newest))):
            yield page
            time, number = int(page.time[-1]), int(page.id[-1])

    def by_arrival(self, after: int, newest: int) -> Iterator[Columns]:
        """Yield the events between two ids as they came."""
        while len(page := self._page("id > ? AND id <= ? ORDER BY id", (after, newest))):
            page = page.take(np.argsort(page.id))
            yield page
            after = int(page.id[-1])

    def arrived(self, events: Columns) -> Columns:
        """Return events that were read for somebody else as they came."""
        rows = np.argsort(events.id)
        fields = {name: events[name].take(rows) for name in _FIELDS}
        return self._with_networks(Columns(events.id[rows], events.time[rows], fields))

    def _page(self, where: str, parameters: tuple[int, ...]) -> Columns:
        """Return a page of events in order of time."""
        some = f"e.id IN (SELECT id FROM events WHERE {where} LIMIT {PAGE})"
        return self._with_networks(facts.read(self._store, self._settings, some, parameters))

    def _with_networks(self, columns: Columns) -> Columns:
        columns.fields["network"] = self._networks(columns.text("ip"))
        for name in ("actor", "ip", "network", "type", "action"):
            columns.fields[name] = _kept_once(columns.text(name))
        return columns

    def _networks(self, ip: TextColumn) -> TextColumn:
        rows = self._store.rows(
            "SELECT i.name, w.name FROM addresses i JOIN networks w ON w.id = i.network"
            " WHERE i.name IN (SELECT value FROM json_each(?))",
            (json.dumps(list(ip.values)),),
        )
        networks = dict(rows)
        numbers: dict[str, int] = {}
        table = [numbers.setdefault(networks[name], len(numbers)) for name in ip.values]
        return TextColumn(np.array([*table, -1], dtype=np.int32)[ip.codes], tuple(numbers))


def _kept_once(column: TextColumn) -> TextColumn:
    """Return a column whose texts are kept once, which profiles and windows hold a hundred times over."""
    return TextColumn(column.codes, tuple(map(intern, column.values)))
