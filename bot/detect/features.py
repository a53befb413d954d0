"""The features of a window: how far what was done lies from what is usual; 0 is usual, more is stranger."""

from __future__ import annotations

import numpy as np

from bot.detect.profiles import COUNTS, PLACE, SHARES, Floats
from bot.detect.windows import Window

OVER_PEAK = ("events", "minutes", "deletes", "delete_hours_day", "sensitive_minutes", "idle_days")
_OVER = np.array([PLACE[name] for name in OVER_PEAK])
_SPECIAL = {
    "pair_max": "types",
    "pair_mean": "types",
    "address_new": "address",
    "address_unheard": "address",
    "address_rare": "address",
    "hour": "time",
    "weekend": "time",
    "hour_and_day": "time",
    "newness": "newness",
}
GROUP_OF = {**COUNTS, **{f"{name}_over_peak": COUNTS[name] for name in OVER_PEAK}, **SHARES, **_SPECIAL}
NAMES = tuple(GROUP_OF)
GROUPS = tuple(dict.fromkeys(GROUP_OF.values()))


def features(window: Window) -> Floats:
    """Return the features of a window so far, in the order of NAMES; never negative, never NaN.

    Counts in standard deviations above the usual and in logarithms above the peak; shares in standard deviations of
    a binomial; the rest as surprises.
    """
    usual = window.usual
    x = window.logs()
    above = np.maximum((x - usual.mean) / usual.sd, 0.0)
    over = np.maximum(x[_OVER] - usual.peak[_OVER], 0.0)
    parts, wholes = window.parts()
    expected = wholes * usual.shares
    shares = np.maximum((parts - expected) / np.sqrt(expected * (1 - usual.shares) + 0.5), 0.0)
    surprises = window.pairs.values()
    special = (
        max(surprises),
        sum(surprises) / len(surprises),
        usual.new_place if window.new_address else 0.0,
        usual.unheard_place if window.unheard else 0.0,
        _rarity(window),
        usual.hour,
        usual.weekend,
        usual.hour + usual.weekend,
        usual.newness,
    )
    return np.concatenate((above, over, shares, special))


def _rarity(window: Window) -> float:
    """Return the surprise of the least used place of this window."""
    if not window.places or not window.usual.windows:
        return 0.0
    return max(0.0, float(np.log((window.usual.windows + 2.0) / (min(window.places.values()) + 1.0))))
