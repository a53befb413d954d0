"""The query language of `/audit`, for exceptions and export too. Pure: text in, conditions and time ranges out."""

from bot.query.ranges import BEGIN, END
from bot.query.read import Command, Query, parse_command, parse_condition, parse_query
from bot.query.terms import literal
from bot.query.tree import Condition, field_names, names_nothing

__all__ = [
    "BEGIN",
    "END",
    "Command",
    "Condition",
    "Query",
    "field_names",
    "literal",
    "names_nothing",
    "parse_command",
    "parse_condition",
    "parse_query",
]
