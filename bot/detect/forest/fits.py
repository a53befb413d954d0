"""Who fits the forest, and when: here, when it is asked for; `ahead` does it earlier and elsewhere."""

from __future__ import annotations

from collections.abc import Sequence

from bot.detect.forest.isolation import Forest, Grow, Refusal, fit, grow
from bot.detect.forest.packing import unpack

Rows = list[bytes]  # packed


class Fits:
    """Fits when it is asked."""

    def __init__(self, grow: Grow = grow) -> None:
        self.grow = grow  # how trees are grown: here, or in a process of their own

    def of(self, rows: Rows, groups: Sequence[str]) -> Forest | Refusal:
        """Return the forest of these rows, of which these groups of features count."""
        return fit(unpack(rows), groups, self.grow)

    def expect(self, rows: Rows, groups: Sequence[str]) -> None:
        """Take notice of what will probably be asked for next."""
