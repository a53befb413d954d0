"""The forest over the store: strange hours become findings of the rule `forest`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from bot.detect.forest_config import ForestConfig
from bot.detect.watcher import Seen, Strange, Watcher
from bot.fields import FactSettings
from bot.model import FOREST, Finding
from bot.store import alerts
from bot.store.events import Added
from bot.store.schema import Store
from bot.times import HOUR

TITLE = {"actor": "Unusual hour of an actor", "ip": "Unusual hour of an address"}


@dataclass
class ForestWatch:
    """Holds the watcher in memory, rebuilt from the store when first needed."""

    store: Store
    facts: FactSettings
    config: ForestConfig = field(default_factory=ForestConfig)

    def __post_init__(self) -> None:
        self._watcher: Watcher | None = None

    def reset(self) -> None:
        """Forget what is in memory: a pass that it has seen was rolled back."""
        self._watcher = None

    def run_once(self, added: Added, now: int) -> list[Finding]:
        """Return the findings that are new or changed by what was added. Has to run inside the pass's transaction."""
        if self._watcher is None:
            self._watcher = Watcher(self.config)
            self._watcher.warm(self._seen("e.id <= ?", (added.after,)), now)
        strange = self._watcher.observe(list(self._seen("e.id > ?", (added.after,))), now)
        self.store.set_meta("forest", self._watcher.state())
        return [finding for one in strange for finding in self._finding(one, now)]

    def _seen(self, where: str, parameters: tuple[int, ...]) -> Iterator[Seen]:
        ...
