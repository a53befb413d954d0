"""The canary's part in detection: a bulk delete that never was, seen by the rules in force. Touches no store."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from bot.detect.columns import BoolColumn, Column, Columns, NumberColumn, TextColumn, encode
from bot.detect.match import Evaluation
from bot.detect.minimum import bulk_delete_of
from bot.detect.rules import CompiledRule
from bot.fields import FIELDS
from bot.model import Finding
from bot.times import SECOND

ACTOR = "canary@audit-bot.invalid"  # a name that nobody can have (RFC 2606)


def canary_finding(reporting: Sequence[CompiledRule], now: int) -> Finding | None:
    """Return what the rule that looks for bulk deletes finds in one, None where it finds nothing.

    That rule is the team's own where it has one, else the built-in one.
    """
    rule = bulk_delete_of(reporting)
    count = rule.correlation.least if rule.correlation else 1
    bursts = Evaluation(_deletions(count, now)).bursts(rule)
    if len(bursts) != 1:
        return None
    [burst] = bursts
    found = Finding(0, rule.id, rule.rule.title, rule.rule.level, dict(burst.group), burst.first, burst.last, count)
    return replace(found, actor=burst.actor, ip=burst.ip)


def _deletions(count: int, now: int) -> Columns:
    """Return so many deletions of different things within a moment; whatever else a rule may ask for is unknown."""
    ids = np.arange(count, dtype=np.int64)
    fields = {name: _column(name, count) for name in FIELDS if name not in ("time", "object")}
    objects = encode(f"canary-{number}" for number in range(count))
    return Columns(ids, np.full(count, now // SECOND * SECOND, dtype=np.int64), {**fields, "object": objects})


def _column(name: str, count: int) -> Column:
    kind = FIELDS[name].kind
    if kind == "bool":
        return BoolColumn(np.full(count, -1, dtype=np.int8))
    if kind == "number":
        return NumberColumn(np.full(count, np.nan))
    value = {"action": "DELETE", "actor": ACTOR, "type": "SERVICE"}.get(name)
    return TextColumn(np.full(count, -1 if value is None else 0, dtype=np.int32), () if value is None else (value,))
