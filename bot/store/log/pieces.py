"""Finds names of objects by what they contain: an index of their three-letter pieces, which only narrows the search.

Looking through 900,000 names takes 200 ms, through the index less than one.
"""

from __future__ import annotations

from collections.abc import Sequence

from bot.query.tree import Pattern
from bot.store.schema import Connection

LENGTH = 3  # of a piece, as the tokenizer cuts them
_AT_ONCE = 100_000  # names: catching up with an old database must not hold up a poll
_DONE = "coalesce((SELECT CAST(value AS INTEGER) FROM meta WHERE key = 'names_indexed'), 0)"
# what is not indexed yet may always fit
CANDIDATES = (
    "id IN (SELECT rowid FROM object_pieces WHERE object_pieces MATCH ? UNION ALL"
    f" SELECT id FROM objects WHERE id > {_DONE})"
)


def index(connection: Connection) -> None:
    """Index the names that came since. Has to run inside a transaction."""
    some = f"SELECT id, CAST(name AS BLOB) FROM objects WHERE id > {_DONE} ORDER BY id LIMIT {_AT_ONCE}"
    names = connection.execute(some).fetchall()
    if names:
        connection.executemany(
            "INSERT INTO object_pieces (rowid, name) VALUES (?, ?)",
            ((number, _plain(name)) for number, name in names),
        )
        connection.execute("INSERT OR REPLACE INTO meta VALUES ('names_indexed', ?)", (str(names[-1][0]),))


def _plain(name: bytes) -> str:
    """Return a name as it is indexed; what SQLite or Python would choke on is asked for by nobody (`_askable`)."""
    return name.decode("utf-8", "replace").casefold().replace("\0", "\ufffd")


def question(patterns: Sequence[Pattern]) -> str | None:
    """Return what to ask the index for names that may fit one of the patterns; None where it cannot help."""
    wanted = [_pieces(pattern) for pattern in patterns]
    if not all(wanted):
        return None
    return " OR ".join(f"({' AND '.join(map(_quoted, pieces))})" for pieces in wanted) or None


def _pieces(pattern: Pattern) -> list[str]:
    places = ((part, place) for part in pattern.parts for place in range(len(part) - LENGTH + 1))
    return [piece for part, place in places if _askable(piece := part[place : place + LENGTH])]


def _askable(piece: str) -> bool:
    return "\0" not in piece and not any("\ud800" <= letter <= "\udfff" for letter in piece)


def _quoted(piece: str) -> str:
    return '"' + piece.replace('"', '""') + '"'
