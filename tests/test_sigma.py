"""The strict loader: what it refuses, with file, line and hint, and what it makes of good files."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sigma.collection import SigmaCollection

from bot.detect.rules import RuleSet
from bot.detect.sigma.files import MAX_BYTES, MAX_FILES
from bot.detect.sigma.load import MAX_RULES, load_rules, read_rule_files
from bot.errors import Problem, RuleError
from bot.model import Level
from bot.times import DAY, HOUR, MINUTE, SECOND
from tests.laws import law

SAMPLES = Path(__file__).parent / "data" / "rules"

PLAIN = """\
title: Deletion
id: 6c2f7a9e-0f0c-4d2b-9b53-0b2f9b8f6a01
name: deletion
status: stable
level: low
description: Something was deleted.
logsource: {product: cortex, service: audit}
detection:
  selection: {action: DELETE}
  condition: selection
"""
COUNT = """\
title: Many deletions
id: 1f0c2f0e-5a1e-4d0e-8f9b-6a4f3f1f7c11
name: many
status: stable
level: high
description: Many things were deleted.
correlation:
  type: event_count
  rules: [deletion]
  group-by: [actor]
  timespan: 10m
  condition: {gte: 10}
"""
TEMPORAL = (
    COUNT.replace("event_count", "temporal")
    .replace("[deletion]", "[deletion, other]")
    .replace("  condition: {gte: 10}\n", "")
)
OTHER = PLAIN.replace("6a01", "6a02").replace("name: deletion", "name: other")
FILTER = """\
title: Clean-up
id: 7e1d0a52-5b0e-4a9a-8a4e-6f3f4f1b2c31
description: Expected every night.
logsource: {product: cortex, service: audit}
filter:
  rules: [deletion]
  cleanup: {actor: cleanup-bot}
  condition: not cleanup
"""
TESTS = """\
tests:
  - name: one
    events: [{at: 0s, action: DELETE}]
    fires: yes
