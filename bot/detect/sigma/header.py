"""What people read of a rule, and what says how it is told: all keys of a rule document but its logic and tests."""

from __future__ import annotations

import re
from datetime import date
from typing import cast, get_args

import sigma.exceptions
from sigma.rule.attributes import SigmaRelated, SigmaRuleTag

from bot.detect.rules import DEFAULT_PER, DEFAULT_QUIET
from bot.model import Level, Rule, Status
from bot.strict.readers import (
    optional,
    read_choice,
    read_duration,
    read_field,
    read_names,
    read_table,
    read_text,
    read_text_field,
    read_texts,
    read_truth,
)
from bot.strict.report import Report
from bot.strict.yaml_lines import Items, Node, Table, Text
from bot.times import DAY, SECOND

STATUSES = get_args(Status)
LEVELS = tuple(Level.__members__)
COMMON_KEYS = (
    *("title", "id", "name", "status", "description", "author", "date", "modified", "references", "tags"),
    *("license", "related", "taxonomy"),
)
REPORTING_KEYS = ("level", "falsepositives", "fields", "scope", "alert", "tests")
ALERT_KEYS = ("per", "channel", "quiet_for", "runbook", "ask_actor")

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z", re.IGNORECASE | re.ASCII)
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z", re.ASCII)
_RESERVED = ("and", "or", "not", "any", "all")
_CHANNEL = re.compile(r"#?[^\s#@,]{1,80}\Z")
_MAX_TITLE, _MAX_DESCRIPTION = 200, 4000


def read_id(doc: Table, report: Report) -> str:
    """Return the id as written, "" where there is none."""
    text = optional(doc, "id", read_text, report)
    if text is not None and not _UUID.match(text):
        report.error(doc.line_of("id"), f"the id {text!r} is no UUID", "python3 -c 'import uuid; print(uuid.uuid4())'")
        return ""
    return text or ""


def read_name(doc: Table, report: Report) -> str:
    """Return the name under which correlations may call the rule, "" where there is none."""
    text = optional(doc, "name", read_text, report)
    if text is not None and (not _NAME.match(text) or text.lower() in _RESERVED):
        report.error(doc.line_of("name"), f"the name {text!r} cannot be used in conditions", "letters, digits and _")
    return text or ""


def read_rule(doc: Table, rule_id: str, report: Report) -> Rule:
    """Return what people read of a rule; each mistake goes to the report and leaves a harmless value."""
    _check_unshown(doc, report)
    alert = optional(doc, "alert", _read_alert, report) or Table(doc.line)
    level = optional(doc, "level", _read_level, report)
    status = optional(doc, "status", _read_status, report)
    return Rule(
        id=rule_id,
        title=_read_short(doc, report, "title", _MAX_TITLE),
        level=Level[level or "informational"],
        status=cast(Status, status or "stable"),
        description=_read_short(doc, report, "description", _MAX_DESCRIPTION),
        tags=optional(doc, "tags", _read_tags, report) or (),
        references=optional(doc, "references", read_texts, report) or (),
        falsepositives=optional(doc, "falsepositives", read_texts, report) or (),
        author=optional(doc, "author", read_text, report) or "",
        channel=optional(alert, "channel", _read_channel, report),
        runbook=optional(alert, "runbook", read_text, report) or "",
        ask_actor=optional(alert, "ask_actor", read_truth, report) or False,
        file=report.file,
        line=doc.line,
    )


def read_grouping(doc: Table, correlates: bool, report: Report) -> tuple[tuple[str, ...], bool, int]:
    """Return a plain rule's (per, whether that is the default, quiet_for) from its `alert:` block."""
    alert = doc.get("alert")
    if not isinstance(alert, Table):
        return DEFAULT_PER, True, DEFAULT_QUIET
    if correlates:
        for key, instead in (("per", "group-by"), ("quiet_for", "timespan")):
            if key in alert.entries:
                report.error(alert.line_of(key), f"{key} has no meaning for a correlation", f"its {instead} says it")
        return DEFAULT_PER, True, DEFAULT_QUIET
    names = optional(alert, "per", read_names, report) or []
    per = tuple(name for name, line in names if read_text_field(name, line, report, "per"))
    node = alert.get("quiet_for")
    quiet = None if node is None else read_duration(node, report, "quiet_for", SECOND, 366 * DAY)
    return per or DEFAULT_PER, not per, quiet or DEFAULT_QUIET


def _read_short(doc: Table, report: Report, key: str, most: int) -> str:
    text = optional(doc, key, read_text, report)
    if text is not None and len(text) > most:
        report.error(doc.line_of(key), f"the {key} has {len(text):,} characters", f"at most {most:,}")
    return text or ""


def _read_alert(node: Node, report: Report, what: str) -> Table | None:
    return read_table(node, report, what, ALERT_KEYS)


def _read_level(node: Node, report: Report, what: str) -> str | None:
    return read_choice(node, report, what, LEVELS)


def _read_status(node: Node, report: Report, what: str) -> str | None:
    return read_choice(node, report, what, STATUSES)


def _read_tags(node: Node, report: Report, what: str) -> tuple[str, ...]:
    if not isinstance(node, Items):
        report.error(node.line, f"{what} is not a list", "tags: [attack.impact, attack.t1485]")
        return ()
    tags = read_names(node, report, what) if node.items else []
    for tag, line in tags:
        try:
            SigmaRuleTag.from_str(tag)
        except sigma.exceptions.SigmaError:
            report.error(line, f"the tag {tag!r} has no namespace", "like attack.t1485")
    return tuple(tag for tag, _ in tags)


def _read_channel(node: Node, report: Report, what: str) -> str | None:
    channel = read_text(node, report, what)
    if channel is not None and not _CHANNEL.match(channel):
        report.error(node.line, f"{channel!r} is no channel", "one name or id, like #security or C0123456789")
    return channel


def _check_unshown(doc: Table, report: Report) -> None:
    """Check the keys that Sigma defines and that the bot does not show."""
    for key in ("license", "taxonomy"):
        optional(doc, key, read_text, report)
    optional(doc, "scope", read_texts, report)
    for key in ("date", "modified"):
        _check_date(optional(doc, key, read_text, report), doc.line_of(key), report, key)
    fields = optional(doc, "fields", read_names, report) or []
    for name, line in fields:
        if name != "time":
            read_field(name, line, report, "fields")
    _check_related(doc, report)


def _check_date(text: str | None, line: int, report: Report, key: str) -> None:
    try:
        date.fromisoformat(text or "2026-01-01")
    except ValueError:
        report.error(line, f"{key} {text!r} is no date", "like 2026-05-01")


def _check_related(doc: Table, report: Report) -> None:
    node = doc.get("related")
    if node is None:
        return
    items = node.items if isinstance(node, Items) else [node]
    for item in items:
        table = read_table(item, report, "related", ("id", "type"))
        if table is None:
            continue
        plain = {key: value.text for key, value in table.entries.items() if isinstance(value, Text)}
        try:
            SigmaRelated.from_dict([plain])
        except sigma.exceptions.SigmaError as error:
            report.error(item.line, f"related: {error.args[0]}", "like {id: <UUID>, type: similar}")
