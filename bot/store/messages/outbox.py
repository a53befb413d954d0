"""The outbox: what is still to be posted, as rows that are claimed, sent and recorded.

A row goes pending -> sending -> posted, or back to pending with a later due time, or to failed. A row found in
`sending` by a new process was cut off between Slack's acceptance and our record of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from bot.store.schema import Store
from bot.times import HOUR, MINUTE, SECOND

Kind = Literal["post", "update", "reply", "notice", "ops", "canary", "card", "digest"]
CardKind = Literal["proposal", "inquiry", "share"]
CUT_OFF, REPLY_LOST = "cut off while it was being sent", "reply_lost"  # errors after which Slack may have it
NO_ACCESS = frozenset(  # Slack's words for: whatever you send, I do not take it from you
    {"not_authed", "invalid_auth", "account_inactive", "token_revoked", "token_expired", "org_login_required",
     "team_access_not_granted"}
)  # fmt: skip
LONGEST_WAIT = HOUR  # between two tries, whatever Slack asks for
UPDATE_EVERY = 45 * SECOND  # a growing alert is redrawn at most so often
NEWS_EVERY, NEWS_LINES = 5 * MINUTE, 8
AND_MORE = "and more: the message shows all of it"
URGENT = 5  # buttons and ops notices go before all alerts, which have their level (0 to 4)


@dataclass(frozen=True)
class Row:
    """One thing to send: an alert's message or its update, a reply in its thread, a notice, an ops notice, a card.

    With `notice` it is about a rolled-up notice instead. `mention` are ids of users and groups, joined by spaces;
    `only_while` is the state that the alert must still have. A card's body names what it shows: "proposal 3".
    """

    id: int
    kind: Kind
    alert: int | None
    channel: str | None
    body: str
    tries: int  # before this one
    created: int
    error: str | None = None
    unsure: bool | int = False  # whether an earlier try may have come through
    notice: int | None = None
    mention: str = ""
    only_while: str | None = None


_ROW = (
    "o.id, o.kind, o.alert, o.channel, o.body, o.tries, o.created, o.error, o.unsure, o.notice, o.mention, o.only_while"
)
_OLDER = "DO UPDATE SET urgency = max(urgency, excluded.urgency), due = min(due, excluded.due)"
_SINCE = "CASE WHEN o.tries = 0 THEN o.due ELSE o.created END"  # when a row could have been sent first
# rows of which all is there that they need: a reply or update the message of its alert, or the notice that has it
_READY = (
    " outbox o LEFT JOIN alerts a ON a.id = o.alert"
    " LEFT JOIN deliveries d ON d.alert = o.alert AND d.lane != 'own'"
    " LEFT JOIN notices n ON n.id = coalesce(o.notice, d.notice)"
    " WHERE (o.kind NOT IN ('update', 'reply') OR coalesce(a.ts, n.ts) IS NOT NULL)"
)


def put(
    store: Store, kind: Kind, now: int, *, alert: int | None = None, body: str = "", urgency: int = URGENT,
    channel: str | None = None, due: int | None = None, notice: int | None = None, mention: Iterable[str] = (),
    only_while: str | None = None,
) -> int | None:  # fmt: skip
    """Queue something; return its id. Of updates only one waits: it will show whatever is true when it is sent."""
    with store.write() as connection:
        return connection.execute(
            "INSERT INTO outbox (kind, alert, channel, body, urgency, state, created, due, notice, mention, only_while)"
            " VALUES (?, ?, ?, ?, ?, 'pending', ?, ?, ?, ?, ?)"
            f" ON CONFLICT (alert) WHERE kind = 'update' AND state = 'pending' {_OLDER}"
            f" ON CONFLICT (notice) WHERE kind = 'update' AND state = 'pending' AND notice IS NOT NULL {_OLDER}",
            (
                *(kind, alert, channel, body, urgency, now, now if due is None else due),
                *(notice, " ".join(mention), only_while),
            ),
        ).lastrowid


def put_update(store: Store, alert: int, now: int, *, at_once: bool = False) -> None:
    """Queue the redrawing of an alert's message: at once after a click, else at most every 45 s.

    Of an alert that has none because it is rolled up, the notice is redrawn; of one that is not posted at all there is
    nothing to redraw, and an update would wait for ever.
    """
    notice = store.value("SELECT notice FROM deliveries WHERE alert = ? AND lane != 'own'", (alert,))
    if notice is not None:
        put_redraw(store, int(notice), now, at_once=at_once)
        return
    if store.value("SELECT ts FROM alerts WHERE id = ?", (alert,)) is None and not store.value(
        "SELECT 1 FROM outbox WHERE alert = ? AND kind = 'post' AND state <> 'failed'", (alert,)
    ):
        return
    last = store.value("SELECT max(done) FROM outbox WHERE alert = ? AND kind IN ('post', 'update')", (alert,))
    due = now if at_once or last is None else max(now, int(last) + UPDATE_EVERY)
    put(store, "update", now, alert=alert, due=due, urgency=URGENT if at_once else 0)


def put_redraw(store: Store, notice: int, now: int, *, at_once: bool = False) -> None:
    """Queue the redrawing of a notice's message, unless it is still to be posted: then it will show all anyway."""
    sent = store.rows(
        "SELECT max(done), max(kind = 'post' AND state IN ('sending', 'posted')) FROM outbox WHERE notice = ?",
        (notice,),
    )
    [(last, begun)] = sent
    if begun:
        due = now if at_once or last is None else max(now, int(last) + UPDATE_EVERY)
        put(store, "update", now, notice=notice, due=due, urgency=URGENT if at_once else 0)


