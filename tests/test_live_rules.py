"""Rules edited while the service runs."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from bot import reading
from bot.app import App, build, writing
from bot.detect.match import Evaluation
from bot.doctor.database import database_lines
from bot.errors import ConfigError, StoreError
from bot.live_rules import LiveRules
from bot.model import Level
from bot.rule_changes import compare
from bot.rulebook import check
from bot.settings import load
from bot.store import alerts, journal
from bot.store.schema import Store
from bot.store.status import status
from bot.times import DAY, MINUTE
from tests.conftest import add, record

RULE = """title: Deletion of a team
id: 00000000-0000-4000-8000-00000000000{n}
status: stable
level: high
description: A team was deleted.
logsource: {{product: cortex, service: audit}}
detection: {{it: {{action: DELETE, type: {type}}}, condition: it}}
tests: [{{name: one, events: [{{at: 0s, action: DELETE, type: {type}}}], fires: 1}}]
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "team.yml").write_text(RULE.format(n=1, type="TEAM"))
    return tmp_path / "rules"


@pytest.fixture
def app(folder: Path, store: Store) -> App:
    return build(load(AUDIT_BOT_RULES=folder, AUDIT_BOT_DB=store.path), store)


def told(store: Store) -> list[str]:
    return [row[0] for row in store.rows("SELECT body FROM outbox WHERE kind = 'ops' ORDER BY id")]


def titles(app: App) -> list[str]:
    return [rule.rule.title for rule in app.book.rules.rules]


def test_a_good_edit_takes_effect_and_is_announced_with_what_it_would_have_done(
    app: App, folder: Path, store: Store
) -> None:
    """Added and changed lines, and the back-test over 7 and 30 days."""
    now = reading.now()
    add(store, [record(now - days * DAY, "DELETE", object_=f"s{days}") for days in (2, 5, 20)])
    (folder / "service.yml").write_text(RULE.format(n=2, type="SERVICE").replace("Deletion of a team", "Deletions"))
    LiveRules(app).reload()
    assert sorted(titles(app)) == ["Deletion of a team", "Deletions"]
    [text] = told(store)
    assert "Added: Deletions." in text
    assert "2 bursts of 1 in 7 days; 3 bursts of 1 in 30 days; most by ann@corp.example (3)" in text
    (folder / "team.yml").write_text(RULE.format(n=1, type="TEAM").replace("level: high", "level: low"))
    LiveRules(app).reload()
    assert "- level: high" in told(store)[1]
    assert "+ level: low" in told(store)[1]
    assert [entry["what"] for entry in journal.entries(store)] == ["rules", "rules"]


def test_a_bad_edit_changes_nothing_and_is_told_once_with_file_and_line(app: App, folder: Path, store: Store) -> None:
    """A half-written file must not blind the bot."""
    live = LiveRules(app)
    (folder / "team.yml").write_text(RULE.format(n=1, type="TEAM").replace("action:", "actoin:"))
    live.reload()
    live.reload()
    [text] = told(store)
    assert "team.yml:" in text
    assert "did you mean action?" in text
    assert titles(app) == ["Deletion of a team"]
    [entry] = journal.entries(store)
    wrong = entry["detail"]["problems"][0]
    assert (entry["what"], wrong["file"], wrong["line"] > 1) == ("rules_refused", "team.yml", True)
    assert "actoin" in wrong["reason"]
    (folder / "team.yml").write_text(RULE.format(n=1, type="TEAM"))
    live.reload()
    assert len(told(store)) == 1
    assert "broken" not in str(store.meta("rules_state"))


def test_a_deleted_file_never_leaves_no_rules(app: App, folder: Path, store: Store) -> None:
    """The last good set stays; the loss is told."""
    (folder / "team.yml").unlink()
    LiveRules(app).reload()
    assert titles(app) == ["Deletion of a team"]
    assert told(store)


def test_a_removed_rule_closes_its_open_alerts(app: App, folder: Path, store: Store) -> None:
    """An alert that nobody can explain any more is closed, and says why."""
    now = reading.now()
    store.set_meta("live_since", "0")
    from bot.pipeline import Report

    app.pipeline.take([record(now - MINUTE, "DELETE", type_="TEAM")], Report(), history=False)
    [one] = alerts.listing(store)
    assert one.state == "open"
    (folder / "service.yml").write_text(RULE.format(n=2, type="SERVICE"))
    (folder / "team.yml").unlink()
    LiveRules(app).reload()
    [one] = alerts.listing(store)
    assert one.state == "removed"
    assert "Removed: Deletion of a team." in told(store)[0]


