"""Logs: one line each on stderr, for people or as JSON, never with a secret in it; structlog's home."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable
from typing import Literal

import structlog

HIDDEN = "[hidden]"
SHORTEST_SECRET = 6  # hiding shorter texts would hide half of what is said


class _Discreet(structlog.stdlib.ProcessorFormatter):
    """Hides known secrets in the finished line, tracebacks and all: no caller has to think of it."""

    secrets: tuple[str, ...] = ()

    def format(self, record: logging.LogRecord) -> str:
        return hide(super().format(record), self.secrets)


def hide(text: str, secrets: Iterable[str]) -> str:
    """Return a text with every secret in it replaced."""
    for secret in secrets:
        if len(secret) >= SHORTEST_SECRET:
            text = text.replace(secret, HIDDEN)
    return text


def configure_logs(style: Literal["console", "json"] = "console", secrets: Iterable[str] = ()) -> None:
    """Send all logs to stderr, in colours where somebody is looking."""
    handler = logging.StreamHandler(sys.stderr)
    before: list[structlog.typing.Processor] = [
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
    ]
    if style == "json":
        before += [structlog.processors.format_exc_info, structlog.processors.StackInfoRenderer()]
        last: structlog.typing.Processor = structlog.processors.JSONRenderer(ensure_ascii=False)
    else:
        last = structlog.dev.ConsoleRenderer(colors=handler.stream.isatty())
    formatter = _Discreet(
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, last], foreign_pre_chain=before
    )
    formatter.secrets = tuple(secrets)
    handler.setFormatter(formatter)
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    for chatty in ("httpx", "httpcore", "slack_bolt", "slack_sdk"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    logging.getLogger("apscheduler").setLevel(logging.ERROR)  # a tick that finds its job still running is no news
