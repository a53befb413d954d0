"""How the make-believe Slack says no."""

from __future__ import annotations


class SlackError(Exception):
    """An error word that goes back to the caller of a Web API method."""

    def __init__(self, word: str, detail: str = "") -> None:
        self.word, self.detail = word, detail
        super().__init__(f"{word}: {detail}" if detail else word)
