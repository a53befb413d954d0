"""What commands that only read need, and nothing that polls, watches or posts: so they answer quickly."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bot.detect.sigma.sensitive import parse_sensitive
from bot.errors import ConfigError, RuleError
from bot.fields import FactSettings
from bot.settings import Settings
from bot.store.schema import Store

SHIPPED = Path(__file__).resolve().parent.parent / "rules"
DEFAULT_RULES = Path("rules")  # where the service runs
SENSITIVE = "sensitive.yml"


def now() -> int:
    """Return the time in microseconds; the only clock of the program."""
    return time.time_ns() // 1000


@contextmanager
def opened(path: Path, *, create: bool = False, durable: bool = True) -> Iterator[Store]:
    """Open a database and close it again."""
    store = Store(path, create=create, durable=durable)
    try:
        yield store
    finally:
        store.close()


def rules_folder(path: Path) -> Path:
    """Return the folder (or file) to read rules from: the shipped ones where the default does not exist.

    Raises ConfigError where a path that somebody chose does not exist.
    """
    if path.exists():
        return path
    if path == DEFAULT_RULES and SHIPPED.exists():
        return SHIPPED
    raise ConfigError(f"There are no rules at {path}: set AUDIT_BOT_RULES, or give --rules, to a folder of rule files.")


def fact_settings(settings: Settings) -> FactSettings:
    """Return what facts need; broken rule files are no reason not to answer."""
    try:
        file = rules_folder(settings.rules) / SENSITIVE
        text = file.read_text(encoding="utf-8") if file.is_file() else ""
        return settings.fact_settings(parse_sensitive(text, SENSITIVE))
    except (RuleError, ConfigError, OSError, UnicodeDecodeError):
        return settings.fact_settings()
