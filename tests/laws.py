"""How long laws are put to the test: shortly in `make test`, with new examples each time; for long in `make laws`."""

from __future__ import annotations

import os
from typing import Any

from hypothesis import HealthCheck, settings

LONG = os.environ.get("LAWS") == "long"
TIMES = 25  # as many examples in the long run
EXAMPLES = 50

# No example has to be quick: the machine may be busy.
PROFILE = "audit-bot"
settings.register_profile(PROFILE, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def law(examples: int = EXAMPLES, **more: Any) -> settings:
    """Return the settings of a law: so many examples."""
    return settings(max_examples=examples * (TIMES if LONG else 1), **more)
