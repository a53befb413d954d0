"""Writes YAML that the strict reader reads back as it was meant."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml


def write_document(table: Mapping[str, Any]) -> str:
    """Return a mapping of texts, numbers, truths, lists and mappings as one document, in the order given."""
    return yaml.safe_dump(dict(table), sort_keys=False, allow_unicode=True, width=110)
