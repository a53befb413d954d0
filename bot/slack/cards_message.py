"""Draws the cards: a proposed exception, the question "was this you?", a shared alert. Pure."""

from __future__ import annotations

from datetime import UTC, tzinfo

from bot.model import AlertView
from bot.slack import blocks
from bot.slack.alert_message import REPEAT, alert_message, say_span, say_time
from bot.slack.blocks import Block, Message, Piece, Press, bold, code
from bot.slack.text import clean
from bot.store.messages.cards import Card, InquiryCard, ProposalCard

APPROVE, WITHDRAW, END = "proposal_approve", "proposal_withdraw", "exception_end"
YES, NO = "inquiry_yes", "inquiry_no"
ANSWERS = (YES, NO)


def card_message(card: Card, zone: tzinfo = UTC, *, repeat: bool = False) -> Message:
    """Return a card as it stands; `repeat` says on it that it may be there twice."""
    if isinstance(card, ProposalCard):
        return _proposal(card, zone, repeat=repeat)
    if isinstance(card, InquiryCard):
        return _question(card, zone, repeat=repeat)
    return alert_message(card.view, zone, buttons=False, repeat=repeat)


def _proposal(card: ProposalCard, zone: tzinfo, *, repeat: bool) -> Message:
    one, alert = card.proposal, card.view.alert
    wants = {"snooze": "snooze", "expected": "expect"}.get(one.kind, one.kind)
    rule = next((found.title for found in card.view.findings if found.rule_id == one.rule), one.rule)
    what: list[Piece] = [code(clean(one.condition, 200))] if one.condition != "*" else ["whatever is found by"]
    if rule:
        what += [" by " if one.condition != "*" else " ", code(clean(rule, 100))]
    did = {"snooze": " snoozed ", "expected": " expects "}.get(one.kind, " made ")
    asks = f" wants to {wants} " if one.why else did
    pieces: list[Piece] = [
        blocks.person(one.author), asks, *what, f" until {say_time(one.expires, zone)}: {clean(one.reason, 300)}",
        f"\nMade from {alert.name}; hides nothing worse than {one.up_to.name}. In the 30 days before it would have"
        f" hidden {_many(one.findings, 'finding')}, and {_many(one.alerts, 'whole alert')}.",
    ]  # fmt: skip
    if one.why and one.state == "waiting":
        pieces.append(f"\nA second person has to approve it within 24 h: {one.why}.")
    body = [blocks.paragraph(*pieces), blocks.paragraph(*_became(card, zone))]
    words = "".join(map(blocks.bare, pieces))
    return _finished(words, body, _proposal_buttons(card), repeat=repeat)


def _became(card: ProposalCard, zone: tzinfo) -> list[Piece]:
    one, made = card.proposal, card.exception
    if one.state == "waiting":
        return [bold("Waiting"), " for a second person."]
    if made is not None and made.removed is not None:
        return [bold("Ended"), f" at {say_time(made.removed, zone)} by ", blocks.person(clean(made.removed_by or ""))]
    at = f" at {say_time(one.decided, zone)}" if one.decided else ""
    if one.state == "approved":
        second: list[Piece] = [", approved by ", blocks.person(one.decided_by)] if one.decided_by else []
        return [bold("In force"), at.replace("at", "since", 1), *second, "."]
    if one.state == "lapsed":
        return [bold("Lapsed"), f"{at}: nobody approved it in time."]
    return [bold("Withdrawn"), f"{at} by ", blocks.person(one.decided_by or ""), "."]


def _proposal_buttons(card: ProposalCard) -> list[Press]:
    one, made = card.proposal, card.exception
    if one.state == "waiting":
        return [("Approve", APPROVE, str(one.id), "primary"), ("Withdraw", WITHDRAW, str(one.id), None)]
    if one.state == "approved" and made is not None and made.removed is None:
        return [("End it now", END, str(made.id), None)]
    return []


def _question(card: InquiryCard, zone: tzinfo, *, repeat: bool) -> Message:
    """Ask in plain words, to somebody who knows nothing of rules and alerts."""
    one, view = card.inquiry, card.view
    alert = view.alert
    what = clean(view.findings[0].title, 100) if view.findings else "something unusual"
    events = _many(alert.events, "event")
    said: list[Piece] = [
        "Hello. In the audit log of Cortex your account ", code(clean(alert.entity.name)),
        f" did something unusual: {what} ({events}, {say_span(alert.first, alert.last, zone)}), from ",
        *_addresses(view), ".",
    ]  # fmt: skip
    ask: list[Piece] = [bold("Was this you?"), " Your answer goes to the security team. If in doubt, answer no."]
    body = [blocks.paragraph(*said), *_examples(view), blocks.paragraph(*(_answered(card, zone) or ask))]
    buttons: list[Press] = [
        ("Yes, that was me", YES, str(one.id), None), ("No, not me", NO, str(one.id), "danger")
    ]  # fmt: skip
    open_ = one.state in ("waiting", "asked", "silent")
    words = "".join(map(blocks.bare, said)) + " Was this you?"
    return _finished(words, body, buttons if open_ else [], repeat=repeat)


def _addresses(view: AlertView) -> list[Piece]:
    names = dict.fromkeys(event.ip for event in view.evidence if event.ip)
    return [code(clean(", ".join(names), 150))] if names else ["an address that the log does not name"]


def _examples(view: AlertView) -> list[Block]:
    lines: list[list[Piece]] = [
        [f"{clean(event.action, 12)} {clean(event.type, 32)} ", code(clean(event.object, 60))]
        for event in view.evidence[:3]
    ]
    return [blocks.bullets(lines)] if lines else []


def _answered(card: InquiryCard, zone: tzinfo) -> list[Piece]:
    one = card.inquiry
    if one.state not in ("yes", "no") or one.answered is None:
        return []
    return ["You answered ", bold(one.state), f" at {say_time(one.answered, zone)}. Thank you."]


def _finished(words: str, body: list[Block], buttons: list[Press], *, repeat: bool) -> Message:
    parts = [*body, *([blocks.small(REPEAT)] if repeat else []), *([blocks.buttons(*buttons)] if buttons else [])]
    return blocks.message(words, parts)


def _many(count: int, noun: str) -> str:
    return f"{count:,} {noun if count == 1 else noun + 's'}"
