"""Conditions as parameterised SQL over the event `e`, in SQL's three-valued logic made two-valued.

Texts are decided on the distinct names of the dictionary tables, so that an event costs a look into a set of ids.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any, TypeVar

from bot.addresses import parse_address
from bot.fields import FACTS, FIELDS, OF_ADDRESS, TEXT_FIELDS, FactSettings
from bot.model import Level
from bot.query.tree import And, Compare, Condition, Flag, Match, Not, Or, Pattern, Within, Word
from bot.store.log import pieces
from bot.store.queries.rare import led
from bot.store.schema import Connection
from bot.store.views import FACT_SQL, LEARNT
from bot.times import MINUTE, parse_time

Sql = tuple[str, list[Any]]
T = TypeVar("T")

DICTIONARIES = {"actor": "actors", "ip": "addresses", "object": "objects", "type": "types", "action": "actions"}
INDEXED = ("actor", "ip", "object")  # with time
ALWAYS = (-(2**63), 2**63 - 1)
_WHOLE_MINUTES = parse_time("2000-01-01")  # since then every zone changes its offset only with a minute
FEW = 200  # names up to which their events are looked up one name after the other instead of walking through time
_WHOLE = "CAST(name AS BLOB)"  # a text goes into a function only up to its first NUL
_IS_ASCII = f"length(name) = length({_WHOLE})"  # length stops at a NUL: such a name counts as not ASCII


class Names:
    """The dictionary ids behind the names of one question, each list looked up once."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self._known: dict[tuple[str, ...], tuple[list[int], str]] = {}

    def ids(self, field: str, names: str, parameters: list[Any]) -> tuple[list[int], str]:
        """Return the ids of a field's names that satisfy an SQL condition, and the same as JSON, for SQL.

        SQLite makes the JSON: 30,000 ids take 18 ms so, row by row 24 and 3 more to write them.
        """
        key = (field, names, *parameters)
        if key not in self._known:
            select = f"SELECT json_group_array(id) FROM {DICTIONARIES[field]} WHERE {names}"
            (encoded,) = self.connection.execute(select, parameters).fetchone()
            self._known[key] = json.loads(encoded), encoded
        return self._known[key]

    def of(self, term: Word | Match | Within) -> dict[str, list[int]] | None:
        """Return the ids with which a term holds, by field; None where it does not hang on names."""
        match term:
            case Word(pattern):
                return {field: self.ids(field, *_fitting(field, (pattern,)))[0] for field in ("object", "actor")}
            case Match(field, patterns) if field in DICTIONARIES:
                return {field: self.ids(field, *_fitting(field, patterns))[0]}
            case Within(networks):
                return {"ip": self.ids("ip", *_inside(networks))[0]}
        return None


@dataclass(frozen=True)
class _Frame:
    """What the SQL of a condition hangs on beside the condition."""

    facts: FactSettings
    span: tuple[int, int]
    names: Names | None
    leads: bool
    in_or: bool = False

    @property
    def branch(self) -> _Frame:
        """The frame of what stands in an OR."""
        return self if self.in_or else replace(self, in_or=True)


def sql_condition(
    condition: Condition,
    facts: FactSettings,
    span: tuple[int, int] = ALWAYS,
    names: Names | None = None,
    *,
    leads: bool = False,
) -> Sql:
    """Return an SQL condition over `e` and its parameters; it is true, false or null, and null means false.

    Of findings only what they say about events in `span` counts. With `names` they are looked up at once, once for all
    statements, and lead to their events if they are few; with `leads`, so do facts, and it is about events in `span`
    alone. It runs where `prepare` was called.
    """
    return _sql(condition, _Frame(facts, span, names, leads))


