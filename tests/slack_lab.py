"""A laboratory for the Slack side: the real Bolt app against the stand-in over real HTTP, on a real store."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bot.alert.outbox import Channels, Postman
from bot.alert.routing import Routing
from bot.model import Alert, Entity, Finding, Level, Record, Rule
from bot.sandbox.slack import FakeSlack, fake_slack
from bot.sandbox.slack_state import ALERTS, GROUP, OPS, TOKEN
from bot.serving import serve
from bot.settings import Settings, load
from bot.slack.bolt import WORKERS, SlackApp
from bot.store import alerts
from bot.store.log import events
from bot.store.messages import outbox
from bot.store.schema import Store
from bot.times import MINUTE, SECOND, parse_time
from bot.web import Probes, web_app
from tests.conftest import fresh

NOW = parse_time("2026-11-23T08:00:00Z")
SECRET = "only-for-tests"
RULE = "1f0c2f0e-5a1e-4d0e-8f9b-6a4f3f1f7c11"
DRAWN = ("chat.postMessage", "chat.update", "chat.postEphemeral")
GRACE, DANIEL, ROBIN, NADIA, GUS, ELSA = "U0GRACE", "U0DANIEL", "U0ROBIN", "U0NADIA", "U0GUS", "U0ELSA"


class Clock:
    """A clock that goes on by itself from NOW, and by leaps when told."""

    def __init__(self, start: int = NOW) -> None:
        self._ahead = start - time.time_ns() // 1000

    def __call__(self) -> int:
        return time.time_ns() // 1000 + self._ahead

    def leap(self, by: int) -> None:
        self._ahead += by


def settings(api_url: str, **more: Any) -> Settings:
    """Return settings that name only the stand-in, whatever the environment says."""
    given = {
        "SLACK_BOT_TOKEN": TOKEN, "SLACK_SIGNING_SECRET": SECRET, "SLACK_API_URL": f"{api_url}/api/",
        "AUDIT_BOT_ALLOWED": GROUP, "AUDIT_BOT_CHANNEL": ALERTS, "AUDIT_BOT_OPS_CHANNEL": OPS,
        "AUDIT_BOT_TIMEZONE": "UTC",
    }  # fmt: skip
    return load(**(given | more))


def record(
    at: int, action: str, actor: str | None, thing: str, kind: str = "SERVICE", ip: str | None = "198.51.100.10"
) -> Record:
    """Return one audit record."""
    identity = f"{at}{action}{actor}{thing}{kind}{ip}".encode("utf-8", "surrogatepass")
    return Record(at, action, actor, ip, thing, kind, "", 0, identity)


def fill(
    store: Store, actor: str = "eve@corp.example", count: int = 12, end: int = NOW - MINUTE, **more: Any
) -> list[int]:
    """Store deletes of one actor, 45 s apart, the last at `end`; return all ids of events."""
    made = [
        record(end - n * 45 * SECOND, "DELETE", actor, f"svc-{n}", ip=more.get("ip", "192.0.2.66"))
        for n in range(count)
    ]
    events.add(store, made, events.number_twins(store, made))
    return [row[0] for row in store.rows("SELECT id FROM events ORDER BY id")]


def seed_alert(store: Store, actor: str = "eve@corp.example", level: Level = Level.high, **more: Any) -> int:
    """Store a bulk delete with its finding and alert, waiting in the outbox; return the alert's id."""
    ids = fill(store, actor, **more)
    first, last = NOW - MINUTE - 11 * 45 * SECOND, NOW - MINUTE
    rule = Rule(
        RULE, "Bulk delete by one actor", level, description="Ten or more things deleted by one actor in ten minutes.",
        runbook="https://runbooks.corp.example/bulk-delete", ask_actor=True,
    )  # fmt: skip
    alerts.remember_rules(store, [rule])
    alert = alerts.insert_alert(
        store, Alert(0, Entity("actor", actor), level, 60, "open", "posted", NOW, first, last, 12), late_by=0
    )
    found = Finding(
        0, RULE, rule.title, level, {"actor": actor}, first, last, 12, actor, "192.0.2.66", tuple(ids[-3:]),
        ("12 different objects deleted in 8 min; usual at most 1 an hour",), alert_id=alert.id,
    )  # fmt: skip
    alerts.insert_finding(store, found, NOW)
    outbox.put(store, "post", NOW, alert=alert.id, urgency=int(level))
    return alert.id


