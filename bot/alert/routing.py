"""rules/routing.yml: from how many points on an alert is posted, where to, when it waits, who is called next."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial

from bot.alert import routing_keys as keys
from bot.alert.quiet_hours import QuietHours
from bot.alert.routing_keys import DigestTimes, Escalation, Reminders, Roll
from bot.errors import RuleError
from bot.model import AlertView, Finding, Level, Rule
from bot.strict.readers import optional, read_table, read_whole
from bot.strict.report import Report
from bot.strict.yaml_lines import Table, read_documents

KEYS = ("post_from", "channels", "storm", "rate", "quiet_hours", "escalation", "reminders", "digest")


@dataclass(frozen=True)
class Routing:
    """`channels` by level; a rule's own channel wins; levels without one go to AUDIT_BOT_CHANNEL.

    `storm` and `rate` say from how many alerts on the rest is rolled up into one notice, None: never.
    """

    post_from: int = 30
    channels: Mapping[Level, str] = field(default_factory=dict)
    storm: Roll | None = keys.STORM
    rate: Roll | None = keys.RATE
    quiet_hours: tuple[QuietHours, ...] = ()
    escalation: Mapping[Level, Escalation] = field(default_factory=dict)
    reminders: Reminders = field(default_factory=Reminders)
    digest: DigestTimes = field(default_factory=DigestTimes)

    def channel_of(self, view: AlertView) -> str | None:
        """Return the channel of an alert: its worst finding's rule's, else its level's, else None (the default)."""
        return self.channel_for(view.findings, view.rules, view.alert.level)

    def channel_for(self, findings: Iterable[Finding], rules: Mapping[str, Rule], level: Level) -> str | None:
        """Return the same, given the findings in the order of badness."""
        for finding in findings:
            rule = rules.get(finding.rule_id)
            if rule is not None and rule.channel:
                return rule.channel
        return self.channels.get(level)


def parse_routing(text: str, file: str) -> Routing:
    """Return what a routing.yml says, the built-in routing for an empty text. Raises RuleError with every mistake."""
    report, routing = Report(file), Routing()
    for document in read_documents(text, report):
        table = read_table(document, report, file, KEYS)
        if table is not None:
            routing = _read(table, report)
    if report.problems:
        raise RuleError(tuple(report.problems))
    return routing


def _read(table: Table, report: Report) -> Routing:
    """Return the routing of a mapping; one line for each key."""
    post_from = optional(table, "post_from", partial(read_whole, least=0, most=1000), report)
    return Routing(
        post_from=Routing.post_from if post_from is None else post_from,
        channels=optional(table, "channels", keys.read_channels, report) or {},
        storm=keys.read_roll(table, "storm", keys.STORM, report),
        rate=keys.read_roll(table, "rate", keys.RATE, report),
        quiet_hours=optional(table, "quiet_hours", keys.read_quiet_hours, report) or (),
        escalation=optional(table, "escalation", keys.read_escalation, report) or {},
        reminders=optional(table, "reminders", keys.read_reminders, report) or Reminders(),
        digest=optional(table, "digest", keys.read_digest, report) or DigestTimes(),
    )
