"""The features of a window: how far what was done lies from what is usual; 0 is usual, more is stranger."""

from __future__ import annotations

import numpy as np

from bot.detect.forest.profiles import COUNTS, PLACE, SHARES, Floats
from bot.detect.forest.windows import Window

OVER_PEAK = ("events", "minutes", "deletes", "delete_hours_day", "sensitive_minutes", "idle_days")
_OVER = np.array([PLACE[name] for name in OVER_PEAK])
_SPECIAL = {
    "pair_max": "types",
    "pair_mean": "types",
    "slow_deletes_day": "deletes",
    "slow_deletes_week": "deletes",
    "slow_sensitive_day": "sensitive",
    "slow_sensitive_week": "sensitive",
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
        *_slow(window),
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


def _slow(window: Window) -> tuple[float, ...]:
    """Return how surprising the hours with deletes and with sensitive changes are among those of the day, the week."""
    usual = window.usual
    now = (bool(window.delete_times), bool(window.sensitive_times))
    return tuple(
        excess(done + 1, span.hours + 1, share) if here else 0.0
        for here, share, place in zip(now, usual.slow, (1, 2), strict=True)
        for span in (usual.day, usual.week)
        for done in (span[place],)
    )


def excess(hits: float, tries: float, share: float) -> float:
    """Return the root of twice the exponent of Chernoff's bound on so many hits or more, 0 where they are expected.

    It grows as standard deviations do, and stays right where a normal approximation is not (Hoeffding, 1963).
    """
    part = hits / tries
    if part <= share:
        return 0.0
    exponent = hits * np.log(part / share)
    if part < 1:
        exponent += (tries - hits) * np.log((1 - part) / (1 - share))
    return float(np.sqrt(2 * max(float(exponent), 0.0)))
