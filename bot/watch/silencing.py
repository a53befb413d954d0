"""Looks at who silences what: people who hide alerts about themselves, and silence that grows unusual."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bot.model import EXCEPTION
from bot.store import journal
from bot.store.messages import outbox
from bot.store.people import exceptions
from bot.store.people.exceptions import TimedException
from bot.store.schema import Store
from bot.times import DAY, is_due, iso

SEEN = "silencing_seen"  # the newest exception that was looked at
TOLD = "silencing_told"  # when unusual silence was told last
PAST = 28  # days that say what is usual
TIMES = 3  # the usual, to be unusual
LEAST_APPROVED, LEAST_HIDDEN = 5, 20  # a day; fewer are never unusual

_APPROVED = "SELECT count(*) FROM exceptions WHERE created > ? AND created <= ?"
_HIDDEN = "SELECT count(*) FROM findings WHERE hidden LIKE 'exception %' AND found > ? AND found <= ?"


@dataclass
class Silencing:
    """Tells the channel of alerts, not only the ops channel: whoever runs the bot may be the one who silences it.

    `email_of` gives the e-mail address of a Slack user, None where it cannot be had.
    """

    store: Store
    email_of: Callable[[str], str | None]

    def run_once(self, now: int) -> list[str]:
        """Return what was told: each exception of one's own once, unusual silence once a day."""
        seen = int(self.store.meta(SEEN) or 0)
        fresh = [one for one in exceptions.in_force(self.store, now) if one.id > seen]
        told = [text for one in fresh if (text := self._own(one))]
        if unusual := self._unusual(now):
            told.append(unusual)
        with self.store.write():
            if fresh:
                self.store.set_meta(SEEN, str(max(one.id for one in fresh)))
            if unusual:
                self.store.set_meta(TOLD, str(now))
            for text in told:
                outbox.put(self.store, "notice", now, body=text)
                journal.write(self.store, now, "bot", "warned", {"text": text})
        return told

    def _own(self, one: TimedException) -> str:
        """Return a warning about an exception that hides, or names, the one who made it.

        Whoever says "yes, that was me" when asked makes no such exception: somebody else asked them, and it is told.
        """
        if one.kind == "answer":
            return ""
        names = {name.casefold() for name in (one.author, self.email_of(one.author)) if name}
        hidden = self.store.rows(
            "SELECT DISTINCT actor FROM findings WHERE hidden = ? AND actor IS NOT NULL", (f"{EXCEPTION}{one.id}",)
        )
        named = any(name in one.condition.casefold() for name in names)
        if not named and not names & {str(actor).casefold() for (actor,) in hidden}:
            return ""
        return (
            f"Somebody silenced alerts about themselves: exception {one.id} by {one.author}, until {iso(one.expires)},"
            f" hides {one.condition}. The reason given: {one.reason}"
        )

    def _unusual(self, now: int) -> str:
        if not is_due(self.store.meta_time(TOLD), DAY, now):
            return ""
        for what, sql, least in (
            ("exceptions were approved", _APPROVED, LEAST_APPROVED),
            ("findings were hidden by exceptions", _HIDDEN, LEAST_HIDDEN),
        ):
            day = self._count(sql, now - DAY, now)
            usual = self._count(sql, now - (PAST + 1) * DAY, now - DAY) / PAST
            if day >= least and day > TIMES * usual:
                return f"Silence grows unusual: {day} {what} within a day, {usual:.1f} a day are usual."
        return ""

    def _count(self, sql: str, since: int, until: int) -> int:
        return int(self.store.value(sql, (since, until)))
