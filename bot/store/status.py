"""What the bot knows about its own state, from the store alone."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from bot.fields import LEARNING_DAYS
from bot.store.messages import outbox
from bot.store.schema import Store
from bot.times import DAY, WEEK, iso

HOME_SAID = "rules_home_said"  # what there is to say about the place that the rules come from


@dataclass(frozen=True)
class Status:
    """Times in microseconds, None where there is nothing yet. `forest` and `rules` are sentences.

    `queue` counts what could have been sent by now, since `oldest_queued`.
    """

    events: int
    malformed: int
    first_event: int | None
    last_event: int | None
    watermark: int | None
    last_poll: int | None
    gaps: tuple[tuple[int, int, str], ...]
    queue: int
    oldest_queued: int | None
    failed: int
    findings_7d: int
    alerts_open: int
    forest: str
    rules: str
    learning_until: int | None

    def as_json(self) -> dict[str, Any]:
        """Return the same with times in ISO 8601, for machines."""
        times = ("first_event", "last_event", "watermark", "last_poll", "oldest_queued", "learning_until")
        plain = asdict(self) | {"gaps": [{"since": iso(a), "until": iso(b), "reason": why} for a, b, why in self.gaps]}
        return plain | {name: None if plain[name] is None else iso(plain[name]) for name in times}


def status(store: Store, now: int) -> Status:
    """Return the state as of `now`."""
    [(first, last)] = store.rows("SELECT min(time), max(time) FROM events")
    queue, oldest = outbox.waiting(store, now)
    learnt = None if first is None else first + LEARNING_DAYS * DAY
    return Status(
        events=store.db.table("events").count,
        malformed=store.db.table("malformed").count,
        first_event=first,
        last_event=last,
        watermark=store.meta_time("watermark"),
        last_poll=store.meta_time("last_poll"),
        gaps=tuple(store.rows("SELECT since, until, reason FROM gaps WHERE closed IS NULL ORDER BY since")),
        queue=queue,
        oldest_queued=oldest,
        failed=store.value("SELECT count(*) FROM outbox WHERE state = 'failed'"),
        findings_7d=store.value("SELECT count(*) FROM findings WHERE state = 'open' AND last > ?", (now - WEEK,)),
        alerts_open=store.value(
            "SELECT count(*) FROM alerts WHERE state IN ('open', 'acknowledged') AND decision LIKE 'posted%'"
        ),
        forest=store.meta("forest") or "not started yet",
        rules=". ".join(filter(None, (store.meta("rules_state") or "not loaded yet", store.meta(HOME_SAID)))),
        learning_until=learnt if learnt is not None and learnt > now else None,
    )
