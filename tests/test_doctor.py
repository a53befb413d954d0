"""The doctor: what is wrong is said with what to do, nothing is posted, and repairs lose nothing."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from bot.doctor.run import look, mended
from bot.doctor.setup import settings_lines
from bot.errors import ConfigError
from bot.sandbox import cortex
from bot.sandbox.slack import FakeSlack, fake_slack
from bot.sandbox.slack_state import ALERTS, APP_TOKEN, GROUP, OPS, TOKEN
from bot.serving import serve
from bot.settings import Settings, load, survey
from bot.store import journal
from bot.store.care.locks import ingest_lock
from bot.store.messages import outbox
from bot.store.schema import Store
from bot.times import HOUR, MINUTE
from tests.conftest import START, add, record
from tests.test_cli import audit_bot


def clock() -> int:
    return time.time_ns() // 1000


@dataclass
class Ward:
    """A whole set-up in which everything is as it should be, until a test changes it."""

    folder: Path
    slack: FakeSlack
    given: dict[str, Any] = field(default_factory=dict)
    skew: int = 0

    def said(self, verdict: str, **changed: Any) -> list[str]:
        """Return what the doctor says with one verdict."""
        settings = Settings.model_validate(self.given | changed)
        return [f"{line.what}: {line.text} -> {line.remedy}" for line in look(settings, []) if line.verdict == verdict]

    @property
    def store(self) -> Store:
        return Store(self.folder / "audit.db")


@contextmanager
def ward(folder: Path) -> Iterator[Ward]:
    page, slack = fake_slack("", "a" * 32, clock)
    here = Ward(folder, slack)
    source = cortex.Source()
    with serve(cortex.app(source, lambda: clock() + here.skew, "key")) as portal, serve(page) as console:
        here.given = {
            "CORTEX_API_KEY": "key", "CORTEX_BASE_URL": portal.url, "SLACK_BOT_TOKEN": TOKEN,
            "SLACK_APP_TOKEN": APP_TOKEN, "SLACK_API_URL": console.url + "/api/", "AUDIT_BOT_CHANNEL": ALERTS,
            "AUDIT_BOT_OPS_CHANNEL": OPS, "AUDIT_BOT_ALLOWED": (GROUP,), "AUDIT_BOT_DB": folder / "audit.db",
            "AUDIT_BOT_RULES": Path("rules"), "AUDIT_BOT_BACKUP_DIR": folder,
            "AUDIT_BOT_HEARTBEAT_URL": "http://127.0.0.1:1/", "AUDIT_BOT_FALLBACK_WEBHOOK": "http://127.0.0.1:1/",
        }  # fmt: skip
        here.store.close()
        yield here


def test_without_any_settings_it_says_what_is_missing(tmp_path: Path) -> None:
    """The first thing that somebody runs; each line names a remedy."""
    done = audit_bot("doctor", folder=tmp_path)
    assert done.returncode == 1
    for name in ("CORTEX_API_KEY", "SLACK_BOT_TOKEN", "SLACK_APP_TOKEN", "AUDIT_BOT_CHANNEL", "AUDIT_BOT_ALLOWED"):
        assert f"{name} is not set" in done.stdout
    assert "create a key with the permission 'View audit logs'" in done.stdout
    assert not (tmp_path / "audit.db").exists()


def test_a_good_set_up_is_called_good_and_nothing_is_posted(tmp_path: Path) -> None:
    """Exit 0 is for this."""
    with ward(tmp_path) as here, ingest_lock(tmp_path / "audit.db", "run"):
        assert here.said("bad") == []
        assert here.said("warn") == []
        called = {method for method, _ in here.slack.recorded.calls}
        assert called == {"auth.test", "conversations.history", "apps.connections.open"}


@pytest.mark.slow
def test_each_fault_outside_is_named_with_its_remedy(tmp_path: Path) -> None:
    with ward(tmp_path) as here:
        assert "create one under Settings > API keys" in here.said("bad", CORTEX_API_KEY="other")[0]
        assert "did not answer" in here.said("bad", CORTEX_BASE_URL="http://127.0.0.1:1")[0]
        open_ = Settings.model_validate(here.given | {"CORTEX_BASE_URL": "http://portal.example"})
        assert any("travel in the open" in line.text for line in settings_lines(open_, []))
        assert "invalid_auth" in here.said("bad", SLACK_BOT_TOKEN="xoxb-wrong")[0]
        assert "invalid_auth" in here.said("bad", SLACK_APP_TOKEN="xapp-wrong")[0]
        assert "channel_not_found" in here.said("bad", AUDIT_BOT_CHANNEL="C0NOWHERE")[0]
        joined = here.slack.channels[OPS]
        here.slack.channels[OPS] = replace(joined, invited=False)
        assert "AUDIT_BOT_OPS_CHANNEL" in here.said("bad")[0]
        here.slack.channels[OPS] = joined
        here.slack.scopes.remove("usergroups:read")
        here.slack.scopes.add("admin")
        assert "scopes are missing: usergroups:read" in here.said("bad")[0]
        assert any("more than it needs: admin" in line for line in here.said("warn"))


def test_a_clock_that_is_wrong_is_told(tmp_path: Path) -> None:
    """Alerts would say that they are late, and signatures would not hold."""
    with ward(tmp_path) as here:
        here.skew = HOUR
        assert "60 min behind the portal's" in here.said("bad")[0]
        here.skew = -MINUTE - 1
        assert any("ahead of the portal's" in line for line in here.said("warn"))


def test_files_that_others_may_read_or_write_are_told_and_mended(tmp_path: Path) -> None:
    with ward(tmp_path) as here:
        (tmp_path / "audit.db").chmod(0o644)
        assert "can be read by others" in here.said("bad")[0]
        assert list(mended(Settings.model_validate(here.given)))
        assert here.said("bad") == []
        rules = tmp_path / "rules"
        rules.mkdir()
        (rules / "one.yml").write_text(Path("rules/deletion/bulk-delete.yml").read_text())
        (rules / "one.yml").chmod(0o664)
        assert any("one.yml" in line for line in here.said("warn", AUDIT_BOT_RULES=rules))
        assert any("one.yml" in line for line in here.said("bad", AUDIT_BOT_RULES=rules, AUDIT_BOT_STRICT_FILES=True))


def test_strict_files_refuse_to_start_with_rules_that_others_may_write(tmp_path: Path) -> None:
    """Whoever can write rules can blind the bot."""
    rules = tmp_path / "rules"
    rules.mkdir(mode=0o770)
    rules.chmod(0o770)
    (rules / "one.yml").write_text(Path("rules/deletion/bulk-delete.yml").read_text())
    more: dict[str, Any] = {"AUDIT_BOT_STRICT_FILES": "true", "AUDIT_BOT_RULES": str(rules)}
    done = audit_bot("import", "-", folder=tmp_path, **more)
    assert done.returncode == 2
    assert "Others may write" in done.stderr
    assert not (tmp_path / "audit.db").exists()


def test_what_was_lost_by_accident_is_derived_anew(tmp_path: Path) -> None:
    """First-seen tables, half-sent rows, half a backup; and what is older than all events stays."""
    with ward(tmp_path) as here:
        store = here.store
        add(store, [record(START + n * MINUTE, actor=f"a{n}") for n in range(5)])
        whole = store.rows("SELECT * FROM first_seen ORDER BY kind, a, b")
        activity = store.rows("SELECT * FROM activity")
        store.connection.execute("UPDATE first_seen SET time = 5 WHERE kind = 'actor' AND a = 1")
        store.connection.execute("DELETE FROM first_seen WHERE kind = 'actor' AND a > 2")
        outbox.put(store, "ops", START, body="half sent")
        outbox.claim(store, START)
        store.close()
        (tmp_path / "audit.db.part").touch()
        assert any("3 things were never noted" in line for line in here.said("bad"))
        said = list(mended(Settings.model_validate(here.given)))
        assert len(said) == 4
        store = here.store
        after = store.rows("SELECT * FROM first_seen ORDER BY kind, a, b")
        assert [row if row[:2] != ("actor", 1) else (*row[:3], 5) for row in whole] == after
        assert store.rows("SELECT * FROM activity") == activity
        assert store.rows("SELECT state, unsure FROM outbox") == [("pending", 1)]
        assert [(one["what"], one["detail"]["mended"]) for one in journal.entries(store)] == [("repair", said[2:])]
        store.close()
        assert not (tmp_path / "audit.db.part").exists()
        assert here.said("bad") == []
        assert list(mended(Settings.model_validate(here.given))) == []


def test_an_index_that_does_not_fit_its_table_is_made_anew(tmp_path: Path) -> None:
    with ward(tmp_path) as here:
        store = here.store
        add(store, [record()])
        connection = store.connection
        connection.execute("PRAGMA writable_schema = ON")
        row = connection.execute("SELECT * FROM sqlite_master WHERE name = 'events_actor'").fetchone()
        connection.execute("DELETE FROM sqlite_master WHERE name = 'events_actor'")
        store.close()
        store = here.store
        add(store, [record(START + MINUTE)])
        store.connection.execute("PRAGMA writable_schema = ON")
        store.connection.execute("INSERT INTO sqlite_master VALUES (?, ?, ?, ?, ?)", row)
        store.close()
        assert any("index events_actor" in line for line in here.said("bad"))
        assert "indexes were made anew" in next(iter(mended(Settings.model_validate(here.given))))
        assert here.said("bad") == []


def test_a_damaged_file_is_told_and_left_as_it_is(tmp_path: Path) -> None:
    """Keep it: it is evidence, and a backup may be older."""
    with ward(tmp_path) as here:
        store = here.store
        add(store, [record(START + n * MINUTE, object_=f"o{n}") for n in range(3000)])
        store.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        store.close()
        path = tmp_path / "audit.db"
        whole = path.read_bytes()
        path.write_bytes(whole[:40_000] + b"\xff" * 20_000 + whole[60_000:])
        before = path.read_bytes()
        assert any("database" in line for line in here.said("bad"))
        assert path.read_bytes() == before


def test_a_journal_that_was_changed_is_told(tmp_path: Path) -> None:
    with ward(tmp_path) as here:
        store = here.store
        for number in range(3):
            journal.write(store, START, "U1", "query", {"text": str(number)})
        store.connection.execute("UPDATE journal SET detail = '{}' WHERE id = 2")
        store.close()
        assert any("journal: does not hold: entry 2" in line for line in here.said("bad"))


def test_nothing_is_mended_while_the_service_runs(tmp_path: Path) -> None:
    with (
        ward(tmp_path) as here,
        ingest_lock(tmp_path / "audit.db", "run"),
        pytest.raises(ConfigError, match="audit-bot run"),
    ):
        list(mended(Settings.model_validate(here.given)))


def test_secrets_may_stand_in_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As container platforms hand them out; and never twice."""
    key = tmp_path / "key"
    key.write_text("from-a-file\n")
    monkeypatch.setenv("CORTEX_API_KEY_FILE", str(key))
    chosen = load(["CORTEX_API_KEY"])
    assert chosen.cortex_api_key is not None
    assert chosen.cortex_api_key.get_secret_value() == "from-a-file"
    monkeypatch.setenv("CORTEX_API_KEY", "from-the-environment")
    with pytest.raises(ConfigError, match="leave one of them out"):
        load()
    monkeypatch.delenv("CORTEX_API_KEY")
    monkeypatch.setenv("SLACK_BOT_TOKEN_FILE", str(tmp_path / "nowhere"))
    assert "SLACK_BOT_TOKEN_FILE" in survey()[1][0]
