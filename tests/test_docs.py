"""The docs are held true: every command, setting, rule of the house that a program can check."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from bot.cli import cli
from bot.settings import Settings

PIN = r"[\w.-]+(\[[\w,]+\])?==[\w.!+]+( ; [^\n]+)? \\\n(    --hash=sha256:[0-9a-f]{64}( \\)?\n)+"
ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])


def commands() -> list[str]:
    names = [command.name or command.callback.__name__ for command in cli.registered_commands if command.callback]
    return names + [str(group.name) for group in cli.registered_groups]


@pytest.mark.parametrize("name", commands())
def test_every_command_stands_in_the_readme(name: str) -> None:
    """In the table of commands, by the name that is typed."""
    table = README.split("## Commands")[1]
    assert re.search(rf"`(audit-bot )?{re.escape(name)}\b", table)


@pytest.mark.parametrize("name", [str(field.alias) for field in Settings.model_fields.values()])
def test_every_setting_stands_in_the_readme(name: str) -> None:
    """With its default, in the table of settings."""
    assert f"| `{name}` |" in README


def test_the_readme_names_no_setting_that_is_not_there() -> None:
    """A setting that was removed must go from the page too."""
    named = set(re.findall(r"\b(?:AUDIT_BOT|CORTEX|SLACK)_[A-Z_]+\b", README))
    assert named <= {str(field.alias) for field in Settings.model_fields.values()}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    """A dead link at 3 a.m. helps nobody."""
    for target in re.findall(r"\]\(([^)#\s]+)", page.read_text()):
        if not re.match(r"[a-z]+:", target):
            assert (page.parent / target).exists(), target


def test_the_rule_in_the_readme_works(tmp_path: Path) -> None:
    """It is copied by people who are in a hurry."""
    from bot.detect.sigma.load import load_rules
    from bot.detect.sigma.run_tests import run_tests

    text = README.split("```yaml\n")[1].split("```")[0]
    outcomes = list(run_tests(load_rules({"readme.yml": text}).rules))
    assert outcomes
    assert all(outcome.passed for outcome in outcomes)


@pytest.mark.parametrize(("lock", "least"), [("requirements.lock", 80), ("benchmarks/requirements.lock", 3)])
def test_the_lock_pins_with_hashes_and_names_no_address(lock: str, least: int) -> None:
    """What is installed is what was tested: each package one version, with hashes of its own."""
    text = (ROOT / lock).read_text()
    assert "://" not in text
    pins = [pin for pin in re.split(r"^(?=\S)", text, flags=re.MULTILINE) if pin and not pin.startswith("#")]
    assert len(pins) >= least
    for pin in pins:
        assert re.fullmatch(PIN, pin), pin


def test_every_declared_dependency_is_pinned_and_the_audit_reads_every_lock() -> None:
    """Nothing comes in beside the lock."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    declared = [*project["dependencies"], *(one for more in project["optional-dependencies"].values() for one in more)]
    pinned = set(re.findall(r"^([\w.-]+)(?:\[[\w,]+\])?==", (ROOT / "requirements.lock").read_text(), re.MULTILINE))
    assert {re.split(r"[\s\[<>=!;~]", one)[0].lower() for one in declared} <= pinned
    audit = (ROOT / "Makefile").read_text().split("\naudit:")[1].split("\n\n")[0]
    assert all(str(path.relative_to(ROOT)) in audit for path in ROOT.glob("**/*.lock") if ".venv" not in path.parts)


@pytest.mark.parametrize(("page", "part"), [("reliability.md", "## The catalogue"), ("security.md", "## Threats")])
def test_the_tables_of_failures_and_threats_name_tests_that_exist(page: str, part: str) -> None:
    """Each row has one, and none was renamed or dropped meanwhile."""
    table = (ROOT / "docs" / page).read_text().split(part)[1].split("\n## ")[0]
    rows = [line for line in table.splitlines() if line.startswith("| ")][1:]
    assert len(rows) >= 20
    for row in rows:
        named = re.findall(r"`(test_\w+\.py)::(\w+)`", row)
        assert named, row
        for file, name in named:
            text = (ROOT / "tests" / file).read_text()
            assert re.search(rf"^(def {name}\(|class {name}\b|{name} = )", text, re.MULTILINE), name
