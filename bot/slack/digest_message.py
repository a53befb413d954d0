"""Draws digests: what happened yesterday and what is still to do, what each rule was worth in a week."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, timedelta, tzinfo

from bot.model import Alert
from bot.slack import blocks
from bot.slack.alert_message import level_word, say_time
from bot.slack.blocks import Block, Message, Piece, bold, code, faint
from bot.slack.text import clean
from bot.store.journal import Head
from bot.store.messages.digest import Daily, Digest, Weekly
from bot.store.rule_stats import RuleStats
from bot.times import EPOCH, SECOND

SHOWN_OPEN, SHOWN_REASONS, SHOWN_EXCEPTIONS = 10, 6, 5
SHOWN_RULES, SHOWN_HINTS, SHOWN_SILENT = 20, 8, 12
REPEAT = "Possible repeat: Slack did not say whether it took this message the first time."
HIDDEN = {"shadow": "of shadow rules", "goes on as before": "that went on after a decision"}
QUIET = {"history": "from before the first poll"}
Line = Sequence[Piece]


def digest_message(found: Digest, zone: tzinfo = UTC, *, repeat: bool = False) -> Message:
    """Return a digest; `repeat` says on it that it may be there twice."""
    if isinstance(found, Daily):
        words, body = _daily(found, zone)
    else:
        words, body = _weekly(found, zone)
    lines = [line for _, items in body for line in items]
    drawn: list[Block] = [blocks.paragraph(bold(words)), *(block for block, _ in body)]
    anchor = _anchor(found.head)
    if anchor:
        drawn.append(blocks.paragraph(*anchor))
    if repeat:
        drawn.append(blocks.small(REPEAT))
    plain = [words, *("".join(map(blocks.bare, line)) for line in lines), "".join(map(blocks.bare, anchor))]
    return blocks.message(words, drawn, plain="\n".join(plain))


def _daily(found: Daily, zone: tzinfo) -> tuple[str, list[tuple[Block, Sequence[Line]]]]:
    day = f"Digest of {_span(found.since, found.until, zone)}"
    if found.nothing:
        return f"{day}: nothing to tell. {_many(found.events, 'event')}, read without gaps.", []
    open_ = f"{len(found.still_open)} still open" if found.still_open else "nothing open"
    lines = [*_alerts(found), *_quiet(found), *_health(found)]
    drawn: list[tuple[Block, Sequence[Line]]] = [(blocks.bullets(lines), lines)]
    if found.still_open:
        waiting = [_open(alert, zone) for alert in found.still_open[:SHOWN_OPEN]]
        rest = len(found.still_open) - len(waiting)
        waiting += [[f"and {rest} more: /audit alerts open"]] * (rest > 0)
        drawn = [
            *drawn,
            (blocks.paragraph(bold("Still open")), [["Still open"]]),
            (blocks.bullets(waiting), waiting),
        ]
    return f"{day}: {_many(len(found.posted), 'alert')}, {open_}.", drawn


def _alerts(found: Daily) -> Iterator[Line]:
    """Yield a line for each level with alerts: how many, and what became of them; then how people judged them."""
    for level in sorted({alert.level for alert in found.posted}, reverse=True):
        states = Counter(alert.state for alert in found.posted if alert.level == level)
        became = ", ".join(f"{count} {state}" for state, count in sorted(states.items()))
        yield [bold(f"{states.total()} {level_word(level)}: "), became]
    if found.verdicts:
        words = ", ".join(f"{found.verdicts.get(verdict, 0)} {verdict}" for verdict in ("right", "wrong", "expected"))
        yield [bold("Judged: "), words]


def _quiet(found: Daily) -> Iterator[Line]:
    """Yield what was not posted, and why."""
    if found.quiet:
        yield [bold("Kept quiet: "), _counted({QUIET.get(why, why): n for why, n in found.quiet.items()}, "alert")]
    if found.hidden:
        yield [bold("Hidden: "), _counted({HIDDEN.get(why, why): n for why, n in found.hidden.items()}, "finding")]
    for one in found.excepted[:SHOWN_EXCEPTIONS]:
        what = f"{_many(one.findings, 'finding')}, because “{clean(one.reason, 120)}”"
        yield [bold(f"Exception {one.id} hid: "), what, " ", code(clean(one.condition, 120))]
    if len(found.excepted) > SHOWN_EXCEPTIONS:
        yield [f"and {len(found.excepted) - SHOWN_EXCEPTIONS} more exceptions"]


def _health(found: Daily) -> Iterator[Line]:
    gaps = f"{_many(found.gaps, 'window')} could not be read at first, {found.missing} still missing"
    read = gaps if found.gaps or found.missing else "no gaps"
    broken = f", {_many(found.malformed, 'malformed record')}" if found.malformed else ""
    yield [bold("Log: "), f"{_many(found.events, 'event')}, {read}{broken}"]
    if found.late:
        when = "never" if found.last_poll is None else f"last at {say_time(found.last_poll)}"
        yield [bold("The log is not being read: "), when]
    yield [bold("Forest: "), clean(found.forest, 300)]


def _open(alert: Alert, zone: tzinfo) -> Line:
    """Return one alert that somebody still has to close."""
    head: list[Piece] = [bold(f"{alert.name} {level_word(alert.level)} "), code(clean(str(alert.entity), 80)), ", "]
    if alert.owner is None:
        return [*head, f"nobody has it, since {say_time(alert.opened, zone)}"]
    since = [f" since {say_time(alert.owned_at, zone)}"] if alert.owned_at is not None else []
    return [*head, "with ", blocks.person(clean(alert.owner)), *since]


def _weekly(found: Weekly, zone: tzinfo) -> tuple[str, list[tuple[Block, Sequence[Line]]]]:
    days = _span(found.since, found.until, zone)
    noisy = sum(one.noisy for one in found.rules)
    words = f"Rules, {days}: {_many(found.alerts, 'alert')}, {_many(noisy, 'noisy rule')}."
    drawn: list[tuple[Block, Sequence[Line]]] = []
    if shown := found.rules[:SHOWN_RULES]:
        head = ("Rule", "Level", "Alerts", "Findings", "Right", "Wrong")
        rows = [_row(one) for one in shown]
        drawn.append((blocks.table(head, rows, right=(2, 3, 4, 5)), [[" ".join(row)] for row in rows]))
    hints: list[Line] = [[bold(clean(one.rule.title, 80)), f": {one.hint}."] for one in found.rules if one.hint]
    if hints := hints[:SHOWN_HINTS]:
        drawn.append((blocks.paragraph(bold("What to do")), [["What to do"]]))
        drawn.append((blocks.bullets(hints), hints))
    if found.never_fired:
        drawn.append(_silent([rule.title for rule in found.never_fired]))
    return words, drawn


def _row(one: RuleStats) -> tuple[str, ...]:
    mark = " (shadow)" if one.rule.shadow else ""
    figures = (one.alerts_7d, one.findings_7d, one.right_7d, one.wrong_7d)
    return (clean(one.rule.title, 70) + mark, level_word(one.rule.level), *(f"{figure:,}" for figure in figures))


def _silent(titles: Sequence[str]) -> tuple[Block, Sequence[Line]]:
    named = ", ".join(clean(title, 60) for title in titles[:SHOWN_SILENT])
    rest = f" and {len(titles) - SHOWN_SILENT} more" if len(titles) > SHOWN_SILENT else ""
    line: list[Piece] = [
        bold(f"{_many(len(titles), 'rule')} never fired: "), f"{named}{rest}. ",
        faint("Does your portal send such events? Their tests show that they work."),
    ]  # fmt: skip
    return blocks.paragraph(*line), [line]


def _anchor(head: Head | None) -> Line:
    if head is None:
        return []
    return [faint(f"Journal up to entry {head.entry:,}, anchor "), code(head.hash)]


def _span(since: int, until: int, zone: tzinfo) -> str:
    """Return the days that a digest covers: Mon 23 Nov, or Mon 16 to Sun 22 Nov."""
    first, last = ((EPOCH + timedelta(microseconds=at)).astimezone(zone) for at in (since, until - SECOND))
    if first.date() == last.date():
        return f"{first:%a %-d %b}"
    return f"{first:%a %-d %b} to {last:%a %-d %b}"


def _counted(counts: Mapping[str, int], noun: str) -> str:
    """Return counts with their reasons, the most frequent first."""
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    said = [f"{_many(count, noun)} {clean(reason, 80)}" for reason, count in ordered[:SHOWN_REASONS]]
    rest = sum(count for _, count in ordered[SHOWN_REASONS:])
    return "; ".join([*said, *[f"{_many(rest, noun)} for other reasons"] * (rest > 0)])


def _many(count: int, noun: str) -> str:
    return f"{count:,} {noun if count == 1 else noun + 's'}"
