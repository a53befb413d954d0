"""Serves ASGI apps, each in a thread of its own; uvicorn's home."""

from __future__ import annotations

import asyncio
import socket
import threading
from types import TracebackType
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

HOST = "127.0.0.1"
STOP_SECONDS = 5.0
HEAD_SECONDS = 10.0  # for the head of a connection's first request to come in
MOST_AT_ONCE = 200  # connections; a client beyond them is told to come back
TRANSPORT = "sandbox.transport"  # the extension of the ASGI scope that lets an app misbehave below HTTP


class _OpenProtocol(H11Protocol):
    """Hands the connection's transport to the app, so that it can cut an answer off; waits for nobody for ever."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(transport)
        asyncio.get_running_loop().call_later(HEAD_SECONDS, self._close_if_silent)
        inner = self.app

        async def app(scope: Any, receive: Any, send: Any) -> None:
            extensions = {**scope.get("extensions", {}), TRANSPORT: transport}
            await inner({**scope, "extensions": extensions}, receive, send)

        self.app = app

    def _close_if_silent(self) -> None:
        if getattr(self, "cycle", None) is None:  # no request has begun
            self.transport.close()


def _listen(host: str, port: int) -> socket.socket:
    # The protocol is named because asyncio turns Nagle's delay off only then; else each answer takes 40 ms.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen()
    except OSError:
        listener.close()
        raise
    return listener


class Serving:
    """A running server; usable as a context manager that stops it at the end."""

    def __init__(self, app: Any, port: int = 0, host: str = HOST) -> None:
        self._socket = _listen(host, port)  # before the thread starts: the port is known, and nobody is refused
        self.port: int = self._socket.getsockname()[1]
        self.url = f"http://{HOST}:{self.port}"
        self._server = uvicorn.Server(
            uvicorn.Config(
                app,
                interface="asgi3",
                proxy_headers=False,
                http=_OpenProtocol,
                log_config=None,
                log_level="warning",
                access_log=False,
                date_header=False,  # the app's own clock says what time it is
                server_header=False,
                timeout_graceful_shutdown=1,
                limit_concurrency=MOST_AT_ONCE,
            )
        )
        self._thread = threading.Thread(target=self._server.run, args=([self._socket],), name="serving", daemon=True)
        self._thread.start()

    def stop(self, deadline: float = STOP_SECONDS) -> None:
        """End the server within `deadline` seconds: answers under way get a second, then all is dropped."""
        self._server.should_exit = True
        self._thread.join(deadline / 2)
        if self._thread.is_alive():
            self._server.force_exit = True
            self._thread.join(deadline / 2)
        self._socket.close()

    def __enter__(self) -> Serving:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()


def serve(app: Any, port: int = 0) -> Serving:
    """Start to serve an app on 127.0.0.1; port 0 takes a free one. Raises OSError where the port is taken."""
    return Serving(app, port)
