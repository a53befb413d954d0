"""What is asked at the terminal stands in the journal, as what is asked in Slack does."""

from __future__ import annotations

import sys

from bot.errors import StoreError
from bot.login import user
from bot.reading import now
from bot.store import journal
from bot.store.schema import Store

PATIENCE = 0.25  # seconds for other writers; an answer must not wait for a long import
LONGEST = 2_000  # characters of a question


def note_asked(store: Store, what: str, text: str) -> None:
    """Write down who asks what; where the database cannot be written just now, say so, since the answer comes anyway.

    Whoever can run this can read the file without it: what is asked here cannot be refused, only noted.
    """
    try:
        with store.impatient(PATIENCE):
            journal.write(store, now(), user(), what, {"text": text[:LONGEST], "from": "terminal"})
    except StoreError as error:
        why = "others write to it" if error.busy else "it cannot be written"
        sys.stderr.write(f"Not noted in the journal of {store.path}: {why}.\n")