"""


def problems(*files: str, **named: str) -> list[Problem]:
    """Return what is wrong with files, one document or more each, named f1.yml and so on."""
    source = {f"f{number}.yml": text for number, text in enumerate(files, 1)} | {
        f"{k}.yml": v for k, v in named.items()
    }
    with pytest.raises(RuleError) as caught:
        load_rules(source)
    return list(caught.value.problems)


def changed(text: str, old: str, new: str) -> str:
    assert old in text
    return text.replace(old, new)


def load(*files: str) -> RuleSet:
    return load_rules({f"f{number}.yml": text for number, text in enumerate(files, 1)})


# -- what it refuses -------------------------------------------------------------------------------------------------
# (document, text to replace, replacement, line, part of the message, part of the hint)
HEADER = [
    ("levle", PLAIN, "level: low", "levle: low", 5, "unknown key 'levle'", "did you mean level?"),
    ("no title", PLAIN, "title: Deletion\n", "", 1, "the rule has no title", ""),
    ("no id", PLAIN, "id: 6c2f7a9e-0f0c-4d2b-9b53-0b2f9b8f6a01\n", "", 1, "the rule has no id", ""),
    ("no status", PLAIN, "status: stable\n", "", 1, "the rule has no status", ""),
    ("no level", PLAIN, "level: low\n", "", 1, "the rule has no level", ""),
    ("no description", PLAIN, "description: Something was deleted.\n", "", 1, "the rule has no description", ""),
    ("no logsource", PLAIN, "logsource: {product: cortex, service: audit}\n", "", 1, "the rule has no logsource", ""),
    ("no UUID", PLAIN, "6c2f7a9e-0f0c-4d2b-9b53-0b2f9b8f6a01", "bulk-1", 2, "the id 'bulk-1' is no UUID", "uuid4"),
    ("bad level", PLAIN, "level: low", "level: hihg", 5, "'hihg' is no level", "did you mean high?"),
    ("bad status", PLAIN, "status: stable", "status: production", 4, "'production' is no status", "one of stable"),
    ("level in capitals", PLAIN, "level: low", "level: Low", 5, "'Low' is no level", "did you mean low?"),
    ("empty title", PLAIN, "title: Deletion", "title:", 1, "title is empty, not a text", ""),
    ("long title", PLAIN, "title: Deletion", f"title: {'x' * 201}", 1, "the title has 201 characters", "at most 200"),
    ("name with space", PLAIN, "name: deletion", "name: a b", 3, "'a b' cannot be used in conditions", "letters"),
    ("name of an operator", PLAIN, "name: deletion", "name: not", 3, "'not' cannot be used in conditions", ""),
    ("tag", PLAIN, "level: low", "level: low\ntags: [attack.t1485, impact]", 6, "'impact' has no namespace", "attack."),
    ("tags no list", PLAIN, "level: low", "level: low\ntags: attack.t1485", 6, "tags is not a list", "["),
    ("date", PLAIN, "level: low", "level: low\ndate: 2026-13-01", 6, "date '2026-13-01' is no date", "2026-05-01"),
    ("related", PLAIN, "level: low", "level: low\nrelated: [{id: x, type: similar}]", 6, "related: ", "UUID"),
    ("related word", PLAIN, "level: low", "level: low\nrelated: x", 6, "related is not a mapping", ""),
    ("fields", PLAIN, "level: low", "level: low\nfields: [actro]", 6, "fields: unknown field 'actro'", "actor?"),
    ("references", PLAIN, "level: low", "level: low\nreferences: {a: b}", 6, "references is a mapping", ""),
    ("author", PLAIN, "level: low", "level: low\nauthor: [a]", 6, "author is a list, not a text", ""),
    ("product", PLAIN, "product: cortex", "product: windows", 7, "logsource product is not cortex", "cortex"),
    ("service", PLAIN, ", service: audit", "", 7, "logsource service is not audit", ""),
    (
        "logsource key",
        PLAIN,
        "service: audit",
        "service: audit, prodcut: x",
        7,
        "unknown key 'prodcut' in logsource",
        "product",
    ),
    (
        "both",
        PLAIN,
        "detection:",
        "correlation: {}\ndetection:",
        9,
        "one document has detection and correlation",
        "---",
    ),
    ("neither", COUNT, COUNT[COUNT.index("correlation:") :], "", 1, "neither detection nor correlation", ""),
    ("action", PLAIN, "level: low", "level: low\naction: global", 6, "unknown key 'action' in rule", ""),
    ("logsource of a count", COUNT, "level: high", "level: high\nlogsource: {}", 6, "unknown key 'logsource'", ""),
]
ALERT = [
    ("unknown key", PLAIN, "channle: x", "unknown key 'channle' in alert", "did you mean channel?"),
    ("no mapping", PLAIN, "[a]", "alert is not a mapping", "key: value"),
    ("channel", PLAIN, "channel: 'two words'", "'two words' is no channel", "#security"),
    ("quiet_for", PLAIN, "quiet_for: 1 hour", "'1 hour' is not a duration", ""),
    ("quiet_for is 0", PLAIN, "quiet_for: 0s", "quiet_for 0s is too short", ""),
    ("ask_actor", PLAIN, "ask_actor: maybe", "ask_actor is 'maybe'", "true or false"),
    ("quoted truth", PLAIN, "ask_actor: 'yes'", "ask_actor is 'yes'", "true or false"),
    ("per", PLAIN, "per: actr", "per: unknown field 'actr'", "did you mean actor?"),
    ("per number", PLAIN, "per: hour", "hour is a number, and groups are made of texts", ""),
    ("per twice", PLAIN, "per: [ip, ip]", "per names 'ip' twice", ""),
    ("per of a count", COUNT, "per: actor", "per has no meaning for a correlation", "group-by"),
    ("quiet_for of a count", COUNT, "quiet_for: 1h", "quiet_for has no meaning for a correlation", "timespan"),
]
SELECTIONS = [
    ("{acton: DELETE}", "unknown field 'acton'", "did you mean action?"),
    ("{time: x}", "detection cannot use time", "hour, weekday"),
    ("{time|hour: 3}", "detection cannot use time", "hour, weekday"),
    ("{object|base64: x}", "the modifier 'base64' does not fit this log", ""),
    ("{object|expand: x}", "the modifier 'expand' does not fit this log", ""),
    ("{object|hour: 3}", "the modifier 'hour' does not fit this log", "hour, weekday"),
    ("{object|contians: x}", "unknown modifier 'contians'", "did you mean contains?"),
    ("{object|gt: 3}", "object is a text, and gt does not apply to it", "contains"),
    ("{hour|contains: 3}", "do not go together on hour", ""),
    ("{hour|re: 3}", "hour is a number, and re does not apply to it", "gte"),
    ("{actor_new|gt: 3}", "actor_new is a bool, and gt does not apply to it", "exists"),
    ("{object|re|contains: x}", "the modifiers re|contains do not go together", "^ and $"),
    ("{object|contains|endswith: x}", "the modifiers contains|endswith do not go together", ""),
    ("{object|cased|re: x}", "the modifiers cased|re do not go together", ""),
    ("{object|cased|cased: x}", "the modifiers cased|cased do not go together", ""),
    ("{object|neq|re: x}", "Regular expression modifier only applicable to unmodified values", ""),
    ("{hour: three}", "hour is compared with 'three'", "a number"),
    ("{hour: '3'}", "hour is compared with '3'", "without quotes"),
    ("{hour|gte: 12:30}", "hour is compared with '12:30'", "a number"),
    ("{actor_new: 1}", "actor_new is compared with '1'", "true or false"),
    ("{actor_new: 'true'}", "actor_new is compared with 'true'", "without quotes"),
    ("{actor|exists: maybe}", "actor is compared with 'maybe'", "true or false"),
    ("{object|contains: ''}", "contains of an empty text is true of everything", ""),
    ("{object|startswith: '*'}", "startswith of * is true of everything", ""),
    ("{object|contains: null}", "contains cannot be asked of no value", "field: null"),
    ("{object: []}", "object has an empty list of values", "null"),
    ("{object: [[a]]}", "object is compared with a list or a mapping", "flat list"),
    ("{ip|cidr: null}", "cidr cannot be asked of no value", ""),
    ("{object: {a: b}}", "object is compared with a list or a mapping", ""),
    ("{object|re: 'a(?=b)'}", "RE2 does not take the regex 'a(?=b)'", "look-around"),
    ("{object|re: '('}", "'('", ""),
    (f"{{object|re: '{'a' * 1001}'}}", "the regex has 1,001 characters", "1,000"),
    ("{ip|cidr: 10.0.0.1/8}", "Invalid CIDR expression: 10.0.0.1/8 has host bits set", ""),
    ("{ip|cidr: office}", "Invalid CIDR expression", ""),
    ("{object|fieldref: actr}", "fieldref: unknown field 'actr'", "did you mean actor?"),
    ("{object|fieldref: object}", "object cannot be compared with object", ""),
    ("{object|fieldref: hour}", "object cannot be compared with hour", "a text, hour a number"),
    ("{weekday: monday}", "weekday is never 'monday'", "mon"),
    ("{actor_kind|startswith: hum}", "actor_kind is never 'hum", "person"),
    ("{actor_type|cased: api_key}", "actor_type is never 'api_key'", "API_KEY"),
    ("[DELETE, UPDATE]", "detection selection searches keywords", "field: value"),
    ("DELETE", "detection selection searches keywords", ""),
    ("{'|contains': x}", "'|contains' names no field", "field|contains"),
    ("{}", "detection selection is empty", ""),
    ("[{action: DELETE}, x]", "detection selection searches keywords", ""),
    ("{action: DELETE, action: UPDATE}", "the key 'action' stands here twice", "first in line 9"),
]
CONDITIONS = [
    ("selektion", "names no selection with 'selektion'", "did you mean selection?"),
    ("1 of filter_*", "names no selection with '1 of filter_*'", ""),
    ("selection and", "cannot read the condition 'selection and'", "like"),
    ("selection AND selection", "cannot read the condition", "write and in small letters"),
    ("selection | count() > 3", "The pipe syntax", ""),
    ("2 of selection", "cannot read the condition", ""),
    ("[selection]", "condition is a list", "joined with or"),
    ("", "condition is empty, not a text", ""),
    (f"selection{' and selection' * 200}", "characters", "at most"),
    (f"{'(' * 600}selection{')' * 600}", "the condition is nested too deeply", ""),
]
CORRELATIONS = [
    ("type", "event_count", "event_cont", 8, "'event_cont' is no correlation type", "did you mean event_count?"),
    ("value_sum", "event_count", "value_sum", 8, "value_sum adds up numbers", "event_count"),
    ("value_percentile", "event_count", "value_percentile", 8, "value_percentile adds up numbers", ""),
    ("no type", "  type: event_count\n", "", 8, "the correlation has no type", ""),
    ("no timespan", "  timespan: 10m\n", "", 8, "the correlation has no timespan", ""),
    ("no rules", "  rules: [deletion]\n", "", 8, "the correlation names no rules", "rules: ["),
    ("empty rules", "[deletion]", "[]", 9, "rules is an empty list", ""),
    ("same rule twice", "[deletion]", "[deletion, deletion]", 9, "rules names 'deletion' twice", ""),
    ("name and id", "[deletion]", "[deletion, 6c2f7a9e-0f0c-4d2b-9b53-0b2f9b8f6a01]", 9, "are the same rule", ""),
    ("unknown rule", "[deletion]", "[deletoin]", 9, "there is no rule 'deletoin'", "did you mean deletion?"),
    ("itself", "[deletion]", "[many]", 9, "in a circle: many -> many", ""),
    ("unknown key", "timespan: 10m", "timespan: 10m\n  timeframe: 5m", 12, "unknown key 'timeframe'", "timespan"),
    ("timespan", "timespan: 10m", "timespan: 10 min", 11, "'10 min' is no timespan", "10m"),
    ("timespan 0", "timespan: 10m", "timespan: 0m", 11, "'0m' is no timespan", ""),
    ("timespan of years", "timespan: 10m", "timespan: 2y", 11, "the timespan 2y is too long", "366d"),
    ("group-by", "[actor]", "[acter]", 10, "group-by: unknown field 'acter'", "did you mean actor?"),
    ("group-by number", "[actor]", "[hour]", 10, "hour is a number, and groups are made of texts", ""),
    ("group-by truth", "[actor]", "[actor_new]", 10, "actor_new is a bool", ""),
    ("group-by time", "[actor]", "[time]", 10, "group-by cannot use time", ""),
    ("group-by twice", "[actor]", "[ip, ip]", 10, "group-by names 'ip' twice", ""),
    ("generate", "timespan: 10m", "timespan: 10m\n  generate: perhaps", 12, "generate is 'perhaps'", "true"),
    ("lt", "{gte: 10}", "{lt: 10}", 12, "lt: a correlation cannot find too few", "silence detector"),
    ("lte", "{gte: 10}", "{lte: 10}", 12, "lte: a correlation cannot find too few", "silence detector"),
    ("neq", "{gte: 10}", "{neq: 10}", 12, "neq: a correlation cannot find too few", "silence detector"),
    ("no condition", "  condition: {gte: 10}\n", "", 8, "event_count has no condition", "{gte: 10}"),
    ("text condition", "{gte: 10}", "deletion", 12, "event_count has no condition of the form", "gte"),
    ("two operators", "{gte: 10}", "{gte: 10, gt: 3}", 12, "the condition needs one of", ""),
    ("unknown operator", "{gte: 10}", "{get: 10}", 12, "unknown key 'get' in condition", "gt"),
    ("count text", "{gte: 10}", "{gte: ten}", 12, "gte is 'ten'", "whole number"),
    ("count fraction", "{gte: 10}", "{gte: 2.5}", 12, "gte is '2.5'", "whole number"),
    ("count 0", "{gte: 10}", "{gte: 0}", 12, "gte is '0'", "from 1"),
    ("field of event_count", "{gte: 10}", "{gte: 10, field: object}", 12, "event_count counts no field", ""),
    (
        "value_count without",
        "event_count",
        "value_count",
        12,
        "value_count needs the field whose values count",
        "field:",
    ),
    ("alias unused", "timespan: 10m", "timespan: 10m\n  aliases: {who: {deletion: ip}}", 12, "'who' is not used", ""),
]


WIDE = "  condition: " + " and ".join(f"(deletion or not other or a{n} or b{n})" for n in range(6))


def check(found: list[Problem], file: str, line: int, text: str, hint: str) -> None:
    matching = [problem for problem in found if problem.file == file and text in problem.text]
    assert matching, [str(problem) for problem in found]
    assert (matching[0].line, hint in matching[0].hint) == (line, True), str(matching[0])


@pytest.mark.parametrize(
    ("text", "old", "new", "line", "message", "hint"), [row[1:] for row in HEADER], ids=[row[0] for row in HEADER]
)
def test_a_mistake_in_the_head_is_told_with_its_line(
    text: str, old: str, new: str, line: int, message: str, hint: str
) -> None:
    """Unknown and missing keys, bad words, bad forms."""
    others = [PLAIN] if text is COUNT else []
    check(problems(changed(text, old, new), *others), "f1.yml", line, message, hint)


@pytest.mark.parametrize(
    ("text", "alert", "message", "hint"), [row[1:] for row in ALERT], ids=[row[0] for row in ALERT]
)
def test_a_mistake_in_the_alert_block_is_told_with_its_line(text: str, alert: str, message: str, hint: str) -> None:
    """Unknown keys, values that mean nothing, and what a correlation says elsewhere."""
    block = f"alert: {alert}" if alert.startswith("[") else f"alert:\n  {alert}"
    found = problems(f"{text}{block}\n", *([PLAIN] if text is COUNT else []))
    check(found, "f1.yml", text.count("\n") + (1 if alert.startswith("[") else 2), message, hint)


@pytest.mark.parametrize(("selection", "message", "hint"), SELECTIONS)
def test_a_mistake_in_a_selection_is_told_with_its_line(selection: str, message: str, hint: str) -> None:
    """Fields, modifiers, values and their kinds."""
    check(problems(changed(PLAIN, "{action: DELETE}", selection)), "f1.yml", 9, message, hint)


@pytest.mark.parametrize(("condition", "message", "hint"), CONDITIONS, ids=[row[0][:30] for row in CONDITIONS])
def test_a_mistake_in_a_condition_is_told_with_its_line(condition: str, message: str, hint: str) -> None:
    """Syntax, names that no selection bears, endless nesting."""
    check(problems(changed(PLAIN, "condition: selection", f"condition: {condition}")), "f1.yml", 10, message, hint)


@pytest.mark.parametrize(
    ("old", "new", "line", "message", "hint"), [row[1:] for row in CORRELATIONS], ids=[row[0] for row in CORRELATIONS]
)
def test_a_mistake_in_a_correlation_is_told_with_its_line(
    old: str, new: str, line: int, message: str, hint: str
) -> None:
    """Types, rules, groups, windows, thresholds, aliases."""
    check(problems(changed(COUNT, old, new), PLAIN), "f1.yml", line, message, hint)


@pytest.mark.parametrize(
    ("extra", "line", "message", "hint"),
    [
        ("  condition: deletion and missing", 12, "names 'missing', which is not in rules", "deletion, other"),
        ("  condition: deletion and deletion", 9, "the rule 'other' is not used in the condition", ""),
        ("  condition: deletion and (other", 12, "cannot read the condition", "like"),
        ("  condition: not deletion and not other", 12, "asks for no event at all", "a and not b"),
        ("  condition: {gte: 3, field: ip}", 12, "temporal counts no field", ""),
        (WIDE, 12, "the condition has more than 500 alternatives", "two rules"),
        ("  condition: {gte: 3}", 12, "3 different rules can never come together", "names 2"),
        ("  aliases: {who: {deletion: actor}}", 12, "the alias 'who' says nothing for other", "each rule"),
        ("  aliases: {who: {deletion: actor, other: hour}}", 12, "fields that do not compare", "text"),
        ("  aliases: {who: {deletion: actor, other: ipp}}", 12, "unknown field 'ipp'", "did you mean ip?"),
        ("  aliases: {who: {deletion: actor, othre: ip}}", 12, "'who' names 'othre', not in rules", "other"),
        ("  aliases: [who]", 12, "aliases is not a mapping", "rule_a"),
        ("  aliases: {who: {deletion: [actor]}}", 12, "alias who is a list, not a text", ""),
        ("  aliases: {who: actor}", 12, "the alias 'who' is not a mapping", "rules to fields"),
    ],
)
def test_a_mistake_in_a_temporal_correlation_is_told(extra: str, line: int, message: str, hint: str) -> None:
    """Boolean conditions and aliases name just the rules of the list."""
    text = TEMPORAL.replace("[actor]", "[who]") if "who" in extra else TEMPORAL
    text = text.replace("  rules: [deletion, other]\n", "  generate: no\n") if extra is WIDE else text
    check(problems(f"{text}{extra}\n", PLAIN, OTHER), "f1.yml", line, message, hint)


def test_a_correlation_names_no_more_rules_than_can_be_understood() -> None:
    """Twenty."""
    names = ", ".join(f"r{number}" for number in range(21))
    check(problems(COUNT.replace("[deletion]", f"[{names}]")), "f1.yml", 9, "the correlation names 21 rules", "20")


def test_a_temporal_correlation_needs_two_rules() -> None:
    """With one it would be an event_count."""
    one = TEMPORAL.replace(", other", "")
    check(problems(one, PLAIN), "f1.yml", 9, "temporal needs two rules or more", "event_count")


def test_an_ordered_correlation_cannot_ask_for_an_exact_number() -> None:
    """Which of the rules out of order would then not count?"""
    text = TEMPORAL.replace("temporal", "temporal_ordered") + "  condition: {eq: 2}\n"
    check(problems(text, PLAIN, OTHER), "f1.yml", 12, "temporal_ordered cannot ask for an exact number", "gte")


def test_a_selection_that_the_condition_does_not_use_is_told() -> None:
    """It was meant to be in there."""
    text = changed(PLAIN, "  condition", "  spare: {actor: eve}\n  condition")
    check(problems(text), "f1.yml", 11, "the selection 'spare' is not used in the condition", "'selection'")


@pytest.mark.parametrize(
    ("old", "new", "line", "message"),
    [
        ("  condition: selection\n", "", 9, "detection has no condition"),
        ("  selection: {action: DELETE}\n", "", 9, "detection has no selection"),
        ("  selection: {", "  not: {", 9, "'not' cannot name a selection"),
    ],
)
def test_a_detection_lacks_nothing(old: str, new: str, line: int, message: str) -> None:
    """It has a condition, and selections with names."""
    check(problems(changed(PLAIN, old, new)), "f1.yml", line, message, "")


def test_a_name_that_nobody_bears_is_told_beside_other_mistakes() -> None:
    """All at once, not one after the other."""
    text = changed(COUNT, "[deletion]", "[deletoin]").replace("timespan: ", "timespan: about ")
    found = problems(PLAIN, text)
    assert any("is no timespan" in problem.text for problem in found)
    assert any("there is no rule 'deletoin'" in problem.text for problem in found)


@pytest.mark.parametrize(
    ("old", "new", "line", "message", "hint"),
    [
        ("not cleanup", "cleanup", 8, "the filter keeps only what its selections name", "not selection"),
        ("actor:", "actor|neq:", 8, "the filter keeps only what its selections name", "not selection"),
        ("[deletion]", "[deletoin]", 6, "there is no rule 'deletoin'", "did you mean deletion?"),
        ("[deletion]", "[many]", 6, "binds to nothing: 'many' is a correlation", "name deletion"),
        ("[deletion]", "[]", 6, "rules is an empty list", ""),
        ("  rules: [deletion]\n", "", 6, "the filter names no rules", "any"),
        ("actor:", "actr:", 7, "unknown field 'actr'", "actor"),
        ("description: Expected every night.\n", "", 1, "the filter has no description", ""),
        ("description", "level: low\ndescription", 3, "unknown key 'level' in filter", ""),
        ("product: cortex", "product: windows", 4, "logsource product is not cortex", ""),
        ("filter:", "filter: x\nunknown:", 5, "filter is not a mapping", ""),
    ],
)
def test_a_filter_binds_and_excludes(old: str, new: str, line: int, message: str, hint: str) -> None:
    """One that binds to nothing or narrows is refused."""
    check(problems(changed(FILTER, old, new), PLAIN, COUNT), "f1.yml", line, message, hint)


def test_a_filter_for_any_rule_needs_a_rule() -> None:
    """Without a plain rule it binds to nothing."""
    check(problems(changed(FILTER, "[deletion]", "any")), "f1.yml", 6, "binds to nothing: there is no plain rule", "")


@pytest.mark.parametrize(
    ("old", "new", "line", "message"),
    [
        ("- name: one\n    ", "- ", 12, "the test has no name"),
        ("    fires: yes\n", "", 12, "the test has no fires"),
        ("    events: [{at: 0s, action: DELETE}]\n", "", 12, "the test has no events"),
        ("fires: yes", "fires: often", 14, "fires is neither yes, no nor a number"),
        ("fires: yes", "fires: -1", 14, "fires is neither yes, no nor a number"),
        ("action: DELETE", "acton: DELETE", 13, "unknown key 'acton' in test event"),
        ("at: 0s", "at: noon", 13, "'noon' is not a duration"),
        ("at: 0s, ", "", 13, "the test event has no at"),
        ("at: 0s", "at: 0s, repeat: 0", 13, "repeat is '0'"),
        ("at: 0s", "at: 0s, repeat: 30000", 13, "repeat is '30000'"),
        ("at: 0s", "at: 0s, every: x", 13, "'x' is not a duration"),
        ("action: DELETE", "action: [DELETE]", 13, "action of a test event is not a text"),
        ("[{at: 0s, action: DELETE}]", "none", 13, "events is not a list"),
        ("[{at: 0s, action: DELETE}]", "[x]", 13, "test event is not a mapping"),
    ],
)
def test_a_mistake_in_a_test_is_told_with_its_line(old: str, new: str, line: int, message: str) -> None:
    """Missing and unknown keys, times, numbers."""
    check(problems(PLAIN + changed(TESTS, old, new)), "f1.yml", line, message, "")


def test_tests_have_different_names() -> None:
    """Their names are what a table of results shows."""
    text = PLAIN + TESTS + TESTS.removeprefix("tests:\n")
    check(problems(text), "f1.yml", 15, "two tests are named 'one'", "")


def test_a_test_is_limited_in_size() -> None:
    """Repeats are written out, so they are counted."""
    line = "{at: 0s, repeat: 15000, action: DELETE}"
    text = PLAIN + changed(TESTS, "{at: 0s, action: DELETE}", f"{line}, {line}")
    check(problems(text), "f1.yml", 13, "more than 20,000 events", "")


# -- files together --------------------------------------------------------------------------------------------------
def test_all_problems_of_all_files_are_told_at_once() -> None:
    """In the order of files and lines, each with the id of its rule, and as one text a line each."""
    first, second = changed(PLAIN, "level: low", "level: lo"), changed(OTHER, "DELETE", "[[]]")
    found = problems(changed(first, "action:", "acton:"), second)
    assert [(problem.file, problem.line) for problem in found] == [("f1.yml", 5), ("f1.yml", 9), ("f2.yml", 9)]
    assert found[0].rule_id == "6c2f7a9e-0f0c-4d2b-9b53-0b2f9b8f6a01"
    assert str(found[0]) == "f1.yml:5: 'lo' is no level (did you mean low?)"


def test_ids_and_names_are_unique_across_files() -> None:
    """Whatever their case."""
    check(problems(PLAIN, OTHER.replace("name: other", "name: deletion")), "f2.yml", 3, "also that of f1.yml:1", "")
    check(
        problems(PLAIN, OTHER.replace("6c2f7a9e", "6C2F7A9E").replace("6a02", "6a01")),
        "f2.yml",
        2,
        "also that of f1",
        "",
    )


def test_circles_of_correlations_are_told() -> None:
    """With the way round."""
    second = COUNT.replace("7c11", "7c12").replace("name: many", "name: more").replace("[deletion]", "[many]")
    found = problems(COUNT.replace("[deletion]", "[more]"), second)
    check(found, "f2.yml", 9, "in a circle: many -> more -> many", "")


def test_chains_of_correlations_end() -> None:
    """A chain of any length would not be understood, nor evaluated."""
    links = [
        COUNT.replace("7c11", f"7d{number:02}")
        .replace("name: many", f"name: c{number}")
        .replace("[deletion]", f"[c{number + 1}]" if number < 19 else "[deletion]")
        for number in range(20)
    ]
    assert any("more than 10 deep" in problem.text for problem in problems(*links, PLAIN))


def test_a_rule_that_is_off_cannot_be_counted() -> None:
    """Its correlation would be blind."""
    found = problems(COUNT, PLAIN.replace("stable", "deprecated"))
    check(found, "f1.yml", 9, "'Deletion' is deprecated, that is off", "another status")


def test_a_name_that_may_stand_in_an_unreadable_file_is_not_told() -> None:
    """One mistake gives one message."""
    found = problems(COUNT, PLAIN + "oops: [")
    assert {problem.file for problem in found} == {"f2.yml"}


def test_mistakes_in_a_rule_do_not_make_it_unknown() -> None:
    """A correlation that names it gets no message of its own."""
    assert {problem.file for problem in problems(COUNT, changed(PLAIN, "action:", "acton:"))} == {"f2.yml"}


def test_rules_without_a_rule_are_refused() -> None:
    """The rule set never drops to nothing."""
    with pytest.raises(RuleError, match="there is no rule"):
        load_rules({})
    check(problems(f=changed(FILTER, "[deletion]", "[x]")), "f.yml", 6, "there is no rule 'x'", "")


def test_the_number_of_rules_is_limited() -> None:
    """With a message of its own."""
    many = [PLAIN.replace("6a01", f"{number:04}").replace("name: deletion\n", "") for number in range(MAX_RULES + 1)]
    files = {f"f{start:04}.yml": "---\n".join(many[start : start + 100]) for start in range(0, len(many), 100)}
    with pytest.raises(RuleError, match="more than 1,000 rules"):
        load_rules(files)


# -- the strict YAML reader ------------------------------------------------------------------------------------------
DEEP = PLAIN + "related: " + "[" * 25 + "]" * 25 + "\n"
BOMB = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 10)}]\n" for before, name in zip("abcdef", "bcdefg", strict=True)
)


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("", 1, "the file is empty"),
        ("# only a comment\n", 1, "the file is empty"),
        (PLAIN + "---\n", 11, "an empty document"),
        ("- a\n- b\n", 1, "a rule is not a mapping"),
        ("just text\n", 1, "a rule is not a mapping"),
        (PLAIN.replace("condition: selection", "condi"), 11, "not YAML: could not find expected ':'"),
        (PLAIN.replace("{action: DELETE}", "{action: DELETE"), 10, "not YAML"),
        (PLAIN + "\tauthor: x\n", 11, "not YAML: found a tab character that violates indentation"),
        (PLAIN + "level: high\n", 11, "the key 'level' stands here twice"),
        (PLAIN + "? [a, b]\n: c\n", 11, "a key is a list or a mapping"),
        (PLAIN + "author: !!python/object/apply:os.system [ls]\n", 11, "the tag tag:yaml.org,2002:python/object"),
        (PLAIN + "<<: {a: b}\n", 11, "unknown key '<<'"),
        (PLAIN + "author: *who\n", 11, "the alias *who names nothing that stands before it"),
        (PLAIN + "related: &r [*r]\n", 11, "the alias *r stands inside of what it names"),
        (DEEP, 11, "nested deeper than 20 levels"),
        (BOMB, 5, "more than 50,000 values with aliases written out"),
        ("a: &a x\nb: [" + "*a, " * 101 + "]\n", 2, "more than 100 aliases"),
        (PLAIN + "references: [" + "x, " * 2001 + "]\n", 11, "a list or mapping of more than 2,000 entries"),
        ("a: \x00", 1, "not YAML"),
        ("a: x\nb: \ud800", 2, "half of a surrogate pair"),
        ("x" * (MAX_BYTES + 1), 1, "larger than 256 KiB"),
    ],
)
def test_yaml_that_is_broken_or_too_much_is_told_with_its_line(text: str, line: int, message: str) -> None:
    """Half-written files, tabs, duplicate keys, tags, bombs: each in its own words."""
    check(problems(text), "f1.yml", line, message, "")


@pytest.mark.slow
def test_every_half_written_file_is_refused_or_whole() -> None:
    """Cut anywhere, a file gives problems with lines, never an exception of another kind, never half a rule."""
    text = PLAIN + TESTS + "---\n" + COUNT
    for end in range(len(text)):
        try:
            rules = load_rules({"half.yml": text[:end], "other.yml": OTHER})
        except RuleError as error:
            assert all(problem.line >= 1 for problem in error.problems)  # noqa: PT017 -- of every cut that fails
        else:
            whole = text[:end].rstrip()
            assert whole.startswith(PLAIN.rstrip()), whole
            assert len(rules.rules) <= 3


def test_words_and_times_stay_what_they_are() -> None:
    """`no` is text, `12:30` is text, 0123 and 1.10 keep their spelling on a text field."""
    values = "[no, 12:30, 0123, 1.10, 0x1F, 1_000, true, 2026-05-01, 123, ~]"
    rule = load(changed(PLAIN, "action: DELETE", f"object: {values}")).rules[0]
    texts = [getattr(part, "text", None) for part in rule.condition.parts]  # type: ignore[union-attr]
    assert texts == ["no", "12:30", "0123", "1.10", "0x1f", "1_000", "true", "2026-05-01", "123", None]


def test_truths_may_be_yes_and_no_where_truths_are_meant() -> None:
    """As other readers of YAML have it; in quotes they are text."""
    rule = load(changed(PLAIN, "action: DELETE", "actor_new: yes, ip|exists: off") + "alert: {ask_actor: yes}\n").rules[
        0
    ]
    assert "truth=True" in str(rule.condition)
    assert "MissingTest(field='ip')" in str(rule.condition)
    assert rule.rule.ask_actor


def test_an_alias_may_repeat_a_value() -> None:
    """Within limits."""
    text = changed(PLAIN, "{action: DELETE}", "{actor: &who [eve, bob], object: *who}")
    assert load(text).rules[0].condition is not None


# -- what it makes of good files -------------------------------------------------------------------------------------
def test_a_rule_has_all_that_people_read() -> None:
    """Title, level, texts, tags, and the alert block."""
    bulk = load_rules(read_rule_files(SAMPLES)).get("1F0C2F0E-5a1e-4d0e-8f9b-6a4f3f1f7c11")
    assert bulk is not None
    rule = bulk.rule
    assert (rule.title, rule.level, rule.status) == ("Bulk delete by one actor", Level.high, "stable")
    assert rule.tags == ("attack.impact", "attack.t1485")
    assert (rule.runbook, rule.ask_actor, rule.channel) == ("docs/runbooks/bulk-delete.md", True, None)
    assert rule.references == ("https://attack.mitre.org/techniques/T1485/",)
    assert (rule.file, rule.line) == ("deletes.yml", 12)
    assert bulk.fields == {"action", "actor", "object"}
    assert (bulk.group_by, bulk.lookback, bulk.join) == (("actor",), 10 * MINUTE, 10 * MINUTE)


def test_a_rule_set_knows_its_source() -> None:
    """The same files give the same digest, any change another one."""
    source = read_rule_files(SAMPLES)
    rules = load_rules(source)
    assert rules.source == source
    assert rules.digest == load_rules(dict(reversed(list(source.items())))).digest
    assert rules.digest != load_rules(source | {"keys.yml": source["keys.yml"] + "\n"}).digest
    assert rules.get("nothing") is None


def test_sample_files_are_sigma() -> None:
    """pysigma itself reads them, with references and filters, so other tools can convert them."""
    parts = [SigmaCollection.from_yaml(text, resolve_references=False) for text in read_rule_files(SAMPLES).values()]
    merged = SigmaCollection.merge(parts)
    assert not merged.errors
    assert len(merged.rules) == len(load_rules(read_rule_files(SAMPLES)).rules)


def test_a_missing_tests_block_is_a_warning() -> None:
    """For rules that report; those that others count are tested there."""
    rules = load(PLAIN, COUNT)
    assert [(warning.file, warning.line, warning.text) for warning in rules.warnings] == [
        ("f2.yml", 1, "'Many deletions' has no tests")
    ]


@pytest.mark.parametrize(
    ("status", "generate", "reports"),
    [("stable", "no", (False, True)), ("stable", "yes", (True, True)), ("unsupported", "no", (False, False))],
)
def test_a_rule_that_a_correlation_names_reports_nothing(
    status: str, generate: str, reports: tuple[bool, bool]
) -> None:
    """Unless the correlation says generate; what is off reports nothing either."""
    text = COUNT.replace("stable", status).replace("timespan", f"generate: {generate}\n  timespan")
    assert tuple(rule.reports for rule in load(PLAIN, text).rules) == reports


def test_a_filter_narrows_the_rules_it_names_and_those_that_count_them() -> None:
    """It is a permanent exception; one that is off is checked, and not applied."""
    assert "cleanup-bot" in str(load(PLAIN, FILTER).rules[0].condition)
    assert "cleanup-bot" in str(load(PLAIN, FILTER.replace("[deletion]", "any")).rules[0].condition)
    off = FILTER.replace("description:", "status: deprecated\ndescription:")
    assert "cleanup-bot" not in str(load(PLAIN, off).rules[0].condition)


def test_tests_are_read_with_their_repeats() -> None:
    """Times may lie before the test's zero; {i} counts from 0."""
    text = PLAIN + changed(
        TESTS, "{at: 0s, action: DELETE}", "{at: -30d, repeat: 2, every: 1h, action: READ, object: 'o-{i}'}"
    )
    test = load(text).rules[0].tests[0]
    assert [(event.at, event.object, event.actor) for event in test.events] == [
        (-30 * DAY, "o-0", None),
        (HOUR - 30 * DAY, "o-1", None),
    ]
    assert (test.name, test.line, test.fires, test.passes(0), test.passes(2)) == ("one", 12, "yes", False, True)


