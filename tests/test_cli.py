"""The commands as users run them; those that are killed or serve, in processes of their own."""

from __future__ import annotations

import gzip
import io
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from bot.cli import main
from bot.login import user
from bot.reading import opened
from bot.sandbox import cortex
from bot.serving import serve
from bot.store.care.locks import ingest_lock
from bot.store.schema import BUSY_SECONDS, Store
from bot.terminal.journaled import note_asked
from bot.times import DAY, HOUR, MINUTE, SECOND, iso
from tests.conftest import START, raw

NOW = START + 30 * DAY
COMMANDS = (
    "demo", "run", "poll", "import", "export", "query", "backtest", "replay", "rules", "alerts", "explain", "status",
    "gaps", "exceptions", "journal", "backup", "doctor", "simulate",
)  # fmt: skip


def audit_bot(
    *arguments: object, folder: Path, stdin: bytes = b"", **environment: Any
) -> subprocess.CompletedProcess[str]:
    """Run a command in an empty environment; the database is the folder's. In this process: a start costs a second."""
    known = {name: text for name, text in os.environ.items() if name in ("PATH", "HOME")}
    streams = [io.TextIOWrapper(io.BytesIO(begin), "utf-8", write_through=True) for begin in (stdin, b"", b"")]
    line = ["audit-bot", *map(str, arguments)]
    with (
        mock.patch.dict(
            os.environ, known | {"AUDIT_BOT_DB": str(folder / "audit.db"), "COLUMNS": "200"} | environment, clear=True
        ),
        mock.patch.multiple(sys, argv=line, stdin=streams[0], stdout=streams[1], stderr=streams[2]),
        pytest.raises(SystemExit) as ended,
    ):
        main()
    out, err = (stream.buffer.getvalue().decode() for stream in streams[1:])
    return subprocess.CompletedProcess(line, int(ended.value.code or 0), out, err)


def json_lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def write(path: Path, records: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(one) + "\n" for one in records))
    return path


def attack(at: int = START, count: int = 12, actor: str = "eve@corp.example") -> list[dict[str, Any]]:
    return [raw(at + i * 20 * SECOND, "DELETE", actor, object_=f"svc-{i}") for i in range(count)]


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder whose database holds a bulk delete among quiet days."""
    folder = tmp_path_factory.mktemp("imported")
    quiet = [raw(START - DAY + hour * HOUR, object_=f"svc-{hour}") for hour in range(60)]
    done = audit_bot("import", write(folder / "a.jsonl", [*quiet, *attack()]), folder=folder)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_a_help_that_teaches(command: str, tmp_path: Path) -> None:
    """--help works without any setting."""
    done = audit_bot(command, "--help", folder=tmp_path)
    assert done.returncode == 0
    assert "Usage" in done.stdout


@pytest.mark.slow
def test_what_was_imported_is_exported_as_it_came(imported: Path, tmp_path: Path) -> None:
    """The API's own record shape, there and back; importing the export again adds nothing."""
    out = audit_bot("export", folder=imported).stdout
    assert sorted(out.splitlines()) == sorted(
        json.dumps(json.loads(line), separators=(",", ":")) for line in (imported / "a.jsonl").read_text().splitlines()
    )
    packed = tmp_path / "b.jsonl.gz"
    packed.write_bytes(gzip.compress(out.encode()))
    assert audit_bot("import", packed, folder=tmp_path).stdout.startswith("72 new events")
    assert audit_bot("import", "-", folder=tmp_path, stdin=out.encode()).stdout.startswith("0 new events")


def test_an_export_can_be_narrowed(imported: Path) -> None:
    """By time, ends included, and by a query; as CSV too."""
    since, until = iso(START), iso(START + 20 * SECOND)
    assert len(audit_bot("export", "--since", since, "--until", until, folder=imported).stdout.splitlines()) == 3
    deletes = audit_bot("export", "--query", "action:DELETE", "--format", "csv", folder=imported).stdout.splitlines()
    assert deletes[0] == "time,action,actor,ip,object,type"
    assert len(deletes) == 13


