"""Silence: no event for far longer than the log's own past lets expect. Pure.

Hours are the grain. An hour counts as much as hours of its kind (working day or not, hour of the day) have had events
in the four weeks before the silence, so nights and weekends of a workspace that sleeps count next to nothing, and the
sum over a quiet stretch is the number of busy hours that it has cost. It is a silence when that is far more than any
quiet stretch of the past has cost.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from bot.fields import WEEKDAYS, FactSettings
from bot.times import HOUR

Kind = tuple[bool, int]  # of an hour: whether on a working day, and which of the day

PAST = 28 * 24  # hours before the silence that tell what is usual
LEAST_PAST = 14 * 24
LEAST, MORE, TIMES = 2.0, 1.0, 1.5  # busy hours: at least so many, and so much more than the costliest quiet stretch


@dataclass(frozen=True)
class Silence:
    """How many busy hours a quiet stretch has cost, and the costliest of the past."""

    missed: float
    usual: float


def find_silence(times: Iterable[int], until: int, settings: FactSettings) -> Silence | None:
    """Judge the stretch from the last event to `until`, in microseconds; None where it is nothing unusual.

    `times` are the events', in any order; those of the same hour need be there only once.
    """
    active = {time // HOUR for time in times}
    if not active:
        return None
    last = max(active)
    first = max(min(active), last + 1 - PAST)
    if last - first < LEAST_PAST:
        return None
    past = [(_kind(hour, settings), hour in active) for hour in range(first, last + 1)]
    share = _shares(past)
    usual = _costliest(past, share)
    missed = sum(share.get(_kind(hour, settings), 0.0) for hour in range(last + 1, until // HOUR))
    return Silence(missed, usual) if missed >= max(LEAST, MORE + TIMES * usual) else None


def _kind(hour: int, settings: FactSettings) -> Kind:
    begins = hour * HOUR
    return WEEKDAYS.index(settings.weekday(begins)) in settings.working_days, settings.hour(begins)


def _shares(past: Sequence[tuple[Kind, bool]]) -> dict[Kind, float]:
    """Return by kind of hour how many of these have had events, 0 to 1."""
    everything = Counter(kind for kind, _ in past)
    busy = Counter(kind for kind, active in past if active)
    return {kind: busy[kind] / count for kind, count in everything.items()}


def _costliest(past: Sequence[tuple[Kind, bool]], share: Mapping[Kind, float]) -> float:
    """Return the busy hours that the costliest quiet stretch has cost."""
    most = cost = 0.0
    for kind, active in past:
        cost = 0.0 if active else cost + share[kind]
        most = max(most, cost)
    return most
