"""Timed exceptions: what people approved as expected, by whom and until when."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from bot.errors import ConfigError
from bot.model import ABOUT_THE_LOG, EXCEPTION, FOREST, Entity, ExceptionKind, Level
from bot.query import field_names, literal, names_nothing, parse_condition
from bot.store import journal
from bot.store.alerts import rule_texts
from bot.store.messages import outbox
from bot.store.schema import Store
from bot.times import DAY, iso

LONGEST = 90 * DAY
MAX_REASON, MAX_NAME = 500, 100
_OF_FINDINGS = ("level", "rule")  # keys of the grammar that look at findings, which exceptions decide about

_COLUMNS = "id, rule, condition, reason, author, created, expires, removed, removed_by, kind, up_to, alert"
_IN_FORCE = "removed IS NULL AND created <= :now AND expires > :now"
_LISTED = f"""
SELECT {", ".join(f"x.{name}" for name in _COLUMNS.split(", "))}, count(f.id), total(f.count) FROM exceptions x
LEFT JOIN findings f ON f.hidden = '{EXCEPTION}' || x.id AND f.state = 'open'
WHERE (:ended OR x.id IN (SELECT id FROM exceptions WHERE {_IN_FORCE})) GROUP BY x.id ORDER BY x.id
"""


@dataclass(frozen=True)
class TimedException:
    """One exception; times in microseconds. `rule` is None for all rules, `condition` a text in the /audit grammar.

    Nothing worse than the level `up_to` is hidden (None: whatever it is); `alert` is the one that it was made from.
    `findings` are those that it hides, `events` the events of these, both as of the listing.
    """

    id: int
    rule: str | None
    condition: str
    reason: str
    author: str
    created: int
    expires: int
    removed: int | None = None
    removed_by: str | None = None
    kind: ExceptionKind = "expected"
    up_to: int | None = None
    alert: int | None = None
    findings: int = 0
    events: int = 0

    @property
    def name(self) -> str:
        """What a finding that it hides says."""
        return f"{EXCEPTION}{self.id}"

    def state(self, now: int) -> Literal["in force", "expired", "removed"]:
        """Return what has become of it."""
        return "removed" if self.removed is not None else "expired" if self.expires <= now else "in force"


def add(
    store: Store, condition: str, *, reason: str, author: str, now: int, expires: int, rule: str | None = None,
    kind: ExceptionKind = "expected", up_to: Level | None = None, alert: int | None = None,
) -> TimedException:  # fmt: skip
    """Approve what satisfies a condition until `expires`, for one rule or for all.

    Raises QueryError for the condition, ConfigError for the rest.
    """
    one = checked(
        store,
        TimedException(0, rule, condition, reason, author, now, expires, None, None, kind, up_to, alert),
    )
    row = {
        name: getattr(one, name)
        for name in ("rule", "condition", "reason", "author", "created", "expires", "kind", "up_to", "alert")
    }
    with store.write() as connection:
        number = connection.execute(
            f"INSERT INTO exceptions ({', '.join(row)}) VALUES ({', '.join(f':{name}' for name in row)})", row
        ).lastrowid
        detail = {"exception": number, "rule": one.rule, "condition": condition, "reason": one.reason}
        more = {"expires": iso(expires), "kind": kind} | ({"alert": alert} if alert else {})
        journal.write(store, now, one.author, "excepted", detail | more)
    return replace(one, id=int(number or 0))


def checked(store: Store, one: TimedException) -> TimedException:
    """Return an exception with its texts in one line and its rule as its file spells it, if it may be made.

    Raises QueryError for the condition, ConfigError for the rest.
    """
    rule = None if one.rule is None else _known_rule(store, one.rule)
    _check_condition(one.condition, rule)
    if not 0 < one.expires - one.created <= LONGEST:
        raise ConfigError(
            "An exception lasts longer than nothing and at most 90 days; rules/exceptions/ is for what stays."
        )
    reason, author = _line("reason", one.reason, MAX_REASON), _line("author", one.author, MAX_NAME)
    return replace(one, rule=rule, reason=reason, author=author)


def remove(store: Store, number: int, who: str, now: int) -> TimedException:
    """End an exception before its time, and return it. Raises ConfigError where there is none that could end."""
    who = _line("author", who, MAX_NAME)
    with store.write() as connection:
        ended = connection.execute(
            f"UPDATE exceptions SET removed = :now, removed_by = :who WHERE id = :id AND {_IN_FORCE}",
            {"now": now, "who": who, "id": number},
        ).rowcount
        found = get(store, number)
        if ended:
            journal.write(store, now, who, "unexcepted", {"exception": number, "condition": found.condition})
            _redraw(store, found, now)
            _tell_thread(store, found, who, now)
    if not ended:
        when = f"was removed by {found.removed_by}" if found.removed is not None else f"expired {iso(found.expires)}"
        raise ConfigError(f"Exception {number} {when} already: nothing was changed.")
    return found


def _redraw(store: Store, one: TimedException, now: int) -> None:
    """Let the messages that speak of an exception say that it has ended."""
    for (proposal,) in store.rows("SELECT id FROM proposals WHERE exception = ?", (one.id,)):
        outbox.put_card(store, "proposal", proposal, now)
    if one.alert is not None:
        outbox.put_update(store, one.alert, now, at_once=True)


def _tell_thread(store: Store, one: TimedException, who: str, now: int) -> None:
    if one.alert is not None:
        outbox.put(store, "reply", now, alert=one.alert, body=f"ended exception {one.id}.", mention=(who,))


def get(store: Store, number: int) -> TimedException:
    """Return one exception, ended or not. Raises ConfigError where there is none of this number."""
    rows = store.rows(f"SELECT {_COLUMNS} FROM exceptions WHERE id = ?", (number,))
    if not rows:
        raise ConfigError(f"There is no exception {number}: `audit-bot exceptions list --all` shows all.")
    return TimedException(*rows[0])


def in_force(store: Store, now: int) -> list[TimedException]:
    """Return the exceptions that hide findings now, the oldest first, without counting what they hide."""
    rows = store.rows(f"SELECT {_COLUMNS} FROM exceptions WHERE {_IN_FORCE} ORDER BY id", {"now": now})
    return [TimedException(*row) for row in rows]


def listing(store: Store, now: int, *, include_ended: bool = False) -> list[TimedException]:
    """Return the exceptions in force, or all there ever were, with what each hides; the oldest first."""
    rows = store.rows(_LISTED, {"now": now, "ended": include_ended})
    return [replace(TimedException(*own), findings=findings, events=int(events)) for *own, findings, events in rows]


def _known_rule(store: Store, rule: str) -> str:
    """Return a rule's id as its file spells it."""
    ids = {known.lower(): known for known in (*rule_texts(store), FOREST)}
    if rule.lower() not in ids:
        raise ConfigError(f"There is no rule {rule}: `audit-bot rules list` shows the ids; the forest is `{FOREST}`.")
    if ids[rule.lower()] in ABOUT_THE_LOG:
        raise ConfigError("That rule is about the log itself, not about events: there is no exception from it.")
    return ids[rule.lower()]


def _check_condition(text: str, rule: str | None) -> None:
    condition = parse_condition(text)
    _line("condition", text, len(text))
    if looked := [name for name in _OF_FINDINGS if name in field_names(condition)]:
        raise ConfigError(f"`{looked[0]}:` cannot stand in an exception, which looks at events; --rule names a rule.")
    if rule is None and names_nothing(condition):
        raise ConfigError(
            "This would hide whatever is not named: name who or what is expected, or give one rule with --rule."
        )


def _line(what: str, text: str, most: int) -> str:
    """Return a text in one line; refuse what is empty, too long, or cannot be shown."""
    line = " ".join(text.split())
    if not line or len(line) > most or not line.isprintable():
        raise ConfigError(f"The {what} has to be 1 to {most} printable characters.")
    return line


def condition_of(entity: Entity) -> str | None:
    """Return the condition that holds for what an entity does, None for the log itself."""
    if entity.kind in ("actor", "ip"):
        return f"{entity.kind}:{literal(entity.name)}"
    return "-actor:* -ip:*" if entity.kind == "unknown" else None
