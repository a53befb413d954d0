"""What no rule says: hours that are strange for who did them, found by an isolation forest within a budget."""
