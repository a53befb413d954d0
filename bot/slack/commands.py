"""Answers `/audit`: one line of text in, one message for the asker out, an entry in the journal."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from bot.errors import AuditBotError, QueryError
from bot.fields import FACTS, FactSettings
from bot.query import Command, parse_command
from bot.slack import answers
from bot.slack.alert_message import alert_message
from bot.slack.blocks import Message
from bot.slack.text import clean
from bot.store import alerts, exceptions, journal, search, status
from bot.store.schema import Store

COMMAND = "/audit"
MAX_EVENTS = 50  # what one message can show
MAX_TOP = 20
MAX_BUCKETS = 48
LATER = ("export",)
SHOWN_FACTS = tuple(fact.name for fact in FACTS)


class Commands:
    """The verbs of `/audit` over one store. `now` gives microseconds; `facts` also names the reader's zone."""

    def __init__(self, store: Store, facts: FactSettings, now: Callable[[], int]) -> None:
        self._store, self._facts, self._now = store, facts, now
        self._verbs: Mapping[str, Callable[[Command], Message]] = {
            "search": self._search,
            "top": self._top,
            "count": self._count,
            "timeline": self._timeline,
            "show": self._show,
            "rules": lambda _: answers.rules_answer(list(alerts.rule_texts(store).values())),
            "alerts": self._alerts,
            "status": self._status,
            "exceptions": self._exceptions,
            "help": lambda _: answers.help_answer(LATER),
        }

    def answer(self, who: str, text: str) -> Message:
        """Return the answer to one line typed after `/audit`, which is written into the journal in any case."""
        try:
            message, outcome = self._answer(text), "answered"
        except QueryError as error:
            message, outcome = answers.error_answer(error), f"not understood: {error}"
        except AuditBotError as error:
            message, outcome = answers.sorry_answer(f"I cannot answer that now. {error}"), f"failed: {error}"
        journal.write(
            self._store,
            self._now(),
            who,
            "query",
            {"text": clean(text, 2_000) if text.strip() else "", "outcome": outcome},
        )
        return message

    def _answer(self, text: str) -> Message:
        if not text.strip():
            return answers.help_answer(LATER)
        command = parse_command(text, self._now(), self._facts.zone, max_limit=MAX_EVENTS)
        verb = self._verbs.get(command.verb)
        return verb(command) if verb else answers.not_yet_answer(command.verb)

    def _search(self, command: Command) -> Message:
        page = search.search(self._store, command.query, self._facts)
        return answers.search_answer(command.query, page, self._facts.zone)

    def _top(self, command: Command) -> Message:
        counts = search.top(self._store, command.query, self._facts)
        return answers.top_answer(command.query, counts[:MAX_TOP], self._facts.zone)

    def _count(self, command: Command) -> Message:
        found = search.count(self._store, command.query, self._facts)
        return answers.count_answer(command.query, found, self._facts.zone)

    def _timeline(self, command: Command) -> Message:
        buckets = search.timeline(self._store, command.query, self._facts, MAX_BUCKETS)
        return answers.timeline_answer(command.query, buckets, self._facts.zone)

    def _show(self, command: Command) -> Message:
        name = (command.argument or "").upper()
        if name.startswith("A"):
            view = alerts.view(self._store, int(name[1:]), self._now())
            return alert_message(view, self._facts.zone, buttons=False) if view else _nothing(f"alert {name}")
        found = search.events_by_id(self._store, [int(name)], self._facts, SHOWN_FACTS)
        return answers.event_answer(found[0], self._facts.zone) if found else _nothing(f"event {name}")

    def _alerts(self, command: Command) -> Message:
        state = command.argument if command.argument in ("open", "acknowledged", "resolved") else None
        return answers.alerts_answer(alerts.listing(self._store, state=state), self._facts.zone)

    def _status(self, command: Command) -> Message:
        now = self._now()
        return answers.status_answer(status.status(self._store, now), now, self._facts.zone)

    def _exceptions(self, _: Command) -> Message:
        titles = {rule.id: rule.title for rule in alerts.rule_texts(self._store).values()}
        listed = exceptions.listing(self._store, self._now())
        return answers.exceptions_answer(listed, titles, self._facts.zone)


def _nothing(what: str) -> Message:
    return answers.sorry_answer(f"There is no {what}.")
