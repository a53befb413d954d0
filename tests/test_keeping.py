"""Keeping: what goes and what stays, daily copies, restoring one, and migrating an older file."""

from __future__ import annotations

import shutil
import sqlite3
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from bot.errors import StoreError
from bot.keeping import Keeping
from bot.model import Level
from bot.store import alerts, journal
from bot.store.care import backup, retention
from bot.store.log import events
from bot.store.people import exceptions
from bot.store.schema import MIGRATIONS, SCHEMA, Store, connect, version_of
from bot.times import DAY, HOUR, MINUTE
from tests.conftest import START, add, record
from tests.test_alerts import found, take

OLD = START - 500 * DAY
CUT = START - 400 * DAY


def old_log(store: Store) -> None:
    """Store a few days of 500 days ago, and a few of now, with an open, a resolved and a quiet alert of back then."""
    add(store, [record(OLD + hour * HOUR, actor=f"a{hour % 7}", object_=f"o{hour}") for hour in range(100)])
    add(store, [record(START + hour * HOUR, object_=f"new{hour}") for hour in range(10)])
    for actor, level in (("a1", Level.high), ("a2", Level.high), ("a3", Level.low)):
        at = OLD + 10 * HOUR * int(actor[1:])
        one = found(store, level=level, at=at, actor=actor, evidence=(1, 2))
        store.connection.execute("UPDATE findings SET grp = ?, last = ? WHERE id = ?", ("{}", at + 2 * HOUR, one.id))
        take(store, *alerts.findings(store, "id = ?", (one.id,)), now=at + HOUR)
    alerts.resolve(store, 2, "U1", OLD + 40 * HOUR)


def lasting(store: Store) -> list[object]:
    tables = ("first_seen", "creations", "activity", "journal", "actors", "exceptions")
    return [store.rows(f"SELECT * FROM {table}") for table in tables]


def test_what_is_old_goes_and_what_people_still_need_stays(store: Store) -> None:
    """Open alerts with their events; first-seen tables; the journal; all that is new."""
    old_log(store)
    before = lasting(store)
    gone = retention.let_go(store, CUT)
    kept = [OLD + hour * HOUR for hour in (10, 11, 12)]
    assert [time for (time,) in store.rows("SELECT time FROM events WHERE time < ? ORDER BY time", (CUT,))] == kept
    assert gone.events == 97
    assert store.value("SELECT count(*) FROM events WHERE time >= ?", (START,)) == 10
    assert [one.entity.name for one in alerts.listing(store, posted_only=False)] == ["a1"]
    assert gone.alerts == 2
    assert lasting(store) == before
    assert store.rows("PRAGMA foreign_key_check") == []
    assert alerts.view(store, 1, START) is not None
    assert journal.verify(store)[1] == ""
    assert retention.let_go(store, CUT) == retention.Gone()


def test_an_id_is_never_given_twice(store: Store) -> None:
    """Evidence names events by their ids."""
    add(store, [record(START)])
    add(store, [record(OLD)])  # an import of something old has the newest id
    retention.let_go(store, CUT)
    newest = store.value("SELECT max(id) FROM events")
    add(store, [record(START + MINUTE)])
    assert newest == 2
    assert store.value("SELECT max(id) FROM events") == 3


def test_it_goes_in_small_steps_and_stops_when_told(store: Store) -> None:
    """A poll that waits must not wait for long; a service that stops neither."""
    add(store, [record(OLD + n * MINUTE, object_=f"o{n}") for n in range(2 * retention.BATCH)])
    asked = Counter[str]()

    def stop() -> bool:
        asked["times"] += 1
        return asked["times"] > 1

    assert retention.let_go(store, CUT, stop).events == retention.BATCH
    assert retention.let_go(store, CUT).events == retention.BATCH - 1


def test_a_copy_a_day_is_made_and_seven_are_kept(store: Store, tmp_path: Path) -> None:
    """And nobody else's file is ever removed."""
    folder = tmp_path / "copies"
    add(store, [record()])
    keeping = Keeping(store, folder, 0, lambda: False)
    for hour in range(0, 10 * 24, 6):
        keeping.run_once(START + hour * HOUR)
        (folder / "audit-notes.db").touch()
        (folder / "other-2026-01-01.db").touch()
    names = sorted(path.name for path in folder.iterdir())
    assert names == sorted([*(f"audit-2026-03-{day:02}.db" for day in range(5, 12)), "audit-notes.db", *names[-1:]])
    assert all(path.stat().st_mode & 0o077 == 0 for path in backup.copies(store, folder))
    assert len([one for one in journal.entries(store) if one["what"] == "backup"]) == 10
    copy = Store(backup.copies(store, folder)[0])
    assert copy.value("SELECT count(*) FROM events") == 1
    copy.close()


def test_while_copies_fail_nothing_old_is_deleted_and_people_are_told(store: Store, tmp_path: Path) -> None:
    old_log(store)
    (tmp_path / "file").touch()
    keeping = Keeping(store, tmp_path / "file" / "copies", 400, lambda: False)
    keeping.run_once(START)
    assert "The daily backup failed" in keeping.error
    assert store.value("SELECT count(*) FROM events") == 110
    keeping.folder = tmp_path / "copies"
    keeping.run_once(START + MINUTE)
    assert keeping.error == ""
    assert store.value("SELECT count(*) FROM events") == 13
    [entry] = [one for one in journal.entries(store) if one["what"] == "retention"]
    assert entry["detail"]["events"] == 97


