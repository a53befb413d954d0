"""A burst in words: why a rule found it, with the figures."""

from __future__ import annotations

from bot.detect.match import Burst
from bot.detect.rules import CompiledRule
from bot.times import say_duration

PLURALS = {"ip": "addresses"}


def reasons(rule: CompiledRule, burst: Burst) -> tuple[str, ...]:
    """Return what a person should read beside the rule's title: how much, in how long."""
    span = burst.last - burst.first
    events = "1 event" if burst.count == 1 else f"{burst.count:,} events"
    within = f" in {say_duration(span)}" if span else ""
    correlation = rule.correlation
    if correlation is None or correlation.kind != "value_count":
        return (f"{events}{within}",)
    counted = " and ".join(dict.fromkeys(PLURALS.get(n, n + "s") for slot in correlation.slots for n in slot.counted))
    more = "" if burst.count == burst.distinct else f" ({events})"
    return (f"{burst.distinct:,} different {counted}{within}{more}",)
