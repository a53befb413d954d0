"""Writes pictures into files that people name on the command line."""

from __future__ import annotations

from pathlib import Path

from bot.charts.drawing import Picture
from bot.errors import ConfigError


def check_target(target: Path | None) -> None:
    """Refuse, before any work, a target that cannot become a picture. Raises ConfigError."""
    if target is None:
        return
    if target.suffix.lower() != ".png":
        raise ConfigError(f"{target} is no PNG file: give --plot a name like out.png.")
    if not target.parent.is_dir():
        raise ConfigError(f"{target}: there is no folder {target.parent}.")


def write_picture(target: Path, picture: Picture) -> None:
    """Write a picture. Raises ConfigError where the file cannot be written."""
    try:
        target.write_bytes(picture.png)
    except OSError as error:
        raise ConfigError(f"{target}: {error.strerror}. Give --plot a file that you can write to.") from error
