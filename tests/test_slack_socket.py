"""Socket Mode against a small WebSocket server: no signature, the same guard, the same answers."""

from __future__ import annotations

import base64
import hashlib
import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bot.errors import ConfigError, DeliveryError
from bot.sandbox.slack_state import ALERTS, APP_TOKEN, TEAM
from tests.slack_lab import GRACE, NADIA, Lab, eventually, lab, words

MAGIC = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # of RFC 6455
TEXT, CLOSE, PING, PONG = 1, 8, 9, 10


class Line:
    """One WebSocket connection, seen from Slack's side."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"ws://127.0.0.1:{self._listener.getsockname()[1]}/"
        self.heard: list[dict[str, Any]] = []
        self._open = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def say(self, envelope: dict[str, Any]) -> None:
        """Send one envelope."""
        assert self._open.wait(5)
        self._frame(TEXT, json.dumps(envelope).encode())

    def stop(self) -> None:
        """End the server; the bot has closed its end before."""
        self._listener.close()
        self._thread.join(5)

    def _serve(self) -> None:
        try:
            self._peer, _ = self._listener.accept()
        except OSError:
            return
        with self._peer:
            request = b""
            while b"\r\n\r\n" not in request:
                request += self._peer.recv(4096)
            fields = dict(line.split(": ", 1) for line in request.decode().splitlines()[1:] if ": " in line)
            key = {name.lower(): value for name, value in fields.items()}["sec-websocket-key"]
            accept = base64.b64encode(hashlib.sha1((key + MAGIC).encode(), usedforsecurity=False).digest()).decode()
            head = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            self._peer.sendall(f"{head}Sec-WebSocket-Accept: {accept}\r\n\r\n".encode())
            self._open.set()
            while self._read():
                pass

    def _read(self) -> bool:
        """Read one masked frame; tell whether the connection goes on."""
        try:
            first, second = self._exactly(2)
            size = second & 127
            if size == 126:
                size = int.from_bytes(self._exactly(2), "big")
            mask = self._exactly(4)
            data = bytes(byte ^ mask[n % 4] for n, byte in enumerate(self._exactly(size)))
        except (OSError, EOFError):
            return False
        if first & 15 == PING:
            self._frame(PONG, data)
        elif first & 15 == TEXT:
            self.heard.append(json.loads(data))
        return first & 15 != CLOSE

    def _exactly(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            part = self._peer.recv(size - len(data))
            if not part:
                raise EOFError
            data += part
        return data

    def _frame(self, kind: int, data: bytes) -> None:
        size = bytes([len(data)]) if len(data) < 126 else b"\x7e" + len(data).to_bytes(2, "big")
        self._peer.sendall(bytes([0x80 | kind]) + size + data)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Lab]:
    with lab(tmp_path, SLACK_APP_TOKEN=APP_TOKEN) as made:
        yield made


def command(bench: Lab, user: str, envelope_id: str) -> dict[str, Any]:
    url = f"{bench.slack.requests.url}/response/{bench.slack.new_handle(user, ALERTS)}"
    payload = {
        "command": "/audit", "text": "help", "user_id": user, "team_id": TEAM, "channel_id": ALERTS,
        "trigger_id": envelope_id, "response_url": url,
    }  # fmt: skip
    return {
        "type": "slash_commands", "envelope_id": envelope_id, "payload": payload, "accepts_response_payload": True,
    }  # fmt: skip


def test_a_command_over_the_socket_is_acknowledged_and_answered(bench: Lab) -> None:
    line = Line()
    bench.slack.socket_url = line.url
    try:
        bench.app.connect_socket()
        line.say({"type": "hello"})
        line.say(command(bench, GRACE, "one"))
        line.say(command(bench, NADIA, "two"))
        eventually(lambda: len(line.heard) == 2)
        assert {heard["envelope_id"] for heard in line.heard} == {"one", "two"}
        [refusal] = [heard["payload"] for heard in line.heard if heard["envelope_id"] == "two"]
        assert "You may not use this bot" in words(refusal["blocks"])
        assert "Ask the audit log" in words(eventually(lambda: bench.slack.ephemerals(GRACE))[0]["blocks"])
        assert bench.app.socket_alive()
    finally:
        bench.app.close()
        line.stop()
    assert not bench.app.socket_alive()


def test_a_socket_that_cannot_be_opened_says_why(bench: Lab) -> None:
    bench.slack.down = True
    with pytest.raises(DeliveryError, match="http_503"):
        bench.app.connect_socket()


def test_without_an_app_token_there_is_no_socket(tmp_path: Path) -> None:
    with lab(tmp_path) as bench:
        assert not bench.app.socket_alive()
        with pytest.raises(ConfigError, match="SLACK_APP_TOKEN"):
            bench.app.connect_socket()
