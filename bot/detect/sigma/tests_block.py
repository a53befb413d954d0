"""The `tests:` block of a rule: small lists of events, and how many bursts they must give."""

from __future__ import annotations

from bot.detect.rules import RuleTest, RuleTestEvent
from bot.strict.readers import optional, read_duration, read_table, read_text, read_whole
from bot.strict.report import Report
from bot.strict.yaml_lines import Items, Node, Table, Text
from bot.times import DAY, SECOND

TEST_KEYS = ("name", "events", "fires")
EVENT_KEYS = ("at", "repeat", "every", "action", "actor", "ip", "object", "type")
MAX_EVENTS = 20_000  # of one test, repeats written out
_FAR = 3_660 * DAY


def read_tests(node: Node, report: Report, what: str) -> tuple[RuleTest, ...]:
    """Return the tests of a rule; what is wrong with one goes to the report and leaves it out."""
    if not isinstance(node, Items) or not node.items:
        report.error(node.line, f"{what} is not a list", "- {name: ..., events: [...], fires: yes}")
        return ()
    tests = [test for item in node.items if (test := _read_test(item, report)) is not None]
    names: set[str] = set()
    for test in tests:
        if test.name in names:
            report.error(test.line, f"two tests are named {test.name!r}")
        names.add(test.name)
    return tuple(tests)


def _read_test(node: Node, report: Report) -> RuleTest | None:
    table = read_table(node, report, "test", TEST_KEYS)
    if table is None:
        return None
    for key in TEST_KEYS:
        if key not in table.entries:
            report.error(table.line, f"the test has no {key}")
    name = optional(table, "name", read_text, report)
    events = optional(table, "events", _read_events, report)
    fires = optional(table, "fires", _read_fires, report)
    if name is None or events is None or fires is None:
        return None
    return RuleTest(name, table.line, events, *fires)


def _read_fires(node: Node, report: Report, what: str) -> tuple[str, int, int | None] | None:
    """Return (as written, fewest bursts, most bursts)."""
    if isinstance(node, Text):
        number, truth = node.number(), node.truth()
        if truth is not None:
            return ("yes", 1, None) if truth else ("no", 0, 0)
        if isinstance(number, int) and number >= 0:
            return node.text, number, number
    report.error(node.line, f"{what} is neither yes, no nor a number of bursts")
    return None


def _read_events(node: Node, report: Report, what: str) -> tuple[RuleTestEvent, ...] | None:
    if not isinstance(node, Items) or not node.items:
        report.error(node.line, f"{what} is not a list", "- {at: 0s, action: DELETE, actor: eve@example.com}")
        return None
    before = len(report.problems)
    events: list[RuleTestEvent] = []
    for item in node.items:
        events += _read_event(item, report)
        if len(events) > MAX_EVENTS:
            report.error(item.line, f"the test has more than {MAX_EVENTS:,} events")
            break
    return tuple(events) if len(report.problems) == before else None


def _read_event(node: Node, report: Report) -> list[RuleTestEvent]:
    """Return the events of one line, its repeats written out with {i} counting from 0."""
    table = read_table(node, report, "test event", EVENT_KEYS)
    if table is None:
        return []
    for key in ("at", "action"):
        if key not in table.entries:
            report.error(table.line, f"the test event has no {key}")
    at = optional(table, "at", _read_at, report)
    node_repeat, node_every = table.get("repeat"), table.get("every")
    repeat = 1 if node_repeat is None else read_whole(node_repeat, report, "repeat", 1, MAX_EVENTS)
    every = SECOND if node_every is None else read_duration(node_every, report, "every", 0, _FAR)
    texts = {key: _read_value(table, key, report) for key in ("action", "actor", "ip", "object", "type")}
    if at is None or repeat is None or every is None:
        return []
    return [_event(at + number * every, number, texts) for number in range(repeat)]


def _read_at(node: Node, report: Report, what: str) -> int | None:
    """Return a moment relative to the test's zero: 90s, or -30d before it."""
    text = read_text(node, report, what)
    if text is None:
        return None
    size = read_duration(Text(node.line, text.removeprefix("-"), plain=True), report, what, 0, _FAR)
    return size if size is None or not text.startswith("-") else -size


def _read_value(table: Table, key: str, report: Report) -> str | None:
    node = table.get(key)
    if node is None or (isinstance(node, Text) and node.is_null):
        return None
    if not isinstance(node, Text):
        report.error(node.line, f"{key} of a test event is not a text")
        return None
    return node.text


def _event(at: int, number: int, texts: dict[str, str | None]) -> RuleTestEvent:
    said = {key: text.replace("{i}", str(number)) for key, text in texts.items() if text is not None}
    return RuleTestEvent(
        at, said.get("action", ""), said.get("actor"), said.get("ip"), said.get("object", ""), said.get("type", "")
    )
