"""Stand-ins that let everything run offline: the portal's API, and Slack with a page to look at."""
