"""The composition root: the only place that builds objects out of settings."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bot import rulebook
from bot.alert.outbox import Channels
from bot.detect.forest.apart import grow_apart
from bot.detect.forest.fits import Fits
from bot.detect.forest.strange import ForestWatch
from bot.errors import ConfigError
from bot.fields import FactSettings
from bot.heap import give_back
from bot.pipeline import Pipeline
from bot.poll.client import Portal
from bot.poll.run import TypeReader
from bot.reading import now, opened, rules_folder
from bot.rule_changes import note_home, record, refuse
from bot.rulebook import Rulebook
from bot.settings import Settings
from bot.store.care.locks import ingest_lock
from bot.store.schema import Store
from bot.times import DAY, SECOND


@dataclass
class App:
    """One database with its rules in force and the pipeline over it."""

    settings: Settings
    store: Store
    book: Rulebook
    facts: FactSettings
    pipeline: Pipeline
    fits: Fits = field(default_factory=Fits)

    def put_in_force(self, book: Rulebook) -> None:
        """Let the next pass run by these rules, and facts and forest by their settings."""
        if book.sensitive != self.book.sensitive:
            self.facts = self.settings.fact_settings(book.sensitive)
        if (book.forest, book.sensitive, book.routing.post_from) != (
            self.book.forest,
            self.book.sensitive,
            self.book.routing.post_from,
        ):
            self.pipeline.use(self.facts, self._forest(book))
        self.book = book

    def as_service(self) -> None:
        """Let the forest be built beside passes, and its trees be grown where their memory is given back."""
        self.pipeline.warms_apart, self.fits = True, Fits(grow_apart)
        self.pipeline.forest = self._forest(self.book)

    def rest(self) -> None:
        """Do what waits until people were told: upkeep, and give back what a pass needed, this thread's pages of the
        database and what the heap has freed. Some 20 MB at ten million events, and 3 ms of the next pass."""
        self.pipeline.upkeep()
        self.store.forget_pages()
        give_back()

    def _forest(self, book: Rulebook) -> ForestWatch:
        return ForestWatch(self.store, self.facts, book.forest, book.routing.post_from, self.fits)

    @property
    def channels(self) -> Channels:
        """Where messages go unless routing or a rule says otherwise."""
        return Channels(self.settings.channel, self.settings.ops_channel)

    def portal(self) -> Portal:
        """Return a client of the portal."""
        return portal_of(self.settings)

    def type_reader(self, portal: Portal) -> TypeReader | None:
        """Return what asks for actor types, None where it is switched off."""
        return TypeReader(portal, self.settings.rate_limit) if self.settings.actor_types else None

    @property
    def overlap(self) -> int:
        """How much of the log each poll reads again, in microseconds."""
        return self.settings.overlap_seconds * SECOND

    @property
    def backfill(self) -> int:
        """How far back the first poll reads, in microseconds."""
        return self.settings.backfill_days * DAY


def portal_of(settings: Settings) -> Portal:
    """Return a client of the portal. Raises ConfigError."""
    key = settings.cortex_api_key
    if key is None:
        raise ConfigError("CORTEX_API_KEY is not set.")
    return Portal(settings.cortex_base_url, key.get_secret_value(), now=now, array_style=settings.array_style)


@contextmanager
def writing(settings: Settings, command: str, wait: Callable[[str], bool] | None = None) -> Iterator[App]:
    """Open the database for a command that adds events: alone, with the rules in force.

    `wait` is as in `ingest_lock`; nothing is opened before the lock is ours, so a waiting process migrates nothing
    under a running one. Raises LockedError, StoreError, RuleError, ConfigError.
    """
    if not settings.db.exists():  # nothing is made where there are no rules to begin with
        _checked(rules_folder(settings.rules), settings)
    with ingest_lock(settings.db, command, wait), opened(settings.db, create=True) as store:
        yield build(settings, store)


def _checked(home: Path, settings: Settings) -> Path:
    if settings.strict_files and home.exists():
        rulebook.refuse_writable(home)
    return home


def build(settings: Settings, store: Store) -> App:
    """Put the parts together. Broken rule files run the last good set, and the ops channel is told."""
    home, said = rulebook.settle_home(store, settings.rules, named="rules" in settings.model_fields_set)
    settings = settings.model_copy(update={"rules": _checked(home, settings)})
    book, broken = rulebook.in_force(store, settings.rules)
    before = rulebook.last_good(store, book)
    facts = settings.fact_settings(book.sensitive)
    if broken is not None:
        refuse(store, broken, "The rule files are broken; the last good set is in force.", now())
    elif before is not None:
        record(store, before, book, facts, now())
    else:
        rulebook.keep(store, book, now())
    note_home(store, home if broken is None else None, said, now())
    app = App(settings, store, book, facts, Pipeline(store, facts, lambda: app.book, now))
    app.pipeline.forest = ForestWatch(store, facts, book.forest, book.routing.post_from)
    return app