def test_an_edit_made_while_the_service_was_down_is_announced_at_the_next_start(
    app: App, folder: Path, store: Store
) -> None:
    """Nobody weakens a rule unseen by stopping the bot first."""
    (folder / "team.yml").write_text(RULE.format(n=1, type="TEAM").replace("level: high", "level: low"))
    build(app.settings, store)
    assert "Changed: Deletion of a team" in told(store)[0]
    build(app.settings, store)
    assert len(told(store)) == 1


def test_comments_and_other_files_are_no_change() -> None:
    """What means the same is not announced."""
    text = RULE.format(n=1, type="TEAM")
    before, after = check({"a.yml": text}), check({"b.yml": "# why\n" + text + "\n\n"})
    assert compare(before, after).nothing


def test_a_rule_that_counts_a_changed_one_is_looked_at_too() -> None:
    """The threshold stayed, what it counts did not."""
    counts = (
        RULE.format(n=1, type="TEAM").replace("title:", "name: base\ntitle:")
        + """---
title: Many
id: 00000000-0000-4000-8000-000000000003
status: stable
level: high
description: Many.
correlation: {type: event_count, rules: [base], group-by: [actor], timespan: 1h, condition: {gte: 3}}
"""
    )
    before, after = check({"a.yml": counts}), check({"a.yml": counts.replace("type: TEAM", "type: SERVICE")})
    changes = compare(before, after)
    assert list(changes.changed) == ["00000000-0000-4000-8000-000000000001"]
    assert [rule.rule.title for rule in changes.indirect] == ["Many"]


@contextmanager
def watching(app: App) -> Iterator[None]:
    stop = threading.Event()
    watcher = threading.Thread(target=LiveRules(app).watch, args=(stop,))
    watcher.start()
    try:
        time.sleep(0.2)
        yield
    finally:
        stop.set()
        watcher.join(10)
    assert not watcher.is_alive()


def seconds_until(app: App, wanted: list[str]) -> float:
    began = time.monotonic()
    while sorted(titles(app)) != wanted and time.monotonic() - began < 10:
        time.sleep(0.02)
    assert sorted(titles(app)) == wanted
    return time.monotonic() - began


def test_the_files_are_watched(app: App, folder: Path) -> None:
    """A good edit takes effect within 2 s."""
    with watching(app):
        (folder / "service.yml").write_text(RULE.format(n=2, type="SERVICE"))
        assert seconds_until(app, ["Deletion of a team", "Deletion of a team"]) < 2


def test_a_folder_that_is_replaced_or_gone_for_a_while_is_watched_on(app: App, folder: Path, store: Store) -> None:
    """A deployment moves a whole folder into place, or removes it and writes it anew."""
    fresh = folder.with_name("fresh")
    with watching(app):
        fresh.mkdir()
        (fresh / "team.yml").write_text(RULE.format(n=2, type="SERVICE").replace("a team", "a service"))
        folder.rename(folder.with_name("old"))
        fresh.rename(folder)
        seconds_until(app, ["Deletion of a service"])
        (folder / "team.yml").write_text(RULE.format(n=2, type="SERVICE").replace("a team", "a thing"))
        seconds_until(app, ["Deletion of a thing"])
        shutil.rmtree(folder)
        began = time.monotonic()
        while not any("There are no rules" in text for text in told(store)):
            assert time.monotonic() - began < 10
            time.sleep(0.02)
        folder.mkdir()
        (folder / "team.yml").write_text(RULE.format(n=1, type="TEAM"))
        seconds_until(app, ["Deletion of a team"])


