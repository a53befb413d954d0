"""From an event that the API shows to the message in Slack: the whole service between both stand-ins.

usage: python -m benchmarks.speed.latency ATTACKS POLL_SECONDS
"""

from __future__ import annotations

import json
import random
import shutil
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.speed.probe import RULES
from bot.app import writing
from bot.reading import now
from bot.sandbox import cortex
from bot.sandbox.slack import FakeSlack, fake_slack
from bot.sandbox.slack_state import ALERTS, GROUP, OPS, TOKEN
from bot.service import Service
from bot.serving import serve
from bot.settings import load
from bot.slack.bolt import SlackApp
from bot.times import MINUTE, SECOND, iso

DELETES = 12  # of one attack: one rule's alert
KEY, SECRET = "a-key", "a-secret"


def main(attacks: str, poll_seconds: str) -> None:
    """Print the seconds from each attack's last event to its message."""
    source = cortex.storied(1, now(), days=30)
    page, slack = fake_slack("", SECRET, now)
    with (
        tempfile.TemporaryDirectory() as folder,
        serve(page, 0) as console,
        serve(cortex.app(source, now, KEY), 0) as portal,
    ):
        rules = Path(shutil.copytree(RULES, Path(folder) / "rules"))
        (rules / "routing.yml").write_text("storm: {more_than: 1000, within: 10m, critical: 1000}\nrate: off\n")
        chosen = load(
            (), CORTEX_API_KEY=KEY, CORTEX_BASE_URL=portal.url, SLACK_BOT_TOKEN=TOKEN, SLACK_SIGNING_SECRET=SECRET,
            SLACK_API_URL=console.url + "/api/", AUDIT_BOT_DB=Path(folder) / "audit.db", AUDIT_BOT_RULES=rules,
            AUDIT_BOT_CHANNEL=ALERTS, AUDIT_BOT_OPS_CHANNEL=OPS, AUDIT_BOT_ALLOWED=GROUP,
            AUDIT_BOT_POLL_SECONDS=int(poll_seconds),
        )  # fmt: skip
        with writing(chosen, "measure") as app:
            service = Service(app, app.portal(), SlackApp(chosen, app.store, now, app.facts))
            app.pipeline.poll(service.portal, overlap=app.overlap, backfill=app.backfill)
            service.start()
            try:
                took = _attack(source, slack, int(attacks), float(poll_seconds))
            finally:
                service.stop()
    print(json.dumps({"seconds": took}))


def _attack(source: cortex.Source, slack: FakeSlack, attacks: int, poll: float) -> list[float]:
    """Let attacks happen at any moment between polls; return how long each one's message took."""
    dice, began = random.Random(1), {}
    for number in range(attacks):
        time.sleep(dice.uniform(0.3, 1.3) * poll)
        who = f"thief{number}@corp.example"
        at = now()
        for thing in range(DELETES):
            record = {
                "action": "DELETE",
                "actorIdentifier": who,
                "ipAddress": f"198.51.100.{number}",
                "objectType": "SERVICE",
                "objectIdentifier": f"{number}-{thing}",
                "timestamp": iso(at),
            }
            source.add(record)
        began[who] = at
    end, told = time.monotonic() + MINUTE / SECOND, {}
    while len(told) < attacks and time.monotonic() < end:
        time.sleep(0.5)
        texts = [(json.dumps(message), float(message["ts"])) for message in slack.messages()]
        told = {who: at for who in began for text, at in reversed(texts) if f"{who}" in text}
    return [told[who] - at / SECOND for who, at in began.items() if who in told]


if __name__ == "__main__":
    main(*sys.argv[1:])
