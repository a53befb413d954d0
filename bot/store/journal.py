"""The append-only, hash-chained record of what people and the bot did."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from bot.store.schema import Store
from bot.times import iso

START = "0" * 64


@dataclass(frozen=True)
class Head:
    """The newest entry of the journal; its hash, noted down elsewhere, shows any later cut."""

    entry: int
    hash: str


def write(store: Store, time: int, who: str, what: str, detail: Mapping[str, Any]) -> None:
    """Append one entry: `who` is a Slack user id or "bot", `what` one word, `detail` is stored as JSON."""
    text = json.dumps(detail, sort_keys=True, ensure_ascii=False, default=str)
    with store.write() as connection:
        last = head(store)
        digest = _chain(last.hash if last else START, time, who, what, text)
        connection.execute(
            "INSERT INTO journal (time, who, what, detail, hash) VALUES (?, ?, ?, ?, ?)",
            (time, who, what, text, digest),
        )


def entries(store: Store) -> Iterator[dict[str, Any]]:
    """Yield the entries, oldest first, as they are exported."""
    for number, time, who, what, detail, digest in store.rows(
        "SELECT id, time, who, what, detail, hash FROM journal ORDER BY id"
    ):
        when = iso(time) if isinstance(time, int) else str(time)
        yield {"id": number, "time": when, "who": who, "what": what, "detail": _read(detail), "hash": digest}


def head(store: Store) -> Head | None:
    """Return the newest entry, None where there is none."""
    for entry, digest in store.rows("SELECT id, hash FROM journal ORDER BY id DESC LIMIT 1"):
        return Head(entry, digest)
    return None


def verify(store: Store, anchor: str | None = None) -> tuple[int, str]:
    """Return how many entries hold and "" where all do, else what is wrong with the first that does not.

    A cut of the newest entries shows only against an `anchor`: a hash noted down earlier.
    """
    before, good, anchored = START, 0, anchor is None
    for number, time, who, what, detail, digest in store.rows(
        "SELECT id, time, who, what, detail, hash FROM journal ORDER BY id"
    ):
        if digest != _chain(before, time, who, what, detail):
            return good, f"entry {number} was changed, or entries before it were cut"
        before, good = digest, good + 1
        anchored = anchored or digest == anchor
    return good, "" if anchored else f"the anchor {anchor} is not in the journal: entries were cut or changed"


def _read(detail: str) -> Any:
    """Return an entry's detail; what is no JSON any more was changed, and is shown as it is."""
    try:
        return json.loads(detail)
    except ValueError:
        return detail


def _chain(before: str, time: int, who: str, what: str, detail: str) -> str:
    return hashlib.sha256(json.dumps([before, time, who, what, detail]).encode()).hexdigest()