def test_a_query_answers_newest_first_with_facts(imported: Path) -> None:
    """One event a line in the short names; Q may begin with a dash."""
    found = json_lines(
        audit_bot("query", "actor:eve* since:2026-01-01 limit:5", "--format", "jsonl", folder=imported).stdout
    )
    assert [one["object"] for one in found] == [f"svc-{i}" for i in range(11, 6, -1)]
    assert list(found[0])[:6] == ["time", "action", "actor", "ip", "object", "type"]
    assert {"actor_kind", "id"} <= set(found[0])
    none = audit_bot("query", "-actor:eve* since:2026-01-01 action:DELETE", "--format", "jsonl", folder=imported)
    assert (none.returncode, none.stdout) == (0, "")


def test_a_query_that_cannot_be_read_is_marked_and_corrected(imported: Path) -> None:
    """The place, and an example that works."""
    done = audit_bot("query", "actr:eve last:7d", folder=imported)
    assert done.returncode == 2
    assert "Did you mean" in done.stderr
    assert "^" in done.stderr


@pytest.mark.slow
def test_a_back_test_finds_the_bulk_delete(imported: Path) -> None:
    """The keys are those that programs rely on."""
    found = json_lines(audit_bot("backtest", "--format", "jsonl", folder=imported).stdout)
    [bulk] = [one for one in found if one["title"] == "Bulk delete by one actor"]
    assert bulk["group"] == {"actor": "eve@corp.example"}
    assert (bulk["first_event"], bulk["count"], bulk["level"]) == (iso(START), 12, "high")
    assert set(bulk) == {"rule", "title", "level", "group", "first_event", "last_event", "count"}
    only = audit_bot("backtest", bulk["rule"], "--since", iso(START + HOUR), "--format", "jsonl", folder=imported)
    assert only.stdout == ""
    assert audit_bot("backtest", "no-such-rule", folder=imported).returncode == 2


@pytest.mark.slow
def test_alerts_are_listed_and_explained(imported: Path, tmp_path: Path) -> None:
    """Imported files are history: listed with that reason, never posted. The map marks the hour, here and drawn."""
    rows = json_lines(audit_bot("alerts", "--format", "jsonl", folder=imported).stdout)
    [eve] = [row for row in rows if row["who"] == "eve@corp.example"]
    assert eve["decision"] == "history"
    alert = audit_bot("explain", eve["alert"], "--plot", tmp_path / "a.png", folder=imported).stdout
    for part in ("12 different objects", "Evidence", "svc-", "30 days by hour, UTC", "12 events in this hour"):
        assert part in alert
    assert re.search(r"\[.\]", alert)
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    [(event_id, second)] = re.findall(r"^(\d+) +2026-03-02 09:00:(\d\d)", alert, re.MULTILINE)[:1]
    event = audit_bot("explain", event_id, folder=imported, AUDIT_BOT_TIMEZONE="Asia/Tokyo").stdout
    for part in (f"Event {event_id}: DELETE of svc-", f"18:00:{second} Asia/Tokyo", f"({eve['alert']})"):
        assert part in event
    for wrong in ("A999", "999999", "nonsense"):
        assert audit_bot("explain", wrong, folder=imported).returncode == 2


def test_a_replay_prints_a_line_for_each_message(tmp_path: Path) -> None:
    """In event time, in a database of its own; before --from it only learns."""
    file = write(tmp_path / "a.jsonl", [raw(START - DAY), *attack(START), *attack(START + DAY, 15)])
    done = audit_bot("replay", file, "--from", iso(START + HOUR), "--format", "jsonl", folder=tmp_path)
    rows = json_lines(done.stdout)
    assert rows
    assert set(rows[0]) == {
        "alert_id", "time", "level", "actor", "ip", "rules", "reasons", "first_event", "last_event", "events",
    }  # fmt: skip
    assert all(str(row["time"]) > iso(START + HOUR) for row in rows)
    assert rows[0]["actor"] == "eve@corp.example"
    assert not (tmp_path / "audit.db").exists()


def test_a_replay_says_what_it_leaves_out(tmp_path: Path) -> None:
    """Half a line at the end of a file, or a file that is none of the API's: not just `No alerts.`."""
    file = tmp_path / "a.jsonl"
    file.write_text(json.dumps(raw(START)) + '\n{"bad\x1b[2J"\n', encoding="utf-8")
    done = audit_bot("replay", file, "--from", iso(START + HOUR), folder=tmp_path)
    assert done.returncode == 0
    assert "No alerts." in done.stdout
    assert done.stderr.startswith('Left out are 1 of 2 lines, which are no records; the first of them: {"bad')
    assert "\x1b" not in done.stderr


