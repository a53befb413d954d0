"""Rules edited while the service runs: a good edit takes effect at once, a bad one is told and changes nothing."""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass, field
from pathlib import Path

from watchfiles import watch

from bot import rulebook
from bot.app import App, now
from bot.errors import AuditBotError, RuleError
from bot.rule_changes import record
from bot.store import outbox

log = logging.getLogger(__name__)

DEBOUNCE_MS = 300  # an editor writes in several steps
SHOWN_PROBLEMS = 10


@dataclass
class LiveRules:
    """Watches the rule files of an app, and puts what they say into force."""

    app: App
    _told: str = field(default="", init=False)  # the mistakes that were told last, so that they are told once

    def watch(self, stop: threading.Event) -> None:
        """Reload after each change, until told to stop."""
        folder = _existing(rulebook.rules_folder(self.app.settings.rules))
        for _ in watch(folder, stop_event=stop, debounce=DEBOUNCE_MS, rust_timeout=500, raise_interrupt=False):
            try:
                self.reload()
            except AuditBotError as error:
                log.error("the rules could not be reloaded: %s", error)

    def reload(self) -> None:
        """Read the files again; put them into force where they are good, else keep what is, and tell why."""
        try:
            if self.app.settings.strict_files:
                rulebook.refuse_writable(rulebook.rules_folder(self.app.settings.rules))
            after = rulebook.read_rulebook(self.app.settings.rules)
        except AuditBotError as error:
            self._refuse(error)
            return
        self._told = ""
        before = self.app.book
        self.app.put_in_force(after)
        rulebook.keep(self.app.store, after, now())
        record(self.app.store, before, after, self.app.facts, now())

    def _refuse(self, error: AuditBotError) -> None:
        text = str(error)
        if text == self._told:
            return
        self._told = text
        problems = [str(one) for one in error.problems] if isinstance(error, RuleError) else [text]
        more = [f"and {len(problems) - SHOWN_PROBLEMS} more"] if len(problems) > SHOWN_PROBLEMS else []
        shown = "\n".join(problems[:SHOWN_PROBLEMS] + more)
        body = f"The edited rules are broken, so the last good set stays in force. Mend these lines:\n{shown}"
        self.app.store.set_meta("rules_state", f"the last good set is in force, the files are broken: {problems[0]}")
        outbox.put(self.app.store, "ops", now(), body=body)
        log.warning("the edited rules are broken: %s", problems[0])


def _existing(path: Path) -> Path:
    """Return the folder to watch: that of a single file, since editors replace files."""
    return path if path.is_dir() else path.parent
