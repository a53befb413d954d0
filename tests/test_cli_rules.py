"""`audit-bot rules`: what it prints, and its exit codes."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import jsonschema
import pytest
from typer.testing import CliRunner, Result

from bot.detect.sigma.load import load_rules
from bot.model import Finding, Level
from bot.reading import SHIPPED
from bot.store.alerts import insert_finding
from bot.terminal.rules_commands import rules_cli
from bot.times import DAY
from tests.conftest import fresh

GOOD = """\
title: Deletion
id: 5f1d8ed8-3f0c-4d0e-9f2b-7a0a3d7e1c55
status: experimental
level: high
description: x
logsource: {product: cortex, service: audit}
detection:
  deleted: {action: DELETE}
  condition: deleted
"""
TESTS = """\
tests:
  - {name: one deletion, events: [{at: 0s, action: DELETE, actor: eve}], fires: 1}
  - {name: an update, events: [{at: 0s, action: UPDATE, actor: eve}], fires: no}
"""


@pytest.fixture(autouse=True)
def no_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run in an empty folder, with no setting of whoever runs the tests."""
    monkeypatch.chdir(tmp_path)
    for name in ("AUDIT_BOT_DB", "AUDIT_BOT_RULES"):
        monkeypatch.delenv(name, raising=False)


def run(*arguments: str | Path, typed: str | None = None) -> Result:
    return CliRunner().invoke(rules_cli, [str(argument) for argument in arguments], input=typed)


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


# -- check -----------------------------------------------------------------------------------------------------------
def test_check_tells_of_all_files_even_where_some_cannot_be_read(tmp_path: Path) -> None:
    """One file in another encoding hides no mistake of the others, and no settings file may lead out of the folder."""
    rules = tmp_path / "rules"
    write(rules / "typo.yml", GOOD.replace("level", "levle"))
    (rules / "wide.yml").write_text(GOOD, encoding="utf-16")
    write(rules / "counts.yml", "title: x\n\nbell: \x07\n")
    write(rules / "forest.yml", "alarms: 3\n")
    write(tmp_path / "secret", "x")
    (rules / "routing.yml").symlink_to(tmp_path / "secret")
    told = run("check", rules)
    assert told.exit_code == 1
    places = [line.removeprefix(f"{rules}/").split(" (")[0] for line in told.output.splitlines()]
    assert places == [
        "counts.yml:3: not YAML: the character '\\x07'",
        "forest.yml:1: unknown key 'alarms' in forest.yml",
        "routing.yml:1: a link that leads out of the rules folder",
        "typo.yml:1: the rule has no level",
        "typo.yml:4: unknown key 'levle' in rule",
        "wide.yml:1: the file is UTF-16",
    ]


def test_check_says_nothing_of_the_shipped_rules() -> None:
    """Without a path or a rules folder here it reads the shipped ones."""
    result = run("check")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "Nothing is wrong" in result.stderr


def test_check_warns_of_a_rule_without_tests_and_still_succeeds(tmp_path: Path) -> None:
    file = write(tmp_path / "a.yml", GOOD)
    result = run("check", file)
    assert result.exit_code == 0
    assert result.stdout == f"{file}:1: warning: 'Deletion' has no tests (add a tests: block)\n"


def test_check_gives_file_line_and_correction_of_every_mistake(tmp_path: Path) -> None:
    write(tmp_path / "rules/a.yml", GOOD.replace("action:", "acton:") + TESTS)
    write(tmp_path / "rules/b/c.yml", GOOD.replace("level: high", "level: hihg"))
    result = run("check", tmp_path / "rules")
    assert result.exit_code == 1
    assert f"{tmp_path}/rules/a.yml:8: detection: unknown field 'acton' (did you mean action?)" in result.stdout
    assert f"{tmp_path}/rules/b/c.yml:4: 'hihg' is no level (did you mean high?)" in result.stdout


