"""The picture that goes with an answer, where one says more than its table."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import tzinfo

from bot.ask import answer as ask
from bot.charts.bars import bars
from bot.charts.columns import columns
from bot.charts.drawing import Picture
from bot.charts.heat import heat_map
from bot.fields import FactSettings
from bot.model import AlertView, Event
from bot.slack.text import clean
from bot.store.queries.explain import alert_story, event_story
from bot.store.schema import Store


def has_picture(found: ask.Answer) -> bool:
    """Tell whether there is something to draw."""
    match found:
        case ask.Ranking(_, counts) | ask.Buckets(_, counts):
            return any(count for _, count in counts)
    return isinstance(found, AlertView | Event)


def picture_of(store: Store, found: ask.Answer, facts: FactSettings, zone: tzinfo, span: str) -> Picture | None:
    """Return an answer's picture, None where it has none. `span` says which time was asked for.

    What an actor usually does is shown by the team's clocks, which also decide what is out of hours; the rest in the
    reader's `zone`.
    """
    if not has_picture(found):
        return None
    match found:
        case ask.Ranking(query, counts):
            return bars(_named(counts), f"Events by {query.by or 'actor'}, {span}")
        case ask.Buckets(_, counts):
            return columns(counts, zone, f"Events, {span}")
        case AlertView(alert):
            story = alert_story(store, alert.id, alert.last, facts.zone)
            return None if story is None else heat_map(story.activity)
        case Event():
            told = event_story(store, found.id, facts)
            return None if told is None else heat_map(told.activity)
    return None


def _named(counts: Sequence[tuple[str | None, int]]) -> list[tuple[str, int]]:
    return [("(none)" if name is None else clean(name), count) for name, count in counts]
