"""`audit-bot backtest`: the table by rule, `--compare`, `--plot`; over a real store of synthetic events."""

from __future__ import annotations

import json
import random
import struct
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from bot.charts.bursts import MOST_ROWS, bursts_by_rule
from bot.cli import cli
from bot.detect.sigma.load import load_rules
from bot.errors import ConfigError, RuleError
from bot.fields import FactSettings
from bot.model import Level, Record, Rule
from bot.store.schema import Store
from bot.terminal.backtest import evaluate
from bot.terminal.edited import with_edit
from bot.terminal.plots import check_target, write_picture
from bot.times import DAY, HOUR, MINUTE, SECOND, WEEK, iso
from tests.conftest import START, add, fresh, record

BULK, PART, UPDATES = (f"{number}f1d8ed8-3f0c-4d0e-9f2b-7a0a3d7e1c55" for number in (1, 2, 3))
BULK_FILE = f"""\
title: Bulk delete
id: {BULK}
status: stable
level: high
description: x
correlation:
  type: event_count
  rules: [deletion]
  group-by: [actor]
  timespan: 10m
  condition: {{gte: 5}}
---
title: Deletion
id: {PART}
name: deletion
status: stable
level: low
description: x
logsource: {{product: cortex, service: audit}}
detection:
  deleted: {{action: DELETE}}
  condition: deleted
"""
UPDATES_FILE = f"""\
title: Sensitive change
id: {UPDATES}
status: experimental
level: low
description: x
logsource: {{product: cortex, service: audit}}
detection:
  changed: {{action: UPDATE, type_sensitive: true}}
  condition: changed
"""
FILES = {"deletion/bulk.yml": BULK_FILE, "updates.yml": UPDATES_FILE}
STABLE_KEYS = ("rule", "title", "level", "group", "first_event", "last_event", "count")


