"""What is to be told in Slack, and what was."""
