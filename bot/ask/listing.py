"""Chooses among alerts, rules and exceptions by a condition of the query language."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address

from bot.errors import QueryError
from bot.model import Alert, Finding, Rule
from bot.query import Command, Condition, Query
from bot.query.tree import Match, Term, Within, Word, terms, worth
from bot.store import alerts as stored_alerts
from bot.store.people import exceptions as stored_exceptions
from bot.store.people.exceptions import TimedException
from bot.store.schema import Store

EXAMPLES = {"alerts": "alerts open level:high", "rules": "rules level:high", "exceptions": "exceptions"}
LOOKED_THROUGH = 2_000  # of the newest alerts
Texts = Mapping[str, Collection[str]]  # by key; "" holds what a bare word is looked for in


def alerts(store: Store, command: Command, who: str) -> list[Alert]:
    """Return posted alerts, the newest first: of a state, `mine`, by actor, ip, object word, level, rule and time."""
    query = command.query
    _check(query, ("actor", "ip", "level", "rule"), "alerts")
    state = command.argument if command.argument != "mine" else None
    found = stored_alerts.listing(store, state=state, limit=LOOKED_THROUGH)
    found = [one for one in found if one.last >= query.since and one.first <= query.until]
    if command.argument == "mine":
        found = [one for one in found if one.owner == who]
    if query.condition is not None:
        of_alert = _findings(store, found)
        found = [one for one in found if _fits(query.condition, _alert_texts(one, of_alert.get(one.id, ())))]
    return sorted(found, key=lambda one: (one.last, one.id), reverse=query.newest_first)[: query.limit]


def rules(store: Store, query: Query) -> list[Rule]:
    """Return the rules in force, the worst level first: by level, rule (id or title) and words of title and file."""
    _check(query, ("level", "rule"), "rules")
    known = stored_alerts.rule_texts(store).values()
    found = [rule for rule in known if query.condition is None or _fits(query.condition, _rule_texts(rule))]
    return sorted(found, key=lambda rule: (-rule.level, rule.title))


def exceptions(store: Store, query: Query, titles: Mapping[str, str], now: int) -> list[TimedException]:
    """Return the exceptions in force, those that end first on top: by rule and words of condition, reason, author."""
    _check(query, ("rule",), "exceptions")
    found = stored_exceptions.listing(store, now)
    if query.condition is not None:
        found = [one for one in found if _fits(query.condition, _exception_texts(one, titles))]
    return sorted(found, key=lambda one: (one.expires, one.id))


def _findings(store: Store, found: Iterable[Alert]) -> Mapping[int, Sequence[Finding]]:
    """Return the open findings of alerts by the alerts' ids."""
    ids = json.dumps([one.id for one in found])
    gathered: dict[int, list[Finding]] = {}
    for finding in stored_alerts.findings(
        store, "state = 'open' AND alert IN (SELECT value FROM json_each(?))", (ids,)
    ):
        gathered.setdefault(finding.alert_id or 0, []).append(finding)
    return gathered


def _alert_texts(alert: Alert, findings: Iterable[Finding]) -> Texts:
    entity = alert.entity
    some = tuple(findings)
    titles = {finding.title for finding in some}
    actors = {finding.actor for finding in some} | ({entity.name} if entity.kind == "actor" else set())
    addresses = {finding.ip for finding in some} | ({entity.name} if entity.kind == "ip" else set())
    return {
        "actor": {name for name in actors if name}, "ip": {name for name in addresses if name},
        "level": {alert.level.name}, "rule": titles | {finding.rule_id for finding in some},
        "": titles | {str(entity)},
    }  # fmt: skip


def _rule_texts(rule: Rule) -> Texts:
    return {"level": {rule.level.name}, "rule": {rule.id, rule.title}, "": {rule.title, rule.file, rule.status}}


def _exception_texts(one: TimedException, titles: Mapping[str, str]) -> Texts:
    rule = {one.rule, titles.get(one.rule, one.rule)} if one.rule else set()
    return {"rule": rule, "": {one.condition, one.reason, one.author}}


def _fits(condition: Condition, texts: Texts) -> bool:
    def decide(term: Term) -> bool:
        match term:
            case Word(pattern):
                return any(map(pattern.matches, texts[""]))
            case Match(field, patterns):
                return any(pattern.matches(text) for pattern in patterns for text in texts[field])
            case Within(networks):
                return any(_is_in(text, networks) for text in texts["ip"])
            case _:
                return False  # refused before

    return worth(condition, decide)


def _is_in(text: str, networks: Iterable[IPv4Network | IPv6Network]) -> bool:
    try:
        address = ip_address(text)
    except ValueError:
        return False
    if isinstance(address, IPv6Address):
        address = address.ipv4_mapped or address
    return any(address in network for network in networks)


def _check(query: Query, keys: Collection[str], what: str) -> None:
    """Refuse keys that say nothing about what is listed."""
    asked = () if query.condition is None else terms(query.condition)
    named = (None if isinstance(term, Word) else "ip" if isinstance(term, Within) else term.field for term in asked)
    wrong = next((name for name in named if name is not None and name not in keys), None)
    if wrong:
        at = re.search(rf"\b{wrong}:", query.text, re.IGNORECASE)
        text = f"`{wrong}:` says nothing about {what}: they are told apart by {', '.join(keys)} and by words."
        raise QueryError(text, query.text, at.start() if at else 0, EXAMPLES[what])
