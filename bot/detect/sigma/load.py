"""Sigma rule files to checked rules: everything that is wrong with them is told at once, with file and line.

Sigma itself takes typos silently; here an unknown key or field, a filter that binds to nothing and a name that nothing
bears are mistakes. pysigma reads conditions, modifiers and correlation expressions; the YAML is read strictly.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from bot.detect.conditions import Every
from bot.detect.ordinary import narrows
from bot.detect.rules import CompiledRule, Correlation, RuleSet, RuleTest, RuleTestEvent, Slot, Term
from bot.detect.sigma.correlations import Plan, bind, read_plan
from bot.detect.sigma.detection import Detection, read_detection
from bot.detect.sigma.files import MAX_BYTES, SETTINGS_FILES, read_rule_files
from bot.detect.sigma.header import COMMON_KEYS, REPORTING_KEYS, read_grouping, read_id, read_name, read_rule
from bot.detect.sigma.tests_block import read_tests
from bot.errors import RuleError
from bot.model import Rule
from bot.strict.readers import optional, read_names, read_table
from bot.strict.report import Report, did_you_mean
from bot.strict.yaml_lines import Node, Table, Text, read_documents

__all__ = [
    "MAX_RULES",
    "SETTINGS_FILES",
    "CompiledRule",
    "Correlation",
    "RuleSet",
    "RuleTest",
    "RuleTestEvent",
    "Slot",
    "Term",
    "load_rules",
    "read_rule_files",
]

MAX_RULES = 1_000
MAX_CHAIN = 10
LOGSOURCE = {"product": "cortex", "service": "audit"}
OFF = ("deprecated", "unsupported")

Kind = Literal["rule", "correlation", "filter"]
# The keys that tell kinds of documents apart, and those that each must have.
_LOGIC: dict[Kind, str] = {"rule": "detection", "correlation": "correlation", "filter": "filter"}
_KEYS: dict[Kind, tuple[str, ...]] = {
    "rule": (*COMMON_KEYS, *REPORTING_KEYS, "logsource", "detection"),
    "correlation": (*COMMON_KEYS, *REPORTING_KEYS, "correlation"),
    "filter": (*COMMON_KEYS, "logsource", "filter"),
}
_REQUIRED: dict[Kind, tuple[str, ...]] = {
    "rule": ("title", "id", "status", "level", "description", "logsource", "detection"),
    "correlation": ("title", "id", "status", "level", "description"),
    "filter": ("title", "id", "description", "logsource"),
}


@dataclass(eq=False)
class _Draft:
    """One document as read, before it is bound to the others. `ok` is False once anything in it is wrong."""

    kind: Kind
    doc: Table
    rule: Rule
    name: str
    report: Report
    detection: Detection | None = None
    plan: Plan | None = None
    targets: dict[str, int] = field(default_factory=dict)  # of a filter: the rules it names, with their lines
    tests: tuple[RuleTest, ...] = ()

    @property
    def off(self) -> bool:
        return self.rule.status in OFF

    @property
    def place(self) -> str:
        return f"{self.rule.file}:{self.rule.line}"


def load_rules(source: Mapping[str, str], *, whole: bool = True) -> RuleSet:
    """Return the rules of files given as path -> text. Raises RuleError with all problems of all files.

    Where these are not the `whole` set, because some could not be read, a name that nobody bears is no mistake.
    """
    report = Report()
    drafts: list[_Draft] = []
    for file, text in sorted(source.items()):
        documents, complete = _read_text(text, report.at(file))
        whole &= complete
        for document in documents:
            drafts += _read_document(document, report.at(file))
    linker = _Linker(drafts, report, whole)
    rules = linker.run()
    if not report.problems and not rules and whole:
        report.at("rules").error(1, "there is no rule in any file", "the shipped ones are in rules/")
    if report.problems:
        raise RuleError(tuple(sorted(report.problems, key=lambda problem: (problem.file, problem.line))))
    return RuleSet(tuple(rules), dict(source), tuple(report.warnings))


def _read_text(text: str, report: Report) -> tuple[list[Node], bool]:
    """Return the documents of a file, and whether these are all of them."""
    if len(text.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        report.error(1, f"larger than {MAX_BYTES // 1024} KiB", "split it into several files")
        return [], False
    before = len(report.problems)
    documents = read_documents(text, report)
    complete = len(report.problems) == before
    if complete and not documents:
        report.error(1, "the file is empty", "delete it if that is meant")
    return documents, complete


# -- one document --------------------------------------------------------------------------------------------------
def _read_document(document: Node, report: Report) -> list[_Draft]:
    if isinstance(document, Text) and document.is_null:
        report.error(document.line, "an empty document", "remove the --- that has nothing after it")
        return []
    if not isinstance(document, Table):
        report.error(document.line, "a rule is not a mapping", "it begins with title: ...")
        return []
    kinds: list[Kind] = [kind for kind, logic in _LOGIC.items() if logic in document.entries] or ["rule"]
    kind = kinds[-1]
    rule_id = read_id(document, report)
    report = report.at(report.file, rule_id)
    if len(kinds) > 1:
        both = " and ".join(_LOGIC[each] for each in kinds)
        report.error(document.line_of(_LOGIC[kinds[0]]), f"one document has {both}", "put --- between two rules")
    else:
        read_table(document, report, kind, _KEYS[kind])
    for key in _REQUIRED[kind]:
        if key not in document.entries:
            either = "neither detection nor correlation" if key == "detection" else f"no {key}"
            report.error(document.line, f"the {kind} has {either}")
    draft = _Draft(kind, document, read_rule(document, rule_id, report), read_name(document, report), report)
    _read_logic(draft)
    return [draft]


def _read_logic(draft: _Draft) -> None:
    doc, report = draft.doc, draft.report
    optional(doc, "logsource", _check_logsource, report)
    draft.tests = optional(doc, "tests", read_tests, report) or ()
    logic = doc.get(_LOGIC[draft.kind])
    if logic is None:
        return
    if draft.kind == "correlation":
        draft.plan = read_plan(logic, report)
    elif not isinstance(logic, Table):
        report.error(logic.line, f"{_LOGIC[draft.kind]} is not a mapping", "it has selections and a condition")
    elif draft.kind == "rule":
        draft.detection = read_detection(logic, report, "detection")
    else:
        _read_filter(draft, logic)


def _read_filter(draft: _Draft, logic: Table) -> None:
    report = draft.report
    draft.detection = read_detection(logic, report, "filter", other_keys=("rules",))
    draft.targets = dict(optional(logic, "rules", read_names, report) or [])
    if "rules" not in logic.entries:
        report.error(logic.line, "the filter names no rules", "rules: [name of a rule], or rules: any")
    if draft.detection is not None and (not draft.detection.idle or narrows(draft.detection.condition)):
        text = "the filter keeps only what its selections name, instead of leaving that out"
        report.error(logic.line_of("condition"), text, "like condition: not selection")


def _check_logsource(node: Node, report: Report, what: str) -> None:
    table = read_table(node, report, what, (*LOGSOURCE, "definition"))
    if table is None:
        return
    for key, wanted in LOGSOURCE.items():
        value = table.get(key)
        if not isinstance(value, Text) or value.text != wanted:
            report.error(
                table.line_of(key), f"{what} {key} is not {wanted}", "logsource: {product: cortex, service: audit}"
            )


# -- documents together ---------------------------------------------------------------------------------------------
class _Linker:
    """Binds documents to each other: names, filters, correlations."""

    def __init__(self, drafts: list[_Draft], report: Report, whole: bool) -> None:
        self._drafts, self._report = drafts, report
        self._whole = whole  # where a file could not be read, a name that nobody bears may stand there
        self._known: dict[str, _Draft] = {}
        self._filters: dict[_Draft, list[Detection]] = {}
        self._compiled: dict[_Draft, CompiledRule | None] = {}
        self._silent: set[_Draft] = set()

    def run(self) -> list[CompiledRule]:
        """Return the compiled rules in the order of the files; mistakes go to the report."""
        rules = [draft for draft in self._drafts if draft.kind != "filter"]
        if len(rules) > MAX_RULES:
            rules[MAX_RULES].report.error(rules[MAX_RULES].rule.line, f"more than {MAX_RULES:,} rules", "remove some")
            return []
        for draft in self._drafts:
            self._register(draft)
        for draft in self._drafts:
            if draft.kind == "filter":
                self._bind_filter(draft)
            elif draft.plan is not None and not draft.plan.generate:
                self._silent.update(target for name in draft.plan.rules if (target := self._find(name)))
        compiled = [self._compile(draft, ()) for draft in rules]
        for draft in rules:
            self._warn_untested(draft)
        return [rule for rule in compiled if rule is not None]

    def _register(self, draft: _Draft) -> None:
        for word, key in ((draft.rule.id.lower(), "id"), (draft.name, "name")):
            other = self._known.setdefault(word, draft) if word else draft
            if other is not draft:
                draft.report.error(draft.doc.line_of(key), f"the {key} {word} is also that of {other.place}")

    def _find(self, name: str) -> _Draft | None:
        return self._known.get(name) or self._known.get(name.lower())

    def _target(self, name: str, line: int, report: Report) -> _Draft | None:
        """Return the rule of a name or id; a name that no rule bears is told."""
        found = self._find(name)
        if found is None and self._whole:
            names = [draft.name for draft in self._drafts if draft.name and draft.kind != "filter"]
            report.error(line, f"there is no rule {name!r}", did_you_mean(name, names))
        elif found is not None and found.kind == "filter":
            report.error(line, f"{name!r} is a filter, not a rule")
            return None
        return found

    def _bind_filter(self, draft: _Draft) -> None:
        targets = [target for name, line in draft.targets.items() for target in self._filtered(name, line, draft)]
        for target in dict.fromkeys(targets):
            if draft.detection is not None and not draft.off:
                self._filters.setdefault(target, []).append(draft.detection)

    def _filtered(self, name: str, line: int, draft: _Draft) -> Iterable[_Draft]:
        """Return the plain rules that one entry of a filter's `rules` means."""
        if name.lower() == "any":
            plain = [other for other in self._drafts if other.kind == "rule"]
            if not plain:
                draft.report.error(line, "the filter binds to nothing: there is no plain rule")
            return plain
        target = self._target(name, line, draft.report)
        if target is not None and target.kind == "correlation":
            counted = ", ".join(target.plan.rules) if target.plan is not None else "the rules it counts"
            draft.report.error(line, f"the filter binds to nothing: {name!r} is a correlation", f"name {counted}")
            return []
        return [] if target is None else [target]

    def _compile(self, draft: _Draft, above: tuple[_Draft, ...]) -> CompiledRule | None:
        """Return the rule with all that it names, None where something in there is wrong."""
        if draft not in self._compiled:
            logic = self._plain(draft) if draft.kind == "rule" else self._correlation(draft, (*above, draft))
            self._compiled[draft] = logic
        return self._compiled[draft]

    def _plain(self, draft: _Draft) -> CompiledRule | None:
        per, default_per, quiet_for = read_grouping(draft.doc, correlates=False, report=draft.report)
        if draft.detection is None:
            return None
        conditions = [draft.detection.condition, *(each.condition for each in self._filters.get(draft, []))]
        return CompiledRule(
            draft.rule,
            condition=conditions[0] if len(conditions) == 1 else Every(tuple(conditions)),
            per=per,
            default_per=default_per,
            quiet_for=quiet_for,
            reports=self._reports(draft),
            tests=draft.tests,
        )

    def _correlation(self, draft: _Draft, path: tuple[_Draft, ...]) -> CompiledRule | None:
        read_grouping(draft.doc, correlates=True, report=draft.report)
        if draft.plan is None:
            self._check_names(draft)
            return None
        rules: dict[str, CompiledRule] = {}
        seen: dict[_Draft, str] = {}
        for name, line in draft.plan.rules.items():
            target = self._target(name, line, draft.report)
            if target is None or not self._may_count(draft, target, line, path):
                continue
            if target in seen:
                draft.report.error(line, f"{name!r} and {seen[target]!r} are the same rule")
            seen[target] = name
            compiled = self._compile(target, path)
            if compiled is not None:
                rules[name] = compiled
        if len(rules) < len(draft.plan.rules):
            return None
        correlation = bind(draft.plan, rules)
        return CompiledRule(draft.rule, correlation=correlation, reports=self._reports(draft), tests=draft.tests)

    def _check_names(self, draft: _Draft) -> None:
        """Tell of names that nobody bears also where something else is wrong with a correlation."""
        block = draft.doc.get("correlation")
        node = block.get("rules") if isinstance(block, Table) else None
        for name, line in read_names(node, Report(), "rules") if node is not None else ():
            self._target(name, line, draft.report)

    def _may_count(self, draft: _Draft, target: _Draft, line: int, path: tuple[_Draft, ...]) -> bool:
        """Tell of circles, of endless chains, and of rules that are off."""
        if target in path:
            circle = " -> ".join(each.name or each.rule.id for each in (*path[path.index(target) :], target))
            draft.report.error(line, f"correlations name each other in a circle: {circle}")
            return False
        if len(path) > MAX_CHAIN:
            draft.report.error(line, f"correlations of correlations, more than {MAX_CHAIN} deep")
            return False
        if target.off and not draft.off:
            text = f"{target.rule.title!r} is {target.rule.status}, that is off, but this correlation counts it"
            draft.report.error(line, text, "give it another status, or remove it here")
        return True

    def _reports(self, draft: _Draft) -> bool:
        return not draft.off and draft not in self._silent

    def _warn_untested(self, draft: _Draft) -> None:
        if self._reports(draft) and "tests" not in draft.doc.entries:
            draft.report.warn(draft.rule.line, f"{draft.rule.title!r} has no tests", "add a tests: block")
