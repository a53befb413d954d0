"""Fits made ahead: another process begins with a fit a week before it is asked for.

What a fit learns from is older than the weeks that set its threshold, so it is known when the week before ends. Where
that turns out differently, for an event that came late or a week in which nothing happened, it is fitted when asked.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor
from contextlib import contextmanager, suppress
from multiprocessing import get_context, parent_process

from bot.detect.forest.fits import Fits, Rows
from bot.detect.forest.isolation import Forest, Refusal


class FitsAhead(Fits):
    """Lets somebody else fit what is expected: the same code over the same rows, so the same bits."""

    def __init__(self, pool: Executor) -> None:
        super().__init__()
        self._pool = pool
        self._expected: tuple[Rows, Sequence[str]] | None = None
        self._coming: Future[Forest | Refusal] | None = None

    def of(self, rows: Rows, groups: Sequence[str]) -> Forest | Refusal:
        """Return what was made of these rows ahead, if they are those that were expected."""
        if self._coming is not None and self._expected == (rows, groups):
            with suppress(BrokenExecutor):  # somebody ended the other process
                return self._coming.result()
        return super().of(rows, groups)

    def expect(self, rows: Rows, groups: Sequence[str]) -> None:
        """Begin with what will probably be asked for next; a young log has the same rows for two weeks."""
        if self._coming is not None and self._expected == (rows, groups):
            return
        self._expected, self._coming = (rows, groups), None
        with suppress(BrokenExecutor):
            self._coming = self._pool.submit(_fit, rows, groups)


@contextmanager
def fits_ahead() -> Iterator[FitsAhead]:
    """Keep another process for fits as long as it is needed."""
    with ProcessPoolExecutor(1, get_context("spawn"), initializer=_begin) as pool:
        try:
            yield FitsAhead(pool)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _fit(rows: Rows, groups: Sequence[str]) -> Forest | Refusal:
    return Fits().of(rows, groups)


def _begin() -> None:
    """Be the other process: who interrupts means its parent, and whatever ends that, ends it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    if parent := parent_process():
        parent.join()
        os._exit(1)
