"""Findings to alerts: join, suppress, level, route; and the outbox that posts them."""
