"""Why a window is strange, in words: the figure, and the usual beside it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from bot.detect.forest.profiles import COUNTS, PLACE
from bot.detect.forest.window import Window, tally
from bot.times import DAY, HOUR, MINUTE, say_duration

# How each count is said: the figure, then what stands for one hour of it.
_NOUNS = {
    "events": "events",
    "minutes": "minutes with activity",
    "deletes": "deletes",
    "delete_minutes": "minutes with deletes",
    "deletes_week": "deletes within 7 days",
    "delete_hours_day": "hours of 24 with deletes",
    "delete_hours_week": "hours of 7 days with deletes",
    "foreign_deletes": "deletes of things that others made",
    "sensitive": "changes of sensitive types",
    "sensitive_minutes": "minutes with changes of sensitive types",
    "sensitive_hours_day": "hours of 24 with changes of sensitive types",
    "sensitive_hours_week": "hours of 7 days with changes of sensitive types",
    "new_objects": "things new to this actor",
    "cold_objects": "things that nobody touched for a month",
}
_WHOLE_SPANS = (
    "deletes_week",
    "delete_hours_day",
    "delete_hours_week",
    "sensitive_hours_day",
    "sensitive_hours_week",
)


def say(window: Window, group: str) -> str:
    """Return one sentence on what is strange about a window in this group of features."""
    return _SENTENCES.get(group, _say_count)(window, group)


def _say_count(window: Window, group: str) -> str:
    """Say the group's count that lies furthest above what is usual."""
    usual, logs = window.usual, tally([window]).logs[0]
    above = (logs - usual.mean) / usual.sd
    name = max((name for name in _NOUNS if COUNTS[name] == group), key=lambda name: above[PLACE[name]])
    figure, mean, peak = (np.expm1(values[PLACE[name]]) for values in (logs, usual.mean, usual.peak))
    span = "" if name in _WHOLE_SPANS else f" in {_span(window, name)}"
    types = (
        f" ({', '.join(list(window.sensitive_types)[:3])})" if group == "sensitive" and window.sensitive_types else ""
    )
    most = f"usual {mean:.0f}, at most {max(peak, mean):.0f}" if round(max(peak, mean)) else "usual none"
    return f"{figure:,.0f} {_noun(name, round(figure))}{types}{span}; {most}{_whose(window)}"


def _noun(name: str, figure: int) -> str:
    head, *rest = _NOUNS[name].split(" ")
    return " ".join([head.removesuffix("s") if figure == 1 else head, *rest])


def _span(window: Window, name: str) -> str:
    times = {"deletes": window.delete_times, "sensitive": window.sensitive_times}.get(name, [window.first, window.last])
    return say_duration(max(max(times) - min(times), MINUTE)) if len(times) > 1 else "an hour"


def _whose(window: Window) -> str:
    """Tell where the usual comes from while there is little history."""
    return "" if window.usual.windows >= 3 else f" for a {window.cls}"


def _say_address(window: Window, group: str) -> str:
    if window.new_address:
        where = "for anybody" if window.unheard else "for this actor"
        return f"address {window.new_address} from a network never seen {where}"
    if len(window.addresses) > 1:
        return f"{len(window.addresses)} addresses within an hour"
    hours = min(window.places.values(), default=0.0)
    return f"address {window.ip} from a network used in {hours:.0f} of {window.usual.windows:.0f} active hours"


def _say_time(window: Window, group: str) -> str:
    hour = window.key.hour // HOUR % 24
    day = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"][(window.key.hour // DAY + 3) % 7]
    if window.usual.weekend > window.usual.hour:
        return f"active on a {day}, seldom at weekends"
    rarer = np.exp(window.usual.hour)
    return f"active at {hour:02}:00 UTC on a {day}, an hour {rarer:.0f} times rarer than its usual ones"


def _say_types(window: Window, group: str) -> str:
    pair, surprise = max(window.pairs.items(), key=lambda item: item[1])
    rest = len(window.pairs) - 1
    more = f", and {rest} more {'kind' if rest == 1 else 'kinds'} of change" if rest else ""
    return f"{pair}: usual in {np.exp(-surprise):.1%} of active hours{more}{_whose(window)}"


def _say_dormancy(window: Window, group: str) -> str:
    longest = np.expm1(window.usual.peak[PLACE["idle_days"]])
    return f"back after {window.usual.idle_days:.0f} days; longest pause so far {longest:.0f}"


def _say_newness(window: Window, group: str) -> str:
    if not window.usual.windows:
        return f"first hour of this {window.cls}"
    return f"this {window.cls} is new: active in {window.usual.windows:.0f} hours so far"


_SENTENCES: dict[str, Callable[[Window, str], str]] = {
    "address": _say_address,
    "time": _say_time,
    "types": _say_types,
    "dormancy": _say_dormancy,
    "newness": _say_newness,
}
