"""What comes before the first poll of a service: its modules, the database, the rules."""

from __future__ import annotations

import sys
from pathlib import Path

from bot.heap import collect_rarely


def main() -> None:
    collect_rarely()  # as every command does, before it loads what it needs
    import bot.service  # noqa: F401
    from bot.app import writing
    from bot.settings import load

    with writing(load((), AUDIT_BOT_DB=Path(sys.argv[1]), AUDIT_BOT_RULES=Path("rules")), "measure"):
        pass


if __name__ == "__main__":
    main()
