"""Answers `/audit`: a line of text in, a message for the asker out; what its buttons ask for; all of it journaled."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import tzinfo
from zoneinfo import ZoneInfo

from bot.ask import answer as ask
from bot.ask.answer import Asking
from bot.ask.paging import Place, following, preceding, read_place
from bot.ask.sheet import csv_lines, records
from bot.charts.drawing import Picture
from bot.errors import AuditBotError, QueryError
from bot.fields import FACTS, FactSettings
from bot.model import AlertView, Event
from bot.query import Command, parse_command
from bot.slack import answers, blocks, listings
from bot.slack.alert_message import alert_message, say_time
from bot.slack.blocks import Message, person
from bot.slack.picturing import has_picture, picture_of
from bot.slack.text import clean
from bot.store import journal
from bot.store.queries import questions
from bot.store.queries.questions import Question
from bot.store.schema import Store
from bot.store.status import Status

COMMAND = "/audit"
MAX_EVENTS = 50  # what one message can show
MAX_BUCKETS = 48
MAX_ROWS = 50_000  # of an exported file
SHOWN_FACTS = tuple(fact.name for fact in FACTS)
NEXT, PREVIOUS, SHARE, EXPORT = "audit_next", "audit_previous", "audit_share", "audit_export"
PICTURE = "audit_picture"
NOTHING_TO_DRAW = "There is nothing to draw any more."
STALE = "That answer is too old, or not yours, so its buttons do nothing any more. Ask again with /audit."


@dataclass(frozen=True)
class Said:
    """An answer; `file_of` is the value by which `sheet` makes the file that it announces, "" for none."""

    message: Message
    file_of: str = ""


@dataclass(frozen=True)
class Sheet:
    """An exported file: its lines, its name, and what stands beside it."""

    content: bytes
    name: str
    words: str


class Commands:
    """The verbs of `/audit` over one store. `now` gives microseconds; `facts` names the zone of `hour` and the like."""

    def __init__(self, store: Store, facts: FactSettings, now: Callable[[], int]) -> None:
        self._store, self._facts, self._now = store, facts, now

    def answer(self, who: str, text: str, zone: tzinfo | None = None) -> Said:
        """Return the answer to one line typed after `/audit`, in the asker's zone."""
        wanted: list[str] = []

        def work() -> Message:
            question = questions.keep(self._store, who, text, self._now(), str(zone or self._facts.zone))
            shown, found = self._draw(question, Place(question.id))
            wanted.extend([str(question.id)] * isinstance(found, ask.Export))
            return _with_buttons(shown, found, Place(question.id))

        said = self._journaled(who, "query", text, work)
        return Said(said, wanted[0] if wanted else "")

    def turn(self, who: str, value: str) -> Message:
        """Return another page of an answer, as the value of its button says."""
        place, question = self._question(who, value)
        if place is None or question is None:
            return answers.sorry_answer(STALE)
        return self._journaled(
            who, "page", question.text, lambda: _with_buttons(*self._draw(question, place, again=True), place)
        )

    def share(self, who: str, value: str) -> Message | None:
        """Return the same answer for everybody, with who shared it; None where it cannot be had any more."""
        place, question = self._question(who, value)
        if place is None or question is None:
            return None
        drawn = self._journaled(who, "share", question.text, lambda: self._draw(question, place, again=True)[0])
        return blocks.above(drawn, "Shared by ", person(who), ":")

    def sheet(self, who: str, value: str) -> Sheet | Message:
        """Return the events of a question as a file, or why there is none."""
        _, question = self._question(who, value)
        if question is None:
            return answers.sorry_answer(STALE)
        files: list[Sheet] = []

        def fill() -> Message:
            files.append(self._sheet(question))
            return answers.sorry_answer(files[0].words)

        said = self._journaled(who, "export", question.text, fill)
        return files[0] if files else said

    def picture(self, who: str, value: str) -> Picture | Message:
        """Return the picture of an answer, or why there is none."""
        place, question = self._question(who, value)
        if place is None or question is None:
            return answers.sorry_answer(STALE)
        pictures: list[Picture] = []

        def draw() -> Message:
            _, found = self._draw(question, place, again=True)
            zone = ZoneInfo(question.zone)
            span = answers.say_range(_command(question).query, zone)
            if picture := picture_of(self._store, found, self._facts, zone, span):
                pictures.append(picture)
                return answers.sorry_answer(picture.title)
            return answers.sorry_answer(NOTHING_TO_DRAW)

        said = self._journaled(who, "picture", question.text, draw)
        return pictures[0] if pictures else said

    def _journaled(self, who: str, what: str, text: str, work: Callable[[], Message]) -> Message:
        """Work, and write into the journal in any case who wanted what and what came of it."""
        try:
            message, outcome = work(), "answered"
        except QueryError as error:
            message, outcome = answers.error_answer(error), f"not understood: {error}"
        except AuditBotError as error:
            message, outcome = answers.sorry_answer(f"I cannot answer that now. {error}"), f"failed: {error}"
        detail = {"text": clean(text, 2_000) if text.strip() else "", "outcome": outcome}
        journal.write(self._store, self._now(), who, what, detail)
        return message

    def _question(self, who: str, value: str) -> tuple[Place | None, Question | None]:
        """Return what a button's value names, where it names a question of this very person."""
        place = read_place(value)
        question = questions.get(self._store, place.question) if place else None
        return place, question if question is not None and question.who == who else None

    def _draw(self, question: Question, place: Place, *, again: bool = False) -> tuple[Message, ask.Answer]:
        """Return an answer drawn, and bare. `again`: what it does, like revoking, was done the first time."""
        zone = ZoneInfo(question.zone)
        asking = Asking(question.who, question.asked, zone, SHOWN_FACTS, MAX_BUCKETS)
        command = _command(question)
        if again and command.verb == "exceptions":
            command = replace(command, argument=None)
        if place.part is not None:
            found: ask.Answer = ask.page(self._store, command.query, self._facts, asking, place.part, place.start)
        else:
            found = ask.answer(self._store, command, self._facts, asking)
        return drawn(found, zone, self._now()), found

    def _sheet(self, question: Question) -> Sheet:
        lines, rows = [], 0
        for rows, line in enumerate(csv_lines(records(self._store, _command(question).query, self._facts))):
            if rows > MAX_ROWS:
                break
            lines.append(line)
        cut = rows > MAX_ROWS
        words = f"The first {MAX_ROWS:,} events; narrow the range for the rest" if cut else answers.many(rows, "event")
        stamp = say_time(question.asked)[:16].replace(" ", "-").replace(":", "")
        return Sheet(b"".join(lines), f"audit-{stamp}-{question.id}.csv", f"{words}, the oldest first.")


