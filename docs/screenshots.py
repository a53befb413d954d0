"""Takes the pictures of the docs from the running demo: `make screenshots`."""

from __future__ import annotations

import io
import tempfile
from pathlib import Path

from PIL import Image
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
    with (
        tempfile.TemporaryDirectory() as folder,
        running(load(), 0, Path(folder) / "demo.db", fast=True) as demo,
        sync_playwright() as play,
    ):
        browser = play.chromium.launch(executable_path="/usr/bin/chromium", args=list(FLAGS))
        page = browser.new_page(viewport={"width": 1180, "height": 900})
        page.goto(demo.url)
        console(page)
        browser.close()


def console(page: Page) -> None:
    """Wait until the stolen key has deleted, take the alert, ask who was busy, and take the picture."""
    alert = page.locator("li.message", has_text="ci-terraform").filter(has_text="Bulk delete").first
    alert.wait_for(timeout=WAIT)
    alert.get_by_role("button", name="Acknowledge").click()
    alert.get_by_text("Acknowledged by").wait_for(timeout=WAIT)
    page.wait_for_timeout(500)
    alert.evaluate("message => message.scrollIntoView()")
    take(page, "console")
    page.keyboard.press("/")
    page.keyboard.type("audit top by:actor last:7d limit:8")
    page.keyboard.press("Enter")
    page.locator("li.ephemeral").get_by_text("Top 8").wait_for(timeout=WAIT)
    page.wait_for_timeout(500)
    take(page, "audit")


def take(page: Page, name: str) -> None:
    """Write a picture, in few colours so that it stays small."""
    with Image.open(io.BytesIO(page.screenshot())) as shot:
        shot.convert("RGB").quantize(64).save(PICTURES / f"{name}.png", optimize=True)


if __name__ == "__main__":
    main()
