"""Trees grown in a process of their own: the 120 MB that scikit-learn takes are given back when it has done.

The same code with the same seed over the same rows, so the same bits. Arrays go through the pipes in numpy's own
format, without pickle.
"""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, cast

import numpy as np

import bot
from bot.detect.forest.isolation import Trees, grow
from bot.detect.forest.profiles import Floats

SECONDS = 60.0  # for what takes two: longer than that, it hangs
COMMAND = (sys.executable, "-m", __name__)
_LENGTH = 8  # bytes that say how long the rows are: their pipe stays open, and its end tells the child of ours
_HOME = Path(bot.__file__).parents[1]  # `-m` finds us from here, wherever the service was started
_TOLD_TO_END = (signal.SIGINT, signal.SIGTERM)


def grow_apart(rows: Floats, seconds: float = SECONDS, command: Sequence[str] = COMMAND) -> Trees:
    """Return what `grow` returns. Raises ChildProcessError, with the reason, where the other process gives nothing."""
    with _child(command) as child, _at_most(seconds, child) as hangs:
        answer, said = _ask(child, rows)
        code = child.wait()
    if code:
        why = f"it took longer than {seconds:g} s" if hangs.is_set() else _why(code, said)
        raise ChildProcessError(f"the forest is fitted in a process of its own, which failed: {why}")
    with np.load(io.BytesIO(answer), allow_pickle=False) as found:
        return Trees(**{name: found[name] if found[name].ndim else found[name].item() for name in found})


@contextmanager
def _child(command: Sequence[str]) -> Iterator[subprocess.Popen[bytes]]:
    """Start the other process, and see to its end. A signal to end is for us: whatever ends us, ends it."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _TOLD_TO_END)  # in this thread; a new process inherits that
    try:
        child = subprocess.Popen(  # noqa: S603 -- ourselves
            command, cwd=_HOME, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    with child:
        try:
            yield child
        finally:
            child.kill()


@contextmanager
def _at_most(seconds: float, child: subprocess.Popen[bytes]) -> Iterator[threading.Event]:
    """Let the other process live for so long; the event says that this was too short."""
    hangs = threading.Event()

    def end() -> None:
        hangs.set()
        child.kill()

    late = threading.Timer(seconds, end)
    late.daemon = True
    late.start()
    try:
        yield hangs
    finally:
        late.cancel()


def _ask(child: subprocess.Popen[bytes], rows: Floats) -> tuple[bytes, str]:
    """Return what the other process answers, and what it says of an error; its input stays open until then."""
    into, out, said = (cast("IO[bytes]", pipe) for pipe in (child.stdin, child.stdout, child.stderr))
    with suppress(BrokenPipeError):  # it ended early: its code says why
        into.write(framed(rows))
        into.flush()
    answer = out.read(), said.read().decode(errors="replace")
    with suppress(BrokenPipeError):  # of what is left in the buffer then
        into.close()
    return answer


def _why(code: int, said: str) -> str:
    """Return why a process ended, from its exit code and what it said of an error."""
    if code < 0:
        return f"it was ended by signal {-code}" + " (is memory short?)" * (-code == signal.SIGKILL)
    return (said.strip().splitlines() or [f"it ended with {code}"])[-1]


def framed(rows: Floats) -> bytes:
    """Return rows as the other process reads them."""
    packed = _packed(rows=rows)
    return len(packed).to_bytes(_LENGTH) + packed


def _packed(**arrays: Any) -> bytes:
    packed = io.BytesIO()
    np.savez(packed, **arrays)
    return packed.getvalue()


def main() -> None:
    """Be the other process: rows come in, trees go out."""
    length = int.from_bytes(sys.stdin.buffer.read(_LENGTH))
    with np.load(io.BytesIO(sys.stdin.buffer.read(length)), allow_pickle=False) as found:
        rows = found["rows"]
    threading.Thread(target=_end_with_parent, daemon=True).start()
    trees = grow(rows)
    sys.stdout.buffer.write(_packed(**vars(trees)))


def _end_with_parent() -> None:
    os.read(sys.stdin.fileno(), 1)  # blocks until nobody holds the other end
    os._exit(1)


if __name__ == "__main__":
    main()
