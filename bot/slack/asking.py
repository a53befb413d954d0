"""Hears what people ask and press: the command, pages, sharing, exporting; answers where each was asked."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import tzinfo
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from bot.charts.drawing import Picture
from bot.query.build import look_up
from bot.slack.actions import Seen
from bot.slack.answers import sorry_answer, waiting_answer
from bot.slack.commands import EXPORT, NEXT, PICTURE, PREVIOUS, SHARE, STALE, Commands, Sheet
from bot.slack.guard import Person
from bot.slack.listings import REVOKE
from bot.slack.replies import PATIENCE, ByUrl, Reply, patiently
from bot.slack.sender import SlackSender, answer_by_url
from bot.slack.text import typed

Body = dict[str, Any]
Work = Callable[[Body, Person | None], None]
NOTHING_NAMED = "I see no e-mail address, IP address or name in quotes in that message. /audit help says how to ask."
NOBODY_HERE = "There is nobody here to share it with: ask in the channel that should see it."
SHARED_ALREADY = "You shared that a moment ago."


class Asking:
    """The asking side of the Slack app. `zone` is that of readers whose profile names none.

    `patience` in seconds: what takes longer is announced.
    """

    def __init__(
        self, commands: Commands, sender: SlackSender, now: Callable[[], int], zone: tzinfo,
        patience: float = PATIENCE,
    ) -> None:  # fmt: skip
        self._commands, self._sender, self.zone, self.patience = commands, sender, zone, patience
        self.refresh: Callable[[str, Person | None], None] = lambda user, person: None  # of a Home tab
        self._shared = Seen(now)
        self.buttons: Mapping[str, Work] = {
            NEXT: self._turn, PREVIOUS: self._turn, SHARE: self._share, EXPORT: self._export, REVOKE: self._revoke,
            PICTURE: self._picture,
        }  # fmt: skip

    def command(self, body: Body, person: Person | None) -> None:
        """Answer what somebody typed after /audit."""
        text = typed(str(body.get("text") or ""))
        self.answer(ByUrl(str(body["response_url"])), str(body["user_id"]), text, person)

    def answer(self, reply: Reply, who: str, text: str, person: Person | None) -> None:
        """Answer a line of somebody, with a notice first where that takes long, and send the file that it asks for."""
        with patiently(reply, waiting_answer(text), self.patience) as show:
            said = self._commands.answer(who, text, zone_of(person) or self.zone)
            show(said.message)
        if said.file_of:
            self._send_sheet(reply, who, said.file_of)

    def _turn(self, body: Body, _: Person | None) -> None:
        who, value = pressed(body)
        answer_by_url(str(body["response_url"]), self._commands.turn(who, value), replace=True)

    def _share(self, body: Body, _: Person | None) -> None:
        who, value = pressed(body)
        url = str(body["response_url"])
        if str((body.get("channel") or {}).get("id")).startswith("D"):
            return answer_by_url(url, sorry_answer(NOBODY_HERE))
        if self._shared.again(f"{who} {value}"):
            return answer_by_url(url, sorry_answer(SHARED_ALREADY))
        shown = self._commands.share(who, value)
        return answer_by_url(url, shown or sorry_answer(STALE), public=shown is not None)

    def _export(self, body: Body, _: Person | None) -> None:
        who, value = pressed(body)
        self._send_sheet(ByUrl(str(body["response_url"])), who, value)

    def _send_sheet(self, reply: Reply, who: str, value: str) -> None:
        sheet = self._commands.sheet(who, value)
        if isinstance(sheet, Sheet):
            self._sender.post_file(self._sender.conversation(who), sheet.name, sheet.content, sheet.words)
        else:
            reply.say(sheet)

    def _picture(self, body: Body, _: Person | None) -> None:
        who, value = pressed(body)
        made = self._commands.picture(who, value)
        if isinstance(made, Picture):
            place = self._sender.conversation(who)
            self._sender.post_file(place, "picture.png", made.png, made.title, alt=made.alt)
        else:
            answer_by_url(str(body["response_url"]), made)

    def _revoke(self, body: Body, person: Person | None) -> None:
        who, value = pressed(body)
        said = self._commands.answer(who, f"exceptions revoke {value}", zone_of(person) or self.zone)
        if url := body.get("response_url"):
            answer_by_url(str(url), said.message, replace=True)
        else:  # pressed on the Home tab
            self.refresh(who, person)

    def look_up(self, body: Body, person: Person | None) -> None:
        """Look up what a message names."""
        reply = ByUrl(str(body["response_url"]))
        query = look_up("\n".join(texts(body.get("message"))))
        if query is None:
            reply.say(sorry_answer(NOTHING_NAMED))
        else:
            self.answer(reply, str(body["user"]["id"]), query, person)


def texts(value: object) -> Iterator[str]:
    """Yield each text of a message, wherever in its blocks."""
    if isinstance(value, Mapping):
        if isinstance(value.get("text"), str):
            yield typed(value["text"])
        for inner in value.values():
            yield from texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from texts(inner)


def pressed(body: Body) -> tuple[str, str]:
    """Return who pressed something, and its value."""
    action = body["actions"][0]
    chosen = action.get("selected_option") or action
    return str(body["user"]["id"]), str(chosen.get("value") or "")


def zone_of(person: Person | None) -> tzinfo | None:
    """Return the zone of somebody's Slack profile, None where there is none that is known here."""
    try:
        return ZoneInfo(person.tz) if person is not None and person.tz else None
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None
