"""Rule files: read, checked with file and line, tested, offered to editors."""
