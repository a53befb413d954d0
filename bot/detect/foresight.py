"""What can be known of a pass when all that follows is known: which rules may have something to say."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bot.detect import facts
from bot.detect.columns import Ints
from bot.detect.conditions import Mask
from bot.detect.match import Burst, Evaluation
from bot.detect.rules import CompiledRule
from bot.errors import StoreError
from bot.fields import FactSettings
from bot.store.log.events import FOREVER
from bot.store.schema import Store


def foresee(
    store: Store, settings: FactSettings, rules: Sequence[CompiledRule], ends: Sequence[int], length: int
) -> list[tuple[CompiledRule, ...]]:
    """Return, for each step through the whole log, in order of time, the rules whose findings it may change.

    `ends` are when steps end (microseconds, increasing); to a step belongs what happened in the `length` before, to
    the first one all that came before that. Anchors hang on no later event, so what a rule finds up to one step and up
    to the next differs only where a burst of the whole log lies between. A rule that raises may change at any step.
    """
    evaluation = Evaluation(facts.read_span(store, settings, -FOREVER, FOREVER), rules)
    speaks = np.ones((len(rules), len(ends)), dtype=np.bool_)
    for place, rule in enumerate(rules):
        try:
            speaks[place] = _covered(evaluation.bursts(rule), np.array(ends), length)
        except StoreError:
            raise
        except Exception:  # noqa: BLE001, S112 -- told by the passes, which ask this rule each time
            continue
    return [tuple(rule for rule, here in zip(rules, step, strict=True) if here) for step in speaks.T.tolist()]


def _covered(bursts: Sequence[Burst], ends: Ints, length: int) -> Mask:
    """Tell of each step whether a burst, from its first to its last event, lies in it."""
    spans = np.array([(burst.first, burst.last) for burst in bursts], dtype=np.int64).reshape(-1, 2)
    begun, over = ends.searchsorted(spans[:, 0]), ends.searchsorted(spans[:, 1] + length)
    over = np.maximum(over, 1)  # whatever is over before the first step ends lies in it
    places = len(ends) + 1
    return np.cumsum(np.bincount(begun, minlength=places) - np.bincount(over, minlength=places))[:-1] > 0
