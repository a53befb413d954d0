"""Findings and alerts: writing them, what people see of them, what people decide about them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from bot.model import FOREST, Alert, AlertView, Entity, Finding, Judgement, Level, Rule, Verdict
from bot.store import journal
from bot.store.messages import outbox
from bot.store.people import judgements
from bot.store.people.standing import first_seen, standing_of
from bot.store.queries.search import events_by_id
from bot.store.schema import Store

_FINDING = "id, rule, title, level, grp, first, last, count, actor, ip, evidence, reasons, state, hidden, alert"
_ALERT = (
    "id, entity_kind, entity, level, points, state, decision, opened, first, last, events, owner, owned_at, channel,"
    " ts, floor"
)
OVER = ("resolved", "removed")  # states in which nobody needs to do anything any more


@dataclass(frozen=True)
class Outcome:
    """What a person's action did: `done`, and a sentence for that person."""

    done: bool
    reason: str


def group_key(group: Iterable[tuple[str, str]]) -> str:
    """Return a finding's group as the text under which it is stored."""
    return json.dumps(dict(group), ensure_ascii=False)


def read_finding(row: tuple[Any, ...]) -> Finding:
    """Return the finding of a row in the order of `_FINDING`."""
    number, rule, title, level, group, first, last, count, actor, ip, evidence, reasons, state, hidden, alert = row
    return Finding(
        number, rule, title, Level(level), json.loads(group), first, last, count, actor, ip,
        tuple(json.loads(evidence)), tuple(json.loads(reasons)), state, hidden, alert,
    )  # fmt: skip


def findings(store: Store, where: str = "1", parameters: tuple[Any, ...] = ()) -> list[Finding]:
    """Return the findings that satisfy an SQL condition, oldest id first."""
    return [
        read_finding(row)
        for row in store.rows(f"SELECT {_FINDING} FROM findings WHERE {where} ORDER BY id", parameters)
    ]


def insert_finding(store: Store, finding: Finding, now: int) -> Finding:
    """Store a new finding and return it with its id."""
    row = {
        "rule": finding.rule_id, "grp": group_key(finding.group.items()), "title": finding.title,
        "level": int(finding.level), **_burst(finding), "alert": finding.alert_id, "found": now, "updated": now,
    }  # fmt: skip
    with store.write() as connection:
        cursor = connection.execute(
            f"INSERT INTO findings ({', '.join(row)}) VALUES ({', '.join(f':{name}' for name in row)})",
            row,
        )
    return _with(finding, id=cursor.lastrowid)


def update_finding(store: Store, finding: Finding, now: int) -> None:
    """Store what a finding has become."""
    row = {
        **_burst(finding),
        "level": int(finding.level),
        "title": finding.title,
        "alert": finding.alert_id,
        "updated": now,
    }
    with store.write() as connection:
        assignments = ", ".join(f"{name} = :{name}" for name in row)
        connection.execute(f"UPDATE findings SET {assignments} WHERE id = :id", {**row, "id": finding.id})


def _burst(finding: Finding) -> dict[str, Any]:
    return {
        "first": finding.first, "last": finding.last, "count": finding.count, "actor": finding.actor, "ip": finding.ip,
        "evidence": json.dumps(finding.evidence), "reasons": json.dumps(finding.reasons, ensure_ascii=False),
        "state": finding.state, "hidden": finding.hidden,
    }  # fmt: skip


def _with(finding: Finding, **changes: Any) -> Finding:
    return Finding(**{**finding.__dict__, **changes})


def read_alert(row: tuple[Any, ...]) -> Alert:
    """Return the alert of a row in the order of `_ALERT`."""
    number, kind, entity, level, *rest, floor = row
    return replace(Alert(number, Entity(kind, entity), Level(level), *rest), floor=Level(floor))


def alerts(store: Store, where: str = "1", parameters: tuple[Any, ...] = (), order: str = "id") -> list[Alert]:
    """Return the alerts that satisfy an SQL condition."""
    return [
        read_alert(row) for row in store.rows(f"SELECT {_ALERT} FROM alerts WHERE {where} ORDER BY {order}", parameters)
    ]


def alert(store: Store, alert_id: int) -> Alert | None:
    """Return one alert."""
    found = alerts(store, "id = ?", (alert_id,))
    return found[0] if found else None


def listing(store: Store, *, state: str | None = None, limit: int = 20, posted_only: bool = True) -> list[Alert]:
    """Return the newest alerts first, those that people were shown unless all are asked for."""
    conditions = ["decision LIKE 'posted%'"] * posted_only + ["state = :state"] * (state is not None)
    where = " AND ".join(conditions) or "1"
    rows = store.rows(
        f"SELECT {_ALERT} FROM alerts WHERE {where} ORDER BY last DESC, id DESC LIMIT :limit",
        {"state": state, "limit": limit},
    )
    return [read_alert(row) for row in rows]


