"""Alarms about the bot itself: told when they begin, once a day while they last, and when they are over."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from bot.store.messages import outbox
from bot.store.schema import Store
from bot.times import DAY, is_due, say_duration

_PREFIX = "alarm_"


@dataclass(frozen=True)
class Alarm:
    """Something that is wrong with the bot now: since when, when it was last told, and the sentence."""

    since: int
    told: int
    text: str


def lasting(store: Store) -> dict[str, Alarm]:
    """Return the alarms that last, by key."""
    rows = store.rows("SELECT key, value FROM meta WHERE key LIKE 'alarm\\_%' ESCAPE '\\' ORDER BY key")
    return {str(key).removeprefix(_PREFIX): Alarm(**json.loads(value)) for key, value in rows}


def update(store: Store, wrong: Mapping[str, str], now: int) -> list[str]:
    """Take what is wrong now, by key, to the ops channel: what is new or a day old, and what is over.

    Returns what was told.
    """
    known = lasting(store)
    told = []
    with store.write():
        for key, text in wrong.items():
            before = known.get(key)
            if before is None or is_due(before.told, DAY, now):
                _note(store, key, Alarm(before.since if before else now, now, text))
                told.append(text)
        for key in known.keys() - wrong.keys():
            store.set_meta(_PREFIX + key, None)
            told.append(f"Over after {say_duration(max(0, now - known[key].since))}: {known[key].text}")
        for text in told:
            outbox.put(store, "ops", now, body=text)
    return told


def _note(store: Store, key: str, alarm: Alarm) -> None:
    store.set_meta(_PREFIX + key, json.dumps(asdict(alarm), ensure_ascii=False))
