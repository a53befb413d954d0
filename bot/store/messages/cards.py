"""What the outbox's cards show: a proposed exception, the question to a person, an alert shared elsewhere."""

from __future__ import annotations

from dataclasses import dataclass

from bot.model import AlertView, Inquiry
from bot.store import alerts
from bot.store.people import exceptions, inquiries, proposals
from bot.store.people.exceptions import TimedException
from bot.store.people.proposals import Proposal
from bot.store.schema import Store


@dataclass(frozen=True)
class ProposalCard:
    """A proposal, its alert, and the exception that it became, if it did."""

    proposal: Proposal
    view: AlertView
    exception: TimedException | None = None


@dataclass(frozen=True)
class InquiryCard:
    """The question to the person behind an alert's actor."""

    inquiry: Inquiry
    view: AlertView


@dataclass(frozen=True)
class ShareCard:
    """An alert as others get to see it, without buttons."""

    view: AlertView


@dataclass(frozen=True)
class Placed:
    """Where a card's message stands; `person` is the user whom a question went to."""

    channel: str
    ts: str
    person: str = ""


Card = ProposalCard | InquiryCard | ShareCard


def stands_at(card: Card) -> Placed | None:
    """Return where a card's message stands already, None where it is to be posted, as shared alerts always are."""
    one = card.proposal if isinstance(card, ProposalCard) else card.inquiry if isinstance(card, InquiryCard) else None
    return Placed(one.channel, one.ts) if one is not None and one.channel and one.ts else None


def load(store: Store, body: str, now: int) -> Card | None:
    """Return the card that a row of the outbox names, as it stands now; None where there is nothing to show."""
    kind, _, number = body.partition(" ")
    if kind == "proposal":
        proposal = proposals.get(store, int(number))
        view = alerts.view(store, proposal.alert, now) if proposal else None
        made = exceptions.get(store, proposal.exception) if proposal and proposal.exception else None
        return ProposalCard(proposal, view, made) if proposal and view else None
    if kind == "inquiry":
        inquiry = inquiries.get(store, int(number))
        view = alerts.view(store, inquiry.alert, now) if inquiry else None
        return InquiryCard(inquiry, view) if inquiry and view else None
    view = alerts.view(store, int(number), now)
    return ShareCard(view) if view else None
