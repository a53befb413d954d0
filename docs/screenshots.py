"""Takes the pictures of the docs from the running demo: `make screenshots`."""

from __future__ import annotations

import tempfile
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from bot.demo import running
from bot.settings import load

PICTURES = Path(__file__).parent / "pictures"
FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip
WAIT = 90_000  # ms for an alert to appear


def main() -> None:
    """Write every picture anew."""
    PICTURES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, running(load(), 0, Path(folder) / "demo.db", fast=True) as demo:
        with sync_playwright() as play:
            browser = play.chromium.launch(executable_path="/usr/bin/chromium", args=list(FLAGS))
            page = browser.new_page(viewport={"width": 1180, "height": 860})
            page.goto(demo.url)
            console(page)
            browser.close()


def console(page: Page) -> None:
    """Wait until the stolen key has deleted, acknowledge it, ask who was busy, and take the picture."""
    alert = page.locator("article", has_text="ci-terraform").filter(has_text="Bulk delete")
    alert.first.wait_for(timeout=WAIT)
    alert.first.get_by_role("button", name="Acknowledge").click()
    page.get_by_text("acknowledged").first.wait_for(timeout=WAIT)
    page.screenshot(path=PICTURES / "console.png")


if __name__ == "__main__":
    main()