def nearest(store: Store, entity: Entity, first: int, last: int, within: int) -> Alert | None:
    """Return the alert of an entity that is nearest in time to a span, the newer of two.

    Of those that ended more than `within` before it only the last one counts, so that an entity with thousands of
    alerts costs no more than one with a few.
    """
    mine = "entity_kind = ? AND entity = ?"
    found = alerts(
        store,
        f"{mine} AND last >= ?",
        (entity.kind, entity.name, first - within, last, first),
        "max(0, first - ?, ? - last), last DESC, id DESC LIMIT 1",
    )
    if not found:
        found = alerts(store, mine, (entity.kind, entity.name), "last DESC, id DESC LIMIT 1")
    return found[0] if found else None


def extend(store: Store, alert_id: int, first: int, last: int) -> None:
    """Let an alert's span take in a finding's, so that what comes next in the same pass sees it."""
    with store.write() as connection:
        connection.execute(
            "UPDATE alerts SET first = min(first, ?), last = max(last, ?) WHERE id = ?", (first, last, alert_id)
        )


def insert_alert(store: Store, fresh: Alert, late_by: int) -> Alert:
    """Store a new alert and return it with its id."""
    row = _alert_row(fresh) | {"late_by": late_by}
    with store.write() as connection:
        cursor = connection.execute(
            f"INSERT INTO alerts ({', '.join(row)}) VALUES ({', '.join(f':{name}' for name in row)})",
            row,
        )
    return Alert(**{**fresh.__dict__, "id": cursor.lastrowid})


def update_alert(store: Store, changed: Alert) -> None:
    """Store what an alert has become by new findings; who has it and where it stands are not touched."""
    row = {
        name: value for name, value in _alert_row(changed).items() if name not in ("owner", "owned_at", "channel", "ts")
    }
    with store.write() as connection:
        assignments = ", ".join(f"{name} = :{name}" for name in row)
        connection.execute(f"UPDATE alerts SET {assignments} WHERE id = :id", {**row, "id": changed.id})


def _alert_row(shown: Alert) -> dict[str, Any]:
    row = {name: value for name, value in shown.__dict__.items() if name not in ("id", "entity", "floor")}
    return row | {"entity_kind": shown.entity.kind, "entity": shown.entity.name, "level": int(shown.level)}


def view(store: Store, alert_id: int, now: int) -> AlertView | None:
    """Return all that a message about an alert shows, as it is now; None where there is no such alert."""
    found = alert(store, alert_id)
    if found is None:
        return None
    mine = findings(store, "alert = ? AND state IN ('open', 'removed') AND hidden IN ('', 'history')", (alert_id,))
    mine = worst_first(mine)
    evidence = dict.fromkeys(number for finding in mine for number in finding.evidence)
    events = events_by_id(store, tuple(evidence)[:3], with_facts=("actor_kind", "network_new_for_actor"))
    late_by = store.value("SELECT late_by FROM alerts WHERE id = ?", (alert_id,))
    addresses = {event.ip for event in events if event.ip} | {finding.ip for finding in mine if finding.ip}
    return AlertView(
        found, tuple(mine), rule_texts(store), events, late_by, standing_of(store, found, now),
        first_seen(store, addresses),
    )  # fmt: skip


def worst_first(found: Iterable[Finding]) -> list[Finding]:
    """Return findings in the order in which people read them."""
    return sorted(found, key=lambda one: (-one.level, one.rule_id == FOREST, -one.count, one.first))


def close_removed(store: Store, rule_ids: Iterable[str], now: int) -> list[int]:
    """Close the findings of rules that are no more, and the alerts that had no others; return those alerts."""
    marks = json.dumps(list(rule_ids))
    gone = "rule IN (SELECT value FROM json_each(:rules))"
    with store.write() as connection:
        touched = [
            row[0]
            for row in connection.execute(
                f"SELECT DISTINCT alert FROM findings WHERE state = 'open' AND alert IS NOT NULL AND {gone}",
                {"rules": marks},
            )
        ]
        connection.execute(
            f"UPDATE findings SET state = 'removed', updated = :now WHERE state = 'open' AND {gone}",
            {"rules": marks, "now": now},
        )
        closed = []
        for alert_id in touched:
            changed = connection.execute(
                "UPDATE alerts SET state = 'removed', owned_at = ? WHERE id = ? AND state IN ('open', 'acknowledged')"
                " AND NOT EXISTS (SELECT 1 FROM findings f WHERE f.alert = alerts.id AND f.state = 'open')",
                (now, alert_id),
            ).rowcount
            if changed:
                closed.append(alert_id)
                journal.write(store, now, "bot", "removed", {"alert": alert_id})
                outbox.put_update(store, alert_id, now, at_once=True)
    return closed


