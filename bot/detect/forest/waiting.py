"""What passes stored while the forest was being built: it waits to be scored, and survives a restart."""

from __future__ import annotations

import json

from bot.store.schema import Store

_KEY = "forest_waiting"  # [[after, newest], ...]: ids of events


def begin(store: Store) -> None:
    """Note that the forest is being built; what waits already goes on waiting."""
    store.set_meta(_KEY, json.dumps(spans(store)))


def note(store: Store, after: int, newest: int) -> None:
    """Let the events with after < id <= newest wait."""
    some = spans(store)
    if some and some[-1][1] == after:
        after = some.pop()[0]
    store.set_meta(_KEY, json.dumps([*some, (after, newest)]))


def spans(store: Store) -> list[tuple[int, int]]:
    """Return (after, newest) of what waits, the oldest first."""
    return [(after, newest) for after, newest in json.loads(store.meta(_KEY) or "[]")]


def any_waits(store: Store) -> bool:
    """Tell whether something waits, or may have since the forest is being built."""
    return store.meta(_KEY) is not None


def forget(store: Store) -> None:
    """Note that nothing waits any more."""
    store.set_meta(_KEY, None)