@pytest.mark.parametrize("text", ["", "a: b: c", "\x00", "- 1", "title: \ud800".encode("utf-8", "surrogatepass")])
def test_check_of_a_file_that_is_no_rule_is_one_line_and_no_traceback(tmp_path: Path, text: str | bytes) -> None:
    file = tmp_path / "a.yml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    result = run("check", file)
    assert result.exit_code == 1
    assert result.stdout.startswith(f"{file}:1: ")
    assert "Traceback" not in result.output


@pytest.mark.parametrize(
    ("name", "text"), [("routing.yml", "post_fom: 3"), ("forest.yml", "x: 1"), ("sensitive.yml", "t: 1")]
)
def test_check_reads_the_settings_files_too(tmp_path: Path, name: str, text: str) -> None:
    write(tmp_path / "a.yml", GOOD + TESTS)
    write(tmp_path / name, text)
    result = run("check", tmp_path)
    assert result.exit_code == 1
    assert result.stdout.startswith(f"{tmp_path / name}:1: ")


def test_check_of_one_file_of_the_rules_folder_knows_the_names_of_the_others() -> None:
    """new-key-deletes.yml follows a rule that stands in api-keys.yml."""
    result = run("check", SHIPPED / "automation/new-key-deletes.yml", "--rules", SHIPPED)
    assert (result.exit_code, result.stdout) == (0, "")
    alone = run("check", SHIPPED / "automation/new-key-deletes.yml", "--rules", SHIPPED / "access")
    assert alone.exit_code == 1
    assert "there is no rule 'api_key_created'" in alone.stdout


def test_a_path_that_is_not_there_is_a_mistake_of_usage() -> None:
    assert run("check", "nowhere").exit_code == 2


# -- test ------------------------------------------------------------------------------------------------------------
def test_test_shows_each_test_of_a_file(tmp_path: Path) -> None:
    result = run("test", write(tmp_path / "a.yml", GOOD + TESTS))
    assert result.exit_code == 0
    assert "one deletion" in result.stdout
    assert "2 of 2 tests pass." in result.stdout


def test_a_failed_test_is_exit_1_with_what_was_wanted_and_what_fired(tmp_path: Path) -> None:
    file = write(tmp_path / "a.yml", GOOD + TESTS.replace("fires: 1", "fires: no"))
    result = run("test", file)
    assert result.exit_code == 1
    assert f"{file}:11: Deletion: one deletion" in result.stdout
    assert "  - fires: no\n  + fires: 1\n    fired: eve, 1 events, 0s to 0s\n" in result.stdout


def test_rules_without_tests_are_named(tmp_path: Path) -> None:
    result = run("test", write(tmp_path / "a.yml", GOOD))
    assert result.exit_code == 0
    assert "Without tests:\n  Deletion\n" in result.stdout


def test_a_broken_file_is_exit_1_with_file_and_line(tmp_path: Path) -> None:
    result = run("test", write(tmp_path / "a.yml", "title: x"))
    assert result.exit_code == 1
    assert f"{tmp_path}/a.yml:1: " in result.stdout


# -- list ------------------------------------------------------------------------------------------------------------
def test_list_prints_a_line_a_rule_the_worst_first() -> None:
    result = run("list", "--format", "jsonl")
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    assert rows[0]["level"] == "critical"
    assert rows[-1]["level"] == "low"
    assert set(rows[0]) == {
        *("id", "level", "status", "title", "file", "line", "tests", "findings_7d", "findings_30d", "alerts_30d"),
        *("right", "wrong", "precision", "noisy", "never_fired", "cost_ms", "last_fired"),
    }
    assert rows[0]["findings_7d"] is None


