"""Timed exceptions as Sigma filters, the reviewed form that stays in rules/exceptions/."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import NAMESPACE_URL, uuid5

from bot.detect.rules import CompiledRule
from bot.detect.sigma.filter_text import filter_block
from bot.detect.sigma.load import SETTINGS_FILES, load_rules
from bot.errors import ConfigError, RuleError
from bot.model import FOREST
from bot.query import parse_condition
from bot.rulebook import Rulebook
from bot.store.people.exceptions import TimedException
from bot.strict.yaml_text import write_document
from bot.times import iso

MAX_TITLE = 120


def filter_file(one: TimedException, book: Rulebook) -> str:
    """Return an exception as the text of a rule file, which loads together with the rules in force.

    Raises ConfigError where Sigma cannot say it.
    """
    try:
        text = _written(one, book)
        sources = {name: source for name, source in book.files.items() if name not in SETTINGS_FILES}
        load_rules({**sources, f"exceptions/{_stem(one)}.yml": text})
    except ConfigError as error:
        raise ConfigError(f"Exception {one.id} cannot be said as a Sigma filter: {error}.") from error
    except RuleError as error:
        raise ConfigError(f"Exception {one.id} makes no valid filter: {error.problems[0]}.") from error
    return text


def _written(one: TimedException, book: Rulebook) -> str:
    title = f"Expected: {one.condition}"
    head = {
        "title": title if len(title) <= MAX_TITLE else f"{title[: MAX_TITLE - 1]}…",
        "id": str(uuid5(NAMESPACE_URL, f"audit-bot:exception:{one.id}:{one.created}:{one.condition}")),
        "description": one.reason,
        "author": one.author,
        "date": iso(one.created)[:10],
        "logsource": {"product": "cortex", "service": "audit"},
        "filter": filter_block(parse_condition(one.condition), _targets(one, book)),
    }
    return (
        f"# Was exception {one.id} until {iso(one.expires)[:10]}; as a filter it stays. It takes the events out before"
        f" anything is counted.\n# Review it, save it as rules/exceptions/{_stem(one)}.yml, then:"
        f" audit-bot exceptions remove {one.id}\n{write_document(head)}"
    )


def _stem(one: TimedException) -> str:
    return f"exception-{one.id}"


def _targets(one: TimedException, book: Rulebook) -> list[str]:
    """Return what the filter names: of a correlation the plain rules that it counts."""
    if one.rule is None:
        return ["any"]
    if one.rule == FOREST:
        raise ConfigError("the forest knows no filters")
    rule = book.rules.get(one.rule)
    if rule is None:
        raise ConfigError(f"no rule file has the id {one.rule}")
    return list(dict.fromkeys(_plain(rule)))


def _plain(rule: CompiledRule) -> Iterator[str]:
    if rule.correlation is None:
        yield rule.id
        return
    for slot in rule.correlation.slots:
        yield from _plain(slot.rule)
