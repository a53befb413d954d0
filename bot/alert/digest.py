"""When digests are due, and queueing each once; sending them and the pictures that go with them."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date, datetime, time, timedelta, tzinfo
from typing import Protocol

from bot.activity import local, start_of
from bot.alert.routing_keys import DigestTimes
from bot.charts.bursts import bursts_by_rule
from bot.charts.drawing import Picture
from bot.store.messages import digest, outbox, pictures
from bot.store.messages.digest import Digest, Kind
from bot.store.messages.outbox import Row
from bot.store.schema import Store
from bot.times import EPOCH, SECOND

LONGEST = {"daily": timedelta(days=7), "weekly": timedelta(days=28)}  # that one digest covers after a long silence
PERIOD = {"daily": timedelta(days=1), "weekly": timedelta(days=7)}
URGENCY = 0


class DigestSender(Protocol):
    """Where digests go. Each method raises DeliveryError."""

    def post_digest(self, channel: str, found: Digest, repeat: bool) -> tuple[str, str]:
        """Post a digest; return the channel's id and the message's ts. `repeat`: it may be there already."""
        ...


def run_once(store: Store, times: DigestTimes, now: int, zone: tzinfo) -> list[Kind]:
    """Queue the digests that are due, and return which.

    That follows from the last day told, which the store remembers: however often and however late this is called, each
    day is told once. A new database begins with the day on which it was made.
    """
    queued: list[Kind] = []
    wanted: dict[Kind, bool] = {"daily": times.daily, "weekly": times.weekly}
    for kind, on in wanted.items():
        until = due_until(kind, times.at, now, zone)
        with store.write():
            told = _told(store, kind, until)
            since = None if told is None else span_from(kind, told, until)
            if told is None or since is not None:
                store.set_meta(f"digest_{kind}", until.isoformat())
            if on and since is not None:
                text = digest.body(kind, start_of(since, zone), start_of(until, zone))
                outbox.put(store, "digest", now, body=text, urgency=URGENCY)
                queued.append(kind)
    return queued


def _told(store: Store, kind: Kind, until: date) -> date | None:
    """Return the last day told, None where there is none, or where it is of a time that our clock left again."""
    text = store.meta(f"digest_{kind}")
    told = None if text is None else date.fromisoformat(text)
    return told if told is None or told <= until + PERIOD[kind] else None


def due_until(kind: Kind, at: int, now: int, zone: tzinfo) -> date:
    """Return the day before which everything should have been told by now: today's, once its time has come.

    Where the clock skips that time, the moment at which it is skipped counts. Of weeks, the day is a Monday.
    """
    today = local(now, zone).date()
    wall = datetime.combine(today, time(at // 60, at % 60), zone)
    day = today if (wall - EPOCH) // timedelta(microseconds=1) <= now else today - timedelta(days=1)
    return day if kind == "daily" else day - timedelta(days=day.weekday())


def span_from(kind: Kind, told: date, until: date) -> date | None:
    """Return the first day that a digest has to tell, None where all is told already."""
    return max(told, until - LONGEST[kind]) if told < until else None


def send(store: Store, sender: DigestSender, row: Row, channel: str, now: int) -> None:
    """Post a digest as it stands now; a weekly one gets its picture into the thread. Raises DeliveryError."""
    found = digest.read(store, row.body, now)
    place, ts = sender.post_digest(channel, found, repeat=bool(row.unsure))
    with store.write():
        outbox.posted(store, row, now, place, ts)
        if isinstance(found, digest.Weekly):
            pictures.put(store, place, ts, f"bursts {row.body}", now)


def drawers(store: Store, zone: tzinfo) -> dict[str, Callable[[str], Picture]]:
    """Return what draws the pictures of reports, by the first word of their body."""
    return {"bursts": lambda text: draw_bursts(store, int(json.loads(text.partition(" ")[2])["until"]), zone)}


def draw_bursts(store: Store, until: int, zone: tzinfo) -> Picture:
    """Draw the findings of the four weeks before a moment, by rule."""
    since = until - digest.TREND
    first, last = local(since, zone), local(until - SECOND, zone)
    return bursts_by_rule(digest.bursts(store, until), (since, until), f"{first:%-d %b} to {last:%-d %b %Y}")
