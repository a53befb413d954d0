"""Posting: claim, send, record; what Slack refuses, loses or takes twice."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from bot.alert.outbox import REPEAT, Channels, Postman
from bot.alert.routing import Routing
from bot.errors import DeliveryError
from bot.model import AlertView, Level
from bot.store import alerts, journal
from bot.store.messages import outbox
from bot.store.messages.cards import Card, Placed
from bot.store.messages.digest import Digest
from bot.store.messages.notices import NoticeView
from bot.store.schema import Store
from bot.times import HOUR, MINUTE, SECOND
from tests.test_alerts import NOW, found, take


@dataclass
class Slack:
    """A Sender that remembers, and fails as told."""

    errors: list[DeliveryError | None] = field(default_factory=list)
    sent: list[tuple[str, ...]] = field(default_factory=list)
    there: dict[int, str] = field(default_factory=dict)

    def _may_fail(self) -> None:
        error = self.errors.pop(0) if self.errors else None
        if error:
            raise error

    def post_alert(self, channel: str, view: AlertView, repeat: bool) -> tuple[str, str]:
        self._may_fail()
        self.sent.append(("post", channel, view.alert.name, "repeat" if repeat else ""))
        return channel, "1.1"

    def update_alert(self, channel: str, ts: str, view: AlertView) -> None:
        self._may_fail()
        self.sent.append(("update", channel, view.alert.name, ts))

    def post_notice(self, channel: str, view: NoticeView, repeat: bool) -> tuple[str, str]:
        self._may_fail()
        self.sent.append(("notice", channel, view.notice.name, "repeat" if repeat else ""))
        return channel, "3.3"

    def update_notice(self, channel: str, ts: str, view: NoticeView) -> None:
        self._may_fail()
        self.sent.append(("redraw", channel, view.notice.name, ts))

    def post_text(self, channel: str, text: str, thread_ts: str | None = None, mention: tuple[str, ...] = ()) -> str:
        self._may_fail()
        self.sent.append(("text", channel, " ".join([*mention, text]), thread_ts or ""))
        return "2.2"

    def draw_card(self, channel: str, card: Card, *, repeat: bool) -> Placed:
        self._may_fail()
        self.sent.append(("card", channel, type(card).__name__, "repeat" if repeat else ""))
        return Placed(channel, "9.9")

    def post_digest(self, channel: str, found: Digest, repeat: bool) -> tuple[str, str]:
        self._may_fail()
        self.sent.append(("digest", channel, type(found).__name__, "repeat" if repeat else ""))
        return channel, "4.4"

    def find_alert(self, channel: str, alert_id: int, since: int) -> str | None:
        return self.there.get(alert_id)

    def find_notice(self, channel: str, notice_id: int, since: int) -> str | None:
        return self.there.get(-notice_id)


@dataclass
class Clock:
    time: int = NOW

    def __call__(self) -> int:
        return self.time


def postman(store: Store, slack: Slack, clock: Clock, routing: Routing | None = None) -> Postman:
    return Postman(store, slack, Channels("C0", "COPS"), lambda: routing or Routing(), clock)


def states(store: Store) -> list[tuple[str, str]]:
    return store.rows("SELECT kind, state FROM outbox ORDER BY id")


def test_the_most_severe_goes_first(store: Store) -> None:
    """A flood of low alerts must not bury the one that matters."""
    take(store, found(store, level=Level.medium, actor="a", at=NOW))
    for level, actor in ((Level.medium, "b"), (Level.critical, "c"), (Level.high, "d")):
        one = found(store, level=level, at=NOW)
        store.connection.execute("UPDATE findings SET grp = ? WHERE id = ?", (f'{{"actor": "{actor}"}}', one.id))
        from bot.store import alerts

        take(store, *alerts.findings(store, "id = ?", (one.id,)))
    slack, clock = Slack(), Clock()
    postman(store, slack, clock).run_once()
    assert [sent[2] for sent in slack.sent] == ["A3", "A4", "A1", "A2"]


def test_an_alert_goes_to_the_channel_of_its_level(store: Store) -> None:
    """routing.yml decides when the row is sent, not when it was queued."""
    take(store, found(store, level=Level.high))
    slack = Slack()
    postman(store, slack, Clock(), Routing(channels={Level.high: "CHIGH"})).run_once()
    assert slack.sent[0][1] == "CHIGH"


def test_a_row_waits_as_long_as_slack_asks(store: Store) -> None:
    """429 is obeyed, and nothing else is sent meanwhile."""
    take(store, found(store))
    slack, clock = Slack([DeliveryError("ratelimited", permanent=False, retry_after=30)]), Clock()
    post = postman(store, slack, clock)
    assert post.run_once().put_back == 1
    clock.time += 29 * SECOND
    assert post.run_once().sent == 0
    clock.time += SECOND
    assert post.run_once().sent == 1


def test_an_hour_without_slack_loses_nothing(store: Store) -> None:
    """The outbox waits, ever more patiently."""
    take(store, found(store))
    slack, clock = Slack([DeliveryError("unreachable", permanent=False)] * 12), Clock()
    post = postman(store, slack, clock)
    for _ in range(90):
        post.run_once()
        clock.time += MINUTE
    assert [sent[0] for sent in slack.sent] == ["post"]
    assert states(store) == [("post", "posted")]


def test_a_channel_that_is_gone_falls_back_and_ops_is_told(store: Store) -> None:
    """An alert must be seen somewhere."""
    take(store, found(store, level=Level.high))
    slack = Slack([DeliveryError("channel_not_found", permanent=True)])
    postman(store, slack, Clock(), Routing(channels={Level.high: "CGONE"})).run_once()
    assert slack.sent[0][:2] in (("post", "C0"), ("text", "COPS"))
    assert {sent[1] for sent in slack.sent} == {"C0", "COPS"}


def test_a_refusal_for_good_stays_visible(store: Store) -> None:
    """Given up is not forgotten."""
    take(store, found(store))
    slack = Slack([DeliveryError("is_archived", permanent=True)])
    report = postman(store, slack, Clock()).run_once()
    assert report.failed == ["post 1: is_archived"]
    assert ("post", "failed") in states(store)
    assert slack.sent[0][0:2] == ("text", "COPS")


def test_a_message_cut_off_by_a_crash_is_looked_up(store: Store) -> None:
    """Slack had it: it is not posted again."""
    take(store, found(store))
    outbox.claim(store, NOW)
    slack = Slack(there={1: "7.7"})
    post = postman(store, slack, Clock())
    post.recover()
    post.run_once()
    assert slack.sent == []
    assert store.value("SELECT ts FROM alerts") == "7.7"


def test_a_message_that_may_be_there_is_repeated_and_says_so(store: Store) -> None:
    """At least once; a repeat only when it cannot be known, and then marked."""
    take(store, found(store))
    outbox.put(store, "ops", NOW, body="hello")
    outbox.claim(store, NOW)
    outbox.claim(store, NOW)
    slack = Slack()
    post = postman(store, slack, Clock())
    post.recover()
    post.run_once()
    assert ("post", "C0", "A1", "repeat") in slack.sent
    assert ("text", "COPS", REPEAT + "hello", "") in slack.sent


def test_a_reply_lost_after_acceptance_is_looked_up_first(store: Store) -> None:
    """The connection dropped, and Slack had it."""
    take(store, found(store))
    slack, clock = Slack([DeliveryError("reply_lost", permanent=False)], there={1: "7.7"}), Clock()
    post = postman(store, slack, clock)
    post.run_once()
    clock.time += MINUTE
    post.run_once()
    assert slack.sent == []
    assert store.value("SELECT ts FROM alerts") == "7.7"


def test_a_reply_waits_for_its_message(store: Store) -> None:
    """A thread needs a root."""
    take(store, found(store))
    outbox.put(store, "reply", NOW, alert=1, body="news")
    slack = Slack()
    postman(store, slack, Clock()).run_once()
    assert [sent[0] for sent in slack.sent] == ["post", "text"]
    assert slack.sent[1] == ("text", "C0", "news", "1.1")


def test_without_a_channel_rows_wait(store: Store) -> None:
    """`poll` works without any Slack setting: what it would post stays in the outbox."""
    take(store, found(store))
    slack, clock = Slack(), Clock()
    Postman(store, slack, Channels(), Routing, clock).run_once()
    assert states(store) == [("post", "pending")]
    clock.time += HOUR
    postman(store, slack, clock).run_once()
    assert states(store) == [("post", "posted")]


def test_a_clock_that_is_stepped_back_holds_nothing_up(store: Store) -> None:
    """A row that waits for a moment of the old time is due at once; one that waits as usual goes on waiting."""
    take(store, found(store))
    slack, clock = Slack([DeliveryError("unreachable", permanent=False)]), Clock()
    post = postman(store, slack, clock)
    post.run_once()
    assert outbox.pull_in(store, clock.time) == 0
    clock.time -= 48 * HOUR
    assert outbox.pull_in(store, clock.time) == 1
    assert post.run_once().sent == 1


def test_a_clock_that_is_stepped_forward_gives_nothing_up(store: Store) -> None:
    """A day that never was is no day of trying."""
    take(store, found(store))
    slack, clock = Slack([DeliveryError("unreachable", permanent=False)] * 2), Clock()
    post = postman(store, slack, clock)
    post.run_once()
    clock.time += 48 * HOUR
    post.run_once()
    clock.time += HOUR
    assert post.run_once().sent == 1


@pytest.mark.parametrize("lost", [False, True])
def test_a_message_that_was_deleted_is_posted_anew_while_it_waits_for_people(store: Store, lost: bool) -> None:
    """Nobody hides an alert by deleting its message; also where nobody knows whether the new one was taken."""
    take(store, found(store))
    gone = DeliveryError("message_not_found", permanent=True)
    slack, clock = Slack(), Clock()
    post = postman(store, slack, clock)
    post.run_once()
    alerts.acknowledge(store, 1, "U1", clock())
    slack.errors = [gone, *[DeliveryError("reply_lost", permanent=False)] * lost]
    post.run_once()
    clock.time += HOUR
    slack.errors = [gone] * lost
    post.run_once()
    assert [sent[3] for sent in slack.sent if sent[0] == "post"] == ["", "repeat" if lost else ""]
    assert "A1 was deleted in Slack" in str(slack.sent)
    assert [entry["what"] for entry in journal.entries(store)][-1] == "reposted"
    assert (store.value("SELECT ts FROM alerts"), store.value("SELECT count(*) FROM outbox WHERE done IS NULL")) == (
        "1.1", 0,
    )  # fmt: skip
    alerts.resolve(store, 1, "U1", clock())
    slack.errors = [gone]
    before = len(slack.sent)
    post.run_once()
    assert [sent for sent in slack.sent[before:] if sent[0] == "post"] == []
    assert ("update", "dropped") in states(store)


def test_a_lost_reply_stays_in_doubt_whatever_comes_after(store: Store) -> None:
    """Slack took it, then asked for quiet: it is looked up all the same, and never posted twice unmarked."""
    take(store, found(store))
    errors = [DeliveryError("reply_lost", permanent=False), DeliveryError("ratelimited", permanent=False)]
    slack, clock = Slack([*errors]), Clock()
    post = postman(store, slack, clock)
    for _ in range(3):
        post.run_once()
        clock.time += 10 * MINUTE
    assert slack.sent == [("post", "C0", "A1", "repeat")]
