"""Who runs a command: the name that the journal and exceptions from the terminal bear."""

from __future__ import annotations

import getpass
import os


def user() -> str:
    """Return the name of whoever runs the command; a container's user may have none."""
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):
        return f"uid {os.getuid()}"
