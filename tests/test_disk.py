"""The disk fills up, fails at a write or an fsync, or loses its power: what was acknowledged is there afterwards."""

from __future__ import annotations

import json
import shutil
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from bot.daemon import begin
from bot.errors import StoreError
from bot.poll.records import to_json
from bot.sandbox import cortex
from bot.service import BROKEN
from bot.settings import Settings
from bot.store import journal
from bot.store.log import events
from bot.store.schema import Store
from bot.times import SECOND
from tests.conftest import raw
from tests.failing_disk import FailingDisk, Trouble, failing_disk
from tests.test_service_faults import Bench, benched, clock

SAYS = {"full": "The disk is full", "write": "The disk fails", "sync": "The disk fails"}


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[FailingDisk]:
    with failing_disk(tmp_path / "synced") as found:
        yield found


def happen(source: cortex.Source, name: str) -> None:
    """Let a dozen things be deleted, by somebody whom nobody has seen before."""
    at = clock() // 1000 * 1000 - 5 * SECOND  # further back than a poll's window may end
    for number in range(12):
        source.add(raw(at, "DELETE", f"{name}@corp.example", object_=f"{name}-{number}"))


def work_until_it_fails(bench: Bench, disk: FailingDisk) -> list[int]:
    """Let the service work, and people too; return what people were told is written down."""
    noted: list[int] = []
    for _ in range(20):
        if disk.failures and bench.service.ending.is_set():
            return noted
        for _ in range(3):
            with suppress(StoreError):
                number = clock()
                journal.write(bench.app.store, number, "U1", "noted", {"number": number})
                noted.append(number)
        for work in (bench.service.poll, bench.service.post):
            with suppress(StoreError):
                bench.service._on_disk(work)()
    raise AssertionError("the disk fails, and nobody minds")


def check(bench: Bench, noted: list[int]) -> None:
    store = bench.app.store
    bench.service.poll()
    bench.service.poll()  # a twin is believed when a second read shows it
    stored = Counter(json.dumps(json.loads(to_json(one)), sort_keys=True) for one in events.export(store))
    assert stored == Counter(json.dumps(one, sort_keys=True) for one in bench.source.truth(clock()))
    written = {entry["detail"].get("number") for entry in journal.entries(store)}
    assert set(noted) <= written
    assert journal.verify(store)[1] == ""
    assert store.value("PRAGMA integrity_check") == "ok"


@pytest.mark.slow
@pytest.mark.parametrize("trouble", ["full", "write", "sync"])
def test_a_disk_that_fails_at_any_moment_loses_nothing_that_was_acknowledged(
    tmp_path: Path, disk: FailingDisk, trouble: Trouble
) -> None:
    """The service says so without the disk, ends with its code, and the next one goes on where the last commit was;
    also where the power fails at that moment, and takes all that was not synced."""
    source, db, noted = cortex.Source(), tmp_path / "life0" / "audit.db", list[int]()
    for life, after in enumerate((0, 4, 25)):
        happen(source, f"thief{life}")
        with benched(db, source) as bench:
            if life:
                check(bench, noted)
            happen(source, f"robber{life}")
            disk.fail(trouble, after)
            noted += work_until_it_fails(bench, disk)
            assert (bench.service.exit_code, bench.service.ending.is_set()) == (BROKEN, True)
            assert [SAYS[trouble] in text for _, text in bench.slack.posted if "so I end" in text] == [True]
            disk.heal()
            image = tmp_path / f"life{life + 1}"
            shutil.copytree(
                disk.after_power_loss(db.parent) if life % 2 else db.parent, image
            )  # power is lost, or the process killed
            db = image / "audit.db"
    with benched(db, source) as bench:
        check(bench, noted)
    assert len(noted) > 2


def test_a_start_on_a_full_disk_ends_as_a_supervisor_can_see_and_one_on_a_foreign_file_does_not(
    tmp_path: Path, disk: FailingDisk
) -> None:
    """What may pass is tried again; what needs a person is exit 2."""
    settings = Settings.model_validate({"AUDIT_BOT_DB": tmp_path / "audit.db"})
    disk.fail("full")
    with ExitStack() as held:
        assert begin(settings, threading.Event(), held) == BROKEN
    disk.heal()
    with ExitStack() as held:
        assert not isinstance(begin(settings, threading.Event(), held), int)
    (tmp_path / "audit.db").write_bytes(b"something else, and long enough to be looked at" * 9)
    with ExitStack() as held, pytest.raises(StoreError, match="not a database"):
        begin(settings, threading.Event(), held)


def test_a_loss_of_power_takes_nothing_from_a_durable_store(tmp_path: Path, disk: FailingDisk) -> None:
    """Commands and service open the database so; without it, the last commits could be gone with what people did."""
    for durable in (True, False):
        store = Store(tmp_path / str(durable) / "audit.db", durable=durable)
        store.set_meta("decided", "yes")
        image = shutil.copytree(disk.after_power_loss(store.path.parent), tmp_path / f"after-{durable}")
        assert (Store(image / "audit.db").meta("decided") == "yes") == durable
        store.close()
