"""What time alone brings about: notices that come or end, reminders, escalation. One verb, run every few seconds."""

from __future__ import annotations

from datetime import tzinfo

from bot.alert.routing import Routing
from bot.alert.routing_keys import STORM
from bot.store import notices
from bot.store.schema import Store
from bot.times import DAY


def run_once(store: Store, routing: Routing, now: int, zone: tzinfo) -> None:
    """Post the notices of quiet hours that have ended, end those that have been calm or open for long."""
    with store.write():
        notices.release(store, now)
        calm = (routing.storm or STORM).within
        for notice in notices.open_notices(store):
            over = notice.kind == "storm" and notice.last + calm <= now
            if over or (notice.kind != "held" and notice.opened + DAY <= now):
                notices.close(store, notice, now)
