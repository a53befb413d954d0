"""`audit-bot doctor`: looks at everything that the bot needs, says what to do, and mends what can be mended."""
