"""Takes the pictures of the docs from the running demo: `make screenshots`."""

from __future__ import annotations

import contextlib
import html
import io
import json
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

from bot.alert import run as alert_run
from bot.app import App
from bot.charts.heat import heat_map
from bot.demo import running
from bot.model import Finding
from bot.reading import now
from bot.sandbox.slack import FakeSlack
from bot.sandbox.slack_state import GENERAL
from bot.settings import load
from bot.store import alerts, digest, outbox
from bot.terminal.explain import show_story
from bot.times import DAY

PICTURES = Path(__file__).parent / "pictures"
FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip
WAIT = 90_000  # ms for an alert to appear
TERMINAL = "margin:0;padding:14px 18px;background:#14181f;color:#dfe5ee;font:12.5px/1.35 DejaVu Sans Mono,monospace"


DIGESTS: dict[digest.Kind, int] = {"daily": 1, "weekly": 7}  # days


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
        thread(page)
        explained(browser.new_page(viewport={"width": 900, "height": 400}), demo.service.app)
        home(page)
        form(page)
        digests(page, demo.service.app)
        decisions(page)
        storm(page, demo.service.app)
        welcome(page, demo.slack)
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
    page.locator("li.ephemeral").last.evaluate("answer => answer.scrollIntoView()")
    take(page, "audit")


def thread(page: Page) -> None:
    """Open the thread of the alert: the picture of the key's last 30 days is in it."""
    alert = page.locator("li.message", has_text="ci-terraform").filter(has_text="Bulk delete").first
    alert.locator("button.replies").click()
    picture = page.get_by_role("region", name="Thread").locator("img").first
    picture.wait_for(timeout=WAIT)
    picture.evaluate("picture => picture.decode()")
    picture.scroll_into_view_if_needed()
    page.wait_for_timeout(500)
    take(page, "thread")


def explained(page: Page, app: App) -> None:
    """Write what `audit-bot explain` prints about a delete of that key, and the picture that `--plot` draws."""
    evidence = app.store.value("SELECT evidence FROM findings WHERE actor LIKE '%ci-terraform%' AND title LIKE 'Bulk%'")
    terminal = io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True)
    with contextlib.redirect_stdout(terminal):
        activity = show_story(app.store, str(json.loads(evidence)[0]), now(), app.facts)
    terminal.seek(0)
    (PICTURES / "days.png").write_bytes(heat_map(activity).png)
    said = html.escape(f"$ audit-bot explain {json.loads(evidence)[0]}\n{terminal.read()}")
    page.set_content(f"<body style='{TERMINAL}'><pre style='margin:0;white-space:pre-wrap'>{said}</pre></body>")
    page.set_viewport_size({"width": 900, "height": page.evaluate("document.body.scrollHeight")})
    take(page, "explain")


def digests(page: Page, app: App) -> None:
    """Let the digest of the last day come, and the report on rules, as if it were a Monday morning."""
    page.get_by_role("button", name="security-alerts").click()
    page.keyboard.press("Escape")
    for kind, days in DIGESTS.items():
        outbox.put(app.store, "digest", now(), body=digest.body(kind, now() - days * DAY, now()))
    page.locator("li.message", has_text="Rules, ").last.wait_for(timeout=WAIT)
    message = page.locator("li.message", has_text="Digest of").last
    message.wait_for(timeout=WAIT)
    page.wait_for_timeout(1_000)
    message.evaluate("message => message.scrollIntoView()")
    take(page, "digest")


def home(page: Page) -> None:
    """Open the Home tab."""
    page.get_by_role("button", name="audit-bot: Home").click()
    page.get_by_text("What waits for somebody").wait_for(timeout=WAIT)
    take(page, "home")


def form(page: Page) -> None:
    """Fill in the form that builds a query, until it shows the line."""
    page.locator("#home").get_by_role("button", name="Build a query").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Who").fill("ci-*")
    dialog.get_by_label("What to do").select_option("timeline")
    dialog.get_by_text("/audit timeline actor:ci-*").wait_for(timeout=WAIT)
    take(page, "form")
    dialog.get_by_role("button", name="Cancel").click()


def decisions(page: Page) -> None:
    """Take the alert about a person, the form that expects it, and the question that this person gets."""
    alert = page.locator("li.message", has_text="robin.vance").filter(has_text="Allow list opened wide").first
    alert.get_by_role("button", name="Ask the person").wait_for(timeout=WAIT)
    alert.evaluate("message => message.scrollIntoView()")
    take(page, "alert")
    alert.get_by_role("button", name="Expected").click()
    form = page.get_by_role("dialog")
    form.get_by_label("For how long?").select_option("30d")
    form.get_by_text("A second person").wait_for(timeout=WAIT)
    form.get_by_label("Why is this expected?").fill("Robin is our new administrator")
    take(page, "expected")
    page.keyboard.press("Escape")
    alert.get_by_role("button", name="Ask the person").click()
    alert.get_by_text("was asked").wait_for(timeout=WAIT)
    page.get_by_label("You are").select_option("U0ROBIN")
    page.locator("#directs button").first.click()
    page.get_by_text("Was this you?").wait_for(timeout=WAIT)
    take(page, "question")


def storm(page: Page, app: App) -> None:
    """Let thirteen keys do the same at once, and list what the notice stands for."""
    rule = next(one for one in alerts.rule_texts(app.store).values() if one.title == "Bulk delete by one actor")
    with app.store.write():
        found = [
            alerts.insert_finding(
                app.store,
                Finding(0, rule.id, rule.title, rule.level, {"actor": who}, now(), now(), 30, who, "192.0.2.9"),
                now(),
            )
            for who in (f"batch-key-{number}" for number in range(13))
        ]
        alert_run.run_once(app.store, found, app.book.routing, now(), history=False, facts=app.facts)
    page.get_by_label("You are").select_option("U0GRACE")
    page.get_by_role("navigation", name="Channels").get_by_role("button", name="security-alerts").click()
    notice = page.locator("li.message", has_text="Storm: ").last
    notice.get_by_role("button", name="List them").click()
    page.locator("li.ephemeral", has_text="the most urgent first").wait_for(timeout=WAIT)
    page.wait_for_timeout(500)
    notice.evaluate("message => message.scrollIntoView()")
    take(page, "notice")


def welcome(page: Page, slack: FakeSlack) -> None:
    """Invite the bot to another channel."""
    slack.requests.invite(GENERAL)
    page.get_by_role("navigation", name="Channels").get_by_role("button", name="general").click()
    page.get_by_text("Hello, I am audit-bot").wait_for(timeout=WAIT)
    page.set_viewport_size({"width": 1180, "height": 460})
    take(page, "welcome")


def take(page: Page, name: str) -> None:
    """Write a picture, in few colours so that it stays small."""
    with Image.open(io.BytesIO(page.screenshot())) as shot:
        shot.convert("RGB").quantize(64).save(PICTURES / f"{name}.png", optimize=True)


if __name__ == "__main__":
    main()
