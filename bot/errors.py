"""The error tree: every error that the bot raises on purpose, each with what to do.

AuditBotError
├── ConfigError       a setting or an argument is wrong: exit 2, nothing was touched
├── RuleError         rule files are wrong: `problems` lists each with file and line
├── QueryError        a query cannot be read: `position` marks the place
├── StoreError        the database cannot be used: corrupt, newer than the program, full, read-only
│   └── LockedError   another process writes to it
├── ApiError          the portal did not give a usable answer; worth another try
│   └── AccessError   the portal refuses the key: trying again is no use
└── DeliveryError     Slack did not take a message; `permanent` says whether trying again helps
"""

from __future__ import annotations

from dataclasses import dataclass


class AuditBotError(Exception):
    """The root: its text is one readable sentence, with what to do."""


class ConfigError(AuditBotError):
    """A setting or an argument is missing or malformed."""


@dataclass(frozen=True)
class Problem:
    """One mistake in a rule file; `hint` is the correction where it can be guessed."""

    file: str
    line: int
    text: str
    hint: str = ""
    rule_id: str = ""

    def __str__(self) -> str:
        hint = f" ({self.hint})" if self.hint else ""
        return f"{self.file}:{self.line}: {self.text}{hint}"


class RuleError(AuditBotError):
    """One or more rule files are wrong; all problems of all files are in `problems`."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        self.problems = problems
        super().__init__("\n".join(map(str, problems)))


class QueryError(AuditBotError):
    """A query cannot be read. `position` counts characters of `query` from 0; `example` is a corrected query."""

    def __init__(self, text: str, query: str = "", position: int = 0, example: str = "") -> None:
        self.text, self.query, self.position, self.example = text, query, position, example
        super().__init__(text)


class StoreError(AuditBotError):
    """The database cannot be used as it is; the file is left untouched. `busy`: only for now, others write to it;
    `disk`: what it lies on is full, failing or read-only, which may pass."""

    def __init__(self, text: str, *, busy: bool = False, disk: bool = False) -> None:
        self.busy, self.disk = busy, disk
        super().__init__(text)


class LockedError(StoreError):
    """Another process holds the ingest lock; the text says which."""


class ApiError(AuditBotError):
    """The portal gave no usable answer. `retry_after` is its wish in seconds, None where it said nothing."""

    def __init__(self, text: str, retry_after: float | None = None) -> None:
        self.retry_after = retry_after
        super().__init__(text)


class AccessError(ApiError):
    """The portal refuses the key (401, 403), or the request itself (400, 404, a redirect): a person has to act."""


class DeliveryError(AuditBotError):
    """Slack did not take a message. `code` is Slack's error word, `retry_after` in seconds."""

    def __init__(self, code: str, permanent: bool, retry_after: float | None = None) -> None:
        self.code, self.permanent, self.retry_after = code, permanent, retry_after
        super().__init__(f"Slack: {code}")
