"""Facts as SQL, and the flat view `audit_log` that people open in Datasette: one row an event, texts spelt out.

The same facts are computed over columns in `detect/facts.py`; a test holds the two equal.
"""

from __future__ import annotations

from bot.fields import ACTOR_TYPES, HABIT_DAYS, LEARNING_DAYS, LEAST_HABIT, RARE_HOUR, USUAL_DAYS
from bot.times import DAY, HOUR

# the tables that give an event `e` its texts
JOINS = """events e
  JOIN objects o ON o.id = e.object JOIN types t ON t.id = e.type JOIN actions n ON n.id = e.action
  LEFT JOIN actors a ON a.id = e.actor LEFT JOIN addresses i ON i.id = e.ip"""

LOG_START = "(SELECT time FROM first_seen WHERE kind = 'log' AND a = 0 AND b = 0)"
LEARNT = f"e.time >= {LOG_START} + {LEARNING_DAYS * DAY}"
_NETWORK = "(SELECT network FROM addresses WHERE id = e.ip)"


def _first(kind: str, a: str, b: str = "0") -> str:
    return f"(SELECT time FROM first_seen WHERE kind = '{kind}' AND a = {a} AND b = {b})"


def _new(kind: str, a: str, b: str = "0") -> str:
    return f"(CASE WHEN {LEARNT} THEN e.time = {_first(kind, a, b)} END)"


_PREVIOUS = "(SELECT max(p.time) FROM events p WHERE p.actor = e.actor AND p.time < e.time)"
_CREATED = "(SELECT max(c.time) FROM creations c WHERE c.object = e.object AND c.type = e.type AND c.time <= e.time)"
_CREATED_BY_SELF = (
    f"EXISTS (SELECT 1 FROM creations c WHERE c.object = e.object AND c.type = e.type AND c.time = {_CREATED}"
    " AND c.actor = e.actor)"
)
_ACTOR_TYPE = (
    "(CASE e.actor_type " + " ".join(f"WHEN {code} THEN '{name}'" for code, name in enumerate(ACTOR_TYPES, 1)) + " END)"
)
_ACTOR_NAME = "(SELECT name FROM actors WHERE id = e.actor)"

HOUR_OF_EVENT = f"((e.time - ((e.time % {HOUR}) + {HOUR}) % {HOUR}) / {HOUR})"  # hours since 1970, also before it
_NEAR = f"((h.hour - {HOUR_OF_EVENT}) % 24 + 24) % 24 IN (0, 1, 23)"
_HABIT = (
    f"(SELECT CASE WHEN count(*) >= {LEAST_HABIT} THEN sum({_NEAR}) * {RARE_HOUR} < count(*) END FROM activity h"
    f" WHERE h.actor = e.actor AND h.hour >= {HOUR_OF_EVENT} - {24 * HABIT_DAYS} AND h.hour < {HOUR_OF_EVENT})"
)
_USUAL_DELETES = (
    f"(SELECT total(h.deletes) / {USUAL_DAYS}.0 FROM activity h WHERE h.actor = e.actor"
    f" AND h.hour >= {HOUR_OF_EVENT} - {24 * (USUAL_DAYS + 1)} AND h.hour < {HOUR_OF_EVENT} - 24)"
)

# Each fact that hangs on events alone, as an expression over the event `e`. Bools are 1, 0 or NULL (unknown).
FACT_SQL = {
    "actor_type": _ACTOR_TYPE,
    "actor_kind": f"(CASE WHEN e.actor IS NULL THEN 'none' WHEN e.actor_type IN (1, 2) THEN 'key'"
    f" WHEN e.actor_type IN (3, 4) THEN 'person' WHEN e.actor_type = 5 THEN 'webhook'"
    f" WHEN instr({_ACTOR_NAME}, '@') THEN 'person' ELSE 'key' END)",
    "actor_age_days": f"((e.time - {_first('actor', 'e.actor')}) / {DAY}.0)",
    "actor_idle_days": f"((e.time - {_PREVIOUS}) / {DAY}.0)",
    "actor_new": _new("actor", "e.actor"),
    "ip_new": _new("ip", "e.ip"),
    "ip_new_for_actor": _new("actor_ip", "e.actor", "e.ip"),
    "network_new_for_actor": _new("actor_network", "e.actor", _NETWORK),
    "ip_age_days_for_actor": f"((e.time - {_first('actor_ip', 'e.actor', 'e.ip')}) / {DAY}.0)",
    "type_new_for_actor": _new("actor_type", "e.actor", "e.type"),
    "action_new_for_actor": _new("actor_action", "e.actor", "e.action"),
    "type_new_without_actor": f"(CASE WHEN e.actor IS NULL AND {LEARNT}"
    f" THEN e.time = {_first('nobody_type', '0', 'e.type')} END)",
    "usual_deletes": f"(CASE WHEN e.actor IS NOT NULL THEN {_USUAL_DELETES} END)",
    "unusual_hour": _HABIT,
    "object_by_other": f"(CASE WHEN e.actor IS NOT NULL AND {_CREATED} IS NOT NULL THEN NOT {_CREATED_BY_SELF} END)",
}

AUDIT_LOG = (
    "CREATE VIEW audit_log AS SELECT e.id AS id, strftime('%Y-%m-%dT%H:%M:%S', e.time / 1000000, 'unixepoch')"
    " || printf('.%06dZ', e.time % 1000000) AS time, n.name AS action, a.name AS actor, i.name AS ip, o.name AS object,"
    " t.name AS type, " + ", ".join(f"{sql} AS {name}" for name, sql in FACT_SQL.items()) + f" FROM {JOINS}"
)
