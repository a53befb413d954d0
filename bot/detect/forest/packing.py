"""Rows of features kept small: three quarters of them are 0, so only the others are kept, and where they stand."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from bot.detect.forest.features import NAMES
from bot.detect.forest.profiles import Floats

_MARKS = -(-len(NAMES) // 8)  # bytes: a bit for each feature that is not 0


def pack(some: Sequence[Floats]) -> list[bytes]:
    """Return each row of all NAMES as marks and values."""
    rows = np.array(some).reshape(-1, len(NAMES))
    there = rows != 0
    marks, values = np.packbits(there, axis=1).tobytes(), rows[there].tobytes()
    ends = [0, *(8 * np.cumsum(np.count_nonzero(there, axis=1))).tolist()]
    return [
        marks[place * _MARKS : (place + 1) * _MARKS] + values[begin:end]
        for place, (begin, end) in enumerate(pairwise(ends))
    ]


def unpack(packed: Sequence[bytes]) -> Floats:
    """Return packed rows as they were, to the bit."""
    marks = np.frombuffer(b"".join(one[:_MARKS] for one in packed), np.uint8).reshape(-1, _MARKS)
    rows = np.zeros((len(packed), len(NAMES)))
    rows[np.unpackbits(marks, axis=1, count=len(NAMES)).astype(bool)] = np.frombuffer(
        b"".join(one[_MARKS:] for one in packed)
    )
    return rows
