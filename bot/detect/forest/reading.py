"""Events as the forest sees them, read from the store page by page, so that no read holds up anybody for long."""

from __future__ import annotations

from collections.abc import Iterator
from sys import intern
from typing import Any

from bot.detect.forest.windows import Seen
from bot.fields import FactSettings
from bot.store.schema import Store
from bot.store.views import FACT_SQL

PAGE = 1_000  # events: some 30 ms of the forest's work
BEGIN = -(2**63)

_SELECT = (  # left joins keep SQLite to this order
    f"SELECT e.time, a.name, i.name, w.name, o.name, t.name, n.name, {FACT_SQL['actor_kind']}, e.id FROM events e"
    " LEFT JOIN objects o ON o.id = e.object LEFT JOIN types t ON t.id = e.type LEFT JOIN actions n ON n.id = e.action"
    " LEFT JOIN actors a ON a.id = e.actor LEFT JOIN addresses i ON i.id = e.ip"
    " LEFT JOIN networks w ON w.id = i.network"
)


class Reader:
    """Reads events of a store; `facts` says which types are sensitive."""

    def __init__(self, store: Store, facts: FactSettings) -> None:
        self._store, self._facts = store, facts
        self._sensitive: dict[str, bool] = {}

    def by_time(self, newest: int) -> Iterator[list[tuple[int, Seen]]]:
        """Yield (id, event) of all events up to an id, in order of time."""
        time, number = BEGIN, 0
        where = "e.time >= ? AND (e.time > ? OR e.id > ?) AND e.id <= ? ORDER BY e.time, e.id"
        while page := self._page(where, (time, time, number, newest)):
            yield page
            number, time = page[-1][0], page[-1][1].time

    def by_arrival(self, after: int, newest: int) -> Iterator[list[tuple[int, Seen]]]:
        """Yield (id, event) of the events between two ids as they came."""
        while page := self._page("e.id > ? AND e.id <= ? ORDER BY e.id", (after, newest)):
            yield page
            after = page[-1][0]

    def _page(self, where: str, parameters: tuple[int, ...]) -> list[tuple[int, Seen]]:
        rows = self._store.rows(f"{_SELECT} WHERE {where} LIMIT {PAGE}", parameters)
        return [(number, self._seen(row)) for *row, number in rows]

    def _seen(self, row: list[Any]) -> Seen:
        # A name that profiles and windows keep a hundred times over is kept once.
        texts = [text if text is None else intern(text) for text in row[1:]]
        type_ = row[5]
        if type_ not in self._sensitive:
            self._sensitive[type_] = self._facts.type_sensitive(type_)
        return Seen._make((row[0], *texts, self._sensitive[type_]))
