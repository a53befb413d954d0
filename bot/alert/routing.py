"""rules/routing.yml: from how many points on an alert is posted, and where to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial

from bot.errors import RuleError
from bot.model import AlertView, Level
from bot.strict.readers import optional, read_table, read_text, read_whole
from bot.strict.report import Report
from bot.strict.yaml_lines import read_documents


@dataclass(frozen=True)
class Routing:
    """`channels` by level; a rule's own channel wins; levels without one go to AUDIT_BOT_CHANNEL."""

    post_from: int = 30
    channels: Mapping[Level, str] = field(default_factory=dict)

    def channel_of(self, view: AlertView) -> str | None:
        """Return the channel of an alert: its worst finding's rule's, else its level's, else None (the default)."""
        for finding in view.findings:
            rule = view.rules.get(finding.rule_id)
            if rule is not None and rule.channel:
                return rule.channel
        return self.channels.get(view.alert.level)


def parse_routing(text: str, file: str) -> Routing:
    """Return what a routing.yml says, the built-in routing for an empty text. Raises RuleError with every mistake."""
    report = Report(file)
    post_from, channels = Routing.post_from, {}
    for document in read_documents(text, report):
        table = read_table(document, report, file, ("post_from", "channels"))
        if table is None:
            continue
        post_from = optional(table, "post_from", partial(read_whole, least=0, most=1000), report) or post_from
        names = optional(table, "channels", partial(read_table, keys=[level.name for level in Level]), report)
        for name, node in names.entries.items() if names else ():
            channel = read_text(node, report, f"the channel of {name}")
            if channel is not None and name in Level.__members__:
                channels[Level[name]] = channel
    if report.problems:
        raise RuleError(tuple(report.problems))
    return Routing(post_from, channels)
