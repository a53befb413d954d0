"""Which groups of features a finding of the forest is about, so that what is expected of somebody is one thing."""

from __future__ import annotations

from collections.abc import Sequence

from bot.store.schema import Store


def note(store: Store, finding: int, groups: Sequence[str]) -> None:
    """Keep the groups behind a finding's reasons, the strongest first."""
    with store.write() as connection:
        connection.execute("INSERT OR REPLACE INTO reasons VALUES (?, ?)", (finding, " ".join(groups)))


def same_as_told(store: Store, finding: int, alert: int) -> bool:
    """Tell whether a finding's strongest reason is one that people read on an alert; True where neither is known."""
    told = store.rows("SELECT r.groups FROM reasons r JOIN findings f ON f.id = r.finding WHERE f.alert = ?", (alert,))
    mine = store.value("SELECT groups FROM reasons WHERE finding = ?", (finding,))
    return not told or not mine or str(mine).split()[0] in " ".join(row[0] for row in told).split()
