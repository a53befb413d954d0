"""Draws the form that builds a query for those who do not like to type; it shows the text that it makes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from bot.errors import QueryError
from bot.fields import TEXT_FIELDS
from bot.query.build import FIELDS, write
from bot.slack import forms
from bot.slack.blocks import Json, bold, code
from bot.slack.text import clean, clean_lines

QUERY_FORM = "audit_query"
VERB, BY, TIME, TEXT = "verb", "by", "time", "text"
PREFIX = "ask_"  # of the ids of the form's fields
WATCHED = tuple(PREFIX + name for name in (VERB, BY, TIME, *FIELDS))
MOST = 200  # characters of a field
VERBS = (
    ("search", "List events"), ("count", "Count events"), ("top", "Rank who or what is most frequent"),
    ("timeline", "Show how many each hour or day"), ("export", "Send me a CSV file"),
)  # fmt: skip
TIMES = (
    ("last:1h", "The last hour"), ("last:24h", "The last 24 hours"), ("last:7d", "The last 7 days"),
    ("last:30d", "The last 30 days"), ("on:today", "Today"), ("on:yesterday", "Yesterday"),
    ("since:2000-01-01", "All that is stored"),
)  # fmt: skip
LABELS = {
    "actor": ("Who", "An e-mail address or the name of a key; * stands for anything, a comma for or"),
    "action": ("Did what", "CREATE, UPDATE, DELETE, READ"),
    "type": ("To what kind of thing", "SERVICE, API_KEY, …"),
    "object": ("To which thing", "Its name, or a part of it between stars: *payments*"),
    "ip": ("From where", "An address, or a network like 10.0.0.0/8"),
}


def query_form(chosen: Mapping[str, str], place: str = "") -> Json:
    """Return the form as it is filled in; `place` is the channel that the answer goes to, "" for direct messages.

    What was typed stays in its fields by itself.
    """
    line = clean(f"/audit {write(chosen)}", 500)
    ranked = [_menu(BY, "Ranked by", [(name, name) for name in TEXT_FIELDS], chosen.get(BY, "actor"))]
    parts = [
        _menu(VERB, "What to do", VERBS, chosen.get(VERB, "search")),
        *(ranked if chosen.get(VERB) == "top" else []),
        *(_field(name) for name in FIELDS),
        _menu(TIME, "When", TIMES, chosen.get(TIME, "last:24h")),
        forms.words(TEXT, bold("The same, typed:"), "\n", code(line)),
    ]
    return forms.modal("Ask the audit log", parts, callback=QUERY_FORM, private=place, submit="Ask")


def chosen_in(values: Mapping[str, str]) -> dict[str, str]:
    """Return what was chosen, by the form's own names."""
    return {name.removeprefix(PREFIX): value for name, value in values.items() if name.startswith(PREFIX)}


def mistakes(chosen: Mapping[str, str], read: Callable[[str], object]) -> dict[str, str]:
    """Return what is wrong by field; `read` reads a line and raises QueryError."""
    wrong = {name: _mistake({name: chosen[name]}, read) for name in FIELDS if name in chosen}
    found = {PREFIX + name: text for name, text in wrong.items() if text}
    whole = "" if found else _mistake(chosen, read)
    return found | ({PREFIX + VERB: whole} if whole else {})


def _mistake(chosen: Mapping[str, str], read: Callable[[str], object]) -> str:
    try:
        read(write(chosen))
    except QueryError as error:
        return clean_lines(error.text, 300)
    return ""


def _menu(name: str, label: str, choices: Sequence[forms.Choice], chosen: str) -> Json:
    return forms.menu_field(PREFIX + name, label, choices, chosen, watch=True)


def _field(name: str) -> Json:
    label, hint = LABELS[name]
    return forms.text_field(PREFIX + name, label, most=MOST, optional=True, hint=hint, watch=True)
