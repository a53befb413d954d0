"""Notices: one message that stands for many alerts, of a storm, of a noisy rule, or of quiet hours."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from bot.model import Alert, Level, Rule
from bot.store import alerts
from bot.store.messages import outbox
from bot.store.schema import Store

NoticeKind = Literal["storm", "rate", "held"]
NAMED = 3  # of the worst alerts
_NOTICE = "id, kind, rule, channel, level, opened, last, due, closed, place, ts"
_WORST = "state IN ('open', 'acknowledged') DESC, level DESC, points DESC, id"


@dataclass(frozen=True)
class Notice:
    """One notice. `rule` is the noisy rule's id, `level` the worst that joined, `last` when one joined last.

    `due` is when it may be posted, `closed` when no more could join. `place` and `ts` name its message.
    """

    id: int
    kind: NoticeKind
    rule: str
    channel: str
    level: Level
    opened: int
    last: int
    due: int
    closed: int | None = None
    place: str | None = None
    ts: str | None = None

    @property
    def name(self) -> str:
        """What the journal calls it: N3."""
        return f"N{self.id}"


@dataclass(frozen=True)
class NoticeView:
    """All that a notice's message shows: how many, of them with their own message; the worst with their titles."""

    notice: Notice
    total: int
    own: int
    levels: Mapping[Level, int]
    states: Mapping[str, int]
    rules: tuple[tuple[str, int], ...]  # titles with counts, the most frequent first
    worst: tuple[tuple[Alert, str], ...]
    rule: Rule | None = None


def read_notice(store: Store, number: int) -> Notice | None:
    """Return one notice."""
    found = _notices(store, "id = ?", (number,))
    return found[0] if found else None


def open_notices(store: Store) -> list[Notice]:
    """Return those that alerts may still join."""
    return _notices(store, "closed IS NULL", ())


def join(store: Store, kind: NoticeKind, rule: str, channel: str, level: Level, now: int, due: int, since: int) -> int:
    """Return the notice for another alert: the open one that was joined or opened after `since`, else a new one.

    What is to be posted at once is queued, as urgent as the worst alert in it. A notice of quiet hours waits.
    """
    for found in _notices(store, "kind = ? AND rule = ? AND channel = ? AND closed IS NULL", (kind, rule, channel)):
        begun = found.last if kind == "storm" else found.opened
        if (found.due == due) if kind == "held" else begun > since:
            _grow(store, found, level, now)
            return found.id
        if kind != "held":
            close(store, found, now)
    return _begin(store, kind, rule, channel, level, now, due)


def _begin(store: Store, kind: NoticeKind, rule: str, channel: str, level: Level, now: int, due: int) -> int:
    with store.write() as connection:
        number = connection.execute(
            "INSERT INTO notices (kind, rule, channel, level, opened, last, due) VALUES (?, ?, ?, ?, ?, ?, ?)",
            (kind, rule, channel, int(level), now, now, due),
        ).lastrowid
    assert number is not None  # noqa: S101 -- an INSERT always gives an id
    if kind != "held":
        outbox.put(store, "post", now, notice=number, urgency=int(level))
    return number


def _grow(store: Store, notice: Notice, level: Level, now: int) -> None:
    """Let an alert in; a level worse than any before is told at once."""
    worse = level > notice.level
    with store.write() as connection:
        connection.execute(
            "UPDATE notices SET last = ?, level = max(level, ?) WHERE id = ?", (now, int(level), notice.id)
        )
        connection.execute(
            "UPDATE outbox SET urgency = max(urgency, ?) WHERE notice = ? AND kind = 'post' AND state = 'pending'",
            (int(level), notice.id),
        )
    outbox.put_redraw(store, notice.id, now, at_once=worse)


def release(store: Store, now: int) -> list[Notice]:
    """Queue the notices of quiet hours that have ended."""
    ended = _notices(store, "kind = 'held' AND closed IS NULL AND due <= ?", (now,))
    for notice in ended:
        with store.write() as connection:
            connection.execute("UPDATE notices SET closed = ? WHERE id = ? AND closed IS NULL", (now, notice.id))
            outbox.put(store, "post", now, notice=notice.id, urgency=int(notice.level))
    return ended


def close(store: Store, notice: Notice, now: int) -> None:
    """Let no more alerts in; its message says so."""
    with store.write() as connection:
        connection.execute("UPDATE notices SET closed = ? WHERE id = ? AND closed IS NULL", (now, notice.id))
        outbox.put_redraw(store, notice.id, now, at_once=True)


def view(store: Store, number: int) -> NoticeView | None:
    """Return all that a notice's message shows, as it is now; None where there is no such notice."""
    notice = read_notice(store, number)
    if notice is None:
        return None
    rules = alerts.rule_texts(store)
    counts = store.rows(
        "SELECT a.level, a.state, d.rule, d.lane = 'own', count(*) FROM deliveries d JOIN alerts a ON a.id = d.alert"
        " WHERE d.notice = ? GROUP BY 1, 2, 3, 4",
        (number,),
    )
    levels, states, by_rule = _sums(counts, 0), _sums(counts, 1), _sums(counts, 2)
    often = sorted(by_rule.items(), key=lambda item: (-item[1], item[0]))
    return NoticeView(
        notice=notice,
        total=sum(count for *_, count in counts),
        own=sum(count for *_, own, count in counts if own),
        levels={Level(level): count for level, count in sorted(levels.items(), reverse=True)},
        states=states,
        rules=tuple((rules[rule].title if rule in rules else rule, count) for rule, count in often),
        worst=tuple((one, _title(store, one.id)) for one in members(store, number, NAMED)),
        rule=rules.get(notice.rule),
    )


def members(store: Store, number: int, limit: int) -> list[Alert]:
    """Return the alerts in a notice, those that somebody has to look at first, then the worst."""
    return alerts.alerts(
        store, "id IN (SELECT alert FROM deliveries WHERE notice = ?)", (number, limit), f"{_WORST} LIMIT ?"
    )


def _sums(counts: list[tuple[Any, ...]], column: int) -> Counter[Any]:
    found: Counter[Any] = Counter()
    for row in counts:
        found[row[column]] += row[-1]
    return found


def _title(store: Store, alert: int) -> str:
    title = store.value(
        "SELECT title FROM findings WHERE alert = ? AND state = 'open' AND hidden IN ('', 'history')"
        " ORDER BY level DESC, count DESC, first LIMIT 1",
        (alert,),
    )
    return str(title or "")


def _notices(store: Store, where: str, parameters: tuple[object, ...]) -> list[Notice]:
    return [
        Notice(number, kind, rule, channel, Level(level), *rest)
        for number, kind, rule, channel, level, *rest in store.rows(
            f"SELECT {_NOTICE} FROM notices WHERE {where} ORDER BY id", parameters
        )
    ]
