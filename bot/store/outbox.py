"""The outbox: what is still to be posted, as rows that are claimed, sent and recorded.

A row goes pending -> sending -> posted, or back to pending with a later due time, or to failed. A row found in
`sending` by a new process was cut off between Slack's acceptance and our record of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from bot.store.schema import Store
from bot.times import MINUTE, SECOND

Kind = Literal["post", "update", "reply", "notice", "ops", "canary"]
CUT_OFF, REPLY_LOST = "cut off while it was being sent", "reply_lost"  # errors after which Slack may have it
NO_ACCESS = frozenset(  # Slack's words for: whatever you send, I do not take it from you
    {"not_authed", "invalid_auth", "account_inactive", "token_revoked", "token_expired", "org_login_required",
     "team_access_not_granted"}
)  # fmt: skip
UPDATE_EVERY = 45 * SECOND  # a growing alert is redrawn at most so often
URGENT = 5  # buttons and ops notices go before all alerts, which have their level (0 to 4)


@dataclass(frozen=True)
class Row:
    """One thing to send: an alert's message or its update, a reply in its thread, a notice, an ops notice."""

    id: int
    kind: Kind
    alert: int | None
    channel: str | None
    body: str
    tries: int  # before this one
    created: int
    error: str | None = None
    unsure: bool | int = False  # whether an earlier try may have come through


_ROW = "id, kind, alert, channel, body, tries, created, error, unsure"


def put(
    store: Store, kind: Kind, now: int, *, alert: int | None = None, body: str = "", urgency: int = URGENT,
    channel: str | None = None, due: int | None = None,
) -> None:  # fmt: skip
    """Queue something. Of an alert's updates only one waits: it will show whatever is true when it is sent."""
    with store.write() as connection:
        connection.execute(
            "INSERT INTO outbox (kind, alert, channel, body, urgency, state, created, due)"
            " VALUES (?, ?, ?, ?, ?, 'pending', ?, ?)"
            " ON CONFLICT (alert) WHERE kind = 'update' AND state = 'pending'"
            " DO UPDATE SET urgency = max(urgency, excluded.urgency), due = min(due, excluded.due)",
            (kind, alert, channel, body, urgency, now, now if due is None else due),
        )


def put_update(store: Store, alert: int, now: int, *, at_once: bool = False) -> None:
    """Queue the redrawing of an alert's message: at once after a click, else at most every 45 s."""
    last = store.value("SELECT max(done) FROM outbox WHERE alert = ? AND kind IN ('post', 'update')", (alert,))
    due = now if at_once or last is None else max(now, int(last) + UPDATE_EVERY)
    put(store, "update", now, alert=alert, due=due, urgency=URGENT if at_once else 0)


def claim(store: Store, now: int) -> Row | None:
    """Take the most urgent row that is due, marking it as being sent; None when there is nothing to do.

    A reply or update waits until its alert's message exists.
    """
    with store.write() as connection:
        found = connection.execute(
            "SELECT o.id, o.kind, o.alert, o.channel, o.body, o.tries, o.created, o.error, o.unsure FROM outbox o"
            " LEFT JOIN alerts a ON a.id = o.alert"
            " WHERE o.state = 'pending' AND o.due <= ? AND (o.kind NOT IN ('update', 'reply') OR a.ts IS NOT NULL)"
            " ORDER BY o.urgency DESC, o.id LIMIT 1",
            (now,),
        ).fetchone()
        if found is None:
            return None
        connection.execute("UPDATE outbox SET state = 'sending', tries = tries + 1 WHERE id = ?", (found[0],))
    return Row(*found)


def cut_off(store: Store) -> list[Row]:
    """Return the rows that an earlier process left in `sending`: nobody knows whether Slack took them."""
    rows = store.rows(f"SELECT {_ROW} FROM outbox WHERE state = 'sending' ORDER BY id")
    return [Row(*row) for row in rows]


def posted(store: Store, row: Row, now: int, channel: str | None = None, ts: str | None = None) -> None:
    """Record that Slack took it; of an alert's message also where it stands."""
    with store.write() as connection:
        connection.execute("UPDATE outbox SET state = 'posted', done = ?, error = NULL WHERE id = ?", (now, row.id))
        if row.kind == "post":
            connection.execute("UPDATE alerts SET channel = ?, ts = ? WHERE id = ?", (channel, ts, row.alert))


def put_back(store: Store, row: Row, due: int, error: str, channel: str | None = None) -> None:
    """Try again later, in another channel where one is given.

    An update that was queued anew in the meantime takes the old one's place.
    """
    with store.write() as connection:
        newer = connection.execute(
            "SELECT 1 FROM outbox WHERE kind = 'update' AND state = 'pending' AND alert IS ? AND ? = 'update'",
            (row.alert, row.kind),
        ).fetchone()
        state = "posted" if newer else "pending"
        connection.execute(
            "UPDATE outbox SET state = ?, due = ?, error = ?, channel = ?, unsure = ? WHERE id = ?",
            (state, due, error, channel or row.channel, row.unsure or error in (CUT_OFF, REPLY_LOST), row.id),
        )


def fail(store: Store, row: Row, now: int, error: str) -> None:
    """Give it up, visibly: it stays in the table with the error."""
    with store.write() as connection:
        connection.execute("UPDATE outbox SET state = 'failed', done = ?, error = ? WHERE id = ?", (now, error, row.id))


def delivered_to_nobody(store: Store, row: Row, now: int) -> None:
    """Record that a canary came all the way; its row goes."""
    with store.write() as connection:
        connection.execute("DELETE FROM outbox WHERE id = ?", (row.id,))
        store.set_meta("canary", str(now))


def oldest_due(store: Store) -> int | None:
    """Return when the oldest row was queued that could be sent; a reply without its message cannot."""
    found = store.value(
        "SELECT min(o.created) FROM outbox o LEFT JOIN alerts a ON a.id = o.alert"
        " WHERE o.state IN ('pending', 'sending') AND (o.kind NOT IN ('update', 'reply') OR a.ts IS NOT NULL)"
    )
    return None if found is None else int(found)


def stranded(store: Store, waiting_since: int, failed_since: int, most: int) -> list[Row]:
    """Return what Slack did not take, the most urgent alerts first, then the rest: what it refuses whatever it is,
    what waits since before the one moment, and what was given up after the other."""
    marks = ", ".join(f"'{code}'" for code in sorted(NO_ACCESS))
    rows = store.rows(
        f"SELECT {_ROW} FROM outbox WHERE handed IS NULL AND kind IN ('post', 'notice', 'ops')"
        f" AND (state = 'pending' AND (created <= ? AND tries > 0 OR error IN ({marks}))"
        " OR state = 'failed' AND done > ?)"
        " ORDER BY kind <> 'post', urgency DESC, id LIMIT ?",
        (waiting_since, failed_since, most),
    )
    return [Row(*row) for row in rows]


def handed_on(store: Store, row: Row, now: int) -> None:
    """Record that a row went the second way too."""
    with store.write() as connection:
        connection.execute("UPDATE outbox SET handed = ? WHERE id = ?", (now, row.id))


def backoff(tries: int) -> int:
    """Return how long to wait after so many tries: 2 s doubled each time, up to 5 minutes."""
    return min(SECOND << min(tries, 20), 5 * MINUTE)
