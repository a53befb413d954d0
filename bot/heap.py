"""The heap of the C library: what was freed in it goes back to the system when somebody asks for that."""

from __future__ import annotations

import ctypes
from contextlib import suppress


def give_back() -> None:
    """Give back what was freed, after work that took much memory for once; does nothing where the library cannot."""
    with suppress(OSError, AttributeError):  # only glibc knows how
        ctypes.CDLL(None).malloc_trim(0)
