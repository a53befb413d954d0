"""Sends the outbox's cards: what was posted once is redrawn, and it is recorded where each stands."""

from __future__ import annotations

from typing import Protocol

from bot.errors import DeliveryError
from bot.store.messages import cards
from bot.store.messages.cards import Card, InquiryCard, Placed, ProposalCard
from bot.store.messages.outbox import Row
from bot.store.people import inquiries, proposals
from bot.store.schema import Store


class CardSender(Protocol):
    """Where cards go."""

    def draw_card(self, channel: str, card: Card, *, repeat: bool) -> Placed:
        """Post a card, or draw it again where it stands already. Raises DeliveryError."""
        ...


def send(store: Store, sender: CardSender, row: Row, channel: str | None, now: int, *, repeat: bool) -> None:
    """Send what a row of the outbox names. Raises DeliveryError."""
    card = cards.load(store, row.body, now)
    if card is None:
        raise DeliveryError("nothing_to_show", permanent=True)
    if isinstance(card, InquiryCard):
        _ask(store, sender, card, now, repeat=repeat)
        return
    if channel is None:
        raise DeliveryError("no_channel", permanent=False, retry_after=60)
    placed = sender.draw_card(channel, card, repeat=repeat)
    if isinstance(card, ProposalCard) and card.proposal.ts is None:
        proposals.placed(store, card.proposal, placed.channel, placed.ts)


def _ask(store: Store, sender: CardSender, card: InquiryCard, now: int, *, repeat: bool) -> None:
    """Ask the person, or record why that cannot be done: whoever wanted it known has to hear of it."""
    one = card.inquiry
    try:
        placed = sender.draw_card("", card, repeat=repeat)
    except DeliveryError as error:
        if not error.permanent or one.state != "waiting":
            raise
        inquiries.unreachable(store, one, error.code, now)
    else:
        if one.state == "waiting":
            inquiries.delivered(store, one, placed.person, placed.channel, placed.ts, now)
