"""The portal's audit-log API over HTTP; httpx's home."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

import httpx
import stamina

from bot.errors import AccessError, ApiError
from bot.model import Broken, Record
from bot.poll.records import parse_page
from bot.times import EPOCH, SECOND

stamina.instrumentation.set_on_retry_hooks([])  # what failed for good is told once, by whoever asked

PATH = "/api/v1/audit-logs"
PAGE_SIZE = 1000
DEADLINE = 30.0  # seconds for one request as a whole; httpx's own timeouts are per read
READ_TIMEOUT = 10.0
BYTE_CAP = 64 << 20
ATTEMPTS, PATIENCE, LONGEST_WAIT = 12, 300.0, 60.0
REFUSED = {
    400: "The portal refuses the request: check CORTEX_BASE_URL and AUDIT_BOT_ARRAY_STYLE",
    401: "The portal does not know the key: create one under Settings > API keys and set CORTEX_API_KEY",
    403: "The key may not read the audit log: give it the permission 'View audit logs'",
    404: "There is no audit log at this address: check CORTEX_BASE_URL",
}


@dataclass(frozen=True)
class Window:
    """A closed span of time, in microseconds, on whole seconds."""

    since: int
    until: int


class Portal:
    """Reads pages. `monotonic` gives seconds, `now` microseconds; both only ever compared with themselves."""

    def __init__(
        self,
        base_url: str,
        key: str,
        *,
        now: Callable[[], int],
        array_style: str = "comma",
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._array_style, self._now, self._monotonic = array_style, now, monotonic
        self._clock: tuple[int, float] | None = None  # the server's Date, and our monotonic time when it came
        self.requests = 0
        self._limited = 0  # answers in a row that said we ask too often
        self._http = httpx.Client(
            base_url=base_url.rstrip("/"),
            headers={"Authorization": f"Bearer {key}", "Accept": "application/json"},
            timeout=httpx.Timeout(READ_TIMEOUT, connect=READ_TIMEOUT),
            follow_redirects=False,
        )

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def use_key(self, key: str) -> bool:
        """Go on with another key; tell whether it is another."""
        header = f"Bearer {key}"
        changed = bool(self._http.headers["Authorization"] != header)
        self._http.headers["Authorization"] = header
        return changed

    def page(self, window: Window, number: int, actor_type: str | None = None) -> tuple[list[Record | Broken], int]:
        """Return one page of a window and the window's total, trying again where that may help.

        Raises AccessError where it does not, ApiError where it did not; a wish to wait longer than a minute is not
        waited for here: it is in the error's `retry_after`.
        """
        params = {"page": str(number), "pageSize": str(PAGE_SIZE)} | _bounds(window)
        if actor_type:
            params["actorTypes"] = actor_type
        for attempt in stamina.retry_context(
            on=_wait_for, attempts=ATTEMPTS, timeout=PATIENCE, wait_initial=0.1, wait_max=10.0, wait_jitter=0.3
        ):
            with attempt:
                return parse_page(self._get(params), number)
        raise AssertionError  # pragma: no cover -- the loop above returns or raises

    def server_now(self) -> int:
        """Return the server's own time, never later than it is there; asks for a page where it is not known yet."""
        if self._clock is None:
            now = self._now() // SECOND * SECOND
            self.page(Window(now - SECOND, now), 0)
        if self._clock is None:  # it sends no Date
            return self._now()
        date, then = self._clock
        return date + int((self._monotonic() - then) * SECOND)

    def check(self) -> int | None:
        """Ask once, without patience; return how far the server's clock is ahead of ours, None where it sends no Date.

        Raises ApiError.
        """
        now = self._now() // SECOND * SECOND
        parse_page(self._get({"page": "0", "pageSize": "1"} | _bounds(Window(now - SECOND, now))), 0)
        return None if self._clock is None else self._clock[0] - self._now()

    def alive(self) -> bool:
        """Tell whether the portal answers at all, to tell a bad window from a bad day."""
        now = self.server_now() // SECOND * SECOND
        try:
            self.page(Window(now - SECOND, now), 0)
        except ApiError:
            return False
        return True

    def _get(self, params: dict[str, str]) -> bytes:
        self.requests += 1
        began = self._monotonic()
        try:
            with self._http.stream("GET", PATH, params=params) as reply:
                self._check(reply)
                return self._body(reply, began)
        except httpx.HTTPError as error:
            raise ApiError(f"The portal did not answer: {error or type(error).__name__}") from error

    def _check(self, reply: httpx.Response) -> None:
        if date := reply.headers.get("Date"):
            self._learn_clock(date)
        status = reply.status_code
        if status in REFUSED:
            raise AccessError(f"{REFUSED[status]} (HTTP {status}).")
        if 300 <= status < 400:
            raise AccessError(f"The portal wants to send us elsewhere (HTTP {status}): check CORTEX_BASE_URL.")
        self._limited = self._limited + 1 if status == 429 else 0
        if status != 200:
            raise ApiError(f"The portal answered HTTP {status}", self._longer(_retry_after(reply, self._now())))

    def _longer(self, wait: float | None) -> float | None:
        """Return the wait asked for, doubled each time that it was not enough: refused requests may count too."""
        if wait is None or wait > LONGEST_WAIT:
            return wait
        return min(wait * (1 << min(max(self._limited - 1, 0), 10)), LONGEST_WAIT)

    def _body(self, reply: httpx.Response, began: float) -> bytes:
        chunks, size = [], 0
        for chunk in reply.iter_bytes():
            size += len(chunk)
            chunks.append(chunk)
            if size > BYTE_CAP:
                raise ApiError(f"The portal's page is larger than {BYTE_CAP >> 20} MiB")
            if self._monotonic() - began > DEADLINE:
                raise ApiError(f"The portal's answer took longer than {DEADLINE:.0f} s")
        return b"".join(chunks)

    def _learn_clock(self, date: str) -> None:
        try:
            moment = parsedate_to_datetime(date)
        except ValueError:
            return
        self._clock = (_micros(moment), self._monotonic())


def _wait_for(error: Exception) -> bool | float:
    """Tell stamina whether to try again: after its own backoff (True) or after so many seconds."""
    if not isinstance(error, ApiError) or isinstance(error, AccessError):
        return False
    if error.retry_after is None:
        return True
    return error.retry_after if error.retry_after <= LONGEST_WAIT else False


def _retry_after(reply: httpx.Response, now: int) -> float | None:
    """Return the seconds that a 429 or 503 asks us to wait: as a number, or as a date."""
    text = reply.headers.get("Retry-After", "").strip()
    if not text:
        return None
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        return max(0.0, (_micros(parsedate_to_datetime(text)) - now) / SECOND)
    except ValueError:
        return None


def _micros(moment: datetime) -> int:
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return (aware - EPOCH) // timedelta(microseconds=1)


def _bounds(window: Window) -> dict[str, str]:
    """Return the window as the API takes it, without a zone as the vendor's own client sends it.

    Nobody says whether the ends belong to it: the second before is asked for too, and the next window begins at this
    one's end, so that no event is left out either way.
    """
    return {"startTime": _send_time(window.since - SECOND), "endTime": _send_time(window.until)}


def _send_time(time_: int) -> str:
    return (EPOCH + timedelta(microseconds=time_)).strftime("%Y-%m-%dT%H:%M:%S")
