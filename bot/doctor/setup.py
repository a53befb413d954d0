"""Looks at settings, rules and file modes: what can be told without any network and without the database."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

from bot import rulebook
from bot.doctor.lines import Line, bad, ok, warn
from bot.errors import AuditBotError, ConfigError, RuleError
from bot.reading import rules_folder
from bot.settings import Settings, say_wrong
from bot.store.schema import VERSION, WAL_IS_SAFE

NEEDED = ("CORTEX_API_KEY", "SLACK_BOT_TOKEN", "AUDIT_BOT_CHANNEL")
LITTLE, VERY_LITTLE = 2 << 30, 200 << 20  # bytes of free disk
SHARED = ("nfs", "nfs4", "cifs", "smb3", "smbfs", "fuse.sshfs", "9p")
SHOWN = 5  # problems of one kind


def settings_lines(settings: Settings, errors: Iterable[str]) -> Iterator[Line]:
    """Say which settings are malformed, missing, or better set."""
    wrong = list(errors)
    set_names = {str(field.alias) for name, field in Settings.model_fields.items() if getattr(settings, name)}
    wrong += [say_wrong(name, "is not set") for name in NEEDED if name not in set_names]
    if not set_names & {"SLACK_APP_TOKEN", "SLACK_SIGNING_SECRET"}:
        wrong.append(say_wrong("SLACK_APP_TOKEN", "is not set"))
    for text in wrong:
        name, _, rest = text.partition(": ")
        what, _, remedy = rest.partition(": ")
        yield bad("settings", f"{name} {what}", remedy or "see the table of settings in README.md")
    if not wrong:
        yield ok("settings", "all that `run` needs are set")
    yield from _advice(settings)


def _advice(settings: Settings) -> Iterator[Line]:
    if not settings.allowed:
        remedy = "set AUDIT_BOT_ALLOWED to ids of users or user groups"
        yield warn("settings", "nobody may ask or click: AUDIT_BOT_ALLOWED is not set", remedy)
    if settings.heartbeat_url is None:
        remedy = "set AUDIT_BOT_HEARTBEAT_URL to an address that rings when calls stay away"
        yield warn("settings", "nobody would notice if this machine died", remedy)
    if settings.fallback_webhook is None:
        remedy = "set AUDIT_BOT_FALLBACK_WEBHOOK to an address that takes JSON"
        yield warn("settings", "there is no second path for when Slack is dead", remedy)
    if settings.backup_dir is None:
        remedy = "set AUDIT_BOT_BACKUP_DIR to a folder on another disk, or run `audit-bot backup` yourself"
        yield warn("settings", "no daily backup is made", remedy)
    local = settings.cortex_base_url.startswith(("http://127.0.0.1", "http://localhost"))
    if settings.cortex_base_url.startswith("http://") and not local:
        yield bad("settings", "CORTEX_BASE_URL is http: the key would travel in the open", "use https://")


def rules_lines(settings: Settings) -> Iterator[Line]:
    """Say whether the rule files can be read, and who may write them."""
    try:
        path = rules_folder(settings.rules)
        book = rulebook.read_rulebook(path)
        yield ok("rules", f"{len(book.reporting)} rules in {path}")
    except RuleError as error:
        for problem in error.problems[:SHOWN]:
            yield bad("rules", str(problem), "mend the line; `audit-bot rules check` lists all")
        return
    except AuditBotError as error:
        yield bad("rules", str(error), "set AUDIT_BOT_RULES")
        return
    if not any(rule.correlation for rule in book.reporting if not rule.rule.shadow):
        yield warn("rules", "no rule that is posted counts anything", "is that what you want? see docs/rules.md")
    try:
        rulebook.refuse_writable(path)
    except ConfigError as error:
        remedy = "chmod -R go-w the folder: whoever can write rules can blind the bot"
        yield (bad if settings.strict_files else warn)("rules", str(error), remedy)


def sqlite_lines(settings: Settings) -> Iterator[Line]:
    """Say which SQLite is in use, and whether the disk suits it."""
    said = ".".join(map(str, VERSION))
    if VERSION >= WAL_IS_SAFE:
        yield ok("sqlite", f"SQLite {said}, write-ahead log")
    else:
        remedy = "install pysqlite3 where it has wheels; a rollback journal is used meanwhile, which is safe but slower"
        yield warn("sqlite", f"SQLite {said} is older than {'.'.join(map(str, WAL_IS_SAFE))}", remedy)
    folder = next(path for path in (settings.db.absolute().parent, *settings.db.absolute().parents) if path.exists())
    if (kind := _filesystem(folder)) in SHARED:
        yield bad("disk", f"the database is on a network disk ({kind}), whose locks do not hold", "use a local disk")
    if not os.access(folder, os.W_OK):
        yield bad("disk", f"{folder} cannot be written by this user", "give it to the service's user")
    free = shutil.disk_usage(folder).free
    remedy = "free some space, or set AUDIT_BOT_RETENTION_DAYS lower"
    if free >= LITTLE:
        yield ok("disk", f"{free >> 30} GiB free at {folder}")
    else:
        yield (bad if free < VERY_LITTLE else warn)("disk", f"only {free >> 20} MiB free at {folder}", remedy)


def _filesystem(folder: Path) -> str:
    """Return the kind of file system that a folder is on, "" where the system does not say."""
    try:
        mounts = [line.split() for line in Path("/proc/mounts").read_text(encoding="utf-8").splitlines()]
    except OSError:
        return ""
    inside = [(len(point), kind) for _, point, kind, *_ in mounts if folder.is_relative_to(point)]
    return max(inside)[1] if inside else ""


def private_files(settings: Settings) -> list[Path]:
    """Return the files that nobody else may read: database, its companions, copies, `.env`."""
    beside = [path for path in settings.db.parent.glob(settings.db.name + "*") if path.is_file()]
    copies = list(settings.backup_dir.glob("*.db")) if settings.backup_dir else []
    return [*sorted(beside), *sorted(copies), *(path for path in [Path(".env")] if path.is_file())]


def open_to_others(path: Path) -> bool:
    """Tell whether anybody but the owner may read or write a file."""
    return bool(stat.S_IMODE(path.stat().st_mode) & 0o077)


def mode_lines(settings: Settings) -> Iterator[Line]:
    """Say which files others may read."""
    files = private_files(settings)
    exposed = [path for path in files if open_to_others(path)]
    for path in exposed:
        yield bad("files", f"{path} can be read by others", f"chmod 600 {path}, or `audit-bot doctor --repair`")
    if files and not exposed:
        yield ok("files", f"{len(files)} files, for this user alone")
