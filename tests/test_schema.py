"""The database file: who may use it, and what is refused untouched."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from bot.errors import LockedError, StoreError
from bot.store import schema
from bot.store.care.locks import ingest_lock
from bot.store.schema import SCHEMA, Store


def test_the_file_and_its_folder_are_for_this_user_alone(tmp_path: Path) -> None:
    """An audit log names people and addresses."""
    Store(tmp_path / "new" / "audit.db").close()
    assert stat.S_IMODE((tmp_path / "new" / "audit.db").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o700


def test_a_database_newer_than_the_program_is_refused_untouched(tmp_path: Path) -> None:
    """An older program must not write into tables that it does not know."""
    path = tmp_path / "audit.db"
    store = Store(path)
    store.connection.execute(f"PRAGMA user_version = {SCHEMA + 1}")
    store.close()
    before = path.read_bytes()
    with pytest.raises(StoreError, match="Install the newer audit-bot"):
        Store(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    "content", [b"hello, I am a text file, not a database at all" * 9, b"SQLite format 3\0" + b"\1" * 200]
)
def test_a_file_that_is_not_ours_is_refused_untouched(tmp_path: Path, content: bytes) -> None:
    """A wrong AUDIT_BOT_DB must not cost anybody a file."""
    path = tmp_path / "notes.txt"
    path.write_bytes(content)
    with pytest.raises(StoreError):
        Store(path)
    assert path.read_bytes() == content


def test_a_reading_command_makes_no_database(tmp_path: Path) -> None:
    """A typing error in --db must not leave an empty file behind."""
    with pytest.raises(StoreError, match="audit-bot poll"):
        Store(tmp_path / "nowhere.db", create=False)
    assert not list(tmp_path.iterdir())


def test_a_second_writer_is_refused_with_who_holds_it(tmp_path: Path) -> None:
    """Two polls at once would only get into each other's way."""
    path = tmp_path / "audit.db"
    with (
        ingest_lock(path, "run"),
        pytest.raises(LockedError, match=f"audit-bot run.*{os.getpid()}"),
        ingest_lock(path, "poll"),
    ):
        pass


def test_the_lock_is_free_again_after_kill_9(tmp_path: Path) -> None:
    """The kernel holds it, not a file that somebody has to delete."""
    path = tmp_path / "audit.db"
    code = (
        "from bot.store.care.locks import ingest_lock; from pathlib import Path; import time\n"
        f"with ingest_lock(Path({str(path)!r}), 'run'): print('held', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as holder:
        assert holder.stdout
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(LockedError), ingest_lock(path, "poll"):
            pass
        holder.kill()
    with ingest_lock(path, "poll"):
        pass


def test_a_failed_transaction_leaves_nothing(store: Store) -> None:
    """All of a pass, or none of it."""
    with pytest.raises(StoreError), store.write() as connection:
        connection.execute("INSERT INTO meta VALUES ('a', '1')").connection.execute("INSERT INTO nowhere VALUES (1)")
    assert store.meta("a") is None


def test_threads_have_connections_of_their_own(store: Store) -> None:
    """Slack's threads read while the scheduler's writes."""
    found: list[str | None] = []
    with store.write():
        store.set_meta("a", "1")
        thread = threading.Thread(target=lambda: found.append(store.meta("a")))
        thread.start()
        thread.join()
    assert found == [None]
    assert store.meta("a") == "1"


def test_a_full_disk_is_told_and_nothing_is_stored(store: Store) -> None:
    """SQLite's own limit stands in for a full disk."""
    pages = store.value("PRAGMA page_count")
    store.connection.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(StoreError, match="free some space"):
        store.set_meta("big", "x" * 1_000_000)
    assert store.meta("big") is None


def test_the_sqlite_in_use_is_safe_with_wal(store: Store) -> None:
    """Where it is not, the journal mode is another."""
    safe = schema.VERSION >= schema.WAL_IS_SAFE
    assert store.value("PRAGMA journal_mode") == ("wal" if safe else "delete")
