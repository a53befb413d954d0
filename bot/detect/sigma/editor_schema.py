"""JSON Schema of rule files for editors: keys, fields and values are offered and checked while one types."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from bot.detect.sigma.correlations import KEYS as CORRELATION_KEYS
from bot.detect.sigma.correlations import KINDS, OPERATORS
from bot.detect.sigma.header import ALERT_KEYS, COMMON_KEYS, LEVELS, REPORTING_KEYS, STATUSES
from bot.detect.sigma.items import LEADING, MODIFIERS, TOGETHER
from bot.detect.sigma.load import LOGSOURCE
from bot.detect.sigma.tests_block import EVENT_KEYS, TEST_KEYS
from bot.fields import FIELDS, Field

Schema = dict[str, Any]

_UUID = r"^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$"
_DURATION = r"^\d{1,9}[smhdw]$"
_REQUIRED = ("title", "id", "status", "level", "description")
_TEXT: Schema = {"type": "string", "minLength": 1}
_SCALAR: Schema = {"type": ["string", "number", "boolean", "null"]}
_TEXTS: Schema = {"type": "array", "items": _TEXT}
_TEXT_OR_TEXTS: Schema = {"anyOf": [_TEXT, _TEXTS]}
_SPAN: Schema = {"type": "string", "pattern": _DURATION, "description": "like 90s, 10m, 24h, 7d or 2w"}

# What each key says; a key without an entry is one that Sigma has and the bot only checks.
_MEANINGS: dict[str, tuple[str, Schema]] = {
    "title": ("What happened, in a few words; the alert shows it.", {**_TEXT, "maxLength": 200}),
    "id": ("A UUID that stays for ever: python3 -c 'import uuid; print(uuid.uuid4())'", {"pattern": _UUID, **_TEXT}),
    "name": ("A short name by which correlations and filters call the rule.", {"pattern": "^[A-Za-z_][A-Za-z0-9_]*$"}),
    "status": ("stable and test are posted; experimental runs unseen; the others are off.", {"enum": [*STATUSES]}),
    "level": ("How bad it is: 0, 10, 30, 60 or 100 points.", {"enum": [*LEVELS]}),
    "description": ("What happened and why it matters, in a sentence or two.", {**_TEXT, "maxLength": 4000}),
    "references": ("Addresses to read more at.", _TEXT_OR_TEXTS),
    "tags": ("MITRE ATT&CK, like attack.t1485.", {"type": "array", "items": {"pattern": r"^[^.]+\..+$", **_TEXT}}),
    "falsepositives": ("What looks the same and is no harm.", _TEXT_OR_TEXTS),
    "author": ("Who wrote it.", _TEXT),
    "date": ("When it was written.", {}),
    "modified": ("When it was changed last.", {}),
    "fields": ("Fields worth a look.", {"type": "array", "items": {"enum": [*FIELDS]}}),
}


def editor_schema() -> Schema:
    """Return the schema of one document of a rule file: a rule, a correlation, or a filter."""
    common = _described(COMMON_KEYS)
    reporting = common | _described(REPORTING_KEYS) | {"alert": _alert(), "tests": _tests()}
    logsource = {"logsource": _logsource()}
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "audit-bot rule",
        "type": "object",
        "if": {"required": ["correlation"]},
        "then": _document(reporting | {"correlation": _correlation()}, _REQUIRED, "correlation"),
        "else": {
            "if": {"required": ["filter"]},
            "then": _document(
                common | logsource | {"filter": _detection(filters=True)},
                ("title", "id", "description", "logsource"),
                "filter",
            ),
            "else": _document(
                reporting | logsource | {"detection": _detection(filters=False)}, (*_REQUIRED, "logsource"), "detection"
            ),
        },
    }


def _document(properties: Schema, required: Iterable[str], logic: str) -> Schema:
    return _object(properties, (*required, logic))


def _object(properties: Mapping[str, Any], required: Iterable[str] = (), meaning: str = "") -> Schema:
    schema: Schema = {"type": "object", "properties": dict(properties), "additionalProperties": False}
    return schema | {"required": [*required]} | ({"description": meaning} if meaning else {})


def _described(keys: Iterable[str]) -> Schema:
    schemas = {}
    for key in keys:
        meaning, schema = _MEANINGS.get(key, ("", {}))
        schemas[key] = {"description": meaning, **schema} if meaning else {}
    return schemas


def _logsource() -> Schema:
    fixed: Schema = {key: {"const": value} for key, value in LOGSOURCE.items()}
    return _object(fixed | {"definition": _TEXT}, LOGSOURCE, "always {product: cortex, service: audit}")


# -- detections ------------------------------------------------------------------------------------------------------
def _detection(*, filters: bool) -> Schema:
    fixed: Schema = {"condition": {**_TEXT, "description": "like: selection and not 1 of usual_*"}}
    if filters:
        fixed["rules"] = {**_TEXT_OR_TEXTS, "description": "names of rules, or any"}
    selection = _selection()
    return {
        "type": "object",
        "properties": fixed,
        "propertyNames": {"pattern": "^[A-Za-z0-9_-]+$"},
        "additionalProperties": {"anyOf": [selection, {"type": "array", "minItems": 1, "items": selection}]},
        "required": [*fixed],
    }


def _selection() -> Schema:
    """Return the schema of a selection: each field offered by name, and with the modifiers that fit its kind."""
    fields = [field for field in FIELDS.values() if field.name != "time"]
    return {
        "type": "object",
        "minProperties": 1,
        "properties": {field.name: _values(field) | {"description": field.meaning} for field in fields},
        "patternProperties": {_with_modifiers(field): _listed(_SCALAR) for field in fields},
        "additionalProperties": False,
    }


def _values(field: Field) -> Schema:
    kinds: dict[str, Schema] = {"number": {"type": ["number", "null"]}, "bool": {"type": ["boolean", "null"]}}
    if field.values:
        return _listed({"enum": [*field.values, *(value.lower() for value in field.values), None]})
    return _listed(kinds.get(field.kind, _SCALAR))


def _listed(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "array", "minItems": 1, "items": schema}]}


def _with_modifiers(field: Field) -> str:
    """Return the pattern of a field with one modifier or more; the loader knows best which go together."""
    leading = LEADING.get(field.kind, ("", "fieldref", "exists"))
    fit = {modifier for lead in leading for modifier in (lead, *TOGETHER[lead]) if modifier}
    modifiers = "|".join(re.escape(name) for name in MODIFIERS if name in fit)
    return rf"^{field.name}(\|({modifiers}))+$"


# -- correlations, alerts, tests -------------------------------------------------------------------------------------
def _correlation() -> Schema:
    number: Schema = {"type": "integer", "minimum": 0}
    count = _object(dict.fromkeys(OPERATORS, number) | {"field": _TEXT_OR_TEXTS})
    known: dict[str, Schema] = {
        "type": {"enum": [*KINDS]},
        "rules": {**_TEXT_OR_TEXTS, "description": "names or ids of the rules whose events count"},
        "generate": {"type": "boolean", "description": "whether those rules report findings of their own, too"},
        "group-by": {**_TEXT_OR_TEXTS, "description": "fields whose values are looked at apart"},
        "timespan": _SPAN,
        "aliases": {"type": "object", "additionalProperties": {"type": "object", "additionalProperties": _TEXT}},
        "condition": {"anyOf": [count, _TEXT]},
    }
    return _object({key: known[key] for key in CORRELATION_KEYS}, ("type", "timespan"), "what must come together")


def _alert() -> Schema:
    known: dict[str, Schema] = {
        "per": {**_TEXT_OR_TEXTS, "description": "fields that make findings of their own; else actor, else ip"},
        "channel": {**_TEXT, "description": "a Slack channel, like C0123456789"},
        "quiet_for": {**_SPAN, "description": "matching events no further apart are one finding; else 1h"},
        "runbook": {**_TEXT, "description": "what to do, like docs/runbooks/deletion.md"},
        "ask_actor": {"type": "boolean", "description": "whether asking the actor is a good first step"},
    }
    return _object({key: known[key] for key in ALERT_KEYS}, meaning="how it is told")


def _tests() -> Schema:
    known: dict[str, Schema] = {
        "at": {"type": "string", "pattern": r"^-?\d{1,9}[smhdw]$", "description": "from Monday 9:00, like 90s or -30d"},
        "repeat": {"type": "integer", "minimum": 1, "description": "so many times, {i} counts from 0"},
        "every": {**_SPAN, "description": "how far apart the repeats are; else 1s"},
    }
    event = _object({key: known.get(key, _SCALAR) for key in EVENT_KEYS}, ("at", "action"))
    fires: Schema = {
        "description": "yes, no, or how many bursts",
        "anyOf": [{"enum": ["yes", "no", True, False]}, {"type": "integer", "minimum": 0}],
    }
    test: Schema = {
        "name": _TEXT,
        "events": {"type": "array", "minItems": 1, "items": event},
        "fires": fires,
    }
    return {"type": "array", "minItems": 1, "items": _object({key: test[key] for key in TEST_KEYS}, TEST_KEYS)}
