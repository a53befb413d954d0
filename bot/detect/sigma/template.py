"""The text of a new rule: commented, with a test, and good as it stands."""

from __future__ import annotations

import json
import re
from typing import Literal, get_args

RuleKind = Literal["plain", "count", "distinct"]
KINDS: tuple[RuleKind, ...] = get_args(RuleKind)

_HEAD = """\
# docs/rules.md teaches writing rules, docs/fields.md lists the fields.
# Try it: audit-bot rules check FILE, audit-bot rules test FILE, audit-bot backtest {id}
title: {title}
id: {id}
status: experimental   # experimental runs unseen (shadow); stable posts
level: {level}
description: Say in one or two sentences what happened, and why it matters.
# references: [https://attack.mitre.org/techniques/T1485/]
# tags: [attack.impact, attack.t1485]
# falsepositives: [What looks the same and is no harm]
"""

_PLAIN = """\
logsource: {{product: cortex, service: audit}}
detection:
  deleted:               # all lines of a selection must hold; of several values one
    action: DELETE
    type|endswith: _CONFIGURATION
  usual:
    actor: [deploy-bot]
  condition: deleted and not usual
alert:
  quiet_for: 1h          # matching events of one actor no further apart than this are one finding
  # runbook: docs/runbooks/deletion.md
tests:
  - name: a person deletes an integration
    events:
      - {{at: 0s, action: DELETE, actor: eve@example.com, object: github, type: GITHUB_CONFIGURATION}}
    fires: yes
  - name: deploy-bot may
    events:
      - {{at: 0s, action: DELETE, actor: deploy-bot, object: github, type: GITHUB_CONFIGURATION}}
    fires: no
"""

_CORRELATION = """\
correlation:
  type: {type}
  rules: [{name}]        # the rule at the end of this file says which events count
  group-by: [actor]      # each actor is counted apart; leave the line out to count all together
  timespan: 10m
  condition: {condition}
# alert: {{runbook: docs/runbooks/deletion.md, ask_actor: true}}
tests:
  - name: five in four minutes
    events:
      - {{at: 0s, repeat: 5, every: 1m, action: DELETE, actor: eve@example.com, object: "svc-{{i}}", type: SERVICE}}
    fires: 1
  - name: {quiet}
    events:
      - {quiet_events}
    fires: no
---
title: Counted by the rule above
id: {other_id}
name: {name}
status: stable
level: informational
description: A part of the rule above; it reports nothing itself.
logsource: {{product: cortex, service: audit}}
detection:
  deleted: {{action: DELETE}}
  condition: deleted
"""

_COUNT = {
    "type": "event_count",
    "condition": "{gte: 5}",
    "quiet": "four",
    "quiet_events": '{at: 0s, repeat: 4, every: 1m, action: DELETE, actor: eve@example.com, object: "svc-{i}", '
    "type: SERVICE}",
}
_DISTINCT = {
    "type": "value_count",
    "condition": "{field: object, gte: 5}   # different objects",
    "quiet": "one thing, five times over",
    "quiet_events": "{at: 0s, repeat: 5, every: 1m, action: DELETE, actor: eve@example.com, object: svc, "
    "type: SERVICE}",
}


def slug(title: str, separator: str = "-") -> str:
    """Return a title as a file name or, with _, as the name of a rule."""
    words = re.findall(r"[a-z0-9]+", title.lower())
    return separator.join(words)[:60].strip(separator) or "rule"


def new_rule(title: str, level: str, kind: RuleKind, rule_id: str, other_id: str) -> str:
    """Return the text of a rule file; `other_id` is for the rule that a count needs besides."""
    head = _HEAD.format(title=json.dumps(title, ensure_ascii=False), level=level, id=rule_id)
    if kind == "plain":
        return head + _PLAIN.format()
    words = _COUNT if kind == "count" else _DISTINCT
    name = f"{slug(title, '_')}_{other_id[:4]}"
    return head + _CORRELATION.format(name=name if name[0].isalpha() else f"r_{name}", other_id=other_id, **words)
