"""Rules edited while the service runs: a good edit takes effect at once, a bad one is told and changes nothing."""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass, field
from pathlib import Path

from watchfiles import Change, watch

from bot import rulebook
from bot.app import App
from bot.errors import AuditBotError, ConfigError
from bot.reading import now, rules_folder
from bot.rule_changes import record, refuse
from bot.rulebook import Rulebook

log = logging.getLogger(__name__)

DEBOUNCE_MS = 300  # an editor writes in several steps
STEP_MS = 500  # how often to look whether the folder is still the same one
BROKEN = "The edited rules are broken, so the last good set stays in force. Mend these lines:"


@dataclass
class LiveRules:
    """Watches the rule files of an app, and puts what they say into force."""

    app: App
    _told: str = field(default="", init=False)  # the mistakes that were told last, so that they are told once
    _recorded: Rulebook = field(init=False)  # the set that the ops channel knows of

    def __post_init__(self) -> None:
        self._recorded = self.app.book
        self._home = _home(self.app.settings.rules)

    def watch(self, stop: threading.Event) -> None:
        """Reload after each change, until told to stop; also where the folder goes, comes back or is replaced."""
        while not stop.is_set():
            try:
                self._watch_folder(stop)
            except (AuditBotError, OSError):
                self._try_reload()  # tells of the folder that is gone
                stop.wait(STEP_MS / 1000)

    def _watch_folder(self, stop: threading.Event) -> None:
        """Reload at first, and after each change, until it is another folder that counts."""
        place, due = self._folder(), True  # at first, since an edit may have come before anybody watched
        seen = _identity(place)
        for changes in watch(
            place, watch_filter=None, stop_event=stop, debounce=DEBOUNCE_MS, rust_timeout=STEP_MS,
            yield_on_timeout=True, raise_interrupt=False,
        ):  # fmt: skip
            if changes or due:
                due = not self._try_reload()
            if (Change.deleted, str(place)) in changes or _identity(self._folder()) != seen:
                return

    def _folder(self) -> Path:
        """Return the folder to watch: that of a single file, since editors replace files."""
        path = rules_folder(self._home)
        return path if path.is_dir() else path.parent

    def _try_reload(self) -> bool:
        """Reload; return whether that could be done, so that what failed half way is tried again."""
        try:
            self.reload()
        except AuditBotError as error:
            log.error("the rules could not be reloaded: %s", error)
            return False
        except Exception:  # a thread's boundary: whatever one edit raises, the next one has to be seen
            log.exception("the rules could not be reloaded")
        return True

    def reload(self) -> None:
        """Read the files again; put them into force where they are good, else keep what is, and tell why."""
        try:
            after = rulebook.read_rulebook(self._home)
        except AuditBotError as error:
            self._refuse(error)
            return
        self.app.put_in_force(after)
        record(self.app.store, self._recorded, after, self.app.facts, now())
        self._told, self._recorded = "", after

    def _refuse(self, error: AuditBotError) -> None:
        text = str(error)
        if text == self._told:
            return
        refuse(self.app.store, error, BROKEN, now())
        log.warning("the edited rules are broken: %s", text.partition("\n")[0])
        self._told = text


def _home(path: Path) -> Path:
    """Return where the rules come from as long as the service runs: if that goes, the shipped ones are no stand-in."""
    try:
        return rules_folder(path).absolute()
    except ConfigError:
        return path


def _identity(path: Path) -> tuple[int, int]:
    known = path.stat()
    return known.st_dev, known.st_ino
