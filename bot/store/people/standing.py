"""Where an alert stands with people: assigned, judged, quiet, asked; and since when its addresses are known."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from bot.model import Alert, Inquiry, Judgement, Quiet, Standing
from bot.store.schema import Store

INQUIRY = (
    "id, alert, email, asked_by, created, state, person, asked, due, answered, reason, channel, ts"  # as in Inquiry
)


def standing_of(store: Store, alert: Alert, now: int) -> Standing:
    """Return where an alert stands."""
    judged = _row(store, "SELECT verdict, note, who, time FROM judgements WHERE alert = ?", alert.id)
    given = _row(store, "SELECT who, time FROM assignments WHERE alert = ?", alert.id)
    asked = _row(store, f"SELECT {INQUIRY} FROM inquiries WHERE alert = ?", alert.id)
    quiet = store.rows(
        "SELECT id, kind, rule, author, expires FROM exceptions WHERE alert = ? AND removed IS NULL AND expires > ?"
        " ORDER BY expires DESC",
        (alert.id, now),
    )
    waiting = store.value("SELECT count(*) FROM proposals WHERE alert = ? AND state = 'waiting'", (alert.id,))
    return Standing(
        given[0] if given and given[1] == alert.owned_at else None,
        Judgement(*judged) if judged and alert.state == "resolved" else None,
        tuple(Quiet(*row) for row in quiet),
        Inquiry(*asked) if asked else None,
        int(waiting),
    )


def first_seen(store: Store, addresses: Iterable[str]) -> dict[str, int]:
    """Return when each address was first seen at all."""
    rows = store.rows(
        "SELECT i.name, s.time FROM addresses i JOIN first_seen s ON s.kind = 'ip' AND s.a = i.id"
        " WHERE i.name IN (SELECT value FROM json_each(?))",
        (json.dumps(sorted(addresses)),),
    )
    return dict(rows)


def _row(store: Store, sql: str, alert: int) -> tuple[Any, ...] | None:
    rows = store.rows(sql, (alert,))
    return rows[0] if rows else None
