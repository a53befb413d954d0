"""Gathers what a daily digest and a weekly report on rules say, as the store knows it when they are sent."""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from bot.model import EXCEPTION, FOREST, Alert, Level, Rule
from bot.store import alerts, journal
from bot.store.people import exceptions
from bot.store.people.exceptions import TimedException
from bot.store.rule_stats import RuleStats, stats
from bot.store.schema import Store
from bot.times import DAY, HOUR

Kind = Literal["daily", "weekly"]
Verdicts = Mapping[str, int]  # how many alerts were judged right, wrong, expected
TREND = 28 * DAY  # what the picture of a weekly report shows
FOREST_RULE = Rule(FOREST, "Unusual hours (forest)", Level.medium)
_POINTS = re.compile(r"quiet, -?\d+ of (\d+) points")
_IN_SPAN = "opened >= ? AND opened < ?"


@dataclass(frozen=True)
class Daily:
    """One digest over `since` (included) to `until`. Times in microseconds.

    `posted` are the alerts of that time that people saw; `still_open` all that nobody has closed, the worst first;
    `quiet` counts alerts that were not posted by the reason, `hidden` findings by what hides them; `excepted` are the
    exceptions that hid some of them. `gaps` are windows that could not be read, `missing` those that still are.
    """

    since: int
    until: int
    now: int
    events: int
    posted: tuple[Alert, ...]
    verdicts: Verdicts
    still_open: tuple[Alert, ...]
    quiet: Mapping[str, int]
    hidden: Mapping[str, int]
    excepted: tuple[TimedException, ...]
    gaps: int
    missing: int
    malformed: int
    last_poll: int | None
    forest: str
    head: journal.Head | None

    @property
    def late(self) -> bool:
        """Whether the log was not read for an hour."""
        return self.last_poll is None or self.now - self.last_poll > HOUR

    @property
    def nothing(self) -> bool:
        """Whether there is nothing that anybody has to know."""
        told = self.posted or self.still_open or self.quiet or self.hidden
        return not (told or self.gaps or self.missing or self.malformed or self.late)


@dataclass(frozen=True)
class Weekly:
    """One report on rules over `since` (included) to `until`: those with alerts or advice, and those that never fired.

    `alerts` counts the alerts that were posted in that time, each once, whatever rules speak for it.
    """

    since: int
    until: int
    alerts: int
    rules: tuple[RuleStats, ...]
    never_fired: tuple[Rule, ...]
    head: journal.Head | None


Digest = Daily | Weekly


def body(kind: Kind, since: int, until: int) -> str:
    """Return what the outbox keeps of a digest: its kind and time; what it says is read when it is sent."""
    return json.dumps({"kind": kind, "since": since, "until": until})


def read(store: Store, text: str, now: int) -> Digest:
    """Return what a digest says as of now."""
    given = json.loads(text)
    since, until = int(given["since"]), int(given["until"])
    return daily(store, since, until, now) if given["kind"] == "daily" else weekly(store, since, until)


def daily(store: Store, since: int, until: int, now: int) -> Daily:
    """Gather a daily digest."""
    span = (since, until)
    opened = alerts.alerts(store, _IN_SPAN, span, "level DESC, id")
    quiet = Counter(_say_decision(one.decision) for one in opened if not one.posted)
    hidden = _hidden(store, since, until)
    return Daily(
        since, until, now,
        events=_count(store, "events WHERE time >= ? AND time < ?", *span),
        posted=tuple(one for one in opened if one.posted),
        verdicts=_verdicts(store, since, until),
        still_open=tuple(
            alerts.alerts(
                store, "state IN ('open', 'acknowledged') AND decision LIKE 'posted%'", (), "level DESC, opened, id"
            )
        ),
        quiet=quiet,
        hidden={reason: count for reason, count in hidden.items() if not reason.startswith(EXCEPTION)},
        excepted=_excepted(store, hidden, now),
        gaps=_count(store, "gaps WHERE found >= ? AND found < ?", *span),
        missing=_count(store, "gaps WHERE closed IS NULL"),
        malformed=_count(store, "malformed WHERE found >= ? AND found < ?", *span),
        last_poll=store.meta_time("last_poll"),
        forest=store.meta("forest") or "not started yet",
        head=journal.head(store),
    )  # fmt: skip


def weekly(store: Store, since: int, until: int) -> Weekly:
    """Gather a weekly report. A rule that has no alert, no finding and no advice in it stays out."""
    known = stats(store, [*alerts.rule_texts(store).values(), FOREST_RULE], until - 1).values()
    shown = [one for one in known if one.alerts_7d or one.findings_7d or one.hint]
    return Weekly(
        since, until,
        alerts=_count(store, f"alerts WHERE decision LIKE 'posted%' AND {_IN_SPAN}", since, until),
        rules=tuple(sorted(shown, key=lambda one: (-one.alerts_7d, -one.findings_7d, one.rule.title))),
        never_fired=tuple(one.rule for one in known if one.never_fired and one.rule.id != FOREST),
        head=journal.head(store),
    )  # fmt: skip


def bursts(store: Store, until: int) -> list[tuple[Rule, list[tuple[int, int]]]]:
    """Return each rule with the first and last event of its findings in the four weeks before a moment."""
    found: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for rule, first, last in store.rows(
        "SELECT rule, first, last FROM findings WHERE state = 'open' AND last >= ? AND last < ? ORDER BY first, id",
        (until - TREND, until),
    ):
        found[rule].append((max(first, until - TREND), last))
    return [(rule, found[rule.id]) for rule in (*alerts.rule_texts(store).values(), FOREST_RULE)]


def _count(store: Store, what: str, *parameters: int) -> int:
    return int(store.value(f"SELECT count(*) FROM {what}", parameters))


def _hidden(store: Store, since: int, until: int) -> dict[str, int]:
    """Return how many findings of that time are hidden, by what hides them; history is no news."""
    rows = store.rows(
        "SELECT hidden, count(*) FROM findings WHERE found >= ? AND found < ? AND state = 'open'"
        " AND hidden NOT IN ('', 'history') GROUP BY 1 ORDER BY 2 DESC, 1",
        (since, until),
    )
    return dict(rows)


def _excepted(store: Store, hidden: Mapping[str, int], now: int) -> tuple[TimedException, ...]:
    """Return the exceptions that hid findings, with how many they hid in that time."""
    listed = exceptions.listing(store, now, include_ended=True)
    return tuple(replace(one, findings=hidden[one.name]) for one in listed if one.name in hidden)


def _verdicts(store: Store, since: int, until: int) -> Verdicts:
    """Return how many alerts of that time people judged right, wrong and expected."""
    rows = store.rows(
        f"SELECT verdict, count(*) FROM judgements WHERE alert IN (SELECT id FROM alerts WHERE {_IN_SPAN}) GROUP BY 1",
        (since, until),
    )
    return dict(rows)


def _say_decision(decision: str) -> str:
    """Return the reason why an alert was not posted, without the figures that are its own."""
    found = _POINTS.fullmatch(decision)
    return f"below {found[1]} points" if found else decision