def _command(question: Question) -> Command:
    """Return what a question asks, as it was asked: its text is read again, as of its own moment."""
    text = question.text if question.text.strip() else "help"
    command = parse_command(text, question.asked, ZoneInfo(question.zone), max_limit=MAX_EVENTS)
    return replace(command, query=ask.as_of(command.query, question.newest))


def drawn(found: ask.Answer, zone: tzinfo, now: int) -> Message:
    """Return an answer as a message, without its buttons."""
    match found:
        case ask.Found(query, page, start):
            return answers.search_answer(query, page, zone, start)
        case ask.Ranking(query, counts):
            return answers.top_answer(query, counts, zone)
        case ask.Number(query, count):
            return answers.count_answer(query, count, zone)
        case ask.Buckets(query, counts):
            return answers.timeline_answer(query, counts, zone)
        case Event():
            return answers.event_answer(found, zone)
        case AlertView():
            return alert_message(found, zone, buttons=False)
        case _:
            return _listed(found, zone, now)


def _listed(found: ask.Answer, zone: tzinfo, now: int) -> Message:
    match found:
        case ask.Alerts(query, some):
            return listings.alerts_answer(some, zone, f", {'newest' if query.newest_first else 'oldest'} first")
        case ask.Rules(rules):
            return listings.rules_answer(rules)
        case ask.Exceptions(some, titles, revoked):
            return listings.exceptions_answer(some, titles, zone, revoked)
        case Status():
            return listings.status_answer(found, now, zone)
        case ask.Export(query):
            return answers.export_answer(query, zone)
        case ask.Nothing(what):
            return answers.sorry_answer(f"There is no {what}.")
    return answers.help_answer()


def _with_buttons(shown: Message, found: ask.Answer, place: Place) -> Message:
    """Return an answer with what can be done with it; the buttons' values are numbers."""
    if isinstance(found, ask.Help | ask.Nothing | ask.Export):
        return shown
    turns: list[tuple[str, str, Place | None]] = []
    if isinstance(found, ask.Found):
        limit = found.query.limit
        turns = [
            ("Previous", PREVIOUS, preceding(place.question, found.page, found.start, limit)),
            ("Next", NEXT, following(place.question, found.page, found.start, limit)),
        ]
    given = [(text, action, str(to), None) for text, action, to in turns if to is not None]
    has_events = isinstance(found, ask.Found | ask.Ranking | ask.Number | ask.Buckets)
    export = [("Export CSV", EXPORT, str(place.question), None)] * has_events
    picture = [("Picture", PICTURE, str(place), None)] * has_picture(found)
    return blocks.beneath(shown, *given, ("Share in channel", SHARE, str(place), None), *export, *picture)
