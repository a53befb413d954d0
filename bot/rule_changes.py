"""An edit of the rule files: what it changes, what it would have done, and telling so."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from bot.detect import facts
from bot.detect.match import Burst, Evaluation
from bot.detect.rules import CompiledRule, RuleSet
from bot.errors import AuditBotError, RuleError, StoreError
from bot.fields import FactSettings
from bot.rulebook import HOME, SETTINGS_FILES, Rulebook, keep
from bot.store import alerts, journal
from bot.store.messages import outbox
from bot.store.schema import Store
from bot.store.status import HOME_SAID
from bot.times import DAY

SHOWN_LINES = 8  # of the difference of one rule
SHOWN_RULES = 10
SHOWN_PROBLEMS = 10
NOISIEST = 3


@dataclass(frozen=True)
class Changes:
    """Rules that are new, gone, or read differently; `indirect` count a rule that does. And settings files."""

    added: tuple[CompiledRule, ...]
    removed: tuple[CompiledRule, ...]
    changed: Mapping[str, tuple[str, ...]]  # rule id: the lines that differ, - before and + after
    indirect: tuple[CompiledRule, ...]
    settings: tuple[str, ...]

    @property
    def nothing(self) -> bool:
        """Whether nothing that matters was changed."""
        return not (self.added or self.removed or self.changed or self.settings)


def compare(before: Rulebook, after: Rulebook) -> Changes:
    """Return what is different between two sets of rules."""
    old, new = ({rule.id: rule for rule in book.rules.rules} for book in (before, after))
    old_texts, new_texts = _texts(before.rules), _texts(after.rules)
    changed = {
        rule_id: _difference(old_texts[rule_id], new_texts[rule_id])
        for rule_id in new
        if rule_id in old and old_texts[rule_id] != new_texts[rule_id]
    }
    touched = {*changed, *(new.keys() - old.keys())}
    indirect = (rule for rule in new.values() if rule.id not in touched and _counts(rule, touched))
    return Changes(
        tuple(rule for rule in new.values() if rule.id not in old),
        tuple(rule for rule in old.values() if rule.id not in new),
        changed,
        tuple(indirect),
        tuple(name for name in SETTINGS_FILES if before.files.get(name) != after.files.get(name)),
    )


def _texts(rules: RuleSet) -> dict[str, tuple[str, ...]]:
    """Return the lines of each rule's document, without comments and blanks at the end of lines."""
    found = {}
    for rule in rules.rules:
        lines = rules.source[rule.rule.file].split("\n")
        begin = rule.rule.line - 1
        while begin > 0 and not lines[begin - 1].startswith("---"):
            begin -= 1
        end = next((place for place in range(begin, len(lines)) if lines[place].startswith("---")), len(lines))
        kept = (line.rstrip() for line in lines[begin:end] if not line.lstrip().startswith("#"))
        found[rule.id] = tuple(line for line in kept if line)
    return found


def _difference(before: Iterable[str], after: Iterable[str]) -> tuple[str, ...]:
    lines = difflib.unified_diff(list(before), list(after), n=0, lineterm="")
    return tuple(f"{line[0]} {line[1:]}" for line in lines if not line.startswith(("---", "+++", "@@")))


def _counts(rule: CompiledRule, touched: set[str]) -> bool:
    """Tell whether a rule counts one that was touched, at any depth."""
    if rule.correlation is None:
        return False
    return any(slot.rule.id in touched or _counts(slot.rule, touched) for slot in rule.correlation.slots)


def record(store: Store, before: Rulebook, after: Rulebook, settings: FactSettings, now: int) -> None:
    """Keep rules that come into force, close what the removed ones had found, and tell the ops channel.

    All at once, so that no edit comes into force for good without being told.
    """
    changes = compare(before, after)
    if changes.nothing:
        keep(store, after, now)
        return
    body = announce(changes, after, store, settings, now)
    with store.write():
        keep(store, after, now)
        closed = alerts.close_removed(store, [rule.id for rule in changes.removed], now)
        detail = {
            "added": [rule.id for rule in changes.added],
            "removed": [rule.id for rule in changes.removed],
            "changed": list(changes.changed),
            "settings": list(changes.settings),
            "closed": closed,
            "digest": after.rules.digest,
        }
        journal.write(store, now, "bot", "rules", detail)
        outbox.put(store, "ops", now, body=body)


