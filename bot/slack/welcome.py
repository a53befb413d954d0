"""Draws the first message in a channel: what the bot does, three things to try, where alerts go."""

from __future__ import annotations

from bot.slack import blocks
from bot.slack.answers import BUILD
from bot.slack.blocks import Message, Piece, bold, code

TRY = (
    ("/audit top by:actor last:7d", "who was busiest this week"),
    ("/audit search action:delete last:24h", "what was deleted since yesterday"),
    ("/audit status", "how far the log is read, and what the rules found"),
)
WHAT = (
    "I watch the audit log of your Cortex workspace, tell you about unusual actors, addresses and bulk deletes, and"
    " answer questions about the log. Answers are for whoever asks alone, until they share them."
)


def welcome_message(channel: str, alerts: str | None) -> Message:
    """Return it for the channel `channel`; `alerts` is the id or name of the channel that alerts go to."""
    here = alerts == channel
    where: list[Piece] = ["here"] if here else ["to ", blocks.channel(alerts) if alerts else "no channel yet"]
    hint = "" if alerts else ": whoever runs the bot sets AUDIT_BOT_CHANNEL"
    body = [
        blocks.paragraph(bold("Hello, I am audit-bot. "), WHAT),
        blocks.paragraph("Three things to try:"),
        blocks.bullets([[code(text), f"  {what}"] for text, what in TRY]),
        blocks.paragraph("Alerts go ", *where, f"{hint}."),
        blocks.buttons(("Build a query", BUILD, "build", None)),
    ]
    plain = "\n".join([WHAT, *(f"{text}: {what}" for text, what in TRY)])
    return blocks.message("Hello, I am audit-bot: ask me with /audit.", body, plain=plain)