def test_a_replay_prints_each_alert_inside_a_storm(tmp_path: Path) -> None:
    """What people would see as one notice is a line each for programs, all of the pass that found them."""
    actors = [f"a{n}@corp.example" for n in range(16)]
    floods = [one for actor in actors for one in attack(START + DAY, 12, actor)]
    file = write(tmp_path / "a.jsonl", [raw(START - DAY), *floods, *attack(START + DAY + 6 * MINUTE, 15, actors[-1])])
    done = audit_bot("replay", file, "--from", iso(START + HOUR), "--format", "jsonl", folder=tmp_path)
    rows = json_lines(done.stdout)
    assert {row["actor"] for row in rows} - {None} == set(actors)
    assert {row["time"] for row in rows if row["events"] == 12 and row["actor"]} == {iso(START + DAY + 5 * MINUTE)}
    assert max(row["events"] for row in rows if row["actor"] == actors[-1]) > 12


@pytest.mark.slow
def test_poll_reads_a_portal_and_prints_a_report(tmp_path: Path) -> None:
    """It needs no Slack setting: what it would post waits in the outbox."""
    source = cortex.Source()
    for one in attack(NOW - HOUR):
        source.add(one)
    with serve(cortex.app(source, lambda: NOW, "key")) as portal:
        settings: dict[str, Any] = {"CORTEX_BASE_URL": portal.url, "CORTEX_API_KEY": "key"}
        done = audit_bot("poll", folder=tmp_path, **settings)
        assert (done.returncode, done.stdout[:14]) == (0, "12 new events,")
        wrong = audit_bot("poll", folder=tmp_path, **settings | {"CORTEX_API_KEY": "other"})
        assert wrong.returncode == 1
        assert "CORTEX_API_KEY" in wrong.stderr
        assert len(wrong.stderr.splitlines()) == 1
    [status] = json_lines(audit_bot("status", "--format", "jsonl", folder=tmp_path).stdout)
    assert (status["events"], status["watermark"], status["queue"]) == (12, iso(NOW), 1)


def test_all_bad_settings_are_told_at_once(tmp_path: Path) -> None:
    """Each with the variable and the remedy."""
    done = audit_bot("run", folder=tmp_path, AUDIT_BOT_TIMEZONE="Mars/Olympus", PORT="many", AUDIT_BOT_ALLOWED="me")
    assert done.returncode == 2
    told = done.stderr.splitlines()
    for name in ("AUDIT_BOT_TIMEZONE", "PORT", "AUDIT_BOT_ALLOWED", "CORTEX_API_KEY", "SLACK_BOT_TOKEN"):
        assert [line for line in told if line.startswith(name)], name


def test_a_second_writer_is_refused_and_readers_go_on(imported: Path) -> None:
    """With who holds it."""
    with ingest_lock(imported / "audit.db", "run"):
        done = audit_bot("import", imported / "a.jsonl", folder=imported)
        assert done.returncode == 2
        assert f"process {os.getpid()}" in done.stderr
        assert audit_bot("query", "since:2026-01-01", folder=imported).returncode == 0


def test_a_broken_rule_file_stops_a_first_start_and_not_a_later_one(tmp_path: Path) -> None:
    """Exit 2 only where there never was a good set."""
    rules = tmp_path / "rules"
    rules.mkdir()
    good = (Path(__file__).parent.parent / "rules" / "deletion" / "bulk-delete.yml").read_text()
    (rules / "a.yml").write_text(good.replace("level: high", "levle: high"))
    file = write(tmp_path / "a.jsonl", attack())
    first = audit_bot("import", file, "--rules", rules, folder=tmp_path)
    assert first.returncode == 2
    assert "a.yml:" in first.stderr
    (rules / "a.yml").write_text(good)
    assert audit_bot("import", file, "--rules", rules, folder=tmp_path).returncode == 0
    (rules / "a.yml").write_text(good[:300])
    again = audit_bot("import", write(tmp_path / "b.jsonl", attack(START + DAY)), "--rules", rules, folder=tmp_path)
    assert again.returncode == 0
    assert "last good set" in audit_bot("status", folder=tmp_path).stdout


