"""What the bot may do in a workspace: the scopes of manifest.yml; a test holds them and what the code calls equal."""

from __future__ import annotations

SCOPES = frozenset(
    {
        "chat:write", "files:write", "commands", "channels:history", "groups:history", "im:write", "users:read",
        "users:read.email", "usergroups:read", "channels:read", "groups:read",
    }
)  # fmt: skip
