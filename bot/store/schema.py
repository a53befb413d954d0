"""The database file: opening it, its tables, its migrations by number."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlite_utils import Database
from sqlite_utils.utils import sqlite3  # type: ignore[attr-defined]  # pysqlite3 where it is installed; the standard module is never mixed in

from bot.errors import StoreError
from bot.store.care.copying import copy_whole
from bot.store.views import AUDIT_LOG, HOUR_OF_EVENT

APPLICATION_ID = 0x61756474  # "audt"; tells our files from other SQLite files
WAL_IS_SAFE = (3, 51, 3)  # older ones can corrupt a WAL database that has two connections
BUSY_SECONDS = 10.0
CACHE, BULK_CACHE = 32_000, 100_000  # KB of pages that each connection keeps
LOG, BULK_LOG = 1_000, 20_000  # pages that the log of writes collects, at least; the first is SQLite's own figure
BLOCK = 16_384  # events in one block of columns

Connection = sqlite3.Connection
DatabaseError = sqlite3.Error
connect = sqlite3.connect
VERSION: tuple[int, ...] = sqlite3.sqlite_version_info

TABLES = (
    "CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    # dictionaries: each text once
    "CREATE TABLE actors (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE)",
    "CREATE TABLE networks (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE)",
    "CREATE TABLE addresses (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE,"
    " network INTEGER NOT NULL REFERENCES networks)",
    "CREATE TABLE objects (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE)",
    "CREATE TABLE types (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE)",
    "CREATE TABLE actions (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE)",
    # time in microseconds; shape tells null from absent; raw_time where the portal's spelling is not ours
    "CREATE TABLE events (id INTEGER PRIMARY KEY, time INTEGER NOT NULL, fingerprint INTEGER NOT NULL,"
    " ordinal INTEGER NOT NULL, actor INTEGER REFERENCES actors, ip INTEGER REFERENCES addresses,"
    " object INTEGER NOT NULL REFERENCES objects, type INTEGER NOT NULL REFERENCES types,"
    " action INTEGER NOT NULL REFERENCES actions, shape INTEGER NOT NULL, actor_type INTEGER, raw_time TEXT)",
    "CREATE UNIQUE INDEX events_key ON events (time, fingerprint, ordinal)",
    "CREATE INDEX events_actor ON events (actor, time)",
    "CREATE INDEX events_ip ON events (ip, time)",
    "CREATE INDEX events_object ON events (object, time)",
    # the moment at which each thing was first seen; outlives retention
    "CREATE TABLE first_seen (kind TEXT NOT NULL, a INTEGER NOT NULL, b INTEGER NOT NULL, time INTEGER NOT NULL,"
    " PRIMARY KEY (kind, a, b)) WITHOUT ROWID",
    "CREATE TABLE creations (object INTEGER NOT NULL, type INTEGER NOT NULL, time INTEGER NOT NULL,"
    " actor INTEGER NOT NULL, PRIMARY KEY (object, type, time, actor)) WITHOUT ROWID",
    "CREATE TABLE malformed (id INTEGER PRIMARY KEY, raw TEXT NOT NULL, ordinal INTEGER NOT NULL,"
    " reason TEXT NOT NULL, since INTEGER NOT NULL, until INTEGER NOT NULL, found INTEGER NOT NULL)",
    "CREATE INDEX malformed_raw ON malformed (raw)",
    "CREATE TABLE gaps (id INTEGER PRIMARY KEY, since INTEGER NOT NULL, until INTEGER NOT NULL,"
    " found INTEGER NOT NULL, reason TEXT NOT NULL, tries INTEGER NOT NULL DEFAULT 1, closed INTEGER)",
    # what still has to be looked at by rules (rule NULL: by all) after an import, a crash or an error
    "CREATE TABLE undetected (id INTEGER PRIMARY KEY, rule TEXT, after INTEGER NOT NULL, since INTEGER NOT NULL,"
    " until INTEGER NOT NULL, reason TEXT NOT NULL, found INTEGER NOT NULL, tries INTEGER NOT NULL DEFAULT 0,"
    " due INTEGER NOT NULL, history INTEGER NOT NULL)",
    "CREATE TABLE rule_sets (id INTEGER PRIMARY KEY, digest TEXT NOT NULL, taken INTEGER NOT NULL,"
    " files TEXT NOT NULL)",
    "CREATE TABLE findings (id INTEGER PRIMARY KEY, rule TEXT NOT NULL, grp TEXT NOT NULL, title TEXT NOT NULL,"
    " level INTEGER NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL, count INTEGER NOT NULL, actor TEXT,"
    " ip TEXT, evidence TEXT NOT NULL, reasons TEXT NOT NULL, state TEXT NOT NULL, hidden TEXT NOT NULL,"
    " alert INTEGER REFERENCES alerts, found INTEGER NOT NULL, updated INTEGER NOT NULL)",
    "CREATE INDEX findings_rule ON findings (rule, grp, last)",
    "CREATE INDEX findings_alert ON findings (alert)",
    "CREATE TABLE alerts (id INTEGER PRIMARY KEY, entity_kind TEXT NOT NULL, entity TEXT NOT NULL,"
    " level INTEGER NOT NULL, points INTEGER NOT NULL, state TEXT NOT NULL, decision TEXT NOT NULL,"
    " opened INTEGER NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL, events INTEGER NOT NULL, owner TEXT,"
    " owned_at INTEGER, channel TEXT, ts TEXT, late_by INTEGER NOT NULL DEFAULT 0)",
    "CREATE INDEX alerts_entity ON alerts (entity_kind, entity, last)",
    "CREATE INDEX alerts_last ON alerts (last)",
    "CREATE TABLE outbox (id INTEGER PRIMARY KEY, kind TEXT NOT NULL, alert INTEGER REFERENCES alerts, channel TEXT,"
    " body TEXT NOT NULL, urgency INTEGER NOT NULL, state TEXT NOT NULL, tries INTEGER NOT NULL DEFAULT 0,"
    " created INTEGER NOT NULL, due INTEGER NOT NULL, done INTEGER, error TEXT)",
    "CREATE INDEX outbox_due ON outbox (state, due)",
    "CREATE UNIQUE INDEX outbox_one_update ON outbox (alert) WHERE kind = 'update' AND state = 'pending'",
    # what people approved as expected, until `expires`; rule NULL: of all rules. A row stays when it has ended
    "CREATE TABLE exceptions (id INTEGER PRIMARY KEY, rule TEXT, condition TEXT NOT NULL, reason TEXT NOT NULL,"
    " author TEXT NOT NULL, created INTEGER NOT NULL, expires INTEGER NOT NULL, removed INTEGER, removed_by TEXT)",
    "CREATE TABLE journal (id INTEGER PRIMARY KEY, time INTEGER NOT NULL, who TEXT NOT NULL, what TEXT NOT NULL,"
    " detail TEXT NOT NULL, hash TEXT NOT NULL)",
    # what polls saw of the log's last day, and how many copies of it are missing there since when
    "CREATE TABLE sightings (time INTEGER NOT NULL, fingerprint INTEGER NOT NULL, copies INTEGER NOT NULL,"
    " missing INTEGER NOT NULL DEFAULT 0, since INTEGER, finding INTEGER REFERENCES findings,"
    " PRIMARY KEY (time, fingerprint)) WITHOUT ROWID",
    "CREATE INDEX sightings_missing ON sightings (finding) WHERE missing > 0",
    AUDIT_LOG,
)

# from schema 1 to 2
TO_2: tuple[str, ...] = (
    # the hours (since 1970) in which each actor did something, and how many deletes it did; outlives retention
    "CREATE TABLE activity (actor INTEGER NOT NULL REFERENCES actors, hour INTEGER NOT NULL, deletes INTEGER NOT NULL,"
    " PRIMARY KEY (actor, hour)) WITHOUT ROWID",
    f"INSERT INTO activity SELECT e.actor, {HOUR_OF_EVENT}, sum(n.name = 'DELETE') FROM events e"
    " JOIN actions n ON n.id = e.action WHERE e.actor IS NOT NULL GROUP BY 1, 2",
    "INSERT INTO first_seen SELECT 'nobody_type', 0, e.type, min(e.time) FROM events e"
    " WHERE e.actor IS NULL GROUP BY 3",
    "DROP VIEW audit_log",
    AUDIT_LOG,
    "ALTER TABLE outbox ADD COLUMN handed INTEGER",  # when the fallback webhook took what Slack did not
    "ALTER TABLE outbox ADD COLUMN unsure INTEGER NOT NULL DEFAULT 0",  # an earlier try may have come through
    "UPDATE outbox SET unsure = 1 WHERE error IN ('cut off while it was being sent', 'reply_lost')",
    # pictures in threads, one an alert; a report's has no alert, and `body` says what it shows
    "CREATE TABLE pictures (id INTEGER PRIMARY KEY, alert INTEGER UNIQUE REFERENCES alerts, channel TEXT NOT NULL,"
    " ts TEXT NOT NULL, body TEXT NOT NULL, state TEXT NOT NULL, tries INTEGER NOT NULL DEFAULT 0,"
    " due INTEGER NOT NULL, error TEXT, unsure INTEGER NOT NULL DEFAULT 0)",
    "INSERT INTO pictures (alert, channel, ts, body, state, due, error)"
    " SELECT id, coalesce(channel, ''), ts, '', 'dropped', 0, 'older than pictures' FROM alerts WHERE ts IS NOT NULL",
    # a notice stands for several alerts: of a storm, of a noisy rule (`rule`), of quiet hours (posted when they are
    # `due` to end). `last` is when an alert joined it last; `place` and `ts` name its message, `news` is the outbox row
    # of the last reply in its thread
    "CREATE TABLE notices (id INTEGER PRIMARY KEY, kind TEXT NOT NULL, rule TEXT NOT NULL, channel TEXT NOT NULL,"
    " level INTEGER NOT NULL, opened INTEGER NOT NULL, last INTEGER NOT NULL, due INTEGER NOT NULL, closed INTEGER,"
    " place TEXT, ts TEXT, news INTEGER)",
    "CREATE INDEX notices_open ON notices (kind, rule, channel) WHERE closed IS NULL",
    # how each alert that people see reaches them: lane own (its message), storm, rate or held (in a notice). Where
    # it left a notice for a message of its own, `notice` still names that one. `rule` is its worst finding's,
    # `news` the outbox row of its last reply about new findings, `over` whether its episode was seen to be over
    "CREATE TABLE deliveries (alert INTEGER PRIMARY KEY REFERENCES alerts, lane TEXT NOT NULL, at INTEGER NOT NULL,"
    " level INTEGER NOT NULL, channel TEXT NOT NULL, rule TEXT NOT NULL, notice INTEGER REFERENCES notices,"
    " changed INTEGER NOT NULL, news INTEGER, over INTEGER NOT NULL DEFAULT 0)",
    "CREATE INDEX deliveries_flow ON deliveries (channel, level, at) WHERE lane IN ('own', 'storm')",
    "CREATE INDEX deliveries_rule ON deliveries (rule, at)",
    "CREATE INDEX deliveries_notice ON deliveries (notice, changed) WHERE notice IS NOT NULL",
    # what was done because nobody acknowledged or resolved: `subject` is A12 or N3, `since` what the time counts from
    "CREATE TABLE steps (subject TEXT NOT NULL, step TEXT NOT NULL, since INTEGER NOT NULL, number INTEGER NOT NULL,"
    " at INTEGER NOT NULL, PRIMARY KEY (subject, step, since, number)) WITHOUT ROWID",
    "CREATE INDEX alerts_waiting ON alerts (state, ts)",
    # a row about a notice, whom it mentions, and the state that its alert must still have when it is sent
    "ALTER TABLE outbox ADD COLUMN notice INTEGER REFERENCES notices",
    "ALTER TABLE outbox ADD COLUMN mention TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE outbox ADD COLUMN only_while TEXT",
    "CREATE INDEX outbox_alert ON outbox (alert, kind)",
    "CREATE INDEX outbox_notice ON outbox (notice) WHERE notice IS NOT NULL",
    "CREATE UNIQUE INDEX outbox_one_redraw ON outbox (notice)"
    " WHERE kind = 'update' AND state = 'pending' AND notice IS NOT NULL",
    # what people asked: the same text at the same moment in the same zone, over events up to `newest`, is the same
    # question again, so that the buttons of its answer need only its number
    "CREATE TABLE questions (id INTEGER PRIMARY KEY, who TEXT NOT NULL, text TEXT NOT NULL, asked INTEGER NOT NULL,"
    " zone TEXT NOT NULL, newest INTEGER NOT NULL)",
    # settled events as packed columns (`store/blocks.py`); whatever changes an event deletes its block
    "CREATE TABLE blocks (number INTEGER PRIMARY KEY, since INTEGER NOT NULL, until INTEGER NOT NULL,"
    " events INTEGER NOT NULL, id_blob BLOB, time_blob BLOB, actor_blob BLOB, ip_blob BLOB, object_blob BLOB,"
    " type_blob BLOB, action_blob BLOB, actor_type_blob BLOB)",
    f"CREATE TRIGGER blocks_changed AFTER UPDATE ON events BEGIN"
    f" DELETE FROM blocks WHERE number = (old.id - 1) / {BLOCK}; END",
    f"CREATE TRIGGER blocks_deleted AFTER DELETE ON events BEGIN"
    f" DELETE FROM blocks WHERE number = (old.id - 1) / {BLOCK}; END",
    # what people decided about alerts; `floor` is the least level that an alert has whatever its findings say
    "ALTER TABLE alerts ADD COLUMN floor INTEGER NOT NULL DEFAULT 0",
    "CREATE TABLE judgements (alert INTEGER PRIMARY KEY REFERENCES alerts, verdict TEXT NOT NULL, note TEXT NOT NULL,"
    " who TEXT NOT NULL, time INTEGER NOT NULL)",
    "CREATE INDEX judgements_time ON judgements (time)",
    "CREATE TABLE assignments (alert INTEGER PRIMARY KEY REFERENCES alerts, who TEXT NOT NULL, time INTEGER NOT NULL)",
    # `kind` is expected, snooze or answer; nothing worse than `up_to` is hidden; `alert` is where it was made
    "ALTER TABLE exceptions ADD COLUMN kind TEXT NOT NULL DEFAULT 'expected'",
    "ALTER TABLE exceptions ADD COLUMN up_to INTEGER",
    "ALTER TABLE exceptions ADD COLUMN alert INTEGER REFERENCES alerts",
    # exceptions that were asked for in Slack, and what became of them; channel and ts are of their announcement
    "CREATE TABLE proposals (id INTEGER PRIMARY KEY, kind TEXT NOT NULL, alert INTEGER NOT NULL REFERENCES alerts,"
    " rule TEXT, condition TEXT NOT NULL, reason TEXT NOT NULL, author TEXT NOT NULL, created INTEGER NOT NULL,"
    " expires INTEGER NOT NULL, up_to INTEGER NOT NULL, findings INTEGER NOT NULL, alerts INTEGER NOT NULL,"
    " why TEXT NOT NULL, state TEXT NOT NULL, decided INTEGER, decided_by TEXT,"
    " exception INTEGER REFERENCES exceptions, channel TEXT, ts TEXT)",
    "CREATE INDEX proposals_state ON proposals (state)",
    "CREATE INDEX proposals_exception ON proposals (exception)",
    # the question "was this you?" of an alert, to the person behind its actor
    "CREATE TABLE inquiries (id INTEGER PRIMARY KEY, alert INTEGER NOT NULL UNIQUE REFERENCES alerts,"
    " email TEXT NOT NULL, asked_by TEXT NOT NULL, created INTEGER NOT NULL, state TEXT NOT NULL, person TEXT,"
    " asked INTEGER, due INTEGER, answered INTEGER, reason TEXT NOT NULL DEFAULT '', channel TEXT, ts TEXT)",
    "CREATE INDEX inquiries_state ON inquiries (state)",
    "CREATE INDEX events_type ON events (type, action, time)",
    # three-letter pieces of the casefolded names of objects (`store/pieces.py`)
    "CREATE VIRTUAL TABLE object_pieces USING fts5 (name, content = '', columnsize = 0, detail = none,"
    " tokenize = 'trigram case_sensitive 1')",
    # the groups of features behind a finding of the forest, the strongest first
    "CREATE TABLE reasons (finding INTEGER PRIMARY KEY REFERENCES findings, groups TEXT NOT NULL)",
)

# from schema 2 to 3
TO_3: tuple[str, ...] = (
    # how often each name occurs in so many blocks (`store/sums.py`); whatever deletes one of them deletes the sums
    "CREATE TABLE sums (field TEXT NOT NULL, first INTEGER NOT NULL, blocks INTEGER NOT NULL, since INTEGER,"
    " until INTEGER, names INTEGER NOT NULL, step_blob BLOB NOT NULL, count_blob BLOB NOT NULL,"
    " PRIMARY KEY (field, first, blocks))",
    "CREATE TRIGGER sums_changed AFTER DELETE ON blocks BEGIN"
    " DELETE FROM sums WHERE first <= old.number AND first + blocks > old.number; END",
)

# number n leads from schema n to n + 1; released ones never change
MIGRATIONS: tuple[tuple[str, ...], ...] = (TABLES, TO_2, TO_3)
SCHEMA = len(MIGRATIONS)


class Store:
    """One database file. Each thread has its own connection; writing goes through `write`, one at a time.

    `durable`: what was committed outlives a loss of power too, at the price of an fsync for each transaction.
    """

    def __init__(self, path: Path, *, create: bool = True, durable: bool = False) -> None:
        self.path, self.durable = path, durable
        self._mine = threading.local()
        self._all: list[Connection] = []
        self._guard = threading.Lock()
        if create:
            make_private(path)
        elif not path.exists():
            raise StoreError(f"There is no database at {path}. Run `audit-bot poll` or `audit-bot import` first.")
        _refuse_foreign(path)
        try:
            self._migrate()
        except DatabaseError as error:
            raise unusable(path, error) from error

    @property
    def connection(self) -> Connection:
        """This thread's connection, opened when first asked for."""
        found: Connection | None = getattr(self._mine, "connection", None)
        if found is None:
            found = self._mine.connection = _connect(self.path, durable=self.durable)
            with self._guard:
                self._all.append(found)
        return found

    @property
    def db(self) -> Database:
        """The same connection with sqlite-utils' table methods."""
        return Database(self.connection)

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """Run one write transaction, begun IMMEDIATE so that it never fails half way for want of the lock.

        Inside another `write` of the same thread it is part of that one. Raises StoreError (full, read-only, busy).
        """
        connection: Any = self.connection
        if connection.in_transaction:
            yield connection
            return
        try:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise
            connection.execute("COMMIT")
        except DatabaseError as error:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise unusable(self.path, error) from error

    def checkpoint(self) -> None:
        """Let what the log of writes holds go to the file now, as far as nobody still reads from before it: else a
        commit does so at some time, and takes longer then (170 ms were seen). Raises StoreError."""
        try:
            self.connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        except DatabaseError as error:
            raise unusable(self.path, error) from error

    def forget_pages(self) -> None:
        """Free the pages that this thread's connection keeps, up to 32 MB; the next read fetches its own."""
        self.connection.execute("PRAGMA shrink_memory")

    @contextmanager
    def bulk(self) -> Iterator[None]:
        """Let this thread write very much inside, in transactions of its own: for a third less time of SQLite.

        References are not looked up, so every id that is written has to come from the dictionaries themselves. The
        pages of the indexes stay in memory, and go from the log of writes to the file more rarely: so a page that many
        transactions change is written there less often. The memory is given back afterwards.
        """
        connection = self.connection
        connection.execute("PRAGMA foreign_keys = OFF")
        connection.execute(f"PRAGMA cache_size = -{BULK_CACHE}")
        connection.execute(f"PRAGMA wal_autocheckpoint = {BULK_LOG}")
        try:
            yield
        finally:
            connection.execute(f"PRAGMA wal_autocheckpoint = {LOG}")
            connection.execute(f"PRAGMA cache_size = -{CACHE}")
            connection.execute("PRAGMA shrink_memory")
            connection.execute("PRAGMA foreign_keys = ON")

    @contextmanager
    def impatient(self, seconds: float) -> Iterator[None]:
        """Wait no longer than so long for other writers inside; what fails for that raises StoreError, `busy`."""
        self.connection.execute(f"PRAGMA busy_timeout = {int(seconds * 1000)}")
        try:
            yield
        finally:
            self.connection.execute(f"PRAGMA busy_timeout = {int(BUSY_SECONDS * 1000)}")

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Let all reads inside see the same moment, whoever writes meanwhile."""
        connection: Any = self.connection
        if connection.in_transaction:
            yield connection
            return
        try:
            connection.execute("BEGIN")
            try:
                yield connection
            finally:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
        except DatabaseError as error:
            raise unusable(self.path, error) from error

    def rows(self, sql: str, parameters: Sequence[Any] | dict[str, Any] = ()) -> list[tuple[Any, ...]]:
        """Return all rows of a SELECT."""
        try:
            return self.connection.execute(sql, parameters).fetchall()
        except DatabaseError as error:
            raise unusable(self.path, error) from error

    def stream(self, sql: str, parameters: Sequence[Any] | dict[str, Any] = ()) -> Iterator[tuple[Any, ...]]:
        """Yield the rows of a SELECT one by one, for those that are too many to hold."""
        try:
            yield from self.connection.execute(sql, parameters)
        except DatabaseError as error:
            raise unusable(self.path, error) from error

    def value(self, sql: str, parameters: Sequence[Any] | dict[str, Any] = ()) -> Any:
        """Return the first column of the first row, or None."""
        rows = self.rows(sql, parameters)
        return rows[0][0] if rows else None

    def meta(self, key: str) -> str | None:
        """Return a remembered value."""
        found = self.value("SELECT value FROM meta WHERE key = ?", (key,))
        return None if found is None else str(found)

    def meta_time(self, key: str) -> int | None:
        """Return a remembered moment, in microseconds."""
        text = self.meta(key)
        return None if text is None else int(text)

    def set_meta(self, key: str, value: str | None) -> None:
        """Remember a value, or forget it."""
        with self.write() as connection:
            if value is None:
                connection.execute("DELETE FROM meta WHERE key = ?", (key,))
            else:
                connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))

    def close(self) -> None:
        """Close every thread's connection."""
        with self._guard:
            for connection in self._all:
                connection.close()
            self._all.clear()
        self._mine = threading.local()

    def _migrate(self) -> None:
        connection = self.connection
        if connection.execute("PRAGMA user_version").fetchone()[0] == SCHEMA:
            return
        with self.write():
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            if 0 < version < SCHEMA:
                self._copy_before(version)
            for statements in MIGRATIONS[version:]:
                for statement in statements:
                    connection.execute(statement)
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {SCHEMA}")
        self.close()  # one that made the tables takes up to four times as long for each statement afterwards (measured)

    def _copy_before(self, version: int) -> None:
        """Copy the file beside itself before it is migrated; one that an earlier try left is made anew."""
        path = self.path.with_name(f"{self.path.name}.schema-{version}")
        reader = _connect(self.path)
        try:
            _, found = copy_whole(reader, connect, path)
        except OSError as error:
            raise StoreError(
                f"{path}: {error.strerror}. A copy is made there before the database is migrated."
            ) from error
        finally:
            reader.close()
        if found != "ok":
            raise StoreError(f"{self.path} is damaged ({found}): restore a backup; it was not migrated.")


