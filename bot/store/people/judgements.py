"""What people said of alerts when they closed them, and who gave which to whom."""

from __future__ import annotations

from collections.abc import Mapping

from bot.model import Judgement, Verdict
from bot.store import journal
from bot.store.schema import Store

SAID: Mapping[Verdict, str] = {"right": "right", "wrong": "a false alarm", "expected": "expected"}
Confirmed = tuple[str, str, int, int]  # actor or ip, its name, first and last moment


def judge(store: Store, alert: int, judgement: Judgement) -> None:
    """Keep what a person said of an alert; the newest counts. The journal has every one."""
    row = (alert, judgement.verdict, judgement.note, judgement.who, judgement.time)
    with store.write() as connection:
        connection.execute("INSERT OR REPLACE INTO judgements VALUES (?, ?, ?, ?, ?)", row)
        detail = {"alert": alert, "note": judgement.note}
        journal.write(store, judgement.time, judgement.who, judgement.verdict, detail)


def note_assignment(store: Store, alert: int, who: str, now: int) -> None:
    """Keep who gave an alert to its owner."""
    with store.write() as connection:
        connection.execute("INSERT OR REPLACE INTO assignments VALUES (?, ?, ?)", (alert, who, now))


def confirmed(store: Store, after: int = -1) -> tuple[list[Confirmed], int]:
    """Return when whom alerts were about that people said were right, and the moment of the newest such judgement.

    Only judgements made after the moment `after` are returned: what a watcher has still to learn of.
    """
    if not store.rows("SELECT 1 FROM judgements WHERE verdict = 'right' AND time > ? LIMIT 1", (after,)):
        return [], after  # asked in each pass
    rows = store.rows(
        "SELECT coalesce(f.actor, f.grp ->> 'actor'), f.grp ->> 'ip', f.first, f.last, j.time FROM judgements j"
        " CROSS JOIN findings f ON f.alert = j.alert WHERE j.verdict = 'right' AND f.state = 'open' AND j.time > ?",
        (after,),
    )
    found = [
        ("actor" if actor else "ip", actor or ip, first, last) for actor, ip, first, last, _ in rows if actor or ip
    ]
    return found, max((row[4] for row in rows), default=after)
