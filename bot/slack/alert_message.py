"""Draws an alert as a Slack message: what happened, is it bad, who has it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, timedelta, tzinfo

from bot.addresses import AddressBook
from bot.model import AlertView, Event, Finding, Inquiry, Level
from bot.slack import blocks
from bot.slack.blocks import Block, Message, Piece, Press, bold, code, faint
from bot.slack.text import clean, cut
from bot.store.people.inquiries import may_ask
from bot.store.people.judgements import SAID
from bot.times import EPOCH, MINUTE, say_duration

EVENT_TYPE = "audit_bot_alert"  # of the message's metadata, by which it is found again after a crash
ACKNOWLEDGE, RESOLVE, ASSIGN, SNOOZE, EXPECT, ASK, EVIDENCE, MORE = (
    "alert_acknowledge", "alert_resolve", "alert_assign", "alert_snooze", "alert_expect", "alert_ask", "alert_evidence",
    "alert_more",
)  # fmt: skip
CHOICES = (  # of the menu: text, and what its value begins with
    ("Timeline", "timeline"), ("Add a note", "note"), ("Export as CSV", "export"), ("Share in a channel", "share"),
)  # fmt: skip
COLORS = ("#8b949e", "#2f81f7", "#d99a00", "#e8590c", "#c92a2a")  # by level
OVER_COLOR = "#6e7781"
OVER = ("resolved", "removed")
SHOWN_FINDINGS, SHOWN_EVIDENCE = 6, 3
SHOWN_RUNBOOKS, SHOWN_REFERENCES, SHOWN_HARMLESS = 3, 2, 2
SENTENCE_LENGTH = 280
NOT_POSTED = {"history": "it was found in what was read before the first complete poll"}
QUIET = {"snooze": "Snoozed", "expected": "Expected", "answer": "Quiet"}
REPEAT = "Possible repeat: Slack did not say whether it took this message the first time."


@dataclass(frozen=True)
class Face:
    """What Slack knows of the person behind an actor: a name, and the address of a picture."""

    name: str
    picture: str = ""


def alert_message(
    view: AlertView, zone: tzinfo = UTC, *, repeat: bool = False, buttons: bool = True, face: Face | None = None
) -> Message:
    """Return the message as the alert stands; `repeat` says on it that it may be there twice.

    `face` is whom Slack knows behind the actor, if anybody.

    It names moments, not how long ago they were: nobody draws it again just because time goes on.
    """
    alert = view.alert
    spoken = sentence(view)
    details = list(_details(view, zone, face))
    if repeat:
        details.append(blocks.small(REPEAT))
    if buttons:
        details.append(_buttons(view))
    return blocks.message(
        spoken,
        [blocks.paragraph(bold(spoken))],
        details=details,
        color=OVER_COLOR if alert.state in OVER else COLORS[alert.level],
        plain=_plain(view, zone, spoken),
        metadata={"event_type": EVENT_TYPE, "event_payload": {"alert_id": alert.id}},
    )


def sentence(view: AlertView) -> str:
    """Return the one sentence that could be read aloud: how bad, who, what, how much, where from."""
    alert = view.alert
    who = clean(str(alert.entity), 80)
    level = level_word(alert.level)
    if not view.findings:
        return f"{level}: {who}: what was found here no longer holds."
    worst = view.findings[0]
    others = [clean(found.title, 60) for found in view.findings[1:] if found.title != worst.title]
    also = f", and {others[0]}" if others else ""
    more = f" and {len(others) - 1} more" if len(others) > 1 else ""
    why = _first_reason(worst)
    new_network = _fact(view, "network_new_for_actor") is True and "network" not in why
    strange = ", from a network never seen for this actor" if new_network else ""
    text = f"{level}: {who}: {clean(worst.title, 80)}, {why}{strange}{also}{more}"
    return cut(text, SENTENCE_LENGTH) + "."


def level_word(level: Level) -> str:
    """Return a level as a word: High."""
    return level.name.capitalize()


def say_time(time: int, zone: tzinfo = UTC, *, seconds: bool = False) -> str:
    """Return a moment for people: 2026-11-23 07:48 UTC."""
    moment = (EPOCH + timedelta(microseconds=time)).astimezone(zone)
    name = moment.tzname() or "UTC"
    named = f"UTC{name}" if name[0] in "+-" else name  # some zones have no letters
    return f"{moment:%Y-%m-%d %H:%M:%S}" if seconds else f"{moment:%Y-%m-%d %H:%M} {named}"


def say_span(first: int, last: int, zone: tzinfo = UTC) -> str:
    """Return two moments, the day only once where it is the same: 2026-11-23 07:48 to 07:57 UTC."""
    begins, ends = say_time(first, zone), say_time(last, zone)
    if begins == ends:
        return begins
    same_day = begins[:10] == ends[:10]
    return f"{begins[:16]} to {ends[11:] if same_day else ends}"


def state_pieces(view: AlertView) -> list[Piece]:
    """Return who has the alert since when, or how it ended, and what it was judged to be."""
    alert, standing = view.alert, view.standing
    if not alert.posted:
        return [bold("Not posted"), f": {NOT_POSTED.get(alert.decision, alert.decision)}."]
    if alert.state == "open":
        holds = "nobody has it yet" if view.findings else "though what was found no longer holds"
        return [bold("Open"), f" since {say_time(alert.opened)}: {holds}."]
    words = {"acknowledged": "Acknowledged", "resolved": "Resolved", "removed": "Closed"}
    pieces: list[Piece] = [bold("Assigned" if standing.assigned_by else words[alert.state])]
    if alert.owner:
        to = " to " if standing.assigned_by else " by "
        pieces += [to, "the bot" if alert.owner == "bot" else blocks.person(clean(alert.owner))]
    if standing.assigned_by:
        pieces += [" by ", blocks.person(clean(standing.assigned_by))]
    if alert.owned_at is not None:
        pieces.append(f" at {say_time(alert.owned_at)}")
    if judgement := standing.judgement:
        pieces += [" as ", bold(SAID[judgement.verdict])]
        pieces.append(f": {clean(judgement.note, 300)}" if judgement.note else "")
    ended = ": its rule was removed." if alert.state == "removed" else "."
    return [piece for piece in (*pieces, ended) if piece != ""]


def standing_pieces(view: AlertView) -> Iterator[list[Piece]]:
    """Yield a line for each thing that people decided beside: what is quiet, what waits, what somebody answered."""
    for quiet in view.standing.quiet:
        rule = view.rules.get(quiet.rule or "")
        of = f" for {clean(rule.title, 80)}" if rule else ""
        who = blocks.person(clean(quiet.who))
        yield [bold(QUIET[quiet.kind]), f"{of} until {say_time(quiet.expires)} by ", who, "."]
    if view.standing.proposed:
        yield [bold("Proposed"), ": an exception waits for a second person; see the channel."]
    if inquiry := view.standing.inquiry:
        yield _asked(inquiry)


def _asked(one: Inquiry) -> list[Piece]:
    who = blocks.person(one.person) if one.person else code(clean(one.email, 80))
    reason = f" “{clean(one.reason, 300)}”" if one.reason else ""
    answered = say_time(one.answered) if one.answered is not None else ""
    due = say_time(one.due) if one.due is not None else ""
    said: dict[str, list[Piece]] = {
        "waiting": ["The question to ", who, " is on its way."],
        "unreachable": ["Slack knows nobody to ask behind ", who, "."],
        "asked": [who, f" was asked; until {due} an answer is waited for."],
        "silent": [who, " did not answer in 2 h."],
        "yes": [who, " said ", bold("yes"), f" at {answered}{reason}: evidence, not proof."],
        "no": [who, " said ", bold("no"), f" at {answered}{reason}."],
    }
    return [bold("Was this you?"), " ", *said[one.state]]


def _details(view: AlertView, zone: tzinfo, face: Face | None) -> Iterator[Block]:
    if face is not None and face.picture:
        yield blocks.portrait(face.picture, clean(face.name, 80))
    yield blocks.paragraph(*_facts(view, zone, face))
    if view.findings:
        yield blocks.paragraph(bold("Why this is unusual"))
        yield blocks.bullets([_finding(view, place) for place in range(len(view.findings[:SHOWN_FINDINGS]))])
    if len(view.findings) > SHOWN_FINDINGS:
        yield blocks.small(f"and {len(view.findings) - SHOWN_FINDINGS} more findings")
    if view.evidence:
        yield blocks.paragraph(bold("Evidence"), faint(" (time in UTC)"))
        yield blocks.preformatted("\n".join(evidence_lines(view)))
    if links := _links(view):
        yield blocks.paragraph(*links)
    yield blocks.paragraph(*_state(view))
    yield blocks.small(*_footer(view))


def _state(view: AlertView) -> list[Piece]:
    return [*state_pieces(view), *(piece for line in standing_pieces(view) for piece in ("\n", *line))]


def _facts(view: AlertView, zone: tzinfo, face: Face | None = None) -> list[Piece]:
    """Return who, how much, when, where from: one line each."""
    alert = view.alert
    local = "" if zone is UTC or str(zone) == "UTC" else f" ({say_span(alert.first, alert.last, zone)})"
    rows: list[tuple[str, list[Piece]]] = [
        ("Level", [bold(level_word(alert.level)), f", {alert.points} risk points"]),
        ("Who", [*_named(face), code(clean(str(alert.entity))), _kind(view)]),
        (
            "How much",
            [f"{alert.events:,} {'event' if alert.events == 1 else 'events'} {_within(alert.first, alert.last)}"],
        ),
        ("When", [say_span(alert.first, alert.last), local]),
        ("Where from", where_from(view)),
    ]
    pieces: list[Piece] = []
    for number, (name, values) in enumerate(rows):
        pieces += ["\n" * (number > 0), bold(name), "  ", *values]
    return [piece for piece in pieces if piece != ""]


def _kind(view: AlertView) -> str:
    kinds = {"ip": ", an address", "unknown": "", "workspace": ", the log itself"}
    fact = _fact(view, "actor_kind")
    return kinds.get(view.alert.entity.kind, f", a {fact}" if fact in ("person", "key", "webhook") else "")


def _named(face: Face | None) -> list[Piece]:
    """Return the name where there is no picture to stand beside."""
    return [bold(clean(face.name, 80)), ", "] if face and not face.picture else []


def located(view: AlertView, book: AddressBook) -> AlertView:
    """Return the view with what an address database knows of its addresses: DE, Example Telecom."""
    named = {ip for ip in (*(found.ip for found in view.findings), *(event.ip for event in view.evidence)) if ip}
    known = {ip: ", ".join(filter(None, (book.country(ip), book.as_name(ip)))) for ip in named if book.paths}
    return replace(view, places=known)


def where_from(view: AlertView) -> list[Piece]:
    """Return the addresses that the findings and the evidence name, with what is known of each."""
    named = (*(found.ip for found in view.findings), *(event.ip for event in view.evidence))
    addresses = list(dict.fromkeys(ip for ip in named if ip))
    pieces: list[Piece] = []
    for ip in addresses[:4]:
        pieces += [", " * bool(pieces), code(clean(ip, 45)), _known(view, ip)]
    if len(addresses) > 4:
        pieces.append(f" and {len(addresses) - 4} more")
    return [piece for piece in pieces if piece != ""] or [faint("no address in the log")]


def _known(view: AlertView, ip: str) -> str:
    """Return what is known of an address: where it is, a network new to this actor, when it was first seen."""
    strange = any(event.ip == ip and event.facts.get("network_new_for_actor") is True for event in view.evidence)
    first = view.first_seen.get(ip)
    known = [
        *([clean(view.places[ip], 80)] if view.places.get(ip) else []),
        *(["network never seen for this actor"] if strange else []),
        *([f"first seen {say_time(first)}"] if first is not None else []),
    ]
    return f" ({', '.join(known)})" if known else ""


def _finding(view: AlertView, place: int) -> list[Piece]:
    """Return one finding: its rule and its reasons; of the first also what the rule looks for."""
    found = view.findings[place]
    rule = view.rules.get(found.rule_id)
    reasons = "; ".join(clean(reason, 160).rstrip(".") for reason in found.reasons[:4]) or _how_much(found)
    pieces: list[Piece] = [bold(clean(found.title, 100)), f" ({found.level.name}): {reasons}."]
    if place == 0 and rule and rule.description:
        pieces += ["\n", faint(clean(rule.description, 220))]
    if place == 0 and rule and rule.falsepositives:
        known = "; ".join(clean(one, 100).rstrip(".") for one in rule.falsepositives[:SHOWN_HARMLESS])
        pieces += ["\n", faint(f"May be harmless: {known}.")]
    return pieces


def _links(view: AlertView) -> list[Piece]:
    """Return where to read on, the worst finding's first, each once: what to do, and what stands behind its rule."""
    rules = [rule for found in view.findings if (rule := view.rules.get(found.rule_id))]
    runbooks = dict.fromkeys(clean(rule.runbook, 200) for rule in rules if rule.runbook)
    references = dict.fromkeys(clean(target, 200) for rule in rules[:1] for target in rule.references)
    lines = (("What to do", list(runbooks)[:SHOWN_RUNBOOKS]), ("Read on", list(references)[:SHOWN_REFERENCES]))
    pieces: list[Piece] = []
    for name, targets in lines:
        links = [piece for target in targets for piece in (", ", blocks.link(target))]
        pieces += ["\n" * bool(pieces), bold(name), "  ", *links[1:]] if targets else []
    return [piece for piece in pieces if piece != ""]


