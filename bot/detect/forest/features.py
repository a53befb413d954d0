"""The features of a window: how far what was done lies from what is usual; 0 is usual, more is stranger."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bot.detect.forest.profiles import COUNTS, PLACE, SHARES, Floats
from bot.detect.forest.window import Tally, Window, tally

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


def features(windows: Sequence[Window], counted: Tally | None = None) -> Floats:
    """Return the features of windows so far, a row each in the order of NAMES; never negative, never NaN.

    Counts in standard deviations above the usual and in logarithms above the peak; shares in standard deviations of
    a binomial; the rest as surprises. `counted` is their tally, where that is known.
    """
    counted = counted or tally(windows)
    usual = [window.usual for window in windows]
    mean, sd, peak, shares = (
        np.array(column) for column in zip(*((one.mean, one.sd, one.peak, one.shares) for one in usual), strict=True)
    )
    above = np.maximum((counted.logs - mean) / sd, 0.0)
    over = np.maximum(counted.logs[:, _OVER] - peak[:, _OVER], 0.0)
    expected = counted.wholes * shares
    parts = np.maximum((counted.parts - expected) / np.sqrt(expected * (1 - shares) + 0.5), 0.0)
    surprises = np.array([_surprises(window) for window in windows])
    return np.hstack(
        (above, over, parts, surprises[:, :2], _slow(windows), surprises[:, 2:4], _rarity(windows), surprises[:, 4:])
    )


def _surprises(window: Window) -> tuple[float, ...]:
    """Return the surprises that were known when the window began or a pair joined."""
    usual, pairs = window.usual, window.pairs.values()
    return (
        max(pairs),
        sum(pairs) / len(pairs),
        usual.new_place if window.new_address else 0.0,
        usual.unheard_place if window.unheard else 0.0,
        usual.hour,
        usual.weekend,
        usual.hour + usual.weekend,
        usual.newness,
    )


def _rarity(windows: Sequence[Window]) -> Floats:
    """Return the surprise of the least used place of each window."""
    ratios = [
        (window.usual.windows + 2.0) / (min(window.places.values()) + 1.0)
        if window.places and window.usual.windows
        else 1.0
        for window in windows
    ]
    return np.maximum(0.0, np.log(ratios))[:, None]


def _slow(windows: Sequence[Window]) -> Floats:
    """Return how surprising the hours with deletes and with sensitive changes are among those of the day, the week."""
    found = np.zeros((len(windows), 4))
    counted = [
        (place, 2 * what + span, past[1 + what] + 1, past.hours + 1, window.usual.slow[what])
        for place, window in enumerate(windows)
        for what, times in enumerate((window.delete_times, window.sensitive_times))
        if times
        for span, past in enumerate((window.usual.day, window.usual.week))
    ]
    if counted:
        row, column, hits, tries, share = map(np.array, zip(*counted, strict=True))
        found[row, column] = excess(hits, tries, share)
    return found


def excess(hits: Floats, tries: Floats, share: Floats) -> Floats:
    """Return the roots of twice the exponent of Chernoff's bound on so many hits or more, 0 where they are expected.

    They grow as standard deviations do, and stay right where a normal approximation is not (Hoeffding, 1963).
    """
    part, missed = hits / tries, tries - hits
    left = np.where(missed > 0, (1 - part) / (1 - share), 1.0)
    exponent = hits * np.log(part / share) + missed * np.log(left)
    roots: Floats = np.sqrt(2 * np.where(part > share, np.maximum(exponent, 0.0), 0.0))
    return roots
