"""Facts that hold for few events, turned round: the small tables that know of them lead to the events.

Asked of each of a million events, `unusual_hour` takes a minute and `actor_new` a second; led to them, some
milliseconds. What is found is what the expressions in `views.py` say.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bot.fields import HABIT_DAYS, LEARNING_DAYS, LEAST_HABIT, RARE_HOUR
from bot.store.log.blocks import as_columns
from bot.store.schema import Connection
from bot.store.views import LOG_START
from bot.times import DAY, HOUR

Ints = NDArray[np.int64]
SHORT = 6 * HOUR  # in so little time there are so few events that asking each is quicker

# the kind of first times by which a fact is true, and which event `p` is the first one `s`
_FIRSTS = {
    "actor_new": ("actor", "p.actor = s.a"),
    "ip_new": ("ip", "p.ip = s.a"),
    "ip_new_for_actor": ("actor_ip", "p.actor = s.a AND p.ip = s.b"),
    "network_new_for_actor": (
        "actor_network",
        "p.actor = s.a AND (SELECT network FROM addresses WHERE id = p.ip) = s.b",
    ),
    "type_new_for_actor": ("actor_type", "p.actor = s.a AND p.type = s.b"),
    "action_new_for_actor": ("actor_action", "p.actor = s.a AND p.action = s.b"),
    "type_new_without_actor": ("nobody_type", "p.actor IS NULL AND p.type = s.b"),
}


def led(connection: Connection, fact: str, value: bool, span: tuple[int, int]) -> tuple[str, list[Any]] | None:
    """Return that `e`, in a span, is one of the events of which a fact has this value; None where nothing leads there.

    It is true or false, never null.
    """
    since, until = span
    if until - since < SHORT:
        return None
    if fact == "unusual_hour":
        return _in_hours(_judged(connection, value, since, until))
    if value and fact in _FIRSTS:
        kind, same = _FIRSTS[fact]
        first = (  # the plus signs: p is found by the moment of s, not by the span
            f"SELECT p.id FROM first_seen s CROSS JOIN events p ON p.time = s.time AND {same} WHERE s.kind = ?"
            f" AND +s.time BETWEEN ? AND ? AND +s.time >= {LOG_START} + {LEARNING_DAYS * DAY}"
        )
        return f"e.id IN ({first})", [kind, since, until]
    return None


def _in_hours(hours: NDArray[np.int64]) -> tuple[str, list[Any]]:
    """Return that `e` lies in one of the hours of actors, given as rows of actor and hour."""
    inside = (
        f"SELECT p.id FROM json_each(?) h CROSS JOIN events p ON p.actor = h.value ->> 0"
        f" AND p.time >= (h.value ->> 1) * {HOUR} AND p.time < (h.value ->> 1) * {HOUR} + {HOUR}"
    )
    return f"e.id IN ({inside})", [json.dumps(hours.tolist())]


def _judged(connection: Connection, unusual: bool, since: int, until: int) -> NDArray[np.int64]:
    """Return the hours in a span, each with its actor, that are unusual for the actor, or are not."""
    begin, end, days = since // HOUR, until // HOUR, 24 * HABIT_DAYS
    rows = connection.execute(
        "SELECT actor, hour FROM activity WHERE hour BETWEEN ? AND ? ORDER BY actor, hour",
        (max(begin - days, -(2**62)), end),
    )
    actors, hours = as_columns(rows, 2)
    habit = _so_far(actors, hours, hours, days)
    near: Ints = np.zeros(len(hours), dtype=np.int64)
    for beside in (-1, 0, 1):
        near += _so_far(24 * actors + hours % 24, hours, hours, days, 24 * actors + (hours + beside) % 24)
    chosen = (habit >= LEAST_HABIT) & ((near * RARE_HOUR < habit) == unusual) & (hours >= begin)
    return np.stack((actors[chosen], hours[chosen]), axis=1)


def _so_far(keys: Ints, hours: Ints, at: Ints, days: int, asked: Ints | None = None) -> Ints:
    """Return how many hours of a key lie in the `days` hours before each moment of the same key (or of `asked`)."""
    base = int(hours.min(initial=0)) - days
    width = int(hours.max(initial=0)) - base + 1
    known = np.sort(keys * width + hours - base)
    moments = (keys if asked is None else asked) * width + at - base
    found: Ints = np.searchsorted(known, moments) - np.searchsorted(known, moments - days)
    return found
