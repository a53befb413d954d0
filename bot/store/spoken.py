"""What rules alone said enough about to be posted: the forest's budget need not pay for it again."""

from __future__ import annotations

from collections import defaultdict

from bot.model import FOREST, Level
from bot.store.schema import Store

_SAID = """
SELECT a.id, a.entity_kind, a.entity, f.rule, max(f.level), min(f.first), max(f.last)
FROM findings f JOIN alerts a ON a.id = f.alert
WHERE f.last >= ? AND f.rule <> ? AND f.state = 'open' AND f.hidden IN ('', 'history')
  AND a.entity_kind IN ('actor', 'ip')
GROUP BY a.id, f.rule
"""


def by_rules(store: Store, since: int, post_from: int) -> list[tuple[str, str, int, int]]:
    """Return (kind, name, first, last) of the alerts since then whose rules have points enough without the forest.

    Those of the history count too: nobody posts them, but they say how much the rules find.
    """
    found: dict[tuple[int, str, str], list[tuple[int, int, int]]] = defaultdict(list)
    for alert, kind, name, _, level, first, last in store.rows(_SAID, (since, FOREST)):
        found[alert, kind, name].append((Level(level).risk, first, last))
    return [
        (kind, name, min(one[1] for one in rules), max(one[2] for one in rules))
        for (_, kind, name), rules in found.items()
        if sum(one[0] for one in rules) >= post_from
    ]
