"""Which time a query is about: `last:`, `since:`, `until:` and `on:`, as moments in a zone."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta, tzinfo

from bot.query.terms import MistakeError, Setting, quoted
from bot.times import EPOCH, parse_duration, parse_time

# the open ends of a range: so far from the calendar's own ends that every zone still fits
BEGIN, END = parse_time("0001-01-03"), parse_time("9999-12-29")

_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_DURATION = re.compile(r"(\d{1,9})\s*[a-z]*", re.ASCII | re.IGNORECASE)
_DAYS = {"today": 0, "yesterday": 1}
_LAST_DAY = date(9999, 12, 30)


@dataclass(frozen=True)
class Frame:
    """What the words of a query hang on."""

    now: int
    zone: tzinfo
    max_limit: int
    default_last: int | None


def time_range(frame: Frame, settings: Mapping[str, Setting]) -> tuple[int, int]:
    """Return the first and the last microsecond that are asked for."""
    _refuse_conflicts(settings)
    if on := settings.get("on"):
        return _day(_date(on, frame), frame.zone)
    begins, ends = settings.get("last") or settings.get("since"), settings.get("until")
    if begins is None and ends is None:
        return (BEGIN, END) if frame.default_last is None else (frame.now - frame.default_last, frame.now)
    since = BEGIN if begins is None else _moment(begins, frame)
    until = frame.now if begins and begins.name == "last" else END
    if ends:
        until = _moment(ends, frame)
        if begins and since > until:
            raise _order_mistake(begins, ends)
    return max(BEGIN, since), min(END, until)


def _refuse_conflicts(settings: Mapping[str, Setting]) -> None:
    for name, others in (("on", ("last", "since", "until")), ("last", ("since",))):
        for other in others:
            if name in settings and other in settings:
                later = max(settings[name], settings[other], key=lambda setting: setting.start)
                raise MistakeError(f"`{name}:` and `{other}:` contradict each other.", later.start, later.cut)


def _order_mistake(begins: Setting, ends: Setting) -> MistakeError:
    """Return that a range ends before it begins; the correction swaps the two where that helps."""
    message = f"`until:{ends.value}` is before `{begins.name}:{begins.value}`."
    if begins.name == "last":
        return MistakeError(message, ends.start, ends.cut)
    swapped = ((begins.at, begins.end, quoted(ends.value)), (ends.at, ends.end, quoted(begins.value)))
    return MistakeError(message, ends.start, *swapped)


def _moment(setting: Setting, frame: Frame) -> int:
    """Return the time that a setting names. A date is a day: it begins at midnight and ends just before the next."""
    value = setting.value.strip().lower()
    if number := _DURATION.fullmatch(value):
        try:
            return frame.now - parse_duration(value)
        except ValueError:
            raise setting.mistake(f"`{setting.value}` has no unit of time: s, m, h, d or w.", f"{number[1]}d") from None
    if setting.name == "last":
        raise setting.mistake(f"`{setting.value}` is not a length of time, like 90s, 10m, 24h, 7d or 2w.", "7d")
    if _DATE.fullmatch(value):
        return _day(_date(setting, frame), frame.zone)[setting.name == "until"]
    try:
        return parse_time(setting.value, frame.zone)
    except ValueError:
        new = _today(frame).isoformat()
        text = f"`{setting.value}` is not a time: write an ISO time, a date like {new}, or 7d for a week ago."
        raise setting.mistake(text, new) from None


def _date(setting: Setting, frame: Frame) -> date:
    value = setting.value.strip().lower()
    if value in _DAYS:
        return _today(frame) - timedelta(days=_DAYS[value])
    try:
        return date.fromisoformat(value if _DATE.fullmatch(value) else "")
    except ValueError:
        new = _today(frame).isoformat()
        raise setting.mistake(f"`{setting.value}` is not a day: today, yesterday or a date like {new}.", new) from None


def _today(frame: Frame) -> date:
    return (EPOCH + timedelta(microseconds=frame.now)).astimezone(frame.zone).date()


def _day(day: date, zone: tzinfo) -> tuple[int, int]:
    """Return the first and the last microsecond of a day, which may have 23 or 25 hours."""
    following = min(day, _LAST_DAY) + timedelta(days=1)
    return parse_time(day.isoformat(), zone), parse_time(following.isoformat(), zone) - 1