def test_list_counts_the_findings_of_7_and_30_days(tmp_path: Path) -> None:
    store, now = fresh(tmp_path / "a.db"), time.time_ns() // 1000
    for days in (1, 6, 20, 40):
        at = now - days * DAY
        insert_finding(store, Finding(0, "5f1d8ed8-3f0c-4d0e-9f2b-7a0a3d7e1c55", "x", Level.low, {}, at, at, 1), at)
    store.close()
    write(tmp_path / "r/a.yml", GOOD + TESTS)
    result = run("list", "--db", tmp_path / "a.db", "--rules", tmp_path / "r", "--format", "jsonl")
    row, built_in = map(json.loads, sorted(result.stdout.splitlines(), key=lambda line: "(built in)" in line))
    assert (built_in["file"], built_in["findings_30d"]) == ("", 0)
    assert (row["findings_7d"], row["findings_30d"]) == (2, 3)
    assert "Deletion" in run("list", "--db", tmp_path / "a.db", "--rules", tmp_path / "r").stdout


def test_list_knows_two_formats() -> None:
    assert run("list", "--format", "xml").exit_code == 2


# -- new -------------------------------------------------------------------------------------------------------------
@pytest.mark.slow
@pytest.mark.parametrize("kind", ["plain", "count", "distinct"])
@pytest.mark.parametrize("title", ["Teams deleted", 'He said: "no" #1 {i} \\ \N{SNOWMAN}', "1: - [x"])
def test_a_new_rule_passes_check_and_test(tmp_path: Path, kind: str, title: str) -> None:
    file = tmp_path / "new.yml"
    assert run("new", file, "--title", title, "--level", "high", "--kind", kind).exit_code == 0
    assert (run("check", file).exit_code, run("check", file).stdout) == (0, "")
    assert run("test", file).exit_code == 0
    rule = load_rules({"new.yml": file.read_text(encoding="utf-8")}).rules[0]
    assert (rule.rule.title, rule.rule.level, rule.rule.shadow) == (title, Level.high, True)


def test_new_asks_for_what_it_was_not_told(tmp_path: Path) -> None:
    (tmp_path / "r").mkdir()
    result = run("new", "--rules", tmp_path / "r", typed="Too many teams gone\nlow\ncount\n")
    assert result.exit_code == 0
    assert 'title: "Too many teams gone"' in (tmp_path / "r/too-many-teams-gone.yml").read_text()


def test_two_new_rules_of_one_title_live_side_by_side(tmp_path: Path) -> None:
    for name in ("a.yml", "b.yml"):
        run("new", tmp_path / name, "--title", "Same", "--level", "low", "--kind", "distinct")
    assert run("check", tmp_path).exit_code == 0


def test_new_overwrites_nothing(tmp_path: Path) -> None:
    file = write(tmp_path / "a.yml", GOOD)
    result = run("new", file, "--title", "x", "--level", "low", "--kind", "plain")
    assert "exists already" in str(result.exception)
    assert file.read_text() == GOOD


@pytest.mark.parametrize("title", ["", "x" * 201, "a\x1bb"])
def test_new_refuses_a_title_that_the_loader_would_refuse(tmp_path: Path, title: str) -> None:
    assert run("new", tmp_path / "a.yml", "--title", title, "--level", "low", "--kind", "plain").exit_code == 2
    assert list(tmp_path.glob("*.yml")) == []


# -- schema, help ----------------------------------------------------------------------------------------------------
def test_schema_prints_a_json_schema() -> None:
    jsonschema.Draft7Validator.check_schema(json.loads(run("schema").stdout))


@pytest.mark.parametrize("command", ["check", "test", "list", "new", "schema"])
def test_every_command_takes_db_rules_and_help(command: str) -> None:
    shown = run(command, "--help")
    assert shown.exit_code == 0
    assert "--db" in shown.output
    assert "--rules" in shown.output


def test_the_program_knows_the_commands() -> None:
    """Through the console script's own entrance, as one process."""
    done = subprocess.run(
        [sys.executable, "-m", "bot", "rules", "--help"], capture_output=True, text=True, cwd=SHIPPED.parent
    )
    assert done.returncode == 0
    assert "check" in done.stdout
