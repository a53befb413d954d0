"""One round of the bot looking at itself: canary, alarms, who silences what, second path, heartbeat."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field

from bot.errors import DeliveryError
from bot.store.care import clock
from bot.store.messages import alarms
from bot.watch.canary import Canary
from bot.watch.fallback import Fallback
from bot.watch.health import Health
from bot.watch.silencing import Silencing

log = logging.getLogger(__name__)


@dataclass
class Rounds:
    """What runs twice a minute. `ping` calls the heartbeat's address, None where there is none."""

    canary: Canary
    health: Health
    fallback: Fallback
    silencing: Silencing
    ping: Callable[[], None] | None
    _pinged: int = field(default=0, init=False)  # complete polls, when it was pinged last

    def run_once(self, now: int) -> None:
        """Look at everything; tell what is wrong, and what is over."""
        if clock.look(self.health.store, now):
            log.warning("our clock was stepped back; nothing waits for the old time")
        self.health.pulse.canary_error = self.canary.run_once()
        wrong = self.health.wrong(now)
        for text in [*alarms.update(self.health.store, wrong, now), *self.silencing.run_once(now)]:
            log.warning("%s", text)
        self.fallback.run_once(now)
        if self.health.good(wrong):
            self._beat()

    def _beat(self) -> None:
        """Ping, once for each good pass at most."""
        done = self.health.pulse.polls
        if self.ping is None or done == self._pinged:
            return
        try:
            self.ping()
            self._pinged = done
        except DeliveryError as error:
            log.warning("the heartbeat's address did not answer: %s", error.code)
