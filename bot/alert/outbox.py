"""Posting what waits in the outbox through a Sender: claim, send, record."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Protocol

from bot.alert import cards, digest
from bot.alert.cards import CardSender
from bot.alert.digest import DigestSender
from bot.alert.routing import Routing
from bot.errors import DeliveryError
from bot.model import AlertView
from bot.store import alerts, journal
from bot.store.messages import deliveries, notices, outbox
from bot.store.messages.notices import NoticeView
from bot.store.messages.outbox import Row
from bot.store.schema import Store
from bot.times import HOUR, SECOND

DELETED = "message_not_found"  # what Slack says of a message that somebody deleted
REPEAT = "(possible repeat) "
NO_ACCESS_PAUSE = 60 * SECOND  # between tries while Slack refuses the token: whoever mends it need not restart us
PATIENCE, LEAST_TRIES = 24 * HOUR, 50  # a row that Slack refuses for passing reasons; a step of the clock is no try


class Sender(CardSender, DigestSender, Protocol):
    """Where messages go. Each method raises DeliveryError."""

    def post_alert(self, channel: str, view: AlertView, repeat: bool) -> tuple[str, str]:
        """Post an alert's message; return the channel's id and the message's ts. `repeat`: it may be there already."""
        ...

    def update_alert(self, channel: str, ts: str, view: AlertView) -> None:
        """Draw an alert's message again."""
        ...

    def post_notice(self, channel: str, view: NoticeView, repeat: bool) -> tuple[str, str]:
        """Post a notice that stands for several alerts; return the channel's id and the message's ts."""
        ...

    def update_notice(self, channel: str, ts: str, view: NoticeView) -> None:
        """Draw a notice's message again."""
        ...

    def post_text(self, channel: str, text: str, thread_ts: str | None = None, mention: tuple[str, ...] = ()) -> str:
        """Post plain text, in a thread where one is given, with users and groups mentioned before it; return its ts."""
        ...

    def find_alert(self, channel: str, alert_id: int, since: int) -> str | None:
        """Return the ts of an alert's message that is already in the channel, by its metadata."""
        ...

    def find_notice(self, channel: str, notice_id: int, since: int) -> str | None:
        """Return the same of a notice's message."""
        ...


@dataclass(frozen=True)
class Channels:
    """Where messages go when nothing more special is said; None: nowhere, and rows wait."""

    default: str | None = None
    ops: str | None = None


@dataclass
class Report:
    """What one round of posting did."""

    sent: int = 0
    put_back: int = 0
    failed: list[str] = field(default_factory=list)


