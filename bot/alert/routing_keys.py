"""Reads what stands under the keys of routing.yml; what is wrong is told to the report, with its line."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial

from bot.alert.quiet_hours import EVERY_DAY, MAY_WAIT, QuietHours
from bot.fields import WEEKDAYS
from bot.model import Level
from bot.strict.readers import optional, read_duration, read_names, read_table, read_text, read_truth, read_whole
from bot.strict.report import Report
from bot.strict.yaml_lines import Items, Node, Table, Text
from bot.times import DAY, HOUR, MINUTE, WEEK

_CLOCK = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)\Z|24:00\Z", re.ASCII)
_WHOM = re.compile(r"[UWS][A-Z0-9]{2,20}\Z", re.ASCII)
_LEVELS = tuple(level.name for level in Level)


@dataclass(frozen=True)
class Roll:
    """More than so many alerts within so long, and the rest is rolled up; `critical` is the same for critical ones."""

    more_than: int
    within: int
    critical: int = 30


STORM, RATE = Roll(10, 10 * MINUTE), Roll(20, DAY)


@dataclass(frozen=True)
class Escalation:
    """Whom to call when nobody acknowledges for so long, and which channel is told after how long."""

    after: int
    mention: tuple[str, ...] = ()
    then_after: int | None = None
    channel: str | None = None


@dataclass(frozen=True)
class Reminders:
    """When the thread is told that nobody has a high or critical alert, or that it is not resolved yet."""

    unacknowledged: int = 30 * MINUTE
    unresolved: int = 4 * HOUR
    again: int = DAY


@dataclass(frozen=True)
class DigestTimes:
    """At which minute of the day digests come, in the team's zone, and which of them do."""

    at: int = 9 * 60
    daily: bool = True
    weekly: bool = True


def read_channels(node: Node, report: Report, what: str) -> dict[Level, str]:
    """Return the channels by level."""
    table = read_table(node, report, what, _LEVELS)
    named = {
        name: read_text(value, report, f"the channel of {name}")
        for name, value in (table.entries if table else {}).items()
    }
    return {Level[name]: channel for name, channel in named.items() if channel and name in _LEVELS}


def read_roll(table: Table, key: str, default: Roll, report: Report) -> Roll | None:
    """Return from how many alerts on the rest is rolled up, None for `off`."""
    node = table.get(key)
    if node is None or (isinstance(node, Text) and node.truth() is False):
        return default if node is None else None
    inner = read_table(node, report, key, ("more_than", "within", *["critical"] * (key == "storm")))
    if inner is None:
        return default
    whole = partial(read_whole, least=1, most=1000)
    return Roll(
        optional(inner, "more_than", whole, report) or default.more_than,
        optional(inner, "within", partial(read_duration, least=MINUTE, most=DAY), report) or default.within,
        optional(inner, "critical", whole, report) or default.critical,
    )


def read_quiet_hours(node: Node, report: Report, what: str) -> tuple[QuietHours, ...]:
    """Return one or several spans of quiet; none where it says `off`."""
    if isinstance(node, Text) and node.truth() is False:
        return ()
    spans = (_span(item, report, what) for item in (node.items if isinstance(node, Items) else [node]))
    return tuple(span for span in spans if span is not None)


def _span(node: Node, report: Report, what: str) -> QuietHours | None:
    table = read_table(node, report, what, ("from", "to", "days", "levels"))
    if table is None:
        return None
    begins, ends = optional(table, "from", _clock, report), optional(table, "to", _clock, report)
    for key in ("from", "to"):
        if table.get(key) is None:
            report.error(table.line, f"{what} does not say {key} when", f'add {key}: "22:00"')
    if begins is None or ends is None:
        return None
    if begins == ends:
        report.error(table.line, f"{what} begins when it ends", 'a whole day is from: "00:00" to: "24:00"')
    days = optional(table, "days", _days, report) or EVERY_DAY
    levels = optional(table, "levels", _may_wait, report)
    span = QuietHours(begins, ends, days)
    return replace(span, levels=levels) if levels else span


def _clock(node: Node, report: Report, what: str) -> int | None:
    text = read_text(node, report, what)
    if text is None:
        return None
    if not _CLOCK.match(text):
        report.error(node.line, f"{what} is {text!r}, not a time of day", 'write it like "22:00"')
        return None
    hour, minute = text.split(":")
    return int(hour) * 60 + int(minute)


