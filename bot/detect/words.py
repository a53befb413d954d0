"""A burst in words: why a rule found it, with the figures."""

from __future__ import annotations

from bot.detect.match import Burst
from bot.detect.rules import CompiledRule
from bot.times import say_duration


def reasons(rule: CompiledRule, burst: Burst) -> tuple[str, ...]:
    """Return what a person should read beside the rule's title: how much, in how long."""
    span = burst.last - burst.first
    events = "1 event" if burst.count == 1 else f"{burst.count:,} events"
    within = f" in {say_duration(span)}" if span else ""
    correlation = rule.correlation
    if correlation is not None and correlation.kind == "value_count":
        counted = " and ".join(dict.fromkeys(name for slot in correlation.slots for name in slot.counted))
        return (f"{burst.distinct:,} different values of {counted}{within} ({events})",)
    return (f"{events}{within}",)
