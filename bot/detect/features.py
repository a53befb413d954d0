"""The features of a window: how far what was done lies from what is usual; 0 is usual, more is stranger."""

from __future__ import annotations

import numpy as np

from bot.detect.profiles import COUNTS, PLACE, Floats
from bot.detect.windows import Window

OVER_PEAK = (
    "events",
    "minutes",
    "deletes",
    "delete_minutes",
    "deletes_day",
    "sensitive",
    "objects",
    "new_objects",
    "types",
)
_OVER = np.array([PLACE[name] for name in OVER_PEAK])
SPECIAL = {
    "pair_max": "types",
    "address_new": "address",
    "address_unheard": "address",
    "address_rare": "address",
    "network_new": "address",
    "hour": "time",
    "weekend": "time",
    "newness": "newness",
}
NAMES = (*COUNTS, *(f"{name}_over_peak" for name in OVER_PEAK), *SPECIAL)
GROUP_OF = {**COUNTS, **{f"{name}_over_peak": COUNTS[name] for name in OVER_PEAK}, **SPECIAL}
GROUPS = tuple(dict.fromkeys(GROUP_OF.values()))


def features(window: Window) -> Floats:
    """Return the features of a window so far, in the order of NAMES; never negative, never NaN."""
    usual = window.usual
    x = window.logs()
    above = np.maximum((x - usual.mean) / usual.sd, 0.0)
    over = np.maximum(x[_OVER] - usual.peak[_OVER], 0.0)
    special = (
        max(window.pairs.values()),
        usual.new_address if window.new_address else 0.0,
        usual.unheard_address if window.unheard else 0.0,
        _rarity(window),
        usual.new_network if window.new_network else 0.0,
        usual.hour,
        usual.weekend,
        usual.newness,
    )
    return np.concatenate((above, over, special))


def _rarity(window: Window) -> float:
    """Return the surprise of the actor's least used address in this window."""
    if not window.addresses or not window.usual.windows:
        return 0.0
    return max(0.0, float(np.log((window.usual.windows + 2.0) / (min(window.addresses.values()) + 1.0))))
