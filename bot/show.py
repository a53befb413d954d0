"""What the terminal shows: tables, progress bars, reports; rich's home."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from bot.errors import QueryError

if TYPE_CHECKING:  # a quick answer needs no pipeline
    from bot.pipeline import Progress as Seen
    from bot.pipeline import Report

SHORT_CELL = 20  # columns of such cells are never folded
WIDE = 200  # columns of a table that goes into a file or a pipe


def lines(rows: Iterable[Mapping[str, Any]]) -> None:
    """Print one JSON object a line."""
    for row in rows:
        sys.stdout.write(json.dumps(row, ensure_ascii=False, separators=(",", ":")) + "\n")
    sys.stdout.flush()


def table(heads: Sequence[str], rows: Iterable[Sequence[Any]], title: str = "", empty: str = "") -> None:
    """Print a table; texts of strangers are shown as they are, without any control characters in them."""
    some = list(rows)
    if not some:
        say(empty)
        return
    grid = Table(title=title or None, title_justify="left", header_style="bold", box=None, pad_edge=False)
    for place, head in enumerate(heads):
        number = all(isinstance(row[place], int | float) for row in some)
        short = max(len(plain(row[place])) for row in some) <= SHORT_CELL
        grid.add_column(head, justify="right" if number else "left", overflow="fold", no_wrap=short)
    for row in some:
        grid.add_row(*(Text(plain(cell)) for cell in row))
    console = Console()
    if not console.is_terminal:
        console.width = WIDE
    console.print(grid)


def say(text: str) -> None:
    """Print a text for people."""
    sys.stdout.write("".join(one for one in text if one.isprintable() or one == "\n") + "\n")


def plain(cell: Any) -> str:
    """Return a cell as text that cannot steer the terminal."""
    if cell is None:
        return "-"
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    text = f"{cell:,}" if isinstance(cell, int) else f"{cell:.4g}" if isinstance(cell, float) else str(cell)
    return "".join(one if one.isprintable() else "\N{REPLACEMENT CHARACTER}" for one in text)


@contextmanager
def progress(what: str) -> Iterator[Seen | None]:
    """Show a progress bar on stderr while it lasts, where somebody is looking."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield None
        return
    words = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[events]}"))
    with Progress(SpinnerColumn(), *words, TimeElapsedColumn(), console=console, transient=True) as bar:
        task = bar.add_task(what, total=None, events="")
        yield lambda done, total, events: bar.update(
            task, completed=done, total=total or None, events=f"{events:,} events"
        )


def report(done: Report) -> None:
    """Print what a poll or an import did."""
    say(
        f"{done.events:,} new events, {done.malformed:,} malformed; {done.findings:,} findings new or changed;"
        f" alerts: {done.posted:,} to post, {done.quiet:,} quiet."
    )
    if done.gaps:
        say(f"{done.gaps:,} windows could not be read: see `audit-bot gaps`.")
    for text in done.failed_rules:
        sys.stderr.write(f"A rule could not be evaluated, and will be tried again. {text}\n")


def say_query_error(error: QueryError) -> str:
    """Return a query error with the place marked and a corrected example."""
    shown = [error.text]
    if error.query:
        mark = " " * error.position + "^"
        shown += ["", "  " + error.query, "  " + mark]
    if error.example:
        shown += ["", f"For example: {error.example}"]
    return "\n".join(shown)