def history() -> list[Record]:
    """Return three weeks of four actors who change things, and delete a few or many at a time."""
    rng, records = random.Random(7), []
    for day in range(21):
        for actor in ("ann", "bob", "eve", "sync"):
            at = START + day * DAY + rng.randrange(8 * HOUR)
            records += [
                record(at + i * rng.randrange(20, 150) * SECOND, "DELETE", actor, object_=f"{day}-{i}")
                for i in range(rng.choice((0, 1, 3, 4, 5, 7, 9)))
            ]
            if rng.random() < 0.3:
                records.append(record(at, "UPDATE", actor, type_="API_KEY"))
    return records


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a database of that history, and rules."""
    folder = tmp_path_factory.mktemp("lab")
    store = fresh(folder / "audit.db")
    add(store, history())
    store.close()
    write(folder / "rules", FILES)
    return folder


def write(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def backtest(lab: Path, *arguments: object, rules: Path | None = None) -> Result:
    folders = ("--db", lab / "audit.db", "--rules", rules or lab / "rules")
    return CliRunner().invoke(cli, [str(one) for one in ("backtest", *arguments, *folders)])


def bursts(lab: Path, *arguments: object, rules: Path | None = None) -> list[dict[str, Any]]:
    result = backtest(lab, *arguments, "--format", "jsonl", rules=rules)
    assert result.exit_code == 0, result.output
    return [json.loads(line) for line in result.stdout.splitlines()]


# -- the table and the lines -----------------------------------------------------------------------------------------
def test_lines_have_the_stable_keys_in_a_stable_order(lab: Path) -> None:
    """By rule as in the files, then by time; twice the same."""
    rows = bursts(lab)
    assert rows == bursts(lab)
    assert {tuple(row) for row in rows} == {STABLE_KEYS}
    places = [(row["rule"] != BULK, row["first_event"], row["last_event"]) for row in rows]
    assert places == sorted(places)


def test_a_rule_named_twice_is_tried_once(lab: Path) -> None:
    assert bursts(lab, UPDATES, UPDATES.upper()) == [row for row in bursts(lab) if row["rule"] == UPDATES]


def test_the_table_counts_bursts_and_entities_and_names_the_noisiest(lab: Path) -> None:
    """What the lines say, added up."""
    rows = [row for row in bursts(lab) if row["rule"] == BULK]
    actors = [row["group"]["actor"] for row in rows]
    shown = backtest(lab).stdout.splitlines()
    [line] = [line for line in shown if line.startswith("Bulk delete")]
    cells = line.removeprefix("Bulk delete").split()
    most = max(map(actors.count, actors))
    assert cells[:3] == ["high", str(len(rows)), str(len(set(actors)))]
    assert float(cells[3]) == pytest.approx(len(rows) / 3, rel=0.1)
    assert cells[4:] == [min(actor for actor in actors if actors.count(actor) == most), f"({most})"]
    assert any(line.startswith("Sensitive change") and line.rstrip().endswith("shadow") for line in shown)


def test_the_table_has_the_busiest_rule_first_and_silent_ones_last(lab: Path, tmp_path: Path) -> None:
    silent = UPDATES_FILE.replace("API_KEY", "x").replace("UPDATE,", "CREATE,").replace("Sensitive", "Never a")
    rules = write(tmp_path, FILES | {"a.yml": silent.replace(UPDATES, UPDATES.replace("3f1d", "4f1d"))})
    titles = [line.split("  ")[0] for line in backtest(lab, rules=rules).stdout.splitlines()[2:]]
    assert titles[-1] == "Never a change"
    assert set(titles[:2]) == {"Bulk delete", "Sensitive change"}


def test_a_span_takes_bursts_whose_anchors_lie_in_it(store: Store) -> None:
    """Windows look back before --since; an anchor after --until is not seen; both ends are included."""
    add(store, [record(START + i * MINUTE, "DELETE", "eve", object_=f"o{i}") for i in range(5)])
    rules = [load_rules(FILES).rules[0]]
    fifth = START + 4 * MINUTE
    for begin, end, count in ((fifth, fifth, 1), (fifth + 1, fifth + DAY, 0), (START, fifth - 1, 0)):
        past = evaluate(store, FactSettings(), rules, begin, end)
        assert [len(one.bursts) for one in past.found] == [count], (begin, end)
    burst = evaluate(store, FactSettings(), rules, fifth, fifth).found[0].bursts[0]
    assert (burst.first, burst.last, burst.count) == (START, fifth, 5)


def test_a_rate_is_over_the_span_as_far_as_the_log_reaches(store: Store) -> None:
    """Not over the look-back, and not over years without a log."""
    add(store, [record(START + day * DAY, "DELETE", "eve") for day in range(29)])
    rules = load_rules(FILES).rules
    whole = evaluate(store, FactSettings(), rules, START - 1000 * DAY, START + 1000 * DAY)
    assert (whole.weeks, whole.events) == (4, 29)
    last = evaluate(store, FactSettings(), rules, START + 14 * DAY, START + 1000 * DAY)
    assert (last.weeks, last.events) == (2, 15)
    beyond = evaluate(store, FactSettings(), rules, START + 90 * DAY, START + 91 * DAY)
    assert (beyond.weeks, beyond.events) == (DAY / WEEK, 0)


def test_an_empty_store_has_no_bursts(store: Store) -> None:
    past = evaluate(store, FactSettings(), load_rules(FILES).rules, 0, START)
    assert [one.bursts for one in past.found] == [[] for _ in past.found]


# -- compare ---------------------------------------------------------------------------------------------------------
EDITS = {
    "a lower threshold": ("bulk.yml", BULK_FILE.replace("gte: 5", "gte: 3")),
    "a higher threshold": ("bulk.yml", BULK_FILE.replace("gte: 5", "gte: 8")),
    "a longer window": ("other.yml", BULK_FILE.replace("10m", "30m")),
    "what it counts": ("bulk.yml", BULK_FILE.replace("{action: DELETE}", "{action: DELETE, actor|neq: sync}")),
    "only the part": ("part.yml", BULK_FILE.partition("---\n")[2].replace("DELETE}", "[DELETE, UPDATE]}")),
    "another title": ("bulk.yml", BULK_FILE.replace("Bulk", "Mass").replace("level: high", "level: low")),
    "switched off": ("updates.yml", UPDATES_FILE.replace("experimental", "deprecated")),
    "a new rule": ("new.yml", UPDATES_FILE.replace("3f1d8ed8", "4f1d8ed8").replace("_sensitive: true", ": API_KEY")),
    "nothing": ("bulk.yml", BULK_FILE),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("edit", EDITS)
def test_added_and_gone_are_the_difference_of_two_back_tests(lab: Path, tmp_path: Path, edit: str) -> None:
    """Exactly: against a copy of the rules in which the edit was really made; titles and levels are no bursts."""
    name, text = EDITS[edit]
    write(tmp_path, {name: text})
    copy = dict(FILES)
    if edit == "only the part":
        copy["deletion/bulk.yml"] = BULK_FILE.partition("---\n")[0] + "---\n" + text
    else:
        home = "deletion/bulk.yml" if BULK in text else name
        copy[home] = text
    before = {burst_key(row) for row in bursts(lab)}
    after = {burst_key(row) for row in bursts(lab, rules=write(tmp_path / "copy", copy))}
    rows = bursts(lab, "--compare", tmp_path / name)
    assert {tuple(row) for row in rows} <= {(*STABLE_KEYS, "change")}
    found = {
        change: sorted(burst_key(row) for row in rows if row["change"] == change)
        for change in ("added", "gone", "same")
    }
    assert found == {"added": sorted(after - before), "gone": sorted(before - after), "same": sorted(before & after)}
    assert (edit in ("nothing", "another title")) == (not found["added"] and not found["gone"])


def burst_key(row: dict[str, Any]) -> tuple[Any, ...]:
    return row["rule"], json.dumps(row["group"]), row["first_event"], row["last_event"], row["count"]


def test_the_table_says_what_was_changed_and_what_comes_and_goes(lab: Path, tmp_path: Path) -> None:
    """A rule, its thresholds, and the first bursts with group and time."""
    write(tmp_path, {"bulk.yml": BULK_FILE.replace("gte: 5", "gte: 9")})
    rows = bursts(lab, "--compare", tmp_path / "bulk.yml")
    gone = [row for row in rows if row["change"] == "gone"]
    shown = backtest(lab, "--compare", tmp_path / "bulk.yml").stdout
    assert "  -   condition: {gte: 5}\n  +   condition: {gte: 9}\n" in shown
    assert "Sensitive change" not in shown
    assert f"{len(gone)} bursts added or gone, the first 12" in shown
    when = gone[0]["first_event"][:19].replace("T", " ")
    assert f"gone  Bulk delete  {gone[0]['group']['actor']}" in shown
    assert when in shown


def test_a_burst_that_begins_elsewhere_is_told_as_moved(store: Store, tmp_path: Path) -> None:
    """One added and one gone, of the same doings: a shorter window leaves out the first event."""
    minutes = (-5, *range(15))
    add(store, [record(START + minute * MINUTE, "DELETE", "eve", object_=f"o{minute}") for minute in minutes])
    write(tmp_path / "rules", FILES)
    write(tmp_path, {"bulk.yml": BULK_FILE.replace("10m", "4m")})
    shown = backtest(tmp_path, "--compare", tmp_path / "bulk.yml").stdout
    [line] = [line for line in shown.splitlines() if line.startswith("Bulk delete")]
    assert line.split()[3:] == ["1", "1", "1", "1", "1", "1", "changed"]


def test_new_removed_and_silent_rules_are_named_so(lab: Path, tmp_path: Path) -> None:
    new = UPDATES_FILE.replace("3f1d8ed8", "4f1d8ed8").replace("Sensitive change", "Brand new")
    write(tmp_path, {"updates.yml": new.replace("experimental", "stable") + "---\n" + UPDATES_FILE})
    shown = backtest(lab, "--compare", tmp_path / "updates.yml").stdout
    assert any(line.startswith("Brand new") and line.rstrip().endswith("new") for line in shown.splitlines())
    write(tmp_path / "e", {"updates.yml": new})
    shown = backtest(lab, "--compare", tmp_path / "e").stdout
    assert any(line.startswith("Sensitive") and "removed, shadow" in line for line in shown.splitlines())
    assert "No rule that reports is different" in backtest(lab, "--compare", lab / "rules").stdout


def test_a_rule_that_counts_an_edited_part_is_listed(lab: Path, tmp_path: Path) -> None:
    name, text = EDITS["only the part"]
    shown = backtest(lab, "--compare", write(tmp_path, {name: text}) / name).stdout
    assert any(line.startswith("Bulk delete") and "counts a changed rule" in line for line in shown.splitlines())


def test_other_sensitive_types_are_an_edit_too(lab: Path, tmp_path: Path) -> None:
    """A settings file beside the rules, by itself."""
    write(tmp_path, {"sensitive.yml": "types: [NOTHING_LIKE_IT]\n"})
    rows = bursts(lab, "--compare", tmp_path / "sensitive.yml")
    assert {(row["rule"], row["change"]) for row in rows} == {(BULK, "same"), (UPDATES, "gone")}
    shown = backtest(lab, "--compare", tmp_path / "sensitive.yml").stdout
    assert "by a filter or setting, shadow" in shown
    assert "Changed: sensitive.yml" in shown


def test_an_edit_can_be_looked_at_by_rule_and_span(lab: Path, tmp_path: Path) -> None:
    """Ids of either set; one that neither knows is a mistake."""
    write(tmp_path, {"bulk.yml": BULK_FILE.replace("gte: 5", "gte: 3")})
    rows = bursts(lab, UPDATES, "--compare", tmp_path / "bulk.yml")
    assert {(row["rule"], row["change"]) for row in rows} == {(UPDATES, "same")}
    since = iso(START + 14 * DAY)
    assert all(row["last_event"] >= since for row in bursts(lab, "--since", since, "--compare", tmp_path / "bulk.yml"))
    wrong = backtest(lab, "nonsense", "--compare", tmp_path / "bulk.yml")
    assert isinstance(wrong.exception, ConfigError)
    assert backtest(lab, "--compare", tmp_path / "nowhere.yml").exit_code == 2


# -- laying an edit over the files -----------------------------------------------------------------------------------
def test_an_edited_document_replaces_the_one_of_its_id_and_no_other(tmp_path: Path) -> None:
    """Wherever that stands; the lines of what stays are not moved."""
    write(tmp_path, {"x.yml": BULK_FILE.partition("---\n")[0].replace("gte: 5", "gte: 6")})
    book = with_edit(FILES, tmp_path / "x.yml", tmp_path)
    assert set(book.files) == {"x.yml", *FILES}
    part = next(rule for rule in book.rules.rules if rule.id == PART)
    bulk = next(rule for rule in book.rules.rules if rule.id == BULK)
    assert (part.rule.file, part.rule.line) == (
        "deletion/bulk.yml",
        BULK_FILE[: BULK_FILE.index("---")].count("\n") + 2,
    )
    assert bulk.correlation is not None
    assert (bulk.rule.file, bulk.correlation.least) == ("x.yml", 6)


def test_a_file_all_of_whose_documents_are_replaced_goes(tmp_path: Path) -> None:
    commented = {"updates.yml": f"# about\n---\n{UPDATES_FILE}", "deletion/bulk.yml": BULK_FILE}
    write(tmp_path, {"x.yml": UPDATES_FILE})
    assert set(with_edit(commented, tmp_path / "x.yml", tmp_path).files) == {"x.yml", "deletion/bulk.yml"}


def test_a_copy_of_a_file_takes_its_place_so_that_what_was_cut_is_gone(lab: Path, tmp_path: Path) -> None:
    """By the same name and a shared id; by the same path in a folder; not by name alone."""
    both = {"a/updates.yml": UPDATES_FILE + "---\n" + UPDATES_FILE.replace("3f1d", "4f1d"), **FILES}
    del both["updates.yml"]
    write(tmp_path, {"updates.yml": UPDATES_FILE, "f/a/updates.yml": UPDATES_FILE})
    for path in (tmp_path / "updates.yml", tmp_path / "f"):
        book = with_edit(both, path, lab / "rules")
        assert {rule.id for rule in book.rules.rules} == {BULK, PART, UPDATES}
    write(tmp_path, {"updates.yml": UPDATES_FILE.replace("3f1d", "5f1d")})
    assert len(with_edit(both, tmp_path / "updates.yml", lab / "rules").rules.rules) == 5


def test_mistakes_in_an_edit_are_named_by_the_path_that_was_typed(lab: Path, tmp_path: Path) -> None:
    write(tmp_path, {"bulk.yml": BULK_FILE.replace("level: high", "level: hihg")})
    with pytest.raises(RuleError) as caught:
        with_edit(FILES, tmp_path / "bulk.yml", lab / "rules")
    assert [(one.file, one.line) for one in caught.value.problems] == [(str(tmp_path / "bulk.yml"), 4)]


# -- plot ------------------------------------------------------------------------------------------------------------
def size(path: Path) -> tuple[int, int]:
    """Return the width and height of a PNG file."""
    data = path.read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">II", data[16:24])
    return width, height


@pytest.mark.slow
def test_a_plot_is_a_small_png(lab: Path, tmp_path: Path) -> None:
    result = backtest(lab, "--plot", tmp_path / "out.png")
    assert f"{tmp_path / 'out.png'} is written." in result.stdout
    width, height = size(tmp_path / "out.png")
    assert (width, 150 < height < 400) == (1300, True)
    assert (tmp_path / "out.png").stat().st_size < 60_000


def test_lines_for_programs_stay_alone_with_a_plot(lab: Path, tmp_path: Path) -> None:
    """Of an edit too: then the edited rules are drawn."""
    write(tmp_path, {"bulk.yml": BULK_FILE.replace("gte: 5", "gte: 3")})
    rows = bursts(lab, "--compare", tmp_path / "bulk.yml", "--plot", tmp_path / "out.png")
    assert rows
    assert size(tmp_path / "out.png")[0] == 1300


@pytest.mark.slow
@pytest.mark.parametrize("rules", [1, MOST_ROWS + 20])
def test_a_plot_grows_with_the_rules_up_to_a_limit(tmp_path: Path, rules: int) -> None:
    """Any title is plain text: no formulas, no warnings about letters that the font lacks."""
    rows = [
        (Rule(str(i), f"Costs $5 \\frac_{i}$ \N{SNOWMAN} \u6f22 {'long ' * i}", Level(i % 5)), [(START, START + i)])
        for i in range(rules)
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        write_picture(tmp_path / "out.png", bursts_by_rule(rows, (START, START), "title $1 and $2"))
    assert size(tmp_path / "out.png")[1] < 1700
    assert size(tmp_path / "out.png")[1] > 27 * min(rules, MOST_ROWS)


def test_a_target_that_cannot_be_drawn_into_is_refused_before_the_work(tmp_path: Path) -> None:
    for wrong in (tmp_path / "out.pdf", tmp_path / "nowhere" / "out.png"):
        with pytest.raises(ConfigError, match="out"):
            check_target(wrong)
    (tmp_path / "a.png").mkdir()
    with pytest.raises(ConfigError, match=r"a\.png"):
        write_picture(tmp_path / "a.png", bursts_by_rule([], (START, START), ""))


@pytest.mark.slow
def test_only_who_draws_waits_for_matplotlib() -> None:
    code = "import sys, bot.terminal.what_if; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
