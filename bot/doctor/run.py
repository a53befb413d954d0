"""The doctor's round: all looks in order, and the repair before them where it is asked for."""

from __future__ import annotations

from collections.abc import Iterator

from bot.app import portal_of
from bot.doctor import database, outside, setup
from bot.doctor.lines import Line
from bot.errors import AuditBotError, ConfigError
from bot.login import user
from bot.reading import now
from bot.settings import Settings
from bot.show import lines as print_lines
from bot.show import plain, say
from bot.slack.checkup import Checkup
from bot.store import journal
from bot.store.care import repair
from bot.store.care.locks import ingest_lock
from bot.store.schema import Store


def doctor(settings: Settings, errors: list[str], format_: str, *, mend: bool) -> int:
    """Print what is found, after mending where that is asked for; return the exit code."""
    if mend:
        for text in mended(settings):
            say(f"mended: {plain(text)}")
    found = list(look(settings, errors))
    if format_ == "jsonl":
        print_lines(line.__dict__ for line in found)
    else:
        for line in found:
            say(f"{line.verdict:<5} {line.what:<9} {plain(line.text)}")
            if line.remedy:
                say(f"{'':<15} -> {plain(line.remedy)}")
    return int(any(line.verdict == "bad" for line in found))


def look(settings: Settings, errors: list[str]) -> Iterator[Line]:
    """Yield what there is to say, from the settings outwards."""
    yield from setup.settings_lines(settings, errors)
    yield from setup.rules_lines(settings)
    yield from setup.sqlite_lines(settings)
    yield from setup.mode_lines(settings)
    yield from database.database_lines(settings.db, now())
    portal = portal_of(settings) if settings.cortex_api_key else None
    yield from outside.portal_lines(settings, portal, now())
    if portal is not None:
        portal.close()
    yield from outside.slack_lines(settings, Checkup(settings) if settings.slack_bot_token else None)


def mended(settings: Settings) -> Iterator[str]:
    """Mend what can be mended, and say what was. Raises StoreError, LockedError while the service runs."""
    for path in repair.make_private(setup.private_files(settings)):
        yield f"{path} is for this user alone now"
    folders = {settings.db.parent: settings.db.name} | ({settings.backup_dir: ""} if settings.backup_dir else {})
    if not settings.db.exists():
        return
    try:
        with ingest_lock(settings.db, "doctor"):
            store = Store(settings.db, create=False)
            try:
                for folder, name in folders.items():
                    for path in repair.remove_halves(folder, name):
                        yield f"{path}, half a backup, is gone"
                done = list(_in_store(store))
                yield from done
                if done:
                    journal.write(store, now(), user(), "repair", {"mended": done, "from": "terminal"})
            finally:
                store.close()
    except AuditBotError as error:
        raise ConfigError(f"The database was not mended: {error}") from error


def _in_store(store: Store) -> Iterator[str]:
    if repair.damage(store, whole=True):
        whole = repair.reindex(store)
        yield "all indexes were made anew" + ("" if whole else "; that was not all that is wrong")
    if repair.derive_learnt(store):
        yield "first-seen entries that were missing were derived anew"
    if count := repair.take_back(store, now()):
        yield f"{count} messages that were cut off are queued again"