def test_a_start_without_the_folder_runs_the_last_good_set(app: App, folder: Path, store: Store) -> None:
    """As one with broken files does; where there never was a good set it is refused."""
    folder.rename(folder.with_name("elsewhere"))
    assert titles(build(app.settings, store)) == ["Deletion of a team"]
    assert "There are no rules" in told(store)[0]
    folder.with_name("elsewhere").rename(folder)
    build(app.settings, store)
    assert "broken" not in str(store.meta("rules_state"))
    with pytest.raises(ConfigError), writing(load(AUDIT_BOT_RULES="no", AUDIT_BOT_DB=folder / "new.db"), "poll"):
        pass
    assert not (folder / "new.db").exists()


def test_a_rule_that_raises_is_announced_all_the_same(
    app: App, folder: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The back-test of an edit is a service; neither the edit nor the next start may fail for it."""

    def bursts(*_: object) -> object:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(Evaluation, "bursts", bursts)
    (folder / "team.yml").write_text(RULE.format(n=1, type="TEAM").replace("level: high", "level: low"))
    LiveRules(app).reload()
    assert "it cannot be evaluated (ZeroDivisionError: a bug)" in told(store)[0]


def test_the_shipped_rules_are_no_stand_in_for_a_folder_that_goes(
    tmp_path: Path, folder: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder that is moved for a moment must not close its rules' alerts."""
    monkeypatch.chdir(tmp_path)
    app = build(load(AUDIT_BOT_DB=store.path), store)
    live = LiveRules(app)
    folder.rename(tmp_path / "moved")
    live.reload()
    assert titles(app) == ["Deletion of a team"]
    assert "There are no rules" in told(store)[0]


def test_a_start_from_another_directory_keeps_to_the_rules_that_were_in_force(
    tmp_path: Path, folder: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only a place that somebody names replaces the team's rules; all else is said once, and in `status`."""

    def start(**given: Any) -> App:
        return build(load(AUDIT_BOT_DB=store.path, **given), store)

    monkeypatch.chdir(tmp_path)
    start()
    monkeypatch.chdir("/")
    assert titles(start()) == titles(start()) == ["Deletion of a team"]
    [text] = told(store)
    assert f"still those of {folder}, though this start would find {reading.SHIPPED}" in text
    assert text in status(store, 0).rules
    assert text in [line.text for line in database_lines(store.path, 0) if line.verdict == "warn"]
    moved = folder.rename(tmp_path / "moved")
    assert titles(start()) == ["Deletion of a team"]
    assert "so the last good set runs" in told(store)[-1]
    other = tmp_path / "other"
    shutil.copytree(moved, other / "rules")
    monkeypatch.chdir(other)
    start()
    assert f"those of {other / 'rules'} are in force" in told(store)[-1]
    assert [entry["what"] for entry in journal.entries(store)].count("rules_place") == 3
    start(AUDIT_BOT_RULES=moved)
    assert store.meta("rules_home") == str(moved)
    assert status(store, 0).rules == "2 rules in force"


def test_an_edit_that_cannot_be_recorded_at_once_is_told_later(app: App, folder: Path, store: Store) -> None:
    """The database may be locked just then: the edit is in force all the same, and no announcement is lost."""
    live = LiveRules(app)
    (folder / "team.yml").write_text(RULE.format(n=1, type="TEAM").replace("level: high", "level: low"))
    store.connection.execute("PRAGMA query_only = on")
    with pytest.raises(StoreError):
        live.reload()
    assert app.book.rules.rules[0].rule.level == Level.low
    (folder / "bad.yml").write_text("title: ]")
    with pytest.raises(StoreError):
        live.reload()
    store.connection.execute("PRAGMA query_only = off")
    live.reload()
    assert "bad.yml:1" in told(store)[0]
    (folder / "bad.yml").unlink()
    live.reload()
    assert "+ level: low" in told(store)[1]


def test_closing_an_alert_that_was_never_posted_queues_nothing(app: App, folder: Path, store: Store) -> None:
    """There is no message to draw again, and an update of none would wait, and be counted as late, for ever."""
    from bot.pipeline import Report

    app.pipeline.take([record(reading.now() - MINUTE, "DELETE", type_="TEAM")], Report(), history=True)
    (folder / "service.yml").write_text(RULE.format(n=2, type="SERVICE"))
    (folder / "team.yml").unlink()
    LiveRules(app).reload()
    assert store.rows("SELECT state FROM alerts") == [("removed",)]
    assert store.value("SELECT count(*) FROM outbox WHERE kind = 'update'") == 0