def prepare(connection: Connection, facts: FactSettings) -> None:
    """Give a connection the functions that conditions call; what it has already is left alone."""
    functions: dict[str, tuple[int, Callable[..., str | int | None]]] = {
        "audit_match": (2, _match), "audit_within": (2, _within), _own("hour", facts): (1, _by_minute(facts.hour)),
        _own("weekday", facts): (1, _by_minute(facts.weekday)),
        _own("off_hours", facts): (1, _by_minute(facts.off_hours)),
        _own("type_sensitive", facts): (1, lambda name: facts.type_sensitive(_text(name))),
        **{_own(fact, facts): (1, functools.partial(_of_address, facts, fact)) for fact in OF_ADDRESS},
    }  # fmt: skip
    known = {name for (name,) in connection.execute("SELECT name FROM pragma_function_list WHERE name LIKE 'audit%'")}
    for name, (arguments, function) in functions.items():
        if name not in known:  # SQLite refuses to replace one while a statement runs
            connection.create_function(name, arguments, function, deterministic=True)


def _by_minute(decide: Callable[[int], T]) -> Callable[[int], T]:
    """Return the same function of a moment, asked once for each minute: events come in order of time, or nearly."""
    known = functools.lru_cache(4_096)(decide)
    return lambda time: known(time - time % MINUTE) if time >= _WHOLE_MINUTES else decide(time)


def fact_sql(fact: str, facts: FactSettings) -> str:
    """Return the expression of a fact over `e`; those that hang on settings are functions of their own for each."""
    if fact in FACT_SQL:
        return FACT_SQL[fact]
    if fact in OF_ADDRESS:
        return f"(SELECT {_own(fact, facts)}({_WHOLE}) FROM addresses WHERE id = e.ip)"
    if fact == "country_new_for_actor":
        return _country_new(facts)
    if fact == "type_sensitive":
        return f"(e.type IN (SELECT id FROM types WHERE {_own(fact, facts)}({_WHOLE})))"
    return f"{_own(fact, facts)}(e.time)"


def _country_new(facts: FactSettings) -> str:
    """Return whether the actor was never before at an address of the event's country."""
    here, there = fact_sql("country", facts), f"{_own('country', facts)}(CAST(p.name AS BLOB))"
    first = (
        "SELECT min(s.time) FROM first_seen s JOIN addresses p ON p.id = s.b"
        f" WHERE s.kind = 'actor_ip' AND s.a = e.actor AND {there} = {here}"
    )
    return f"(CASE WHEN {LEARNT} AND e.actor IS NOT NULL AND {here} IS NOT NULL THEN e.time = ({first}) END)"


def _of_address(facts: FactSettings, fact: str, name: bytes | None) -> str | None:
    return None if name is None else facts.of_address(fact, _text(name))


def _own(fact: str, facts: FactSettings) -> str:
    return f"audit_{fact}_{hash(facts) % 2**64:x}"


def _sql(condition: Condition, frame: _Frame) -> Sql:
    match condition:
        case And(parts):
            return _joined("AND", (_operand(part, frame) for part in sorted(parts, key=_depth)))
        case Or(parts):
            return _joined("OR", (_sql(part, frame.branch) for part in sorted(parts, key=_depth)))
        case Not(part):
            sql, parameters = _sql(part, frame)
            return f"({sql}) IS NOT TRUE", parameters
        case Word(pattern):
            return _joined("OR", (_named(field, (pattern,), frame.branch) for field in ("object", "actor")))
        case Match(field, patterns):
            return _matched(field, patterns, frame)
        case Within(networks):
            return _listed("ip", *_inside(networks), frame)
        case Compare(field, op, number):
            return f"{fact_sql(field, frame.facts)} {op} ?", [number]
        case Flag(field, value):
            there = led(frame.names.connection, field, value, frame.span) if frame.names and frame.leads else None
            return there or (f"{fact_sql(field, frame.facts)} = ?", [int(value)])


def _operand(condition: Condition, frame: _Frame) -> Sql:
    """Return an operand of AND; few parentheses, because old versions of SQLite take some dozens at most."""
    sql, parameters = _sql(condition, frame)
    return (f"({sql})" if isinstance(condition, Or | Word) else sql), parameters


def _depth(condition: Condition) -> int:
    """Return a key that sorts what is nested deeply to the front, where SQLite's parser has least in hand."""
    match condition:
        case And(parts) | Or(parts):
            return min(map(_depth, parts)) - 1
        case Not(part):
            return _depth(part) - 1
    return 0