def put_card(
    store: Store, kind: CardKind, number: int, now: int, *, alert: int | None = None, channel: str | None = None
) -> None:
    """Queue the drawing of a card as it stands when it is sent: posted the first time, redrawn afterwards."""
    put(store, "card", now, alert=alert, channel=channel, body=f"{kind} {number}")


def hurry(store: Store, alert: int, urgency: int, now: int) -> None:
    """Let an alert's message that still waits go out as what it has become, without the pause after an error."""
    with store.write() as connection:
        connection.execute(
            "UPDATE outbox SET urgency = max(urgency, ?), due = min(due, ?)"
            " WHERE alert = ? AND kind = 'post' AND state = 'pending'",
            (urgency, now, alert),
        )


def claim(store: Store, now: int) -> Row | None:
    """Take the most urgent row that is due, marking it as being sent; None when there is nothing to do.

    A reply or update waits until the message of its alert, or of the notice that stands for it, exists.
    """
    next_one = (
        f"SELECT {_ROW} FROM {_READY} AND o.state = 'pending' AND o.due <= ? ORDER BY o.urgency DESC, o.id LIMIT 1"
    )
    if not store.rows(next_one, (now,)):
        return None  # asked every second: without the lock
    with store.write() as connection:
        found = connection.execute(next_one, (now,)).fetchone()
        if found is None:
            return None
        connection.execute("UPDATE outbox SET state = 'sending', tries = tries + 1 WHERE id = ?", (found[0],))
    return Row(*found)


def cut_off(store: Store) -> list[Row]:
    """Return the rows that an earlier process left in `sending`: nobody knows whether Slack took them."""
    rows = store.rows(f"SELECT {_ROW} FROM outbox o WHERE state = 'sending' ORDER BY id")
    return [Row(*row) for row in rows]


def posted(store: Store, row: Row, now: int, channel: str | None = None, ts: str | None = None) -> None:
    """Record that Slack took it; of an alert's message also where it stands."""
    with store.write() as connection:
        connection.execute("UPDATE outbox SET state = 'posted', done = ?, error = NULL WHERE id = ?", (now, row.id))
        if row.kind == "post" and row.notice is not None:
            connection.execute("UPDATE notices SET place = ?, ts = ? WHERE id = ?", (channel, ts, row.notice))
        elif row.kind == "post":
            connection.execute("UPDATE alerts SET channel = ?, ts = ? WHERE id = ?", (channel, ts, row.alert))


