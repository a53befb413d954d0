"""Calls to addresses that the user names: the heartbeat's, and the second path for when Slack is dead."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx

from bot.errors import DeliveryError

SECONDS = 5.0


def ping(url: str) -> None:
    """GET an address. Raises DeliveryError."""
    _call("GET", url)


def hand_over(url: str, body: Mapping[str, Any]) -> None:
    """POST some JSON to an address. Raises DeliveryError."""
    _call("POST", url, json=dict(body))


def _call(method: str, url: str, **more: Any) -> None:
    """The error names no address: whoever knows it may use it."""
    try:
        status = httpx.request(method, url, timeout=SECONDS, follow_redirects=False, **more).status_code
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise DeliveryError(f"no answer ({type(error).__name__})", permanent=False) from None
    if not 200 <= status < 300:
        raise DeliveryError(f"HTTP {status}", permanent=False)
