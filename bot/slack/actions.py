"""Does what a button of an alert asks for, after looking again whether it still may be done."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable

from bot.ask.sheet import csv_lines, records
from bot.model import AlertView
from bot.query import Query, parse_condition
from bot.slack import alert_forms, answers
from bot.slack.alert_message import ACKNOWLEDGE, ASK, ASSIGN, EVIDENCE, MORE, RESOLVE, alert_message
from bot.slack.blocks import Json, Message
from bot.slack.desk import GONE, Buttons, Desk, Gesture
from bot.slack.notice_message import LIST, LISTED, OPEN, list_answer
from bot.slack.text import clean
from bot.store import alerts, journal
from bot.store.messages import notices, pictures
from bot.store.people import exceptions, inquiries
from bot.store.queries import search
from bot.times import DAY, MINUTE

REMEMBERED = 1_000
SHOWN_EVENTS, SHOWN_HOURS = 50, 48
NOT_EVENTS = "This alert is about the log itself: there are no events to show."
NOTHING_HELD = "None of its findings holds any more: there is nothing to expect."
NOBODY = "This alert names neither an actor nor an address: there is nobody to snooze. “Expected” works by rule."


class Seen:
    """Remembers for a while what was already handled: Slack delivers clicks and commands twice at times."""

    def __init__(self, now: Callable[[], int], keep: int = 10 * MINUTE) -> None:
        self._now, self._keep = now, keep
        self._times: OrderedDict[str, int] = OrderedDict()
        self._lock = threading.Lock()

    def again(self, key: str) -> bool:
        """Tell whether this key was already asked about, and remember it; an empty key never was."""
        now = self._now()
        with self._lock:
            while self._times and (len(self._times) > REMEMBERED or self._oldest() < now - self._keep):
                self._times.popitem(last=False)
            known = key in self._times
            self._times[key] = self._times.get(key, now)
        return bool(key) and known

    def _oldest(self) -> int:
        return next(iter(self._times.values()))


class Actions:
    """The buttons of alert messages. Each returns what only the clicker gets to see, None where messages show it."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self.buttons: Buttons = {
            ACKNOWLEDGE: self._acknowledge,
            ASSIGN: lambda click: self._form(click, alert_forms.assign_form),
            RESOLVE: lambda click: self._form(click, alert_forms.resolve_form),
            ASK: self._ask,
            EVIDENCE: self._evidence,
            MORE: self._more,
            LIST: self._list,
            OPEN: self._open,
        }

    def _acknowledge(self, click: Gesture) -> Message | None:
        desk, view = self._desk, self._desk.decide(click)
        outcome = alerts.acknowledge(desk.store, view.alert.id, click.user, desk.now())
        desk.settle(click, outcome)
        return None if view.alert.ts else answers.sorry_answer(outcome.reason)  # rolled up: no message would show it

    def _list(self, click: Gesture) -> Message:
        """Show the alerts that a notice stands for."""
        desk, number = self._desk, int(click.value) if click.value.isdecimal() else 0
        view = notices.view(desk.store, number)
        detail = {"notice": click.value[:20], "found": view is not None}
        journal.write(desk.store, desk.now(), click.user, "listed", detail)
        if view is None:
            return answers.sorry_answer(GONE)
        return list_answer(view, notices.members(desk.store, number, LISTED), desk.facts.zone)

    def _open(self, click: Gesture) -> Message:
        """Show one alert with its buttons: it may have no message of its own, so its picture joins the notice's."""
        view = self._desk.look(click)
        pictures.ask(self._desk.store, view.alert.id, self._desk.now())
        journal.write(self._desk.store, self._desk.now(), click.user, "opened", {"alert": view.alert.id})
        return alert_message(view, self._desk.facts.zone)

    def _ask(self, click: Gesture) -> None:
        desk, view = self._desk, self._desk.decide(click)
        desk.settle(click, inquiries.ask(desk.store, view.alert.id, click.user, desk.now()))

    def _form(self, click: Gesture, form: Callable[[AlertView], Json]) -> None:
        """Open a form about an alert that is not closed."""
        view = self._desk.decide(click)
        refuse_closed(self._desk, click, view)
        self._desk.open(click, form(view))

    def _evidence(self, click: Gesture) -> Message:
        """Show the alert's events as `/audit` does."""
        query = self._events(click)
        page = search.search(self._desk.store, query, self._desk.facts)
        return answers.search_answer(query, page, self._desk.facts.zone)

    def _more(self, click: Gesture) -> Message | None:
        """Do what was chosen in the menu; its value is a word and an id."""
        word, _, number = click.value.partition(":")
        click = Gesture(click.what, number, click.user, click.person, click.trigger)
        if word == "timeline":
            return self._timeline(click)
        if word == "export":
            return self._export(click)
        form = alert_forms.note_form if word == "note" else alert_forms.share_form
        self._desk.open(click, form(self._desk.look(click)))
        return None

    def _timeline(self, click: Gesture) -> Message:
        query = self._events(click, before=DAY)
        buckets = search.timeline(self._desk.store, query, self._desk.facts, SHOWN_HOURS)
        return answers.timeline_answer(query, buckets, self._desk.facts.zone)

    def _export(self, click: Gesture) -> Message | None:
        """Put the alert's events into its thread as a file."""
        view, query = self._desk.look(click), self._events(click)
        if not view.alert.channel:
            raise self._desk.refusal(click, "The alert has no thread yet: please try again in a minute.")
        content = b"".join(csv_lines(records(self._desk.store, query, self._desk.facts)))
        title = f"Events of {view.alert.name}, {clean(str(view.alert.entity), 80)}"
        self._desk.windows.post_file(
            view.alert.channel, f"{view.alert.name}.csv", content, title, thread_ts=view.alert.ts
        )
        return None

    def _events(self, click: Gesture, before: int = 0) -> Query:
        """Return what finds an alert's events: what its entity did from the first to the last of them."""
        alert = self._desk.look(click).alert
        text = exceptions.condition_of(alert.entity)
        if text is None:
            raise self._desk.refusal(click, NOT_EVENTS)
        condition = parse_condition(text)
        return Query(condition, alert.first - before, alert.last, SHOWN_EVENTS, newest_first=False, text=text)


def refuse_closed(desk: Desk, gesture: Gesture, view: AlertView) -> None:
    """Raise RefusedError where an alert is closed already."""
    if view.alert.state not in ("open", "acknowledged"):
        by = f" by <@{view.alert.owner}>" if view.alert.owner else ""
        raise desk.refusal(gesture, f"{view.alert.name} is already {view.alert.state}{by}: nothing was changed.")
