"""Where an answer goes: to a response URL, or to somebody's direct messages; a late one is announced."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from bot.errors import DeliveryError
from bot.slack.blocks import Message
from bot.slack.sender import Say, answer_by_url
from bot.slack.surfaces import Surfaces

log = logging.getLogger(__name__)

NOT_THERE = ("not_in_channel", "channel_not_found", "user_not_in_channel", "is_archived")
PATIENCE = 0.8  # seconds after which somebody hears that it takes longer: something stands there within one


class Reply(Protocol):
    """One place for one answer."""

    def say(self, shown: Message) -> None:
        """Show the answer, in the place of what was shown before."""
        ...


class ByUrl:
    """An answer through a response URL, for the asker alone; `replace`: in the place of the message clicked on."""

    def __init__(self, url: str, *, replace: bool = False) -> None:
        self._url, self._replace = url, replace

    def say(self, shown: Message) -> None:
        """Show the answer, in the place of what was shown before."""
        answer_by_url(self._url, shown, replace=self._replace)
        self._replace = True


class Direct:
    """An answer in direct messages: posted, then redrawn."""

    def __init__(self, post: Say, user: str) -> None:
        self._post, self._user = post, user
        self._place: tuple[str, str] | None = None

    def say(self, shown: Message) -> None:
        """Show the answer, in the place of what was shown before. Raises DeliveryError."""
        self._place = self._post(self._user, shown, self._place)


class InChannel:
    """An answer in a channel for one person alone; where the bot is no member there, it goes another way."""

    def __init__(self, surfaces: Surfaces, channel: str, user: str, otherwise: Reply) -> None:
        self._surfaces, self._channel, self._user, self._otherwise = surfaces, channel, user, otherwise

    def say(self, shown: Message) -> None:
        """Show the answer. Raises DeliveryError."""
        try:
            self._surfaces.whisper(self._channel, self._user, shown)
        except DeliveryError as error:
            if error.code not in NOT_THERE:
                raise
            self._otherwise.say(shown)


@contextmanager
def patiently(reply: Reply, notice: Message, patience: float = PATIENCE) -> Iterator[Callable[[Message], None]]:
    """Lend what shows the answer; where it is not there in time, a notice comes first and gives way to it."""
    lock = threading.Lock()
    over = False

    def announce() -> None:
        with lock:  # whoever answers meanwhile waits, so that the notice never comes last
            if over:
                return
            try:
                reply.say(notice)
            except DeliveryError as error:
                log.warning("nobody could be told that an answer takes longer: %s", error)

    def show(answer: Message) -> None:
        nonlocal over
        with lock:
            over = True
        reply.say(answer)

    timer = threading.Timer(patience, announce)
    timer.daemon = True
    timer.start()
    try:
        yield show
    finally:
        timer.cancel()
        with lock:
            over = True
