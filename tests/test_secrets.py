"""Planted secrets never show: not in what commands print, not in errors, not in the database."""

from __future__ import annotations

from pathlib import Path

import pytest

from bot.errors import ConfigError
from bot.settings import Settings, load, secret_names
from tests.test_cli import audit_bot


def test_what_commands_print_and_store_holds_no_secret(tmp_path: Path) -> None:
    """Nothing answers at the addresses: every error path is walked with the secrets at hand."""
    nobody = "http://127.0.0.1:9/"
    planted = {name: f"planted-{number}-secret" for number, name in enumerate(secret_names())}
    for name in ("AUDIT_BOT_HEARTBEAT_URL", "AUDIT_BOT_FALLBACK_WEBHOOK"):
        planted[name] = nobody + planted[name]
    more = planted | {"CORTEX_BASE_URL": nobody, "SLACK_API_URL": nobody + "api/", "AUDIT_BOT_CHANNEL": "C0123456789"}
    printed = ""
    for command in (["doctor", "--repair"], ["import", "nowhere.jsonl"]):
        done = audit_bot(*command, folder=tmp_path, stdin=b"", **more)
        printed += done.stdout + done.stderr
    assert "did not answer" in printed
    for path in tmp_path.glob("audit.db*"):
        printed += path.read_bytes().decode("latin-1")
    for secret in planted.values():
        assert secret.removeprefix(nobody) not in printed


@pytest.mark.parametrize("value", ["two words-planted", "planted\x01", "plänted"])
def test_a_secret_that_no_header_can_hold_is_refused_without_being_named(value: str) -> None:
    """The HTTP library would refuse it later, and say it."""
    with pytest.raises(ConfigError, match="CORTEX_API_KEY: holds blanks") as caught:
        load(CORTEX_API_KEY=value)
    assert "pl" not in str(caught.value).split("copy")[0]


def test_no_secret_shows_in_a_repr() -> None:
    """Settings end up in tracebacks."""
    given = {name: "planted-secret" for name in secret_names() if not name.endswith(("URL", "WEBHOOK"))}
    chosen = Settings.model_validate(given)
    assert "planted" not in f"{chosen!r} {chosen}"
    assert len(chosen.secrets) == len(given)
