"""Draws the Home tab: how the bot is doing, what is open, what the reader keeps quiet, how to ask."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import tzinfo

from bot.ask.examples import EXAMPLES
from bot.model import Alert
from bot.slack import blocks
from bot.slack.alert_message import level_word, say_time
from bot.slack.answers import BUILD, many
from bot.slack.blocks import Block, Json, Piece, bold, code, faint
from bot.slack.listings import REVOKE, status_lines
from bot.slack.text import clean, cut
from bot.store.people.exceptions import TimedException
from bot.store.status import Status

ALERTS_SHOWN, QUIET_SHOWN, EXAMPLES_SHOWN = 12, 10, 4
MAX_WORDS = 60  # of a condition or a reason
SHOWN_STATUS = ("Read up to", "Last poll", "Gaps", "Waiting to be posted", "Given up", "Rules", "Forest", "Learning")


@dataclass(frozen=True)
class Home:
    """All that the Home tab shows to one person. `site` is the workspace's address, for links to messages."""

    user: str
    status: Status
    alerts: Sequence[Alert]  # those that wait, the reader's own first
    quiet: Sequence[TimedException]  # that the reader made
    site: str


def home_view(home: Home, now: int, zone: tzinfo) -> Json:
    """Return the Home tab of somebody who may use the bot."""
    return _view(_parts(home, now, zone))


def closed_view(sentence: str) -> Json:
    """Return the Home tab of somebody who may not: only whom to ask."""
    return _view([blocks.paragraph(bold("audit-bot")), blocks.paragraph(*blocks.mentions(sentence))])


def waiting(alerts: Iterable[Alert], user: str) -> list[Alert]:
    """Return alerts in the order in which the Home tab shows them: the reader's own, the worst, the newest."""
    return sorted(alerts, key=lambda one: (one.owner != user, one.state != "open", -one.level, -one.last))


def _view(parts: Iterable[Block]) -> Json:
    return {"type": "home", "blocks": [blocks.drawn(part, f"b{number}") for number, part in enumerate(parts)]}


def _parts(home: Home, now: int, zone: tzinfo) -> Iterator[Block]:
    yield blocks.paragraph(bold("How the bot is doing"), "  ", faint(f"as of {say_time(now, zone)}"))
    known = {name: text for name, text in status_lines(home.status, now, zone) if name in SHOWN_STATUS}
    yield blocks.bullets([[bold(f"{name}: "), cut(text, 300)] for name, text in known.items()])
    yield blocks.paragraph(bold(f"What waits for somebody: {_many(home.alerts, 'alert')}"))
    if home.alerts:
        yield blocks.bullets([_alert(one, home, zone) for one in home.alerts[:ALERTS_SHOWN]])
    if len(home.alerts) > ALERTS_SHOWN:
        yield blocks.paragraph(f"and {len(home.alerts) - ALERTS_SHOWN} more: ", code("/audit alerts open"))
    yield blocks.paragraph(bold(f"What you keep quiet: {_many(home.quiet, 'exception')}"))
    if home.quiet:
        shown = home.quiet[:QUIET_SHOWN]
        yield blocks.bullets([_quiet(one, zone) for one in shown])
        yield blocks.menu("End one…", REVOKE, [(f"No. {one.id}", str(one.id)) for one in shown])
    if len(home.quiet) > QUIET_SHOWN:
        yield blocks.paragraph(f"and {len(home.quiet) - QUIET_SHOWN} more: ", code("/audit exceptions"))
    yield blocks.paragraph(bold("How to ask"))
    yield blocks.bullets([[code(f"/audit {text}"), f"  {what}"] for text, what in EXAMPLES[:EXAMPLES_SHOWN]])
    yield blocks.buttons(("Build a query", BUILD, "build", "primary"))


def _many(some: Sequence[object], noun: str) -> str:
    return many(len(some), noun) if some else "nothing"


def _alert(one: Alert, home: Home, zone: tzinfo) -> list[Piece]:
    """Return one alert: its name leads to its message."""
    has = "open" if one.state == "open" else "yours" if one.owner == home.user else "with "
    pieces: list[Piece] = [_name(one, home.site), f" {level_word(one.level)}: ", code(clean(str(one.entity), 60))]
    pieces += [f", {many(one.events, 'event')}, last {say_time(one.last, zone)}, {has}"]
    return pieces + ([blocks.person(one.owner)] if has == "with " and one.owner else [])


def _name(one: Alert, site: str) -> Piece:
    if not (site and one.channel and one.ts):
        return bold(one.name)
    return blocks.named_link(f"{site.rstrip('/')}/archives/{one.channel}/p{one.ts.replace('.', '')}", one.name)


def _quiet(one: TimedException, zone: tzinfo) -> list[Piece]:
    what = code(clean(one.condition, MAX_WORDS))
    return [
        bold(f"No. {one.id} "),
        f"{one.kind}: ",
        what,
        f" until {say_time(one.expires, zone)}: {clean(one.reason, MAX_WORDS)}",
    ]
