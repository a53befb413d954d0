"""The log itself, which no rule over events can watch: that it falls silent, that events vanish from it."""