def _days(node: Node, report: Report, what: str) -> frozenset[int]:
    """Return the days of a list; `mon-fri` is five of them."""
    found: set[int] = set()
    for word, line in read_names(node, report, what):
        ends = [end if end in WEEKDAYS else None for end in word.lower().split("-")]
        if None in ends or len(ends) > 2:
            report.error(line, f"{word!r} is no day", f"one of {', '.join(WEEKDAYS)}, or a span like mon-fri")
            continue
        first, last = (WEEKDAYS.index(str(end)) for end in (ends[0], ends[-1]))
        found |= {day % 7 for day in range(first, last + 1 + 7 * (last < first))}
    return frozenset(found)


def _may_wait(node: Node, report: Report, what: str) -> frozenset[Level]:
    allowed = [level.name for level in MAY_WAIT]
    found = set()
    for word, line in read_names(node, report, what):
        if word in allowed:
            found.add(Level[word])
        else:
            report.error(line, f"{word!r} never waits", f"only {', '.join(allowed)} may wait for the morning")
    return frozenset(found)


def read_escalation(node: Node, report: Report, what: str) -> Mapping[Level, Escalation]:
    """Return by level what happens when nobody acknowledges."""
    table = read_table(node, report, what, _LEVELS)
    read = {name: _escalation(value, report, name) for name, value in (table.entries if table else {}).items()}
    return {Level[name]: one for name, one in read.items() if one is not None and name in _LEVELS}


def _escalation(node: Node, report: Report, level: str) -> Escalation | None:
    what = f"the escalation of {level}"
    table = read_table(node, report, what, ("after", "mention", "then"))
    if table is None:
        return None
    wait = partial(read_duration, least=MINUTE, most=WEEK)
    after = optional(table, "after", wait, report)
    if table.get("after") is None:
        report.error(table.line, f"{what} does not say after how long", "add after: 10m")
    mention = optional(table, "mention", _whom, report) or ()
    then_after, channel = _then(table, report, wait)
    if not mention and channel is None:
        report.error(
            table.line, f"{what} calls nobody", "add mention: [S0123ABC], or then: {after: 30m, channel: C0123}"
        )
    if after is not None and then_after is not None and then_after < after:
        report.error(table.line, f"{what} tells the second channel first", "both count from the alert's message on")
    return None if after is None else Escalation(after, mention, then_after, channel)


def _then(table: Table, report: Report, wait: partial[int | None]) -> tuple[int | None, str | None]:
    node = table.get("then")
    then = None if node is None else read_table(node, report, "then", ("after", "channel"))
    if then is None:
        return None, None
    after, channel = optional(then, "after", wait, report), optional(then, "channel", read_text, report)
    for key in ("after", "channel"):
        if then.get(key) is None:
            report.error(then.line, f"then does not say {key}", "write then: {after: 30m, channel: C0123456789}")
    return (after, channel) if after is not None and channel is not None else (None, None)


def _whom(node: Node, report: Report, what: str) -> tuple[str, ...]:
    named = read_names(node, report, what)
    for name, line in named:
        if not _WHOM.match(name):
            report.error(line, f"{name!r} is no id", "give ids of users (U..., W...) or of user groups (S...)")
    return tuple(name for name, _ in named)


def read_reminders(node: Node, report: Report, what: str) -> Reminders:
    """Return when reminders come."""
    default, table = Reminders(), read_table(node, report, what, ("unacknowledged", "unresolved", "again"))
    if table is None:
        return default
    wait = partial(read_duration, least=MINUTE, most=4 * WEEK)
    return Reminders(
        optional(table, "unacknowledged", wait, report) or default.unacknowledged,
        optional(table, "unresolved", wait, report) or default.unresolved,
        optional(table, "again", wait, report) or default.again,
    )


def read_digest(node: Node, report: Report, what: str) -> DigestTimes:
    """Return when digests come; none do where it says `off`."""
    default = DigestTimes()
    if isinstance(node, Text) and node.truth() is False:
        return replace(default, daily=False, weekly=False)
    table = read_table(node, report, what, ("at", "daily", "weekly"))
    if table is None:
        return default
    at = optional(table, "at", _clock, report)
    daily, weekly = (optional(table, key, read_truth, report) for key in ("daily", "weekly"))
    return DigestTimes(
        default.at if at is None else at % (24 * 60),
        default.daily if daily is None else daily,
        default.weekly if weekly is None else weekly,
    )