def test_a_backup_is_whole_and_overwrites_nothing(imported: Path, tmp_path: Path) -> None:
    """The copy is a database that every command takes."""
    copy = tmp_path / "copy.db"
    assert audit_bot("backup", copy, folder=imported).returncode == 0
    assert audit_bot("status", "--db", copy, folder=tmp_path).returncode == 0
    assert audit_bot("backup", copy, folder=imported).returncode == 2


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("query", "x"), "audit-bot poll"),
        (("import", "nowhere.jsonl"), "nowhere.jsonl"),
        (("backtest", "--rules", "nowhere"), "AUDIT_BOT_RULES"),
        (("exceptions", "list"), "audit-bot poll"),
        (("poll",), "CORTEX_API_KEY"),
        (("query", "x", "--format", "xml"), "--format"),
        (("replay", "x.jsonl", "--from", "soon"), "--from"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_line_or_two(arguments: tuple[str, ...], word: str, tmp_path: Path) -> None:
    """Exit 2, what is wrong, and what to do."""
    done = audit_bot(*arguments, folder=tmp_path)
    assert done.returncode == 2
    assert word in done.stderr


@pytest.mark.slow
def test_an_exception_is_approved_listed_exported_and_ended(imported: Path, tmp_path: Path) -> None:
    """While another process writes; what it hides is named, counted, and in no alert."""
    db = tmp_path / "audit.db"
    assert audit_bot("backup", db, folder=imported).returncode == 0
    with ingest_lock(db, "run"):
        words = ("-type:TEAM actor:eve@corp.example", "--reason", "drill", "--days", "8", "--author", "ann")
        added = audit_bot("exceptions", "add", *words, folder=tmp_path)
    _, preview, alone = added.stdout.splitlines()
    assert (added.returncode, preview) == (0, "In the last 30 days it would have hidden nothing.")
    assert "a second person would have had to approve it, since it lasts longer than 7 days" in alone
    with opened(db) as store:
        assert "without a second person" in store.value("SELECT body FROM outbox WHERE body LIKE '%ann%'")
    audit_bot("import", write(tmp_path / "b.jsonl", attack(START + 5 * DAY)), folder=tmp_path)
    [one] = json_lines(audit_bot("exceptions", "list", "--format", "jsonl", folder=tmp_path).stdout)
    assert list(one) == [
        "id", "rule", "condition", "reason", "author", "created", "expires", "removed", "removed_by", "state",
        "findings", "events", "kind", "alert",
    ]  # fmt: skip
    assert (one["state"], one["author"], one["findings"], one["events"]) == ("in force", "ann", 1, 12)
    assert "Hidden by exceptions: 1 findings" in audit_bot("alerts", folder=tmp_path).stdout
    event = json_lines(audit_bot("query", "last:9999d limit:1", "--format", "jsonl", folder=tmp_path).stdout)[0]
    assert "(exception 1)" in audit_bot("explain", event["id"], folder=tmp_path).stdout
    exported = audit_bot("exceptions", "export", folder=tmp_path).stdout
    assert "actor: eve@corp.example\n  condition: not (" in exported
    assert audit_bot("exceptions", "remove", 1, folder=tmp_path).returncode == 0
    again = audit_bot("exceptions", "remove", 1, folder=tmp_path)
    assert (again.returncode, len(again.stderr.splitlines())) == (2, 1)
    assert "removed" in audit_bot("exceptions", "list", "--all", folder=tmp_path).stdout


@pytest.mark.parametrize(
    ("more", "word"),
    [
        (("actr:x", "--days", "7"), "Did you mean"),
        (("actor:x", "--days", "91"), "90 days"),
        (("actor:x", "--days", "nan"), "--days"),
        (("*", "--days", "1"), "name who or what"),
    ],
)
def test_an_exception_that_may_not_be_is_refused(more: tuple[str, ...], word: str, imported: Path) -> None:
    """Exit 2, and nothing is stored."""
    done = audit_bot("exceptions", "add", *more, "--reason", "x", folder=imported)
    assert done.returncode == 2
    assert word in done.stderr
    assert audit_bot("exceptions", "list", "--all", "--format", "jsonl", folder=imported).stdout == ""


def test_a_damaged_import_file_keeps_what_came_before(tmp_path: Path) -> None:
    """And says so."""
    packed = gzip.compress("".join(json.dumps(one) + "\n" for one in attack(count=3000)).encode())
    (tmp_path / "cut.gz").write_bytes(packed[: len(packed) // 2])
    done = audit_bot("import", tmp_path / "cut.gz", folder=tmp_path)
    assert done.returncode == 2
    assert "cut off" in done.stderr
    assert [line for line in audit_bot("gaps", folder=tmp_path).stdout.splitlines() if line] == ["Nothing is missing."]


def test_malformed_lines_are_counted_and_kept(tmp_path: Path) -> None:
    """Never silently dropped, and never twice."""
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps(raw()) + "\nnot json\n" + '{"action": "DELETE"}\n')
    for _ in range(2):
        audit_bot("import", path, folder=tmp_path)
    [status] = json_lines(audit_bot("status", "--format", "jsonl", folder=tmp_path).stdout)
    assert (status["events"], status["malformed"]) == (1, 2)


def test_the_journal_is_verified(imported: Path) -> None:
    """An unknown anchor shows that entries are missing."""
    assert audit_bot("journal", "verify", folder=imported).returncode == 0
    assert audit_bot("journal", "verify", "--anchor", "0" * 64, folder=imported).returncode == 1


def test_what_is_asked_at_the_terminal_is_journaled_where_that_can_be(imported: Path) -> None:
    """By whom, and what; a database that others write to, or that cannot be written, is no reason not to answer."""

    def entries() -> list[tuple[str, str, str]]:
        found = json_lines(audit_bot("journal", "export", folder=imported).stdout)
        return [(one["who"], one["what"], str(one["detail"].get("text"))) for one in found if "from" in one["detail"]]

    asked = ("query", "actor:eve@corp.example since:2026-01-01", "--format", "jsonl")
    before = len(entries())
    answer = audit_bot(*asked, folder=imported)
    audit_bot("export", "--query", "action:DELETE", folder=imported)
    audit_bot("explain", "A1", folder=imported)
    audit_bot("backup", imported / "whole.db", folder=imported)
    assert (user(), "import", "None") in entries()[:before]
    assert entries()[before:] == [
        (user(), "query", asked[1]), (user(), "export", "--query action:DELETE"), (user(), "query", "show A1"),
        (user(), "backup", str(imported / "whole.db")),
    ]  # fmt: skip
    store = Store(imported / "audit.db")
    with store.write():
        began = time.monotonic()
        again = audit_bot(*asked, folder=imported)
        assert time.monotonic() - began < BUSY_SECONDS
    assert (again.returncode, again.stdout) == (0, answer.stdout)
    assert "others write to it" in again.stderr
    store.connection.execute("PRAGMA query_only = on")
    note_asked(store, "query", "*")
    store.close()
    assert len(entries()) == before + 4


@pytest.mark.slow
def test_the_simulator_serves_until_it_is_ended() -> None:
    """It prints how to reach it, and ends without a word."""
    command = [sys.executable, "-m", "bot", "simulate", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stderr
        assert process.stdout.readline().startswith("CORTEX_BASE_URL=http://127.0.0.1:")
        process.terminate()
        assert process.wait(10) == 130
        assert "Traceback" not in process.stderr.read()


@pytest.mark.slow
def test_polling_goes_on_where_it_was_killed(tmp_path: Path) -> None:
    """kill -9 at any moment costs nothing and doubles nothing."""
    source = cortex.Source()
    for second in range(6000):
        source.add(raw(NOW - 3 * DAY + second * 40 * SECOND, object_=f"o{second % 7}"))
    with serve(cortex.app(source, lambda: NOW + MINUTE, "key")) as portal:
        settings: dict[str, Any] = {"CORTEX_BASE_URL": portal.url, "CORTEX_API_KEY": "key"}
        known = {"PATH": os.environ["PATH"], "AUDIT_BOT_DB": str(tmp_path / "audit.db")}
        for delay in (0.4, 0.9, 1.2, 1.5):
            with subprocess.Popen(
                [sys.executable, "-m", "bot", "poll"], env=known | settings, stdout=subprocess.DEVNULL
            ) as one:
                try:
                    one.wait(delay)
                except subprocess.TimeoutExpired:
                    one.kill()
        assert audit_bot("poll", folder=tmp_path, **settings).returncode == 0
    out = audit_bot("export", folder=tmp_path).stdout.splitlines()
    assert sorted(map(json.loads, out), key=str) == sorted(source.truth(), key=str)
