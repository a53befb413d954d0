"""Reads the portal's audit log, exactly: client (HTTP), sweep (closed windows), run (one pass)."""
