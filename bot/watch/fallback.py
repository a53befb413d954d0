"""The second path: what Slack did not take goes to the log and to AUDIT_BOT_FALLBACK_WEBHOOK, the worst first."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from bot.errors import DeliveryError
from bot.store import alerts
from bot.store.messages import notices, outbox
from bot.store.messages.outbox import Row
from bot.store.schema import Store
from bot.times import HOUR, iso, say_duration

log = logging.getLogger(__name__)

DEAD_AFTER = HOUR  # of trying
MOST = 20  # in one round, so that nothing else waits for long

Call = Callable[[str, Mapping[str, Any]], None]


@dataclass
class Fallback:
    """Hands on what waits too long, or was refused for good; once each. It stays in the outbox all the same."""

    store: Store
    url: str | None
    call: Call

    def run_once(self, now: int) -> int:
        """Return how many rows went the second way."""
        done = 0
        for row in outbox.stranded(self.store, now - DEAD_AFTER, now - 24 * HOUR, MOST):
            body = self._body(row, now)
            try:
                if self.url is not None:
                    self.call(self.url, body)
            except DeliveryError as error:
                log.error("the fallback webhook did not take a message: %s", error.code)
                return done
            outbox.handed_on(self.store, row, now)
            log.critical("not posted in Slack (%s): %s", row.error or "waiting", body["text"])
            done += 1
        return done

    def say(self, text: str) -> None:
        """Say one thing now, without any use of the disk."""
        log.critical("%s", text)
        try:
            if self.url is not None:
                self.call(self.url, {"text": text, "kind": "ops"})
        except DeliveryError as error:
            log.error("the fallback webhook did not take a message: %s", error.code)

    def _body(self, row: Row, now: int) -> dict[str, Any]:
        waited = f"Slack has not taken this for {say_duration(max(0, now - row.created))} ({row.error or 'waiting'})"
        body: dict[str, Any] = {"kind": row.kind, "queued": iso(row.created)}
        view = alerts.view(self.store, row.alert, now) if row.alert is not None else None
        if notice := notices.view(self.store, row.notice) if row.notice is not None else None:
            found = f"{notice.total} alerts ({notice.notice.kind}), the worst {notice.notice.level.name}"
            return body | {"text": f"{found}: see `audit-bot alerts` [{waited}]"}
        if view is None:
            return body | {"text": f"{row.body} [{waited}]"}
        one = view.alert
        titles = list(dict.fromkeys(finding.title for finding in view.findings))
        return body | {
            "text": f"{one.name} {one.level.name}: {one.entity}: {'; '.join(titles)} [{waited}]",
            "alert": one.name,
            "level": one.level.name,
            "entity": str(one.entity),
            "rules": titles,
            "reasons": [reason for finding in view.findings for reason in finding.reasons][:10],
            "first_event": iso(one.first),
            "last_event": iso(one.last),
            "events": one.events,
        }
