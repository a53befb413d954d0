"""Answers a command from the store, as plain data that Slack draws and the terminal prints."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import tzinfo

from bot.ask import listing
from bot.fields import FactSettings
from bot.model import Alert, AlertView, Event, Rule
from bot.query import Command, Query
from bot.store import alerts, status
from bot.store.people import exceptions
from bot.store.people.exceptions import TimedException
from bot.store.queries import search
from bot.store.queries.search import Page, Part
from bot.store.schema import Store
from bot.store.status import Status

BUCKETS = 48  # of a timeline, unless told otherwise


@dataclass(frozen=True)
class Found:
    """Events, a page of them; `start` counts those ahead of it."""

    query: Query
    page: Page
    start: int = 0


@dataclass(frozen=True)
class Ranking:
    """The most frequent values of `query.by` (default actor) with their counts; None stands for the missing."""

    query: Query
    counts: Sequence[tuple[str | None, int]]


@dataclass(frozen=True)
class Number:
    """How many events there are."""

    query: Query
    count: int


@dataclass(frozen=True)
class Buckets:
    """How many events there are in each hour or day, by the moment at which it begins."""

    query: Query
    counts: Sequence[tuple[int, int]]


@dataclass(frozen=True)
class Alerts:
    """Alerts, the newest first, each with the titles of its rules."""

    query: Query
    alerts: Sequence[Alert]


@dataclass(frozen=True)
class Rules:
    """Rules in force, the worst level first."""

    rules: Sequence[Rule]


@dataclass(frozen=True)
class Exceptions:
    """Exceptions in force, with the titles of rules by id; `revoked` is the one that was just ended."""

    exceptions: Sequence[TimedException]
    titles: Mapping[str, str]
    revoked: TimedException | None = None


@dataclass(frozen=True)
class Export:
    """All events of a query are wanted as a file."""

    query: Query


@dataclass(frozen=True)
class Help:
    """How to ask."""


@dataclass(frozen=True)
class Nothing:
    """There is no such thing; `what` names it."""

    what: str


Answer = (
    Found | Ranking | Number | Buckets | Event | AlertView | Alerts | Rules | Status | Exceptions | Export | Help
    | Nothing
)  # fmt: skip


@dataclass(frozen=True)
class Asking:
    """Who asks, when, in which zone, and what of the answer they can show: a page's facts, how many buckets."""

    who: str
    now: int
    zone: tzinfo
    with_facts: Sequence[str] = ()
    buckets: int = BUCKETS


def answer(store: Store, command: Command, facts: FactSettings, asking: Asking) -> Answer:
    """Return what is asked for. Raises QueryError, ConfigError (an exception that cannot be revoked), StoreError."""
    verbs: Mapping[str, Callable[[], Answer]] = {
        "search": lambda: page(store, command.query, facts, asking),
        "top": lambda: Ranking(command.query, search.top(store, command.query, facts)),
        "count": lambda: Number(command.query, search.count(store, command.query, facts)),
        "timeline": lambda: Buckets(
            command.query, search.timeline(store, command.query, facts, asking.buckets, asking.zone)
        ),
        "show": lambda: _shown(store, command.argument or "", facts, asking),
        "alerts": lambda: Alerts(command.query, listing.alerts(store, command, asking.who)),
        "rules": lambda: Rules(listing.rules(store, command.query)),
        "status": lambda: status.status(store, asking.now),
        "exceptions": lambda: _exceptions(store, command, asking),
        "export": lambda: Export(command.query),
        "help": Help,
    }
    return verbs[command.verb]()


def page(
    store: Store, query: Query, facts: FactSettings, asking: Asking, part: Part | None = None, start: int = 0
) -> Found:
    """Return one page of events: the first, or the one that a part names."""
    return Found(query, search.search(store, query, facts, part, asking.with_facts), start)


def _shown(store: Store, name: str, facts: FactSettings, asking: Asking) -> Answer:
    if name.startswith("A"):
        return alerts.view(store, int(name[1:]), asking.now) or Nothing(f"alert {name}")
    found = search.events_by_id(store, [int(name)], facts, asking.with_facts)
    return found[0] if found else Nothing(f"event {name}")


def _exceptions(store: Store, command: Command, asking: Asking) -> Exceptions:
    titles = {rule.id: rule.title for rule in alerts.rule_texts(store).values()}
    word, _, number = (command.argument or "").partition(" ")
    revoked = exceptions.remove(store, int(number), asking.who, asking.now) if word == "revoke" else None
    return Exceptions(listing.exceptions(store, command.query, titles, asking.now), titles, revoked)


def as_of(query: Query, newest: int) -> Query:
    """Return the query over what was stored when it was asked."""
    return replace(query, newest=newest)
