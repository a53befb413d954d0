"""Facts, rules and forest over columns of events: findings."""
