"""The heaps of the C library and of Python: giving back what was freed, and looking for cycles less often."""

from __future__ import annotations

import ctypes
import gc
from collections.abc import Iterator
from contextlib import contextmanager, suppress


def give_back() -> None:
    """Give back what was freed, after work that took much memory for once; does nothing where the library cannot."""
    with suppress(OSError, AttributeError):  # only glibc knows how
        ctypes.CDLL(None).malloc_trim(0)


def collect_rarely() -> None:
    """Let Python look for cycles after 50,000 new things, not after 700: what modules define stays, and rows come by
    thousands and are none. A tenth of the time of a start and of passes; what waits meanwhile is some MB."""
    gc.set_threshold(50_000, 20, 50)


@contextmanager
def without_collector() -> Iterator[None]:
    """Keep Python's collector of cycles off: an import makes millions of tuples, and no cycles. A tenth of its time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