def remember_rules(store: Store, rules: Iterable[Rule]) -> None:
    """Keep what people read of the rules, so that messages can be drawn without loading any file."""
    texts = {rule.id: {**rule.__dict__, "level": int(rule.level)} for rule in rules}
    store.set_meta("rules", json.dumps(texts, ensure_ascii=False))


def rule_texts(store: Store) -> dict[str, Rule]:
    """Return the rules as last remembered, by id."""
    texts = json.loads(store.meta("rules") or "{}")
    lists = ("tags", "references", "falsepositives")
    return {
        rule_id: Rule(**{**text, "level": Level(text["level"]), **{name: tuple(text[name]) for name in lists}})
        for rule_id, text in texts.items()
    }


def acknowledge(store: Store, alert_id: int, who: str, now: int) -> Outcome:
    """Give an open alert to a person; the second click, and one on a closed alert, change nothing."""
    return _decide(store, alert_id, "acknowledged", ("open",), who, now)


def assign(store: Store, alert_id: int, to: str, who: str, now: int) -> Outcome:
    """Give an alert that is not closed to somebody else; the same again changes nothing."""
    with store.write():
        found = alert(store, alert_id)
        if found is not None and (found.owner, found.state) == (to, "acknowledged"):
            return Outcome(False, f"{found.name} is already with <@{to}>: nothing was changed.")
        outcome = _decide(store, alert_id, "acknowledged", ("open", "acknowledged"), to, now, by=who)
        if outcome.done:
            judgements.note_assignment(store, alert_id, who, now)
    return outcome


def resolve(store: Store, alert_id: int, who: str, now: int, verdict: Verdict | None = None, note: str = "") -> Outcome:
    """Close an alert, with what the person thinks of it; whoever was first stays named."""
    with store.write():
        how = f" as {judgements.SAID[verdict]}" if verdict else ""
        how += f": {note.rstrip('.')}" if note else ""
        outcome = _decide(store, alert_id, "resolved", ("open", "acknowledged"), who, now, how=how)
        if outcome.done and verdict is not None:
            judgements.judge(store, alert_id, Judgement(verdict, note, who, now))
    return outcome


def note(store: Store, alert_id: int, who: str, now: int, text: str) -> Outcome:
    """Keep a person's note in the journal and in the thread."""
    with store.write():
        journal.write(store, now, who, "note", {"alert": alert_id, "note": text})
        outbox.put(store, "reply", now, alert=alert_id, body=f"notes: {text}", mention=(who,))
    return Outcome(True, f"You have added a note to A{alert_id}.")


def raise_level(store: Store, alert_id: int, least: Level, now: int) -> None:
    """Let an alert be of a level at least; one that was closed is open again."""
    with store.write() as connection:
        connection.execute(
            "UPDATE alerts SET floor = max(floor, :least), level = max(level, :least),"
            " owner = CASE state WHEN 'resolved' THEN NULL ELSE owner END,"
            " owned_at = CASE state WHEN 'resolved' THEN NULL ELSE owned_at END,"
            " state = CASE state WHEN 'resolved' THEN 'open' ELSE state END WHERE id = :id",
            {"least": int(least), "id": alert_id},
        )
        journal.write(store, now, "bot", "raised", {"alert": alert_id, "level": least.name})
        outbox.put_update(store, alert_id, now, at_once=True)


def _decide(
    store: Store,
    alert_id: int,
    state: str,
    allowed: tuple[str, ...],
    owner: str,
    now: int,
    by: str | None = None,
    how: str = "",
) -> Outcome:
    with store.write() as connection:
        marks = ", ".join("?" * len(allowed))
        changed = connection.execute(
            f"UPDATE alerts SET state = ?, owner = ?, owned_at = ? WHERE id = ? AND state IN ({marks})",
            (state, owner, now, alert_id, *allowed),
        ).rowcount
        found = alert(store, alert_id)
        if changed:
            detail = {"alert": alert_id} | ({"to": owner} if by else {})
            journal.write(store, now, by or owner, "assigned" if by else state, detail)
            outbox.put_update(store, alert_id, now, at_once=True)
            if owner != "bot":
                said = "has it now: it was assigned." if by else f"{state} it{how}."
                outbox.put(store, "reply", now, alert=alert_id, body=said, mention=(owner,))
    if found is None:
        return Outcome(False, f"There is no alert A{alert_id}.")
    if changed:
        return Outcome(True, f"You have {'assigned' if by else state} {found.name}.")
    by_whom = f" by <@{found.owner}>" if found.owner else ""
    return Outcome(False, f"{found.name} is already {found.state}{by_whom}: nothing was changed.")
