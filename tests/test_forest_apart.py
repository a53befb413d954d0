"""Trees grown in a process of their own: the same bits, a reason where it fails, and no process left behind."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from bot.detect.forest.apart import COMMAND, framed, grow_apart
from bot.detect.forest.isolation import grow
from tests.test_forest import usual_rows

SERVICE = """
import sys
from dataclasses import replace
from pathlib import Path
from bot.app import build
from bot.pipeline import Report
from bot.settings import load
from bot.store.schema import Store
from tests.test_strange import NOW, attack, habits
import bot.service

store = Store(Path(sys.argv[1]))
app = build(load(AUDIT_BOT_DB=store.path), store)
app.pipeline.now = lambda: NOW
app.pipeline.take(habits(), Report(), history=True)
app.as_service()
app.put_in_force(replace(app.book, forest=replace(app.book.forest, alarms_per_week=4.0)))
app.pipeline.warm(lambda: False)
app.pipeline.take(attack(40), Report(), history=False)
print(store.meta("forest"), store.value("SELECT count(*) FROM findings WHERE rule = 'forest'"))
print(*sorted({"sklearn", "scipy", "matplotlib"} & set(sys.modules)))
"""


@pytest.mark.slow
def test_trees_grown_apart_are_the_same_to_the_bit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From whatever folder; so the same events give the same findings in a service and in a replay."""
    monkeypatch.chdir(tmp_path)
    here, apart = (asdict(way(usual_rows(1000))) for way in (grow, grow_apart))
    for name, value in here.items():
        assert type(value) is type(apart[name])
        assert np.asarray(value).dtype == np.asarray(apart[name]).dtype
        assert np.array_equal(value, apart[name]), name


def test_what_went_wrong_apart_is_said() -> None:
    """In the words of the error there."""
    with pytest.raises(ChildProcessError, match=r"failed: MemoryError: no 6 MB"):
        grow_apart(usual_rows(2), command=python("raise MemoryError('no 6 MB')"))


def test_a_process_that_hangs_is_ended() -> None:
    """Even one that does not read what it gets: a pass may wait for it."""
    with pytest.raises(ChildProcessError, match=r"longer than 0\.2 s"):
        grow_apart(usual_rows(20_000), 0.2, python("import time; time.sleep(60)"))


def test_a_process_that_is_killed_is_said_to_be() -> None:
    """As the kernel does where memory is short; what tells the service to end does not reach it."""
    code = "import os; [os.kill(os.getpid(), number) for number in (2, 15, 9)]"
    with pytest.raises(ChildProcessError, match=r"signal 9 \(is memory short\?\)"):
        grow_apart(usual_rows(20_000), command=python(code))


def test_a_process_ends_with_the_service() -> None:
    """However that ended: the pipe that both hold is closed by the kernel."""
    with subprocess.Popen(COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        out, _ = child.communicate(framed(usual_rows(20_000)), timeout=20)
    assert (child.returncode, out) == (1, b"")


@pytest.mark.slow
def test_a_service_never_loads_what_only_a_fit_needs(tmp_path: Path) -> None:
    """Not while it warms up either, nor with other settings: that is half of what it would keep in memory."""
    done = subprocess.run(
        [sys.executable, "-c", SERVICE, str(tmp_path / "audit.db")], capture_output=True, text=True, check=True
    )
    state, loaded = done.stdout.splitlines()
    assert state.startswith("fitted on")
    assert state.endswith(" 1")
    assert loaded == ""


def python(code: str) -> list[str]:
    """Return the command of a process that does something else instead."""
    return [sys.executable, "-S", "-c", code]