def _joined(word: str, conditions: Iterable[Sql]) -> Sql:
    """Join the first with a balanced tree of the others: SQLite allows a depth of 1,000, a query as many parts."""
    first, *others = tuple(conditions) or (("0", []),)
    while len(others) > 8:
        pairs = [others[place : place + 2] for place in range(0, len(others), 2)]
        others = [_strung(word, pair, "({})") for pair in pairs]
    return _strung(word, [first, *others])


def _strung(word: str, parts: Sequence[Sql], shape: str = "{}") -> Sql:
    sql = shape.format(f" {word} ".join(sql for sql, _ in parts))
    return sql, [value for _, values in parts for value in values]


def _matched(field: str, patterns: Sequence[Pattern], frame: _Frame) -> Sql:
    if field in DICTIONARIES:
        return _named(field, patterns, frame)
    if field == "level":
        levels = [int(level) for level in Level if any(pattern.matches(level.name) for pattern in patterns)]
        return _found(f"f.level IN ({', '.join('?' * len(levels))})", levels, frame)
    encoded = _encode(patterns)
    if field == "rule":
        return _found("(audit_match(?, f.rule) OR audit_match(?, f.title))", [encoded, encoded], frame)
    if values := FIELDS[field].values:  # a comparison, not a call for each event
        fitting = [value for value in values if any(pattern.matches(value) for pattern in patterns)]
        return f"{fact_sql(field, frame.facts)} IN ({', '.join('?' * len(fitting))})", fitting
    return f"audit_match(?, {fact_sql(field, frame.facts)})", [encoded]


def _named(field: str, patterns: Sequence[Pattern], frame: _Frame) -> Sql:
    """Return that a dictionary-encoded field fits one of the patterns."""
    return _listed(field, *_fitting(field, patterns), frame)


def _fitting(field: str, patterns: Sequence[Pattern]) -> Sql:
    """Return that the `name` in a row of a field's dictionary fits one of the patterns.

    SQLite's LIKE ignores case for ASCII only, but it is ten times as fast as a function of ours: it decides the names
    that are ASCII, which no pattern with any other letter can fit once both are casefolded.
    """
    plain = [pattern for pattern in patterns if all(part.isascii() and "\0" not in part for part in pattern.parts)]
    condition, parameters = _joined("OR", (("name LIKE ? ESCAPE '\\'", [_like(pattern)]) for pattern in plain))
    names = f"CASE WHEN {_IS_ASCII} THEN {condition} ELSE audit_match(?, {_WHOLE}) END"
    parameters.append(_encode(patterns))
    asked = pieces.question(patterns) if field == "object" else None
    return (names, parameters) if asked is None else (f"{pieces.CANDIDATES} AND {names}", [asked, *parameters])


def _listed(field: str, names: str, parameters: list[Any], frame: _Frame) -> Sql:
    """Return that a dictionary-encoded field has one of the names that satisfy a condition."""
    if frame.names is None:
        return f"e.{field} IN (SELECT id FROM {DICTIONARIES[field]} WHERE {names})", parameters
    ids, encoded = frame.names.ids(field, names, parameters)
    if len(ids) > FEW:  # a plus keeps SQLite from using the field's index
        return f"+e.{field} IN (SELECT value FROM json_each(?))", [encoded]
    found: Sql = (f"e.{field} IN (SELECT value FROM json_each(?))", [encoded])
    if len(ids) == 1:  # then the index gives the events in order of time
        found = f"e.{field} = ?", ids
    if frame.in_or and frame.leads and field in INDEXED:  # else SQLite walks along all that these ever did
        return f"{found[0]} AND e.time BETWEEN ? AND ?", [*found[1], *frame.span]
    return found


def _inside(networks: Iterable[IPv4Network | IPv6Network]) -> Sql:
    return f"audit_within(?, {_WHOLE})", [json.dumps([*map(str, networks)])]