@dataclass
class Postman:
    """Empties the outbox. `now` gives microseconds."""

    store: Store
    sender: Sender
    channels: Channels
    routing: Callable[[], Routing]
    now: Callable[[], int]
    handled: int = field(default=0, init=False)  # rows, whatever became of them: a sign of life

    def recover(self) -> None:
        """Take back the rows that an earlier process was cut off in. An alert's message is looked up before it is
        posted again, then marked as a possible repeat; an update is simply drawn again."""
        for row in outbox.cut_off(self.store):
            outbox.put_back(self.store, row, self.now(), outbox.CUT_OFF)

    def run_once(self, most: int = 50) -> Report:
        """Send what is due, the most urgent first. A row that cannot be sent now does not hold up the others."""
        report = Report()
        for _ in range(most):
            row = outbox.claim(self.store, self.now())
            if row is None:
                break
            self.handled += 1
            try:
                self._send(row)
                report.sent += 1
            except DeliveryError as error:
                self._after_error(row, error, report)
                if error.code in outbox.NO_ACCESS:
                    break  # whatever else waits would be refused too
                if error.retry_after is not None:
                    break  # Slack asked for quiet
        return report

    def _send(self, row: Row) -> None:
        if row.kind == "canary":
            outbox.delivered_to_nobody(self.store, row, self.now())
            return
        channel = self._channel(row)
        if row.kind == "card":
            cards.send(self.store, self.sender, row, channel, self.now(), repeat=bool(row.unsure))
            outbox.posted(self.store, row, self.now())
            return
        if channel is None:
            raise DeliveryError("no_channel", permanent=False, retry_after=60)
        if row.kind == "digest":
            digest.send(self.store, self.sender, row, channel, self.now())
        elif row.kind in ("post", "update"):
            self._draw(row, channel)
        elif row.alert is None and row.notice is None:
            self._say(row, channel, None)
        elif self._still_so(row):
            self._say(row, *self._thread(row, channel))
        else:
            outbox.drop(self.store, row, self.now())

    def _draw(self, row: Row, channel: str) -> None:
        """Post or redraw the message of an alert or of a notice."""
        drawn = self._drawn(row)
        if row.kind == "update":
            try:
                drawn.update(drawn.place or channel, drawn.ts or "")
            except DeliveryError as error:
                if error.code != DELETED:
                    raise
                self._was_deleted(row, drawn, drawn.place or channel)
                return
            outbox.posted(self.store, row, self.now())
            return
        there = self._find(row, channel) if row.unsure else None
        place, ts = (channel, there) if there else drawn.post(channel, bool(row.unsure))
        outbox.posted(self.store, row, self.now(), place, ts)

    def _was_deleted(self, row: Row, drawn: _Drawn, channel: str) -> None:
        """Post a message anew that somebody deleted, as long as it waits for people; and tell that it was deleted."""
        if not drawn.wanted:
            outbox.drop(self.store, row, self.now())
            return
        there = self._find(row, channel) if row.unsure else None
        place, ts = (channel, there) if there else drawn.post(channel, bool(row.unsure))
        with self.store.write():
            outbox.posted(self.store, replace(row, kind="post"), self.now(), place, ts)
            journal.write(self.store, self.now(), "bot", "reposted", {"of": drawn.name, "channel": place})
            self._tell_ops(f"The message of {drawn.name} was deleted in Slack, and is posted anew.")

    def _drawn(self, row: Row) -> _Drawn:
        sender = self.sender
        if row.notice is not None:
            notice = notices.view(self.store, row.notice)
            if notice is None:
                raise DeliveryError("no_such_notice", permanent=True)
            return _Drawn(
                notice.notice.name, True, notice.notice.place, notice.notice.ts,
                lambda channel, repeat: sender.post_notice(channel, notice, repeat),
                lambda channel, ts: sender.update_notice(channel, ts, notice),
            )  # fmt: skip
        view = None if row.alert is None else alerts.view(self.store, row.alert, self.now())
        if view is None:
            raise DeliveryError("no_such_alert", permanent=True)
        return _Drawn(
            view.alert.name, view.alert.state in ("open", "acknowledged"), view.alert.channel, view.alert.ts,
            lambda channel, repeat: sender.post_alert(channel, view, repeat),
            lambda channel, ts: sender.update_alert(channel, ts, view),
        )  # fmt: skip

    def _say(self, row: Row, channel: str, thread: str | None) -> None:
        self.sender.post_text(channel, self._body(row), thread, tuple(row.mention.split()))
        outbox.posted(self.store, row, self.now())

    def _thread(self, row: Row, channel: str) -> tuple[str, str | None]:
        """Return where a reply goes: its own channel, the thread of its alert, or of the notice that stands for it."""
        if row.kind != "reply":
            return channel, None
        alert = None if row.alert is None else alerts.alert(self.store, row.alert)
        if alert is not None and alert.ts is not None:
            return alert.channel or channel, alert.ts
        number = row.notice
        if alert is not None and (way := deliveries.delivery(self.store, alert.id)):
            number = way.notice
        notice = None if number is None else notices.read_notice(self.store, number)
        return (channel, None) if notice is None else (notice.place or channel, notice.ts)

    def _rolled(self, alert: int) -> bool:
        way = deliveries.delivery(self.store, alert)
        return way is not None and way.lane != "own"

    def _still_so(self, row: Row) -> bool:
        """Tell whether the state that a row was written for still holds: a click calls off a reminder."""
        if row.only_while is None or row.alert is None:
            return True
        alert = alerts.alert(self.store, row.alert)
        return alert is not None and alert.state == row.only_while

    def _after_error(self, row: Row, error: DeliveryError, report: Report) -> None:
        now = self.now()
        if error.code in outbox.NO_ACCESS and (now - row.created <= PATIENCE or row.tries < LEAST_TRIES):
            outbox.put_back(self.store, row, now + NO_ACCESS_PAUSE, error.code)
            report.put_back += 1
            return
        fallback = self.channels.default if row.kind == "post" else None
        if error.permanent and fallback and row.channel is None and self._channel(row) != fallback:
            outbox.put_back(self.store, row, now, error.code, channel=fallback)
            self._tell_ops(f"Slack refuses {self._channel(row)} ({error.code}): the alert goes to {fallback} instead.")
            report.put_back += 1
        elif error.permanent or (now - row.created > PATIENCE and row.tries >= LEAST_TRIES):
            outbox.fail(self.store, row, now, error.code)
            report.failed.append(f"{row.kind} {row.id}: {error.code}")
            if row.kind != "ops":
                self._tell_ops(f"A message could not be posted ({error.code}); see `audit-bot status`.")
        else:
            wait = int(error.retry_after * SECOND) if error.retry_after is not None else outbox.backoff(row.tries)
            outbox.put_back(self.store, row, now + wait, error.code)
            report.put_back += 1

    def _tell_ops(self, text: str) -> None:
        outbox.put(self.store, "ops", self.now(), body=text)

    def _channel(self, row: Row) -> str | None:
        if row.channel:
            return row.channel
        if row.kind == "ops":
            return self.channels.ops or self.channels.default
        if row.notice is not None:
            notice = notices.read_notice(self.store, row.notice)
            return (notice.channel if notice else None) or self.channels.default
        view = alerts.view(self.store, row.alert, self.now()) if row.alert is not None else None
        own = self.routing().channel_of(view) if view else None
        return own or self.channels.default

    def _body(self, row: Row) -> str:
        """Return what a row says; in the thread of a notice it has to name its alert."""
        name = f"A{row.alert}"
        if row.kind == "reply" and row.alert is not None and name not in row.body and self._rolled(row.alert):
            row = replace(row, body=f"{row.body} ({name})")
        return REPEAT + row.body if row.unsure else row.body

    def _find(self, row: Row, channel: str) -> str | None:
        try:
            if row.notice is not None:
                return self.sender.find_notice(channel, row.notice, row.created)
            return None if row.alert is None else self.sender.find_alert(channel, row.alert, row.created)
        except DeliveryError:
            return None


@dataclass(frozen=True)
class _Drawn:
    """A message that can be posted or drawn again, whether somebody still needs it, and where it stands already."""

    name: str
    wanted: bool
    place: str | None
    ts: str | None
    post: Callable[[str, bool], tuple[str, str]]
    update: Callable[[str, str], None]
