"""Looks into the database: whole, migrated, its journal unbroken, nothing left behind. Changes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from bot.doctor.lines import Line, bad, ok, warn
from bot.errors import StoreError
from bot.store import journal
from bot.store.care import repair
from bot.store.care.locks import holder
from bot.store.log import gaps
from bot.store.messages import alarms
from bot.store.schema import SCHEMA, Store, version_of
from bot.store.status import HOME_SAID
from bot.times import iso

WHOLE_CHECK = 1 << 30  # bytes; a larger file is checked less thoroughly


def database_lines(path: Path, now: int) -> Iterator[Line]:
    """Say how the database is."""
    if not path.exists():
        yield warn("database", f"there is none at {path} yet", "`audit-bot run` or `audit-bot poll` makes it")
        return
    try:
        version = version_of(path)
        if version < SCHEMA:
            remedy = "the next start migrates it, after a backup beside it"
            yield warn("database", f"schema {version}, this program's is {SCHEMA}", remedy)
            return
        store = Store(path, create=False)
    except StoreError as error:
        yield bad("database", str(error), "docs/deploy.md says how to restore a backup")
        return
    try:
        yield from _lines(store, running=holder(path))
    except StoreError as error:
        yield bad("database", str(error), "docs/deploy.md says how to restore a backup")
    finally:
        store.close()


def _lines(store: Store, *, running: str) -> Iterator[Line]:
    yield ok("service", f"{running} runs") if running else warn("service", "it does not run", "start `audit-bot run`")
    damage = repair.damage(store, whole=store.path.stat().st_size <= WHOLE_CHECK)
    for text in damage[:3]:
        yield bad("database", text, "`audit-bot doctor --repair` mends indexes; else restore a backup: docs/deploy.md")
    if not damage:
        yield ok("database", f"whole, schema {SCHEMA}")
    entries, wrong = journal.verify(store)
    if wrong:
        yield bad("journal", f"does not hold: {wrong}", "somebody changed it: keep the file, ask who could write it")
    else:
        yield ok("journal", f"{entries:,} entries hold")
    if missing := repair.missing_first_seen(store):
        remedy = "`audit-bot doctor --repair` derives them anew"
        yield bad("database", f"{missing:,} things were never noted as first seen", remedy)
    yield from _left_behind(store, running=bool(running))


def _left_behind(store: Store, *, running: bool) -> Iterator[Line]:
    for alarm in alarms.lasting(store).values():
        yield bad("service", f"{alarm.text} (since {iso(alarm.since)})", "see docs/reliability.md")
    if said := store.meta(HOME_SAID):
        yield warn("rules", said, "name the folder, so that no start depends on where it begins")
    open_gaps = gaps.open_gaps(store)
    if open_gaps:
        yield warn("log", f"{len(open_gaps)} windows could not be read yet", "`audit-bot gaps` lists them")
    failed = store.value("SELECT count(*) FROM outbox WHERE state = 'failed'")
    if failed:
        yield warn("outbox", f"{failed:,} messages were given up", "see `audit-bot status`, and the channel in routing")
    stale = 0 if running else store.value("SELECT count(*) FROM outbox WHERE state = 'sending'")
    if stale:
        yield warn("outbox", f"{stale} messages were cut off while being sent", "the next start takes them up")
