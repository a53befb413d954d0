"""The console page in a real browser: an alert, a click, a question, an answer."""

from __future__ import annotations

import io
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Page, expect, sync_playwright

from bot.sandbox.slack_state import ALERTS
from tests.slack_lab import DANIEL, GRACE, Lab, fill, lab
from tests.view_lab import choice, field, form, plain

CHROMIUM = shutil.which("chromium")
ARGUMENTS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip

pytestmark = pytest.mark.skipif(
    CHROMIUM is None and os.environ.get("CI") != "true", reason="there is no chromium on this machine"
)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Lab]:
    with lab(tmp_path / "bot") as made:
        yield made


@pytest.fixture
def page(tmp_path: Path, bench: Lab) -> Iterator[Page]:
    """Open the page in a browser that knows nothing yet; the page's own errors fail the test."""
    wrong: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch_persistent_context(
            tmp_path / "profile", executable_path=CHROMIUM, headless=True, args=list(ARGUMENTS)
        )
        try:
            shown = browser.pages[0]
            shown.on("pageerror", lambda error: wrong.append(str(error)))
            shown.on("console", lambda line: wrong.append(line.text) if line.type == "error" else None)
            shown.goto(bench.slack.requests.url)
            yield shown
        finally:
            browser.close()
    assert wrong == []


def test_an_alert_is_seen_acknowledged_and_asked_about(bench: Lab, page: Page) -> None:
    """The alert appears by itself, a press of Acknowledge shows who has it, and /audit answers in the same place."""
    bench.posted_alert(actor="<img src=x onerror=alert(1)> eve")
    messages = page.get_by_role("log", name="Messages")
    expect(messages).to_contain_text("High: <img src=x onerror=alert(1)> eve: Bulk delete by one actor")
    expect(messages).to_contain_text("nobody has it yet")
    messages.get_by_role("button", name="Acknowledge").click()
    expect(messages).to_contain_text("Acknowledged by @Grace Wanjiru")
    expect(messages.get_by_role("button", name="Acknowledge")).to_have_count(0)

    page.keyboard.press("/")
    page.keyboard.type("audit top by:actor last:7d")
    page.keyboard.press("Enter")
    answer = messages.locator(".ephemeral")
    expect(answer).to_contain_text("Only visible to you")
    expect(answer).to_contain_text("Top 1 by actor")
    expect(answer.get_by_role("row").nth(1)).to_contain_text("eve")
    expect(answer.get_by_role("row").nth(1)).to_contain_text("12")
    assert page.locator("img").count() == 0

    page.get_by_label("You are").select_option(label="Nadia Karimi – not allowed")
    expect(messages.locator(".ephemeral")).to_have_count(0)
    messages.get_by_role("button", name="Resolve").click()
    expect(messages.locator(".ephemeral")).to_contain_text("You may not use this bot")


def test_a_picture_in_a_thread_is_seen_and_said(bench: Lab, page: Page) -> None:
    """The file of an alert shows in its thread, with its title above and its words for whoever cannot see it."""
    _, ts = bench.posted_alert()
    drawn = io.BytesIO()
    Image.new("RGB", (40, 20), "teal").save(drawn, "PNG")
    bench.app.post_file(ALERTS, "A1.png", drawn.getvalue(), "Thirty days", alt="a teal <b>field</b>", thread_ts=ts)
    page.get_by_role("button", name="1 reply").click()
    thread = page.get_by_role("region", name="Thread")
    picture = thread.get_by_role("img", name="a teal <b>field</b>")
    expect(thread).to_contain_text("Thirty days")
    expect(picture).to_have_js_property("naturalWidth", 40)


def test_a_modal_is_filled_in_by_keyboard_and_what_is_wrong_stands_under_the_field(page: Page, bench: Lab) -> None:
    """What was typed stays while other blocks change and errors appear; Escape closes."""
    views = bench.slack.views
    blocks = [
        field("unit", choice("hour", "day"), dispatch_action=True), field("why", {"type": "plain_text_input"}),
        field("kind", choice("one", "all", kind="radio_buttons")), field("who", {"type": "users_select"}),
    ]  # fmt: skip
    opened = views.open(views.new_trigger(GRACE, "t"), form(*blocks))["view"]
    dialog = page.get_by_role("dialog", name="Form")
    dialog.get_by_label("why").fill("because")
    dialog.get_by_label("All").check()
    dialog.get_by_label("who").select_option(label="Daniel Cohen")
    words = {"type": "section", "block_id": "seen", "text": plain("hides 3")}
    views.update(form(blocks[0], words, *blocks[1:]), opened["id"])
    expect(dialog).to_contain_text("hides 3")
    dialog.get_by_role("button", name="Send").click()
    expect(dialog.get_by_role("alert").first).to_have_text("Please complete this required field.")
    expect(dialog.get_by_label("why")).to_have_value("because")
    dialog.get_by_label("unit").select_option("day")
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    assert views.top(GRACE) is None


