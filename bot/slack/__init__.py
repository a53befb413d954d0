"""The Slack app: blocks, commands, buttons, who may, and the Sender that the outbox posts through."""