def put_back(store: Store, row: Row, due: int, error: str, channel: str | None = None) -> None:
    """Try again later, in another channel where one is given.

    An update that was queued anew in the meantime takes the old one's place.
    """
    with store.write() as connection:
        newer = connection.execute(
            "SELECT 1 FROM outbox WHERE kind = 'update' AND state = 'pending' AND alert IS ? AND notice IS ?"
            " AND ? = 'update'",
            (row.alert, row.notice, row.kind),
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


def pull_in(store: Store, now: int) -> int:
    """Let rows be due now that are due beyond the longest wait: our clock was stepped back. Return how many."""
    with store.write() as connection:
        return int(
            connection.execute(
                "UPDATE outbox SET due = ? WHERE state = 'pending' AND due > ?", (now, now + LONGEST_WAIT)
            ).rowcount
        )


def waiting(store: Store, now: int) -> tuple[int, int | None]:
    """Return how many rows could have been sent by now, and since when the oldest could; redrawing that is to come
    later, so that a message is not redrawn all the time, is no backlog."""
    [(count, oldest)] = store.rows(
        f"SELECT count(*), min({_SINCE}) FROM {_READY} AND o.state IN ('pending', 'sending') AND o.kind <> 'canary'"
        " AND (o.due <= ? OR o.tries > 0)",
        (now,),
    )
    return int(count), None if oldest is None else int(oldest)


def oldest_due(store: Store) -> int | None:
    """Return since when the oldest row could have been sent; a reply without its message cannot be."""
    found = store.value(f"SELECT min({_SINCE}) FROM {_READY} AND o.state IN ('pending', 'sending')")
    return None if found is None else int(found)


def stranded(store: Store, waiting_since: int, failed_since: int, most: int) -> list[Row]:
    """Return what Slack did not take, the most urgent alerts first, then the rest: what it refuses whatever it is,
    what waits since before the one moment, and what was given up after the other."""
    marks = ", ".join(f"'{code}'" for code in sorted(NO_ACCESS))
    rows = store.rows(
        f"SELECT {_ROW} FROM outbox o WHERE handed IS NULL AND kind IN ('post', 'notice', 'ops')"
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


def drop(store: Store, row: Row, now: int) -> None:
    """Leave it unsent: what it was to say is no longer so."""
    with store.write() as connection:
        connection.execute("UPDATE outbox SET state = 'dropped', done = ? WHERE id = ?", (now, row.id))


def add_news(
    store: Store, lines: Sequence[str], now: int, *, alert: int | None = None, notice: int | None = None
) -> None:
    """Queue a reply in the thread of an alert or notice; what comes within five minutes of the last is one with it.

    Before the message is posted there is nothing to add: it will show all that is known then.
    """
    table, key, one = ("notices", "id", notice) if alert is None else ("deliveries", "alert", alert)
    with store.write() as connection:
        if connection.execute(
            "SELECT 1 FROM outbox WHERE alert IS ? AND notice IS ? AND kind = 'post' AND state = 'pending'",
            (alert, notice),
        ).fetchone():
            return
        last = connection.execute(
            f"SELECT o.id, o.state, o.due, o.body FROM {table} t JOIN outbox o ON o.id = t.news WHERE t.{key} = ?",
            (one,),
        ).fetchone()
        if last is not None and last[1] == "pending":
            body = _shortened([*last[3].splitlines(), *lines])
            connection.execute("UPDATE outbox SET body = ? WHERE id = ?", (body, last[0]))
            return
        due = now if last is None else max(now, int(last[2]) + NEWS_EVERY)
        row = put(store, "reply", now, alert=alert, notice=notice, body=_shortened(lines), urgency=0, due=due)
        connection.execute(f"UPDATE {table} SET news = ? WHERE {key} = ?", (row, one))


def _shortened(lines: Sequence[str]) -> str:
    kept = [line for line in lines if line != AND_MORE]
    return "\n".join(kept if len(kept) <= NEWS_LINES else [*kept[:NEWS_LINES], AND_MORE])


def backoff(tries: int) -> int:
    """Return how long to wait after so many tries: 2 s doubled each time, up to 5 minutes."""
    return min(SECOND << min(tries, 20), 5 * MINUTE)