class Lab:
    """The parts, tied together as the app ties them."""

    def __init__(self, slack: FakeSlack, app: SlackApp, store: Store, clock: Clock) -> None:
        self.slack, self.app, self.store, self.clock = slack, app, store, clock
        channels = Channels(ALERTS, OPS)
        self.postman = Postman(store, app, channels, Routing, clock)
        app.poke = self.deliver
        app._asking.patience = 60  # a test on a busy machine wants the answer, not that it takes longer

    def deliver(self) -> None:
        """Send what waits."""
        self.postman.run_once()

    def settle(self) -> None:
        """Wait until the app has worked on all that it was sent."""
        idle = threading.Barrier(WORKERS + 1)
        for _ in range(WORKERS):
            self.app._workers.submit(idle.wait, 10)
        idle.wait(10)

    def posted_alert(self, **more: Any) -> tuple[int, str]:
        """Seed an alert and post it; return its id and the message's ts."""
        number = seed_alert(self.store, **more)
        self.deliver()
        return number, str(self.slack.messages()[-1]["ts"])

    def press(self, user: str, ts: str, action: str, value: str | None = None) -> dict[str, Any] | None:
        """Press a button of a message, or choose in its menu; return the modal that opens, if one does."""
        before = self.slack.views.top(user)
        self.slack.requests.click(user, self.channel_of(ts), ts, action, value=value)
        self.settle()
        after = self.slack.views.top(user)
        return self.slack.views.described(after) if after and after is not before else None

    def submit(self, user: str, **values: str) -> dict[str, str]:
        """Fill in the modal that somebody has open, and submit it; return what is wrong by field."""
        shown = self.slack.views.top(user)
        assert shown is not None, "no modal is open"
        return self.slack.requests.submit(user, shown.id, values)

    def choose(self, user: str, field: str, **values: str) -> str:
        """Change a field of the open modal that tells the bot of it; return what the modal says then."""
        shown = self.slack.views.top(user)
        assert shown is not None, "no modal is open"
        self.slack.requests.act(user, shown.id, field, values)
        self.settle()
        return words(shown.content["blocks"])

    def resolve(self, user: str, ts: str, verdict: str = "right", note: str = "") -> dict[str, str]:
        """Press Resolve and say what the alert was."""
        assert self.press(user, ts, "alert_resolve")
        return self.submit(user, verdict=verdict, note=note)

    def channel_of(self, ts: str) -> str:
        """Return the channel of a message."""
        return next(c for c in self.slack.channels if any(m["ts"] == ts for m in self.slack.everything(c)))

    def told(self, user: str) -> str:
        """Return what somebody alone was told."""
        return words(self.slack.ephemerals(user))

    def journal(self, what: str) -> list[tuple[str, str]]:
        """Return who and detail of the journal's entries of one kind."""
        rows = self.store.rows("SELECT who, detail FROM journal WHERE what = ? ORDER BY id", (what,))
        return [(str(who), str(detail)) for who, detail in rows]

    def ask(self, text: str, user: str = GRACE) -> dict[str, Any]:
        """Type /audit and return the ephemeral answer."""
        before = len(self.slack.ephemerals(user))
        self.slack.requests.command(user, text, ALERTS)
        answer: dict[str, Any] = eventually(lambda: self.slack.ephemerals(user)[before:])[-1]
        return answer


@contextmanager
def lab(folder: Path, **more: Any) -> Iterator[Lab]:
    """Start everything on free ports, and leave nothing behind."""
    clock = Clock()
    store = fresh(folder / "audit.db")
    fake, slack = fake_slack("", SECRET, clock)
    with serve(fake) as outside:
        app = SlackApp(settings(outside.url, **more), store, clock)
        with serve(web_app(app, Probes(list, list, lambda: b""))) as inside:
            slack.requests.url, slack.requests.events_url = outside.url, f"{inside.url}/slack/events"
            try:
                yield Lab(slack, app, store, clock)
                all_taken(slack)
            finally:
                app.close()
                store.close()


def all_taken(slack: FakeSlack) -> None:
    """Hold that nothing the bot sent was over a limit of Slack, or had to go out as plain text because of one.

    Every test with a stand-in ends so; what a test has it refuse, it clears away itself.
    """
    assert (slack.recorded.refused, slack.views.refused) == ([], [])
    plain = [given for method, given in slack.recorded.calls if method in DRAWN and given.get("blocks") in ([], "[]")]
    assert plain == []


def eventually(look: Callable[[], Any], seconds: float = 5.0) -> Any:
    """Return what `look` gives as soon as it is true; fail when it never is."""
    end = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.01)
    return found


def words(message: Any) -> str:
    """Return all texts in a message, for looking something up in it."""
    if isinstance(message, dict):
        own = [str(message[name]) for name in ("text", "url", "user_id") if isinstance(message.get(name), str)]
        return " ".join([*own, *(words(value) for value in message.values() if isinstance(value, dict | list))])
    return " ".join(words(value) for value in message) if isinstance(message, list) else ""