@pytest.mark.parametrize(("fires", "passing"), [("yes", [1, 2]), ("no", [0]), ("0", [0]), ("2", [2])])
def test_fires_says_how_many_bursts_pass(fires: str, passing: list[int]) -> None:
    """Yes is one or more, a number is exact."""
    test = load(PLAIN + TESTS.replace("fires: yes", f"fires: {fires}")).rules[0].tests[0]
    assert [bursts for bursts in range(3) if test.passes(bursts)] == passing


def test_grouping_comes_from_the_alert_block() -> None:
    """per and quiet_for, each with its default."""
    rule = load(PLAIN + "alert: {per: type, quiet_for: 90s}\n").rules[0]
    assert (rule.group_by, rule.join, rule.default_per) == (("type",), 90 * SECOND, False)
    assert (load(PLAIN).rules[0].group_by, load(PLAIN).rules[0].join) == (("actor", "ip"), HOUR)


# -- files on disk ---------------------------------------------------------------------------------------------------
def test_rule_files_are_found_below_a_folder(tmp_path: Path) -> None:
    """.yml and .yaml at any depth, without hidden files and the settings at the top."""
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / ".git").mkdir()
    for name in (
        "a.yml",
        "deep/er/b.yaml",
        "deep/routing.yml",
        "routing.yml",
        "forest.yml",
        "sensitive.yml",
        ".a.yml",
        ".git/c.yml",
        "README.md",
    ):
        (tmp_path / name).write_text(name, encoding="utf-8-sig")
    assert read_rule_files(tmp_path) == {name: name for name in ("a.yml", "deep/er/b.yaml", "deep/routing.yml")}