def test_a_restored_copy_goes_on_where_it_stood(store: Store, tmp_path: Path) -> None:
    """As docs/deploy.md says it: stop, put it in place, start."""
    add(store, [record(START + n * MINUTE) for n in range(50)])
    store.set_meta("watermark", str(START))
    copy = tmp_path / "copy.db"
    backup.backup(store, copy)
    before = list(events.export(store))
    path = store.path
    add(store, [record(START + DAY)])
    store.close()
    path.write_bytes(b"damaged" * 5000)
    for tail in ("-wal", "-shm"):
        path.with_name(path.name + tail).unlink(missing_ok=True)
    shutil.copy(copy, path)
    again = Store(path)
    assert list(events.export(again)) == before
    assert again.meta("watermark") == str(START)
    assert add(again, [record(START + n * MINUTE) for n in range(60)]).count == 10
    again.close()


def schema_1(path: Path) -> None:
    """Make a file as the first released version made it, with something in it."""
    connection = connect(str(path), isolation_level=None)
    for statement in MIGRATIONS[0]:
        connection.execute(statement)
    connection.executescript(
        "PRAGMA application_id = 1635083380; PRAGMA user_version = 1; PRAGMA journal_mode = WAL;"
        "INSERT INTO meta VALUES ('watermark', '77'); INSERT INTO actors VALUES (1, 'eve');"
        "INSERT INTO objects VALUES (1, 'o'); INSERT INTO types VALUES (1, 'SERVICE');"
        "INSERT INTO actions VALUES (1, 'DELETE');"
        f"INSERT INTO events VALUES (1, {START}, 5, 0, 1, NULL, 1, 1, 1, 0, NULL, NULL);"
        "INSERT INTO alerts VALUES (1, 'actor', 'eve', 3, 60, 'open', 'posted', 1, 1, 1, 1, NULL, NULL, 'C', '1.1', 0);"
        "INSERT INTO outbox VALUES (1, 'post', 1, NULL, '', 3, 'pending', 1, 1, 1, NULL, 'reply_lost');"
    )
    connection.close()


def schema_2(path: Path) -> None:
    """Make such a file as the second released version left it."""
    schema_1(path)
    connection = connect(str(path), isolation_level=None)
    for statement in (*MIGRATIONS[1], "PRAGMA user_version = 2"):
        connection.execute(statement)
    connection.close()


@pytest.mark.parametrize(("version", "make"), [(1, schema_1), (2, schema_2)])
def test_an_older_file_is_copied_then_migrated(tmp_path: Path, version: int, make: Callable[[Path], None]) -> None:
    """Nothing is lost, and the way back is there."""
    path = tmp_path / "audit.db"
    make(path)
    path.chmod(0o600)
    store = Store(path)
    assert (store.meta("watermark"), store.value("PRAGMA user_version")) == ("77", SCHEMA)
    assert store.rows("SELECT id, actor, action FROM audit_log") == [(1, "eve", "DELETE")]
    assert store.rows("SELECT state, unsure FROM outbox") == [("pending", 1)]
    fresh = Store(tmp_path / "fresh.db")
    triggers = "SELECT name, sql FROM sqlite_master WHERE type = 'trigger' ORDER BY name"
    assert store.rows(triggers) == fresh.rows(triggers)
    shape = "SELECT name, sql FROM sqlite_master WHERE type = 'table' ORDER BY name"
    assert [name for name, _ in store.rows(shape)] == [name for name, _ in fresh.rows(shape)]
    for name, _ in fresh.rows(shape):
        assert store.rows(f"PRAGMA table_info({name})") == fresh.rows(f"PRAGMA table_info({name})")
    store.close()
    fresh.close()
    copy = tmp_path / f"audit.db.schema-{version}"
    assert version_of(copy) == version
    assert copy.stat().st_mode & 0o777 == 0o600
    Store(path).close()
    assert sorted(one.name for one in tmp_path.glob("audit.db.*")) == [copy.name]


def test_a_damaged_older_file_is_not_migrated(tmp_path: Path) -> None:
    """It stays as it is, for the backup and for whoever wants to know why."""
    path = tmp_path / "audit.db"
    schema_1(path)
    whole = path.read_bytes()
    connection = connect(str(path))
    root = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'events_actor'").fetchone()[0]
    connection.close()
    path.write_bytes(whole[: (root - 1) * 4096] + b"\0" * 4096 + whole[root * 4096 :])
    with pytest.raises(StoreError):
        Store(path)
    assert version_of(path) == 1
    assert not list(tmp_path.glob("*.part"))


def test_the_standard_module_can_read_a_copy(store: Store, tmp_path: Path) -> None:
    """A copy is a plain SQLite file: whoever has it needs no audit-bot to look into it."""
    add(store, [record()])
    backup.backup(store, tmp_path / "copy.db")
    connection = sqlite3.connect(tmp_path / "copy.db")
    assert connection.execute("SELECT count(*) FROM events").fetchone() == (1,)
    connection.close()


def test_an_exception_outlives_the_alert_that_it_was_made_on(store: Store) -> None:
    """What people approved stays on record; it only forgets where."""
    old_log(store)
    made = exceptions.add(store, "actor:a2", reason="moving", author="U1", now=OLD, expires=OLD + DAY)
    store.connection.execute("UPDATE exceptions SET alert = 2 WHERE id = ?", (made.id,))
    retention.let_go(store, CUT)
    assert store.rows("SELECT id, condition, alert FROM exceptions") == [(made.id, "actor:a2", None)]
