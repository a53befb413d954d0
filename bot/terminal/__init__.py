"""What the commands do that is for the terminal alone: answering, back-testing, rule files, exceptions, pictures."""