def test_one_file_may_be_read_alone(tmp_path: Path) -> None:
    """By its own name."""
    (tmp_path / "a.yml").write_text("x")
    assert read_rule_files(tmp_path / "a.yml") == {"a.yml": "x"}


def refused(path: Path) -> list[str]:
    with pytest.raises(RuleError) as caught:
        read_rule_files(path)
    return [str(problem) for problem in caught.value.problems]


def test_files_that_cannot_be_read_are_told_each_in_its_own_words(tmp_path: Path) -> None:
    """Links out of the folder, other encodings, too large, dangling, a folder instead, no file at all."""
    rules = tmp_path / "rules"
    rules.mkdir()
    (tmp_path / "secret.yml").write_text("x")
    (tmp_path / "elsewhere").mkdir()
    (rules / "bytes.yml").write_bytes(b"title: x\nauthor: M\xfcller\n")
    (rules / "dangling.yml").symlink_to("nothing.yml")
    (rules / "folder").symlink_to(tmp_path / "elsewhere")
    (rules / "folder.yml").mkdir()
    (rules / "large.yml").write_text("x" * (MAX_BYTES + 1))
    (rules / "link.yml").symlink_to(tmp_path / "secret.yml")
    (rules / "wide.yml").write_text("title: x", encoding="utf-16")
    os.mkfifo(rules / "pipe.yml")
    assert refused(rules) == [
        "folder:1: a link that leads out of the rules folder (copy the files)",
        "folder.yml:1: a folder with the name of a rule file (rename it)",
        "bytes.yml:2: the file is not UTF-8 (save it as UTF-8)",
        "dangling.yml:1: cannot be read: No such file or directory (check the path and permissions)",
        "large.yml:1: larger than 256 KiB (split it into several files)",
        "link.yml:1: a link that leads out of the rules folder (copy the file)",
        "pipe.yml:1: not a regular file",
        "wide.yml:1: the file is UTF-16 (save it as UTF-8)",
    ]
    assert "cannot be read" in refused(tmp_path / "missing")[0]