def refuse(store: Store, error: AuditBotError, opening: str, now: int) -> None:
    """Tell of rule files that are not put into force, in the ops channel, in `status` and in the journal."""
    problems = list(error.problems) if isinstance(error, RuleError) else []
    lines = [str(one) for one in problems] or [str(error)]
    more = [f"and {len(lines) - SHOWN_PROBLEMS} more"] if len(lines) > SHOWN_PROBLEMS else []
    listed = [{"file": one.file, "line": one.line, "reason": one.text} for one in problems] or [{"reason": lines[0]}]
    with store.write():
        store.set_meta("rules_state", f"the last good set is in force, the files are broken: {lines[0]}")
        outbox.put(store, "ops", now, body="\n".join([opening, *lines[:SHOWN_PROBLEMS], *more]))
        journal.write(store, now, "bot", "rules_refused", {"problems": listed[:SHOWN_PROBLEMS], "count": len(lines)})


def note_home(store: Store, home: Path | None, said: str, now: int) -> None:
    """Remember where the rules in force come from, and tell the ops channel once what there is to say about it."""
    if home is not None and str(home) != store.meta(HOME):
        store.set_meta(HOME, str(home))
    if said != (store.meta(HOME_SAID) or ""):
        with store.write():
            store.set_meta(HOME_SAID, said or None)
            if said:
                outbox.put(store, "ops", now, body=said)
                journal.write(store, now, "bot", "rules_place", {"text": said})


def announce(changes: Changes, after: Rulebook, store: Store, settings: FactSettings, now: int) -> str:
    """Return the announcement: what changed, and what the changed rules would have done over 7 and 30 days."""
    titles = {rule.id: rule.rule.title for rule in after.rules.rules}
    lines = ["The rules were edited."]
    for word, rules in (("Added", changes.added), ("Removed", changes.removed)):
        if rules:
            lines.append(f"{word}: {_some([rule.rule.title for rule in rules])}.")
    for rule_id, difference in list(changes.changed.items())[:SHOWN_RULES]:
        more = [f"  and {len(difference) - SHOWN_LINES} more lines"] if len(difference) > SHOWN_LINES else []
        lines += [f"Changed: {titles[rule_id]}", *(f"  {line}" for line in difference[:SHOWN_LINES]), *more]
    if changes.settings:
        lines.append(f"Changed: {_some(list(changes.settings))}.")
    touched = {rule.id for rule in (*changes.added, *changes.indirect)} | changes.changed.keys()
    affected = [rule for rule in after.reporting if rule.id in touched]
    return "\n".join(lines + effects(store, settings, affected, now))


def effects(store: Store, settings: FactSettings, rules: list[CompiledRule], now: int) -> list[str]:
    """Return a line for each rule: what it would have done over the last 7 and 30 days, by the back-test."""
    if not rules:
        return []
    lookback = max(rule.lookback for rule in rules)
    columns = facts.read(store, settings, "e.time >= ?", (now - 30 * DAY - lookback,))
    evaluation = Evaluation(columns)
    lines = ["What they would have done:", *(_effect(evaluation, rule, now) for rule in rules[:SHOWN_RULES])]
    return lines + ([f"and {len(rules) - SHOWN_RULES} more rules"] if len(rules) > SHOWN_RULES else [])


def _effect(evaluation: Evaluation, rule: CompiledRule, now: int) -> str:
    """Return a rule's line; one that raises must neither keep the others from it nor the service from its start."""
    shadow = " (shadow)" if rule.rule.shadow else ""
    try:
        month = evaluation.bursts(rule, now - 30 * DAY)
    except StoreError:
        raise
    except Exception as error:  # noqa: BLE001 -- as in Detector
        return f"- {rule.rule.title}{shadow}: it cannot be evaluated ({type(error).__name__}: {error})."
    week = [burst for burst in month if burst.last >= now - 7 * DAY]
    return f"- {rule.rule.title}{shadow}: {_count(week)} in 7 days; {_count(month)} in 30 days{_noisiest(month)}."


def _count(bursts: list[Burst]) -> str:
    entities = len({burst.group for burst in bursts})
    return f"{len(bursts)} {'burst' if len(bursts) == 1 else 'bursts'} of {entities}" if bursts else "none"


def _noisiest(bursts: list[Burst]) -> str:
    top = Counter(" ".join(value for _, value in burst.group) or "all together" for burst in bursts)
    said = ", ".join(f"{name} ({count})" for name, count in top.most_common(NOISIEST))
    return f"; most by {said}" if said else ""


def _some(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN_RULES} more" if len(names) > SHOWN_RULES else ""
    return ", ".join(names[:SHOWN_RULES]) + more
