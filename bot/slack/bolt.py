"""Listens to Slack through Bolt: commands, buttons and forms, over Socket Mode or over HTTP."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from slack_bolt import Ack, App, BoltContext, BoltRequest, BoltResponse
from slack_bolt.adapter.socket_mode import SocketModeHandler
from slack_bolt.middleware import Middleware
from slack_sdk.signature import Clock, SignatureVerifier

from bot.errors import ConfigError, DeliveryError
from bot.fields import FactSettings
from bot.settings import Settings
from bot.slack.actions import Actions, Seen
from bot.slack.alert_forms import ANSWER_FORM
from bot.slack.answering import Answering
from bot.slack.answers import BUILD, LOOK_UP, sorry_answer
from bot.slack.asking import Asking
from bot.slack.blocks import Message, payload
from bot.slack.building import Building
from bot.slack.cards_message import ANSWERS
from bot.slack.commands import COMMAND, Commands
from bot.slack.desk import Desk, RefusedError
from bot.slack.doors import Doors
from bot.slack.forms import notice
from bot.slack.gestures import pressed, submitted
from bot.slack.guard import Asker, Guard, Person, Verdict, who_asks
from bot.slack.notice_message import OPEN
from bot.slack.quieting import Quieting
from bot.slack.sender import SlackSender, answer_by_url, told_apart
from bot.slack.submissions import Submissions
from bot.slack.surfaces import Surfaces
from bot.slack.text import clean
from bot.store import journal
from bot.store.schema import Store
from bot.times import SECOND

log = logging.getLogger(__name__)

WORKERS = 4
SOCKET_SILENCE = 60 * SECOND
OPEN_TO_THE_ASKED = (*ANSWERS, ANSWER_FORM)
BROKEN = "Something went wrong while I worked on that; it is in the log."


@dataclass(frozen=True)
class HttpAnswer:
    """What goes back to Slack over HTTP."""

    status: int
    headers: Mapping[str, str]
    body: str


class _Clock(Clock):
    def __init__(self, now: Callable[[], int]) -> None:
        self._now = now

    def now(self) -> float:
        return self._now() / SECOND


class _Signed(Middleware):
    """Lets nothing in over HTTP that Slack did not sign within five minutes; without a secret, nothing at all."""

    def __init__(self, secret: str, now: Callable[[], int]) -> None:
        self._verifier = SignatureVerifier(secret, _Clock(now)) if secret else None

    def process(self, *, req: BoltRequest, resp: BoltResponse, next: Callable[[], BoltResponse]) -> BoltResponse:  # noqa: A002 -- Bolt names it
        if req.mode == "socket_mode":
            return next()
        headers = {name.lower(): values[0] for name, values in req.headers.items() if values}
        try:
            signed = self._verifier is not None and self._verifier.is_valid_request(req.raw_body, headers)
        except (ValueError, TypeError):  # a time stamp that is no number, a signature that is no ASCII
            signed = False
        return next() if signed else BoltResponse(status=401, body="invalid signature")


class SlackApp(SlackSender):
    """The Slack side of the bot: a Sender that also listens.

    `now` gives microseconds. `poke` is called after a click that changed something; the app sets it to the outbox's.
    """

    def __init__(
        self, settings: Settings, store: Store, now: Callable[[], int], facts: FactSettings | None = None
    ) -> None:
        facts = facts or settings.fact_settings()
        super().__init__(settings, now, facts.zone)
        self._settings, self._store = settings, store
        self.poke: Callable[[], None] = lambda: None
        self._guard = Guard(settings.allowed, self._directory)
        surfaces = Surfaces(self._reads, self._send)
        self._asking = Asking(Commands(store, facts, now), self, now, facts.zone)
        self._doors = Doors(store, surfaces, self._guard, now, facts.zone, settings.channel)
        self._asking.refresh = self._doors.refresh
        building = Building(self._asking, self, surfaces, now, lambda *work: self._later({}, *work))
        self._shortcuts = {BUILD: building.open, LOOK_UP: self._asking.look_up}
        self._asks = {**self._asking.buttons, **building.buttons}
        desk = Desk(store, facts, now, lambda: self.poke(), self, self._guard.member, settings.two_person)
        quieting = Quieting(desk)
        self._buttons = {**Actions(desk).buttons, **quieting.buttons, **Answering(desk).buttons}
        self._forms = {**Submissions(desk, quieting).forms, **building.forms}
        self._handled = Seen(now)
        self._workers = ThreadPoolExecutor(WORKERS, "slack-work")
        self._listeners = ThreadPoolExecutor(2 * WORKERS, "slack-ack")
        self._socket: SocketModeHandler | None = None
        self._bolt = self._build()

    def handle_http(self, body: str, headers: Mapping[str, str]) -> HttpAnswer:
        """Answer one request to /slack/events; blocks until it is acknowledged."""
        request = BoltRequest(body=body, headers=dict(headers))
        answer = self._bolt.dispatch(request)
        return HttpAnswer(answer.status, answer.first_headers_without_set_cookie(), answer.body)

    def connect_socket(self) -> None:
        """Open the Socket Mode connection, in place of an earlier one; returns once it stands.

        Raises ConfigError, DeliveryError.
        """
        token = self._settings.slack_app_token
        if token is None:
            raise ConfigError("SLACK_APP_TOKEN: is not set: copy an app-level token (xapp-...) with connections:write.")
        if self._socket is not None:
            self._socket.close()  # type: ignore[no-untyped-call]  # Bolt types only a part
            self._socket = None
        handler = SocketModeHandler(self._bolt, token.get_secret_value(), web_client=self._reads.client)
        with ExitStack() as unless_it_works:
            unless_it_works.callback(handler.close)
            with told_apart():
                handler.connect()  # type: ignore[no-untyped-call]  # Bolt types only a part
            unless_it_works.pop_all()
        self._socket = handler

    def socket_alive(self) -> bool:
        """Tell whether Slack was heard within a minute: an open connection alone says nothing."""
        session = self._socket.client.current_session if self._socket else None
        if session is None or not session.is_active():
            return False
        heard = session.last_ping_pong_time
        return heard is None or self._now() - int(heard * SECOND) < SOCKET_SILENCE

    def email_of(self, user_id: str) -> str | None:
        """Return a user's e-mail address, None for what is no user, or where Slack does not say."""
        if not re.fullmatch(r"[UW][A-Z0-9]{2,20}", user_id):
            return None
        try:
            return self._directory.person(user_id).email
        except DeliveryError:
            return None

    def close(self) -> None:
        """Close the connection, then finish what was begun."""
        if self._socket is not None:
            self._socket.close()  # type: ignore[no-untyped-call]  # as above
        self._listeners.shutdown()
        self._workers.shutdown()

    def _build(self) -> App:
        secret = self._settings.slack_signing_secret
        app = App(
            name="audit-bot",
            client=self._reads.client,
            token_verification_enabled=False,  # else a start while Slack is away fails
            request_verification_enabled=False,  # done by _Signed, by the injected clock
            before_authorize=_Signed(secret.get_secret_value() if secret else "", self._now),
            listener_executor=self._listeners,
        )
        app.middleware(self._guarded)
        app.command(COMMAND)(self._hearing(self._asking.command))
        for action, work in (*self._asks.items(), *dict.fromkeys(self._buttons, self._press).items()):
            app.action(action)(self._hearing(work))
        app.action(re.compile(rf"{OPEN}_\d+$"))(self._hearing(self._press))
        for shortcut, work in self._shortcuts.items():
            app.shortcut(shortcut)(self._hearing(work))
        for event, hear in self._doors.events.items():
            app.event(event)(self._on_event(hear))
        for callback in self._forms:
            app.view(callback)(self._on_submission)
        return app

    def _guarded(self, body: dict[str, Any], context: BoltContext, ack: Ack, next: Callable[[], Any]) -> Any:  # noqa: A002 -- Bolt names it
        asker = who_asks(body)
        verdict = self._verdict(asker) if asker else Verdict("allowed")
        if asker is None or verdict.allowed:
            context["person"] = verdict.person
            return next()
        self._later(body, self._note_refusal, asker, verdict)
        said = sorry_answer(verdict.text)
        if asker.kind == "command":
            return ack({**payload(said), "response_type": "ephemeral"})
        if asker.kind == "view":
            return ack(response_action="update", view=notice("Not allowed", verdict.text))
        self._later(body, self._respond, body, said)
        return ack()

    def _hearing(self, work: Callable[[dict[str, Any], Person | None], None]) -> Callable[..., None]:
        """Return a listener that acknowledges at once, lets `work` follow, and hears each request only once."""

        def listener(ack: Ack, body: dict[str, Any], context: BoltContext) -> None:
            if not self._handled.again(str(body.get("trigger_id") or "")):
                self._later(body, work, body, context.get("person"))
            ack()

        return listener

    def _on_event(self, hear: Callable[[dict[str, Any]], None]) -> Callable[..., None]:
        """Return a listener that hears each event once; `hear` asks itself who may."""

        def listener(body: dict[str, Any]) -> None:
            if not self._handled.again(str(body.get("event_id") or "")):
                self._later(body, hear, body)

        return listener

    def _verdict(self, asker: Asker) -> Verdict:
        """Return whether somebody may; who was asked something may answer that, and nothing else."""
        return self._guard.bystander(asker) if asker.what in OPEN_TO_THE_ASKED else self._guard.verdict(asker)

    def _on_submission(self, ack: Ack, body: dict[str, Any], context: BoltContext) -> None:
        """Work first: Slack takes what is wrong with a form only as the answer to it."""
        twice = self._handled.again(str(body.get("trigger_id") or ""))
        ack(**({} if twice else self._submitted(body, context.get("person"))))

    def _press(self, body: dict[str, Any], person: Person | None) -> None:
        click = pressed(body, person)
        try:
            said = self._buttons[OPEN if click.what.startswith(OPEN) else click.what](click)
        except RefusedError as refused:
            said = sorry_answer(str(refused))
            if not body.get("response_url") and click.view:  # in a modal nothing else can be said
                self.update_view(str(click.view["id"]), notice("Not possible", str(refused)))
        if said is not None:
            self._respond(body, said)

    def _submitted(self, body: dict[str, Any], person: Person | None) -> dict[str, Any]:
        sent = submitted(body, person)
        try:
            errors = self._forms[sent.what](sent)
        except RefusedError as refused:
            return {"response_action": "update", "view": notice("Not possible", str(refused))}
        except Exception:
            log.exception("a form could not be worked on")
            return {"response_action": "update", "view": notice("Not possible", BROKEN)}
        return {"response_action": "errors", "errors": errors} if errors else {}

    def _note_refusal(self, asker: Asker, verdict: Verdict) -> None:
        detail = {"kind": asker.kind, "what": clean(asker.what, 80), "outcome": verdict.why}
        journal.write(self._store, self._now(), asker.user or "unknown", "refusal", detail)

    def _respond(self, body: dict[str, Any], said: Message) -> None:
        """Tell the asker where they asked; where that is nowhere, in a window of its own."""
        if url := body.get("response_url"):
            answer_by_url(url, said)
        elif body.get("type") == "shortcut" or (body.get("view") or {}).get("type") == "home":
            self.open_view(str(body["trigger_id"]), notice("audit-bot", said.text))

    def _later(self, body: dict[str, Any], work: Callable[..., None], *arguments: Any) -> None:
        self._workers.submit(self._job, body, work, *arguments)

    def _job(self, body: dict[str, Any], work: Callable[..., None], *arguments: Any) -> None:
        try:
            work(*arguments)
        except Exception:
            log.exception("a request from Slack could not be worked on")
            if work != self._respond:
                self._job(body, self._respond, body, sorry_answer(BROKEN))