def unusable(path: Path, error: DatabaseError) -> StoreError:
    """Return the error that says what to do about SQLite's."""
    text = str(error)
    remedies = {
        "full": "The disk is full: free some space; nothing was changed.",
        "I/O error": "The disk fails: look at the system's log; nothing was changed.",
        "readonly": "The database is read-only: check the owner and mode of the file and its folder.",
        "read-only": "The database is read-only: check the owner and mode of the file and its folder.",
        "malformed": "The file is damaged: keep it, restore the latest backup, and run `audit-bot doctor`.",
        "not a database": "The file is not a database: set AUDIT_BOT_DB to another path; it was not touched.",
        "locked": "Another process holds the database for long: look at `audit-bot status`, then try again.",
        "unable to open": "Check that the folder exists and that this user may write there.",
    }
    remedy = next((remedy for word, remedy in remedies.items() if word in text), "Nothing was changed.")
    disk = any(word in text for word in ("full", "readonly", "read-only", "I/O error"))
    return StoreError(f"{path}: {text}. {remedy}", busy="locked" in text, disk=disk)


def _connect(path: Path, *, durable: bool = False) -> Connection:
    connection = connect(str(path), timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    wal = VERSION >= WAL_IS_SAFE
    connection.execute(f"PRAGMA journal_mode = {'WAL' if wal else 'DELETE'}")
    connection.execute(f"PRAGMA synchronous = {'NORMAL' if wal and not durable else 'FULL'}")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute(f"PRAGMA cache_size = -{CACHE}")
    return connection


def make_private(path: Path) -> None:
    """Make the folder and the file for this user alone; what exists already keeps its mode."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    except OSError as error:
        raise StoreError(f"{path}: {error.strerror}. Set AUDIT_BOT_DB to a path that this user can write.") from error


def _refuse_foreign(path: Path) -> None:
    """Look at the file's own header, so that a file which is not ours, or is newer, is not even opened."""
    with path.open("rb") as file:
        header = file.read(100)
    if not header:
        return
    if not header.startswith(b"SQLite format 3\0"):
        raise StoreError(f"{path} is not a database. Set AUDIT_BOT_DB to another path; it was not touched.")
    version, application = _number(header, 60), _number(header, 68)
    if application not in (0, APPLICATION_ID) or (application == 0 and version):
        raise StoreError(f"{path} belongs to another program. Set AUDIT_BOT_DB to another path; it was not touched.")
    if version > SCHEMA:
        raise StoreError(
            f"{path} has schema {version}, this program knows up to {SCHEMA}."
            " Install the newer audit-bot; the file was not touched."
        )


def version_of(path: Path) -> int:
    """Return the schema of a file that is ours, without opening it as a database. Raises StoreError."""
    _refuse_foreign(path)
    with path.open("rb") as file:
        return _number(file.read(100), 60)


def _number(header: bytes, place: int) -> int:
    return int.from_bytes(header[place : place + 4], "big")
