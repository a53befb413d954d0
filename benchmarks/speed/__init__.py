"""How fast and how small the bot is: made-up logs, the figures, and what people would use instead."""
