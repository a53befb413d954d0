"""Answers what people ask, in Slack and at the terminal alike: a command in, plain data out."""
