"""An edited rule file or folder laid over the rules in force, as if it were saved among them. Nothing is written."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath

from bot.errors import RuleError
from bot.reading import rules_folder
from bot.rulebook import Rulebook, check, read_texts
from bot.strict.report import Report
from bot.strict.yaml_lines import Table, Text, read_documents

_DOCUMENTS = re.compile(r"^(?=---(?:\s|$))", re.MULTILINE)


def with_edit(texts: Mapping[str, str], path: Path, folder: Path) -> Rulebook:
    """Return the rules that these texts of a rules folder, and the edited file or folder at `path`, make together.

    An edited file takes the place of the file of the same path in the folder, or of the same name that shares an id
    with it; and its documents take the place of those with the same id anywhere. All others stay. Raises RuleError
    with the edited files named by their own paths.
    """
    edited = _placed(read_texts(path), texts, path, rules_folder(folder))
    ids = {rule_id for _, text in edited.values() for rule_id in _ids(text)}
    others = {name: _without(text, ids) for name, text in texts.items() if name not in edited}
    kept = {name: text for name, text in others.items() if text == texts[name] or read_documents(text, Report())}
    try:
        return check(kept | {name: text for name, (_, text) in edited.items()})
    except RuleError as error:
        shown = {name: str(typed) for name, (typed, _) in edited.items()}
        raise RuleError(
            tuple(replace(problem, file=shown.get(problem.file, problem.file)) for problem in error.problems)
        ) from error


def _placed(
    edited: Mapping[str, str], texts: Mapping[str, str], path: Path, folder: Path
) -> dict[str, tuple[Path, str]]:
    """Return each edited text, with the path that was typed for it, by the name that it has among the others."""
    inside = path.resolve().relative_to(folder.resolve()) if path.resolve().is_relative_to(folder.resolve()) else None
    placed = {}
    for name, text in edited.items():
        if inside is not None and folder.is_dir():
            home = (inside if path.is_file() else inside / name).as_posix()
        else:
            home = _home(name, text, texts)
        placed[home] = (path if path.is_file() else path / name, text)
    return placed


def _home(name: str, text: str, texts: Mapping[str, str]) -> str:
    """Return the name of the file that an edited one is a copy of; its own where there is none."""
    if name in texts:
        return name
    ids = set(_ids(text))
    same = (
        other
        for other in texts
        if PurePosixPath(other).name == PurePosixPath(name).name and ids.intersection(_ids(texts[other]))
    )
    return next(same, name)


def _ids(text: str) -> Iterator[str]:
    """Yield the ids of a file's documents as far as they can be read."""
    for document in read_documents(text, Report()):
        found = document.get("id") if isinstance(document, Table) else None
        if isinstance(found, Text):
            yield found.text.lower()


def _without(text: str, ids: Iterable[str]) -> str:
    """Return a file's text without the documents of these ids; what is left keeps its line numbers."""
    wanted = set(ids)
    parts = _DOCUMENTS.split(text)  # a line that begins with --- ends a document even inside of quotes
    return "".join("\n" * part.count("\n") if wanted.intersection(_ids(part)) else part for part in parts)
