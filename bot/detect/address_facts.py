"""Facts about addresses as columns: of what kind, in which country, whose network. Each address is looked up once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bot.detect.columns import Codes, Columns, Ints, TextColumn, encode
from bot.detect.dictionary import distinct
from bot.fields import FactSettings


def of_address(columns: Columns, settings: FactSettings, fact: str) -> TextColumn:
    """Return a fact that the address alone decides, missing where there is no address or nothing is known of it."""
    addresses = columns.text("ip")
    some = distinct(addresses.codes)
    found = encode(settings.of_address(fact, addresses.values[code]) for code in some.tolist())
    return TextColumn(_spread(addresses.codes, some, found.codes), found.values)


def first_in_country(
    columns: Columns, actors: Ints, known: tuple[Ints, Ints, Ints], names: Sequence[str], settings: FactSettings
) -> Ints:
    """Return when each event's actor was first seen in its country, the largest integer where that is not known.

    `known` is (actor, place in `names`, time) of all first sights of the actors at an address.
    """
    owner, place, time = known
    here = of_address(columns, settings, "country")
    there = encode([*here.values, *(settings.addresses.country(name) for name in names)]).codes[len(here.values) :]
    country = there[place] if len(place) else place
    some = country >= 0
    keys, where = np.unique(_pair(owner[some], country[some]), return_inverse=True)
    first = np.full(len(keys), np.iinfo(np.int64).max)
    np.minimum.at(first, where, time[some])
    result = np.full(len(columns), np.iinfo(np.int64).max)
    asked = (actors >= 0) & (here.codes >= 0)
    result[asked] = first[keys.searchsorted(_pair(actors[asked], here.codes[asked]))]
    return result


def _spread(codes: Codes, some: Ints, values: Codes) -> Codes:
    """Return, for each code, the value of its place among some; -1 stays."""
    table = np.full(int(codes.max(initial=-1)) + 2, -1, dtype=np.int32)  # the last cell is for -1
    table[some] = values
    return table[codes]


def _pair(a: Ints, b: Ints | Codes) -> Ints:
    return (a.astype(np.int64) << 32) | b