def test_a_link_within_the_folder_is_followed(tmp_path: Path) -> None:
    """As a mounted Kubernetes ConfigMap has it: files are links into a hidden folder."""
    (tmp_path / "..data").mkdir()
    (tmp_path / "..data" / "a.yml").write_text("x")
    (tmp_path / "a.yml").symlink_to(Path("..data") / "a.yml")
    assert read_rule_files(tmp_path) == {"a.yml": "x"}


def test_the_number_of_files_is_limited(tmp_path: Path) -> None:
    """With a message of its own."""
    for number in range(MAX_FILES + 1):
        (tmp_path / f"{number:04}.yml").touch()
    assert refused(tmp_path) == ["1000.yml:1: more than 1,000 rule files (put several rules into one file)"]


@law(100)
@given(st.sampled_from([PLAIN + TESTS, COUNT, FILTER, TEMPORAL]), st.integers(0, 10**6), st.integers(0, 30), st.data())
def test_no_file_makes_the_loader_fail_otherwise(text: str, place: int, length: int, data: st.DataObject) -> None:
    """Whatever is typed over a rule, it is a rule or a list of problems."""
    words = ("[]", "{}", "null", "-", ": ", "\n", "&a", "*a", "|", "*", "(", "1e999", "'", "\t", "é", "---\n", "not ")
    typed = data.draw(st.one_of(st.sampled_from(words), st.text(max_size=5)))
    place %= len(text)
    with suppress(RuleError):
        load(text[:place] + typed + text[place + length :], OTHER)
