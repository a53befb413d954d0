"""Writes queries for people: from what they chose in a form, from what stands in a message."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from ipaddress import ip_address, ip_network

from bot.query.grammar import normalise
from bot.query.terms import quoted

VERBS = ("search", "top", "count", "timeline", "export")
FIELDS = ("actor", "action", "type", "object", "ip")
TIMES = ("last:1h", "last:24h", "last:7d", "last:30d", "on:today", "on:yesterday", "since:2000-01-01")
LOOKED_UP = 12  # names that are taken from one message
LOOK_BACK = "last:7d"

_MAIL = re.compile(r"[\w.+'-]{1,64}@[\w-]+(?:\.[\w-]+)+")
_ADDRESS = re.compile(r"(?<![\w.:])[\da-f:.]*[\da-f:](?:/\d{1,3})?(?![\w:])", re.ASCII | re.IGNORECASE)
_NAMED = re.compile(r"“([^“”\n]{2,120})”|\"([^\"\n]{2,120})\"|`([^`\n]{2,120})`")


def write(chosen: Mapping[str, str]) -> str:
    """Return the line that a filled-in form asks for; `chosen` has verb, time, by and the fields, all optional.

    A field takes several values with commas between them, and stars.
    """
    verb = chosen.get("verb", "search")
    parts = [f"{name}:{','.join(map(spell, values))}" for name in FIELDS if (values := _values(chosen.get(name, "")))]
    by = [f"by:{chosen['by']}"] if verb == "top" and chosen.get("by") else []
    return " ".join((verb, *parts, *by, chosen.get("time", TIMES[1])))


def look_up(text: str) -> str | None:
    """Return the query for the e-mail addresses, IP addresses and quoted names in a text, None where there are none."""
    mails = _once(found[0].strip("'.-") for found in _MAIL.finditer(text))
    rest = _MAIL.sub(" ", text)
    addresses = _once(found[0] for found in _ADDRESS.finditer(rest) if _is_address(found[0]))
    quotes = (next(filter(None, found.groups())).strip() for found in _NAMED.finditer(rest))
    names = [name for name in _once(quotes) if name and name not in addresses]
    mails = mails[:LOOKED_UP]
    addresses = addresses[: LOOKED_UP - len(mails)]
    names = names[: LOOKED_UP - len(mails) - len(addresses)]
    parts = [f"actor:{','.join(map(spell, mails))}"] * bool(mails)
    parts += [f"ip:{','.join(map(spell, addresses))}"] * bool(addresses)
    parts += [_plainly(name) for name in names]
    return f"{' OR '.join(parts)} {LOOK_BACK}" if parts else None


def spell(value: str) -> str:
    """Return a value as a query has to spell it to mean just that; stars stay what they are."""
    text = quoted(value)
    plain = not text.startswith(('"', "<", ">")) and normalise(text) == text
    return text if plain or text.startswith('"') else _in_quotes(value)


def _plainly(name: str) -> str:
    """Return a name as a word whose stars are stars."""
    return _in_quotes(name).replace("*", "\\*")


def _in_quotes(value: str) -> str:
    return '"' + re.sub(r'(["\\])', r"\\\1", value) + '"'


def _values(text: str) -> list[str]:
    return [value for part in text.split(",") if (value := " ".join(part.split()))]


def _once(found: Iterable[str]) -> list[str]:
    return list({name.casefold(): name for name in reversed([*found])}.values())[::-1]


def _is_address(text: str) -> bool:
    if text.count(".") < 3 and text.count(":") < 2:
        return False
    try:
        ip_network(text, strict=False) if "/" in text else ip_address(text)
    except ValueError:
        return False
    return True
