"""What rules cost: the time that each takes over the last days of the log."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from statistics import median

from bot.detect import facts
from bot.detect.match import Evaluation
from bot.detect.rules import CompiledRule
from bot.fields import FactSettings
from bot.store.schema import Store
from bot.times import WEEK

MEASURED = 3  # times that a rule is run to say its cost


def costs(
    store: Store, settings: FactSettings, rules: Iterable[CompiledRule], clock: Callable[[], int]
) -> dict[str, float]:
    """Return the milliseconds that each rule takes over the last 7 days of the log, by its id: the median of three.

    `clock` counts microseconds. Reading the events is not counted: a pass does it once for all rules.
    """
    end = store.value("SELECT max(time) FROM events")
    some = list(rules)
    if end is None or not some:
        return {}
    lookback = max(rule.lookback for rule in some)
    columns = facts.read_span(store, settings, end - WEEK - lookback, end)
    found = {}
    for rule in some:
        taken = []
        for _ in range(MEASURED):
            begin = clock()
            Evaluation(columns).bursts(rule, end - WEEK, end)
            taken.append(clock() - begin)
        found[rule.id] = median(taken) / 1000
    return found
