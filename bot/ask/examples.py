"""What one can ask, by example: for `help`, for the first message in a channel, for the docs."""

from __future__ import annotations

EXAMPLES = (
    ("search action:delete type:SERVICE last:7d", "who deleted services this week"),
    ("top by:actor last:7d", "who was busiest"),
    ("search actor:*@example.com -ip:10.0.0.0/8 since:2026-05-01", "people of one domain, not from inside"),
    ("timeline actor:eve@example.com last:2d", "hour by hour"),
    ("alerts open", "what is open; show A12 for one of them"),
    ("export type:*KEY* last:30d", "everything about keys in a month, as a file"),
    ("status", "how the bot is doing"),
)
