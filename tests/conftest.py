"""What many tests share: a temporary store, records, and a portal on loopback."""

from __future__ import annotations

import socket
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from bot.heap import collect_rarely
from bot.model import Record
from bot.poll.records import parse_record
from bot.store.log import events
from bot.store.schema import Store
from bot.times import iso, parse_time
from tests.laws import PROFILE

settings.load_profile(PROFILE)
collect_rarely()  # as every command does

START = parse_time("2026-03-02T09:00:00Z")  # a Monday


@cache
def _empty() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "empty.db"
        Store(path).close()
        return path.read_bytes()


def fresh(path: Path) -> Store:
    """Return an empty database there: a copy of one, since making the tables takes longer than most tests."""
    path.write_bytes(_empty())
    return Store(path)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """Return an empty database of its own."""
    mine = fresh(tmp_path / "audit.db")
    yield mine
    mine.close()


@pytest.fixture(autouse=True)
def only_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuse every connection that would leave this machine, and every setting of whoever runs the tests."""
    real = socket.socket.connect

    def connect(self: socket.socket, address: Any) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6) and address[0] not in ("127.0.0.1", "::1", "localhost"):
            raise AssertionError(f"a test wants to talk to {address}")
        real(self, address)

    monkeypatch.setattr(socket.socket, "connect", connect)
    for name in ("CORTEX_API_KEY", "CORTEX_BASE_URL", "SLACK_BOT_TOKEN", "SLACK_APP_TOKEN", "SLACK_SIGNING_SECRET"):
        monkeypatch.delenv(name, raising=False)


def raw(
    time: int = START, action: str = "UPDATE", actor: str | None = "ann@corp.example", ip: str | None = "192.0.2.1",
    object_: str = "svc-1", type_: str = "SERVICE",
) -> dict[str, Any]:  # fmt: skip
    """Return one record as the API sends it."""
    return {
        "action": action, "actorIdentifier": actor, "ipAddress": ip, "objectIdentifier": object_, "objectType": type_,
        "timestamp": iso(time),
    }  # fmt: skip


def record(*args: Any, **kwargs: Any) -> Record:
    """Return one record as the parser makes it; takes what `raw` takes."""
    import json

    parsed = parse_record(json.dumps(raw(*args, **kwargs)).encode())
    assert isinstance(parsed, Record)
    return parsed


def add(store: Store, records: list[Record]) -> events.Added:
    """Store records as one sweep would."""
    return events.add(store, records, events.number_twins(store, records))