def _like(pattern: Pattern) -> str:
    escaped = (part.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") for part in pattern.parts)
    return "%".join(escaped)


def _found(which: str, parameters: list[Any], frame: _Frame) -> Sql:
    """Return that the event belongs to the evidence of an open finding: inside its span, and of its group.

    The findings lead to their events, not the other way round: each is a short walk along an index.
    """
    since, until = frame.span
    hits = (
        "SELECT f.first, f.last, f.grp, json_extract(f.grp, '$.actor') AS actor, json_extract(f.grp, '$.ip') AS ip,"
        " (SELECT count(*) FROM json_each(f.grp)) AS size FROM findings f"
        f" WHERE f.state = 'open' AND f.last >= ? AND f.first <= ? AND ({which})"
    )
    by_actor = "JOIN actors k ON k.name = h.actor CROSS JOIN events e ON e.actor = k.id"
    by_ip = "JOIN addresses k ON h.actor IS NULL AND k.name = h.ip CROSS JOIN events e ON e.ip = k.id"
    rest = "JOIN events e ON h.actor IS NULL AND h.ip IS NULL"
    # where the group is one name, the join has said all; most are
    fits = f"NOT EXISTS (SELECT 1 FROM json_each(h.grp) g WHERE ({_in_group(frame.facts)}) IS NOT TRUE)"
    ways = [(way, check) for way in (by_actor, by_ip) for check in ("h.size = 1", f"h.size > 1 AND {fits}")]
    selects = (  # the plus: the walk is along the finding's span, not along all of the query's
        f"SELECT e.id FROM hits h CROSS {way} AND e.time BETWEEN h.first AND h.last AND +e.time BETWEEN ? AND ?"
        f" WHERE {check}"
        for way, check in (*ways, (rest, fits))
    )
    found = f"WITH hits AS MATERIALIZED ({hits}) {' UNION ALL '.join(selects)}"
    return f"e.id IN ({found})", [since, until, *parameters] + [since, until] * (len(ways) + 1)


def _in_group(facts: FactSettings) -> str:
    """Return that `e` has the value of the group entry `g`; under a name of the rule's own, in whichever field."""
    texts = {field: f"(SELECT name FROM {table} WHERE id = e.{field})" for field, table in DICTIONARIES.items()}
    any_field = " OR ".join(f"g.value = {texts[field]}" for field in TEXT_FIELDS)
    texts |= {fact.name: fact_sql(fact.name, facts) for fact in FACTS if fact.kind == "text"}
    cases = " ".join(f"WHEN '{name}' THEN g.value = {sql}" for name, sql in texts.items())
    return f"CASE g.key {cases} ELSE {any_field} END"


def group_sql(group: Mapping[str, str], facts: FactSettings) -> Sql:
    """Return that `e` has the values of a finding's group; under a name of the rule's own, in whichever field."""
    known = {fact.name for fact in FACTS}
    parts: list[Sql] = []
    for name, value in group.items():
        if name in known:
            parts.append((f"{fact_sql(name, facts)} = ?", [value]))
        else:
            fields = [name] if name in DICTIONARIES else list(DICTIONARIES)
            same = (f"e.{field} = (SELECT id FROM {DICTIONARIES[field]} WHERE name = ?)" for field in fields)
            parts.append((f"({' OR '.join(same)})", [value] * len(fields)))
    return _strung("AND", parts) if parts else ("1", [])


def _encode(patterns: Sequence[Pattern]) -> str:
    return json.dumps([pattern.parts for pattern in patterns])


@functools.lru_cache(256)
def _decode(encoded: str) -> tuple[Pattern, ...]:
    return tuple(Pattern(tuple(parts)) for parts in json.loads(encoded))


def _match(encoded: str, text: str | bytes | None) -> bool:
    return text is not None and any(pattern.matches(_text(text)) for pattern in _decode(encoded))


def _text(text: str | bytes) -> str:
    return text if isinstance(text, str) else text.decode("utf-8", "surrogatepass")


@functools.lru_cache(256)
def _networks(encoded: str) -> tuple[IPv4Network | IPv6Network, ...]:
    return tuple(map(ip_network, json.loads(encoded)))


_address = functools.lru_cache(100_000)(parse_address)


def _within(encoded: str, text: str | bytes) -> bool:
    address = _address(_text(text))
    return address is not None and any(address in network for network in _networks(encoded))
