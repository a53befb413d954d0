"""A strict YAML reader with the line of everything, and typed reading of what it gives; PyYAML's home."""
