"""Settings: environment (and `.env`) to one frozen object, with all errors at once."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, DotEnvSettingsSource, NoDecode, SettingsConfigDict

from bot.addresses import AddressBook
from bot.errors import ConfigError
from bot.fields import SENSITIVE_TYPES, WEEKDAYS, FactSettings

SHORTEST_RETENTION = 30  # days
FILE = "_FILE"  # CORTEX_API_KEY_FILE names a file that holds the value of CORTEX_API_KEY
_HOURS = re.compile(r"([a-z]{3})-([a-z]{3}) (\d{1,2})-(\d{1,2})$")
REMEDIES = {
    "CORTEX_API_KEY": "create a key with the permission 'View audit logs' under Settings > API keys",
    "CORTEX_BASE_URL": "give the portal's address, like https://api.getcortexapp.com",
    "SLACK_BOT_TOKEN": "copy the Bot User OAuth Token (xoxb-...) from the app's page in Slack",
    "SLACK_APP_TOKEN": "copy an app-level token (xapp-...) with connections:write, or set SLACK_SIGNING_SECRET",
    "SLACK_SIGNING_SECRET": "copy the Signing Secret from the app's Basic Information page, or set SLACK_APP_TOKEN",
    "AUDIT_BOT_CHANNEL": "give the channel's id, like C0123456789, and invite the bot there",
    "AUDIT_BOT_ALLOWED": "give user or user-group ids, separated by commas, like U012ABC,S034DEF",
    "AUDIT_BOT_TIMEZONE": "give a zone of the tz database, like Europe/Berlin",
    "AUDIT_BOT_WORKING_HOURS": "give days and hours, like 'mon-fri 7-20'",
    "PORT": "give a port from 1 to 65535, like 8080",
}


class Settings(BaseSettings):
    """All settings; the variable names are the aliases. Secrets never show in a repr."""

    model_config = SettingsConfigDict(env_file=".env", extra="ignore", frozen=True, env_ignore_empty=True)

    cortex_api_key: SecretStr | None = Field(None, alias="CORTEX_API_KEY")
    cortex_base_url: str = Field("https://api.getcortexapp.com", alias="CORTEX_BASE_URL", pattern=r"^https?://[^\s/]+")
    slack_bot_token: SecretStr | None = Field(None, alias="SLACK_BOT_TOKEN")
    slack_app_token: SecretStr | None = Field(None, alias="SLACK_APP_TOKEN")
    slack_signing_secret: SecretStr | None = Field(None, alias="SLACK_SIGNING_SECRET")
    slack_api_url: str = Field("https://slack.com/api/", alias="SLACK_API_URL", pattern=r"^https?://[^\s/]+")
    db: Path = Field(Path("data/audit.db"), alias="AUDIT_BOT_DB")
    rules: Path = Field(Path("rules"), alias="AUDIT_BOT_RULES")
    channel: str | None = Field(None, alias="AUDIT_BOT_CHANNEL")
    ops_channel: str | None = Field(None, alias="AUDIT_BOT_OPS_CHANNEL")
    allowed: Annotated[tuple[str, ...], NoDecode] = Field((), alias="AUDIT_BOT_ALLOWED")
    two_person: bool = Field(True, alias="AUDIT_BOT_TWO_PERSON")
    poll_seconds: float = Field(30, alias="AUDIT_BOT_POLL_SECONDS", ge=1, le=3600)
    overlap_seconds: int = Field(900, alias="AUDIT_BOT_OVERLAP_SECONDS", ge=0, le=86400)
    backfill_days: int = Field(90, alias="AUDIT_BOT_BACKFILL_DAYS", ge=0, le=3650)
    timezone: str = Field("UTC", alias="AUDIT_BOT_TIMEZONE")
    working_hours: str = Field("mon-fri 7-20", alias="AUDIT_BOT_WORKING_HOURS")
    actor_types: bool = Field(True, alias="AUDIT_BOT_ACTOR_TYPES")
    array_style: Literal["comma", "repeat"] = Field("comma", alias="AUDIT_BOT_ARRAY_STYLE")
    rate_limit: int = Field(1000, alias="AUDIT_BOT_RATE_LIMIT", ge=10)
    heartbeat_url: SecretStr | None = Field(None, alias="AUDIT_BOT_HEARTBEAT_URL")
    geoip_db: Annotated[tuple[Path, ...], NoDecode] = Field((), alias="AUDIT_BOT_GEOIP_DB")
    fallback_webhook: SecretStr | None = Field(None, alias="AUDIT_BOT_FALLBACK_WEBHOOK")
    backup_dir: Path | None = Field(None, alias="AUDIT_BOT_BACKUP_DIR")
    retention_days: int = Field(400, alias="AUDIT_BOT_RETENTION_DAYS", ge=0)
    strict_files: bool = Field(False, alias="AUDIT_BOT_STRICT_FILES")
    log: Literal["console", "json"] = Field("console", alias="AUDIT_BOT_LOG")
    port: int = Field(8080, alias="PORT", ge=1, le=65535)

    @field_validator("allowed", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        return tuple(part for part in re.split(r"[,\s]+", value) if part) if isinstance(value, str) else value

    @field_validator("geoip_db", mode="before")
    @classmethod
    def _split_paths(cls, value: Any) -> Any:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator("geoip_db")
    @classmethod
    def _are_databases(cls, value: tuple[Path, ...]) -> tuple[Path, ...]:
        try:
            AddressBook(value).check()
        except ConfigError as error:
            raise ValueError(str(error).partition(": ")[2]) from error
        return value

    @field_validator("allowed")
    @classmethod
    def _are_ids(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if wrong := [part for part in value if not re.fullmatch(r"[UWS][A-Z0-9]{2,20}", part)]:
            raise ValueError(f"{', '.join(wrong)} is no id of a user (U..., W...) or user group (S...)")
        return value

    @field_validator("cortex_api_key", "slack_bot_token", "slack_app_token", "slack_signing_secret")
    @classmethod
    def _fits_a_header(cls, value: SecretStr | None) -> SecretStr | None:
        """Else the HTTP library refuses it later, and names it in its error."""
        if value is not None and not re.fullmatch(r"[!-~]*", value.get_secret_value()):
            raise ValueError("holds blanks, control characters or letters beyond ASCII: copy it once more")
        return value

    @field_validator("heartbeat_url", "fallback_webhook")
    @classmethod
    def _is_url(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not re.match(r"https?://[^\s/]+", value.get_secret_value()):
            raise ValueError("is no address, like https://example.com/abc")
        return value

    @property
    def secrets(self) -> tuple[str, ...]:
        """Return every value that must never be shown."""
        values = (getattr(self, name) for name in type(self).model_fields)
        return tuple(value.get_secret_value() for value in values if isinstance(value, SecretStr))

    @property
    def by_socket(self) -> bool:
        """Tell whether Slack is heard over a connection of ours, not called over HTTP."""
        return self.slack_app_token is not None

    @field_validator("retention_days")
    @classmethod
    def _is_long_enough(cls, value: int) -> int:
        if 0 < value < SHORTEST_RETENTION:
            raise ValueError(f"has to be 0 (for ever) or at least {SHORTEST_RETENTION}: rules and forest look back")
        return value

    @field_validator("timezone")
    @classmethod
    def _is_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise ValueError(f"{value!r} is no time zone") from error
        return value

    @field_validator("working_hours")
    @classmethod
    def _are_hours(cls, value: str) -> str:
        found = _HOURS.match(value.strip().lower())
        if not found or not {found[1], found[2]} <= set(WEEKDAYS) or not int(found[3]) < int(found[4]) <= 24:
            raise ValueError(f"{value!r} is not days and hours")
        return value.strip().lower()

    def fact_settings(self, sensitive: Iterable[str] | None = None) -> FactSettings:
        """Return what facts need; `sensitive` are the patterns of rules/sensitive.yml where there is one."""
        first, last, begins, ends = _HOURS.match(self.working_hours).groups()  # type: ignore[union-attr]  # validated
        a, b = WEEKDAYS.index(first), WEEKDAYS.index(last)
        days = frozenset(day % 7 for day in range(a, b + 1 if b >= a else b + 8))
        types = SENSITIVE_TYPES if sensitive is None else tuple(sensitive)
        return FactSettings(
            ZoneInfo(self.timezone), days, int(begins), int(ends), types, AddressBook(tuple(self.geoip_db))
        )


def load(require: Iterable[str] = (), **given: Any) -> Settings:
    """Read the settings; `given` (by variable name) wins over the environment.

    `require` names the variables that the command cannot do without; "A|B" means either. Raises ConfigError, which
    lists every missing and every malformed variable with its remedy.
    """
    settings, errors = survey(**given)
    for names in require:
        if not any(_is_set(settings, name) for name in names.split("|")):
            errors.append(say_wrong(names.split("|")[0], "is not set"))
    if errors:
        raise ConfigError("\n".join(errors))
    return settings


def survey(**given: Any) -> tuple[Settings, list[str]]:
    """Return the settings with what is malformed left at its default, and the errors, each with its remedy."""
    from_files, errors = _from_files()
    known = {**from_files, **{name: value for name, value in given.items() if value is not None}}
    try:
        return Settings(**known), errors
    except ValidationError as error:
        wrong = {str(problem["loc"][0]): problem["msg"] for problem in error.errors()}
    defaults = {str(field.alias): field.default for field in Settings.model_fields.values() if field.alias in wrong}
    return Settings(**{**known, **defaults}), errors + [say_wrong(name, text) for name, text in wrong.items()]


def secret_names() -> list[str]:
    """Return the variables whose values are secrets."""
    return [str(field.alias) for field in Settings.model_fields.values() if field.annotation == SecretStr | None]


def _from_files() -> tuple[dict[str, str], list[str]]:
    """Return the secrets that stand in files, which variables ending in _FILE name, and what is wrong with these."""
    known = {**DotEnvSettingsSource(Settings, case_sensitive=True).env_vars, **os.environ}
    values, errors = {}, []
    for name in secret_names():
        path = known.get(name + FILE)
        if not path:
            continue
        if known.get(name):
            errors.append(f"{name + FILE}: {name} is set too: leave one of them out.")
            continue
        try:
            values[name] = Path(path).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "is no text"
            errors.append(f"{name + FILE}: {path}: {why}: give the path of a file that this user can read.")
    return values, errors


def _is_set(settings: Settings, alias: str) -> bool:
    name = next(name for name, field in Settings.model_fields.items() if field.alias == alias)
    return bool(getattr(settings, name))


def say_wrong(name: str, text: str) -> str:
    """Return a sentence about a variable, with its remedy."""
    remedy = f": {REMEDIES[name]}" if name in REMEDIES else ""
    return f"{name}: {text.removeprefix('Value error, ')}{remedy}."
