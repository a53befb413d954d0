"""Puts pictures into the threads of messages: draws, uploads, records; after the message, never before it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, tzinfo
from typing import Protocol

from bot.charts.drawing import Picture
from bot.charts.heat import heat_map
from bot.errors import DeliveryError
from bot.store.messages import outbox, pictures
from bot.store.messages.pictures import Row
from bot.store.queries.explain import alert_story
from bot.store.schema import Store
from bot.times import SECOND

log = logging.getLogger(__name__)

TRIES = 4  # then a picture is given up: the message says all that it shows


class FileSender(Protocol):
    """Where files go. Each method raises DeliveryError."""

    def post_file(
        self, channel: str, name: str, content: bytes, title: str, *, alt: str = "", thread_ts: str | None = None
    ) -> None:
        """Upload a file into a thread."""
        ...

    def has_file(self, channel: str, thread_ts: str, name: str) -> bool:
        """Tell whether a file of this name is in a thread already."""
        ...


@dataclass
class Illustrator:
    """Draws what is due, in whatever thread it is called. `now` gives microseconds, `zone` is that of the hours.

    `reports` draws the pictures of reports, by the first word of their body.
    """

    store: Store
    sender: FileSender
    now: Callable[[], int]
    zone: tzinfo = UTC
    reports: Mapping[str, Callable[[str], Picture]] = field(default_factory=dict)

    def recover(self) -> None:
        """Take back what an earlier process was cut off in."""
        pictures.recover(self.store, self.now())

    def run_once(self, most: int = 5) -> int:
        """Put what is due into its threads, each picture once; return how many."""
        sent = 0
        pictures.take_note(self.store, self.now())
        for _ in range(most):
            row = pictures.claim(self.store, self.now())
            if row is None:
                break
            try:
                sent += self._send(row)
            except DeliveryError as error:
                self._after_error(row, error)
                if error.retry_after is not None:
                    break  # Slack asked for quiet
        return sent

    def _send(self, row: Row) -> bool:
        name = f"A{row.alert}.png" if row.alert is not None else f"report-{row.id}.png"
        there = row.unsure and self.sender.has_file(row.channel, row.ts, name)
        picture = None if there else self._draw(row)
        if picture is not None:
            self.sender.post_file(
                row.channel, name, picture.png, picture.title, alt=picture.alt, thread_ts=row.ts
            )  # fmt: skip
        elif not there:
            return False
        pictures.posted(self.store, row, self.now())
        return True

    def _draw(self, row: Row) -> Picture | None:
        """Return the picture; one that cannot be drawn now never can be, so it is given up."""
        try:
            if row.alert is None:
                return self.reports[row.body.partition(" ")[0]](row.body)
            story = alert_story(self.store, row.alert, self.now(), self.zone)
            if story is not None:
                return heat_map(story.activity)
            why = "there is no such alert"
        except Exception as error:
            log.exception("a picture could not be drawn")
            why = f"{type(error).__name__}: {error}"
        pictures.drop(self.store, row, self.now(), why)
        return None

    def _after_error(self, row: Row, error: DeliveryError) -> None:
        now = self.now()
        if error.permanent or row.tries + 1 >= TRIES:
            log.warning("a picture is left out: Slack says %s", error.code)
            pictures.drop(self.store, row, now, error.code)
            return
        wait = int(error.retry_after * SECOND) if error.retry_after is not None else outbox.backoff(row.tries)
        unsure = row.unsure or error.code == outbox.REPLY_LOST
        pictures.put_back(self.store, row, now + wait, error.code, unsure=unsure)
