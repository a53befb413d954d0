"""Reading rule files from disk: which files there are, and their texts."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from bot.errors import Problem, RuleError
from bot.strict.report import Report

SETTINGS_FILES = ("routing.yml", "forest.yml", "sensitive.yml")  # stand beside rules and are none
SUFFIXES = (".yml", ".yaml")
MAX_BYTES = 256 * 1024
MAX_FILES = 1_000
_MARKS = ((b"\xff\xfe", "UTF-16"), (b"\xfe\xff", "UTF-16"))


def read_rule_files(root: Path) -> dict[str, str]:
    """Return the text of every rule file below a folder by its path in there, or of one file by its name.

    Hidden files and folders are left out, so are the settings files at the top. Raises RuleError with every file that
    cannot be read, among them links that lead out of the folder.
    """
    texts, problems = gather(root)
    if problems:
        raise RuleError(tuple(problems))
    return {name: text for name, text in texts.items() if name not in SETTINGS_FILES or not root.is_dir()}


def gather(root: Path) -> tuple[dict[str, str], list[Problem]]:
    """Return the texts of rule files and of the settings files beside them, and what is wrong with unreadable ones."""
    report, texts = Report(), {}
    if root.is_dir():
        rules = sorted(_rule_paths(root, report))
        if len(rules) > MAX_FILES:
            name = rules[MAX_FILES].relative_to(root).as_posix()
            report.at(name).error(1, f"more than {MAX_FILES:,} rule files", "put several rules into one file")
        paths, home = rules[:MAX_FILES] + [root / name for name in SETTINGS_FILES], root.resolve()
    else:
        paths, home = [root], root.resolve().parent
    for path in paths:
        name = path.relative_to(root).as_posix() if path != root else root.name
        text = _read_file(path, home, report.at(name)) if name not in SETTINGS_FILES or os.path.lexists(path) else None
        if text is not None:
            texts[name] = text
    return texts, report.problems


def _rule_paths(root: Path, report: Report) -> Iterator[Path]:
    def refuse(error: OSError) -> None:
        report.at(str(error.filename)).error(1, f"cannot be listed: {error.strerror}", "check its permissions")

    for folder, folders, files in os.walk(root, onerror=refuse):
        here = Path(folder)
        for name in folders:
            _refuse_outside(here / name, root, report)
            if name.endswith(SUFFIXES) and not name.startswith("."):
                place = (here / name).relative_to(root).as_posix()
                report.at(place).error(1, "a folder with the name of a rule file", "rename it")
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in files:
            settings = here == root and name in SETTINGS_FILES
            if name.endswith(SUFFIXES) and not name.startswith(".") and not settings:
                yield here / name


def _refuse_outside(path: Path, root: Path, report: Report) -> None:
    """Tell of a linked folder, which would be walked past silently, unless it only repeats a part of this one."""
    if path.is_symlink() and not path.name.startswith(".") and not path.resolve().is_relative_to(root.resolve()):
        report.at(path.relative_to(root).as_posix()).error(
            1, "a link that leads out of the rules folder", "copy the files"
        )


def _read_file(path: Path, root: Path, report: Report) -> str | None:
    """Return the text of a file; one that cannot be read is told, each reason in its own words."""
    try:
        if not path.resolve(strict=True).is_relative_to(root):
            report.error(1, "a link that leads out of the rules folder", "copy the file")
            return None
        if not stat.S_ISREG(path.stat().st_mode):
            report.error(1, "not a regular file")
            return None
        with path.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    except (OSError, RuntimeError) as error:  # RuntimeError: Python 3.11 and 3.12 say so of links in a circle
        report.error(
            1, f"cannot be read: {getattr(error, 'strerror', None) or error}", "check the path and permissions"
        )
        return None
    return _decode(data, report)


def _decode(data: bytes, report: Report) -> str | None:
    if len(data) > MAX_BYTES:
        report.error(1, f"larger than {MAX_BYTES // 1024} KiB", "split it into several files")
        return None
    for mark, name in _MARKS:
        if data.startswith(mark):
            report.error(1, f"the file is {name}", "save it as UTF-8")
            return None
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        report.error(data.count(b"\n", 0, error.start) + 1, "the file is not UTF-8", "save it as UTF-8")
        return None