def _footer(view: AlertView) -> list[str]:
    late = f"found {say_duration(view.late_by)} after the last event" if view.late_by >= MINUTE else ""
    return [part for part in (view.alert.name, late) if part]


def _buttons(view: AlertView) -> Block:
    """Return the buttons that make sense now; their values are ids: the state is read from the store at the click."""
    value, alert = str(view.alert.id), view.alert
    given: list[Press] = []
    if alert.state == "open":
        given.append(("Acknowledge", ACKNOWLEDGE, value, "primary"))
    if alert.state not in OVER:
        given += [
            ("Assign", ASSIGN, value, None),
            ("Snooze", SNOOZE, value, None),
            ("Expected", EXPECT, value, None),
            ("Resolve", RESOLVE, value, "primary" if alert.state == "acknowledged" else None),
        ]
    if may_ask(view):
        given.append(("Ask the person", ASK, value, None))
    given.append(("Evidence", EVIDENCE, value, None))
    return blocks.buttons(*given, more=(MORE, [(text, f"{word}:{value}") for text, word in CHOICES]))


def evidence_lines(view: AlertView) -> list[str]:
    """Return some events as lines of fixed-width type: when, what, to what, from where, by whom unless that is said."""
    said = view.alert.entity.name if view.alert.entity.kind == "actor" else None
    rows = [_evidence(event, said) for event in view.evidence[:SHOWN_EVIDENCE]]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _evidence(event: Event, said: str | None) -> tuple[str, ...]:
    what = (clean(event.action, 12), clean(event.type, 32), clean(event.object, 60))
    who = "" if event.actor == said else clean(event.actor or "-", 48)
    return (say_time(event.time, seconds=True), *what, clean(event.ip or "-", 45), who)


def _first_reason(found: Finding) -> str:
    return clean(found.reasons[0], 120).rstrip(".") if found.reasons else _how_much(found)


def _how_much(found: Finding) -> str:
    return f"{found.count:,} {'event' if found.count == 1 else 'events'} {_within(found.first, found.last)}".rstrip()


def _within(first: int, last: int) -> str:
    return f"in {say_duration(last - first)}" if last > first else "at once"


def _fact(view: AlertView, name: str) -> str | float | bool | None:
    return next((event.facts[name] for event in view.evidence if event.facts.get(name) is not None), None)


def _plain(view: AlertView, zone: tzinfo, spoken: str) -> str:
    """Return the message as lines of text, for the day on which Slack refuses its blocks."""
    facts = "".join(map(blocks.bare, _facts(view, zone)))
    findings = [
        f"- {''.join(map(blocks.bare, _finding(view, place)))}" for place in range(len(view.findings[:SHOWN_FINDINGS]))
    ]
    evidence = evidence_lines(view)
    state = "".join(map(blocks.bare, _state(view)))
    return "\n".join((spoken, facts, *findings, *evidence, f"{view.alert.name}: {state}"))
