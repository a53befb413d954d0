"""The built-in minimum: whatever the rule files say, somebody who deletes much in a short time is told of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

from bot.detect.match import Evaluation
from bot.detect.ordinary import columns
from bot.detect.rules import CompiledRule, RuleSet
from bot.detect.sigma.load import load_rules

BULK_DELETE = "61243d88-4efb-4968-bdd1-e6f25b1f0d48"  # the same as in rules/deletion/bulk-delete.yml
BUILT_IN = f"""
title: Deletion (built in)
id: 2b1e0d52-20bb-4d3c-9b45-46a5f66c3c52
name: built_in_deletion
status: stable
level: informational
description: Anything deleted by anybody; a part of the rule below.
logsource: {{product: cortex, service: audit}}
detection:
  deleted: {{action: DELETE}}
  condition: deleted
---
title: Bulk delete by one actor (built in)
id: {BULK_DELETE}
status: stable
level: high
description: Ten or more different things deleted by one actor within ten minutes.
references: [https://attack.mitre.org/techniques/T1485/]
tags: [attack.impact, attack.t1485]
falsepositives: [The clean-up after a project, A catalogue that is built anew]
correlation:
  type: value_count
  rules: [built_in_deletion]
  group-by: [actor]
  timespan: 10m
  condition: {{field: object, gte: 10}}
alert: {{runbook: docs/runbooks/deletion.md, ask_actor: true}}
"""
_DELETION = {"action": "DELETE", "actor": "somebody@example.com", "object": "something", "type": "SERVICE"}


def with_minimum(rule_set: RuleSet) -> tuple[CompiledRule, ...]:
    """Return the rules that report, and the built-in bulk delete where none of those that are posted replaces it.

    What replaces it: a rule of the same id, whatever it says; or a `value_count` over `object` by `actor` alone, of
    any size, that counts an ordinary deletion (a service, by a person, from no known address, no fact known). Shadow
    rules replace nothing; one with its id gives way to it, since an id has one rule.
    """
    reporting = tuple(rule for rule in rule_set.rules if rule.reports)
    if any(not rule.rule.shadow and (_is_it(rule) or _counts_deletions(rule)) for rule in reporting):
        return reporting
    return (*(rule for rule in reporting if not _is_it(rule)), _built_in())


def bulk_delete_of(reporting: Sequence[CompiledRule]) -> CompiledRule:
    """Return the rule in force that counts ordinary deletions by actor, the built-in one where there is none."""
    return next((rule for rule in reporting if not rule.rule.shadow and _counts_deletions(rule)), _built_in())


@lru_cache(maxsize=1)
def _built_in() -> CompiledRule:
    found = load_rules({"built in": BUILT_IN}).get(BULK_DELETE)
    assert found is not None  # noqa: S101 -- it stands above
    return replace(found, rule=replace(found.rule, file="", line=0))


def _is_it(rule: CompiledRule) -> bool:
    return rule.id.lower() == BULK_DELETE


def _counts_deletions(rule: CompiledRule) -> bool:
    counted = rule.correlation
    if counted is None or counted.kind != "value_count" or counted.group_by != ("actor",):
        return False
    return any(
        slot.counted == ("object",)
        and slot.group_by == ("actor",)
        and slot.rule.correlation is None
        and bool(Evaluation(columns(_DELETION)).matching(slot.rule)[0])
        for slot in counted.slots
    )
