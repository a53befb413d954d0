"""The bot watching itself: watchdog (hung parts), canary (blind parts), alarms (lag, gaps), heartbeat, metrics."""