def test_a_question_is_built_turned_shared_and_looked_up(bench: Lab, page: Page) -> None:
    """The form asks for those who do not type; its answer has pages and is shared; Home leads to it."""
    fill(bench.store, "<b>eve</b>@corp.example", count=25)
    bench.slack.post(bench.slack.channels[ALERTS], {"text": "who is `<b>eve</b>`?"}, bot_id=None, user=DANIEL)
    page.get_by_role("button", name="audit-bot: Home").click()
    home = page.get_by_label("Home of audit-bot")
    expect(home).to_contain_text("What waits for somebody: nothing")
    home.get_by_role("button", name="Build a query").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Who").fill("<b>eve*")
    dialog.get_by_label("When").select_option("last:7d")
    expect(dialog).to_contain_text('/audit search actor:"<b>eve*" last:7d')
    dialog.get_by_role("button", name="Ask").click()
    expect(dialog).to_be_hidden()

    page.locator("#directs").get_by_role("button", name="audit-bot").click()
    messages = page.get_by_role("log", name="Messages")
    expect(messages).to_contain_text("20 of 25 events, newest first")
    messages.get_by_role("button", name="Next").click()
    expect(messages).to_contain_text("21 to 25 of 25 events")
    expect(messages.get_by_role("row")).to_have_count(6)

    page.get_by_role("navigation", name="Channels").get_by_role("button", name="security-alerts").click()
    messages.get_by_text("who is").hover()
    messages.get_by_role("button", name="Look up in audit log").click()
    expect(messages.locator(".ephemeral")).to_contain_text("20 of 25 events")
    messages.get_by_role("button", name="Share in channel").click()
    expect(messages).to_contain_text("Shared by @Grace Wanjiru")
    assert page.locator("li b", has_text="eve").count() == 0


def test_an_exception_is_asked_for_approved_by_a_second_person_and_the_actor_is_asked(bench: Lab, page: Page) -> None:
    """The whole way through the page: form, preview, announcement, another's click, direct message, answer."""
    bench.posted_alert(actor="fatima.alzahra@corp.example")
    messages = page.get_by_role("log", name="Messages")
    messages.get_by_role("button", name="Expected").click()
    dialog = page.get_by_role("dialog", name="Expected")
    expect(dialog).to_contain_text("this would have hidden 1 finding with 12 events, and 1 whole alert")
    dialog.get_by_label("Why is this expected?").fill("clean-up <!here>")
    dialog.get_by_label("For how long?").select_option("30d")
    expect(dialog).to_contain_text("A second person has to approve it: it lasts longer than 7 days.")
    expect(dialog.get_by_label("Why is this expected?")).to_have_value("clean-up <!here>")
    dialog.get_by_role("button", name="Expect it").click()
    expect(messages).to_contain_text("clean-up <!here>")
    page.get_by_label("You are").select_option("U0DANIEL")
    messages.get_by_role("button", name="Approve").click()
    expect(messages).to_contain_text("approved by @Daniel Cohen")
    messages.get_by_role("button", name="Ask the person").click()
    expect(messages).to_contain_text("@Fatima Alzahra was asked")

    page.get_by_label("You are").select_option("U0FATIMA")
    page.locator("#directs").get_by_role("button").click()
    messages.get_by_role("button", name="No, not me").click()
    page.get_by_role("dialog").get_by_label("What should the security team know?").fill("I was asleep")
    page.get_by_role("dialog").get_by_role("button", name="Send").click()
    expect(messages).to_contain_text("You answered no")
    page.locator("#channels").get_by_role("button", name="security-alerts").click()
    expect(messages).to_contain_text("@Fatima Alzahra said no")
