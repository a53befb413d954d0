"""Every surface in a real browser, through the real Bolt app: alerts, notices, digests, questions, forms, Home."""

from __future__ import annotations

import io
import os
import re
import shutil
from collections.abc import Iterator
from datetime import UTC
from pathlib import Path
from typing import Any, Literal

import pytest
from PIL import Image, ImageColor
from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

from bot.alert import digest, follow
from bot.alert.pictures import Illustrator
from bot.alert.quiet_hours import QuietHours
from bot.alert.routing import Routing
from bot.charts.drawing import GROUND
from bot.model import Level
from bot.sandbox.slack_state import ALERTS, GENERAL, OPS
from bot.store.messages import digest as gathered
from bot.store.messages import outbox
from bot.store.people import exceptions
from bot.times import DAY, HOUR, MINUTE, WEEK
from tests.slack_lab import DANIEL, GRACE, NOW, Lab, fill, lab
from tests.test_notice_slack import flood
from tests.view_lab import choice, field, form, plain

CHROMIUM = shutil.which("chromium")
ARGUMENTS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip

MENU = ("Timeline", "Add a note", "Export as CSV", "Share in a channel")

pytestmark = pytest.mark.skipif(
    CHROMIUM is None and os.environ.get("CI") != "true", reason="there is no chromium on this machine"
)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Lab]:
    with lab(tmp_path) as made:
        yield made


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Return one for all tests: it takes longer to start than a test."""
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, headless=True, args=list(ARGUMENTS))
        yield started
        started.close()


@pytest.fixture
def page(browser: Browser, bench: Lab) -> Iterator[Page]:
    """Open the page in a profile that knows nothing yet; the page's own errors fail the test."""
    wrong: list[str] = []
    profile = browser.new_context(viewport={"width": 1180, "height": 900})
    profile.set_default_timeout(15_000)
    shown = profile.new_page()
    shown.on("pageerror", lambda error: wrong.append(str(error)))
    shown.on("console", lambda line: wrong.append(line.text) if line.type == "error" else None)
    shown.goto(bench.slack.requests.url)
    yield shown
    profile.close()
    assert wrong == []


def say(page: Page, text: str) -> Locator:
    """Type a line; return the newest thing that only its writer sees, once it is there."""
    seen = page.locator("li.ephemeral").count()
    page.get_by_label("Message or command").fill(text)
    page.keyboard.press("Enter")
    return page.locator("li.ephemeral").nth(seen)


def go(page: Page, channel: str) -> Locator:
    """Open a channel, or the direct messages with audit-bot; return its messages."""
    named = re.compile(rf"^{channel}( \d+)?$")  # the number of new messages beside it
    page.get_by_role("navigation", name="Channels").get_by_role("button", name=named).click()
    return page.get_by_role("log", name="Messages")


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


@pytest.mark.slow
def test_each_button_of_an_alert_does_what_it_says(bench: Lab, page: Page) -> None:
    """Down the row and through the menu; message and thread show what became of it."""
    bench.posted_alert()
    messages, dialog = page.get_by_role("log", name="Messages"), page.get_by_role("dialog")
    alert = messages.locator("li.message").first

    def press(name: str, *fields: tuple[str, str], send: str) -> None:
        if name in MENU:
            alert.get_by_label("More actions").click()
            alert.get_by_role("menuitem", name=name).click()
        else:
            alert.get_by_role("button", name=name, exact=True).click()
        for label, value in fields:
            field = dialog.get_by_label(label)
            field.select_option(value) if value.startswith(("U0", "C0", "1d")) else field.fill(value)
        if send:
            dialog.get_by_role("button", name=send, exact=True).click()

    press("Snooze", ("For how long?", "1d"), send="")
    expect(dialog).to_contain_text("this would have hidden 1 finding with 12 events, and 1 whole alert")
    dialog.get_by_label("Why?").fill("a <b>planned</b> clean-up")
    dialog.get_by_role("button", name="Snooze").click()
    expect(messages).to_contain_text('@Grace Wanjiru snoozed actor:"eve@corp.example"')
    expect(alert).to_contain_text("Snoozed until 2026-11-24")
    press("Assign", ("To whom?", "U0NADIA"), send="Assign")
    expect(dialog.get_by_role("alert").first).to_have_text("Only people who may use this bot can be given an alert.")
    dialog.get_by_label("To whom?").select_option(DANIEL)
    dialog.get_by_role("button", name="Assign").click()
    expect(alert).to_contain_text("Assigned to @Daniel Cohen by @Grace Wanjiru")
    press("Evidence", send="")
    expect(messages.locator(".ephemeral").first).to_contain_text("12 of 12 events")
    press("Timeline", send="")
    expect(messages.locator(".ephemeral").nth(1)).to_contain_text("Compared")
    press("Add a note", ("What should others know?", "called <!here> the owner"), send="Add it")
    expect(dialog).to_be_hidden()
    press("Export as CSV", send="")
    press("Share in a channel", ("Where to?", OPS), send="Share")
    expect(dialog).to_be_hidden()
    press("Resolve", ("Note", "it was a thief"), send="")
    dialog.get_by_label("Right: this had to be looked at").check()
    dialog.get_by_role("button", name="Resolve").click()
    expect(alert).to_contain_text("Resolved by @Grace Wanjiru")
    expect(alert.get_by_role("button", name="Snooze")).to_have_count(0)
    alert.locator("button.replies").click()
    thread = page.get_by_role("region", name="Thread")
    for said in (
        "@Grace Wanjiru notes: called <!here> the owner",
        "@Grace Wanjiru chose to snooze this for 24 h: a <b>planned</b> clean-up.",
        "@Grace Wanjiru resolved it as right: it was a thief.",
        "Events of A1",
    ):
        expect(thread).to_contain_text(said)
    expect(thread.locator("a[download='A1.csv']")).to_have_count(1)
    expect(go(page, "audit-bot-ops")).to_contain_text("High: eve@corp.example: Bulk delete by one actor")
    assert page.locator("li b", has_text="planned").count() == 0


def test_a_storm_and_a_quiet_night_are_listed_and_worked_on_from_their_notices(bench: Lab, page: Page) -> None:
    """What has no message of its own is opened from the list, taken, and shows in its notice."""
    flood(bench, 13)
    messages = page.get_by_role("log", name="Messages")
    storm = messages.locator("li.message", has_text="Storm: 3 alerts beyond the limit, the worst medium.")
    storm.get_by_role("button", name="List them").click()
    listed = messages.locator(".ephemeral")
    expect(listed).to_contain_text("3 alerts of 3, the most urgent first")
    listed.get_by_role("button", name="A12").click()
    opened = messages.locator(".ephemeral").nth(1)
    expect(opened).to_contain_text("Medium: a11@corp.example: Bulk delete by one actor")
    opened.get_by_role("button", name="Acknowledge").click()
    expect(messages.locator(".ephemeral").nth(2)).to_contain_text("You have acknowledged A12.")
    expect(storm).to_contain_text("2 open, 1 acknowledged")

    night = Routing(quiet_hours=(QuietHours(7 * 60, 9 * 60),))
    flood(bench, 2, Level.medium, night, who="b")
    bench.clock.leap(HOUR + MINUTE)
    follow.run_once(bench.store, night, bench.clock(), UTC)
    bench.deliver()
    expect(storm).to_contain_text("The storm is over: 3 alerts")
    held = messages.locator(
        "li.message", has_text="2 alerts of the quiet hours, the worst medium, held until 09:00 UTC."
    )
    held.get_by_role("button", name="List them").click()
    expect(messages.locator(".ephemeral").last).to_contain_text("open, held until 09:00")


def test_digest_report_and_its_picture_are_read_by_day_and_by_night(bench: Lab, page: Page) -> None:
    """The picture stands on a light ground of its own in both; a channel that the bot joins is greeted."""
    bench.posted_alert()
    kinds: tuple[tuple[gathered.Kind, int], ...] = (("daily", DAY), ("weekly", WEEK))
    for kind, span in kinds:
        outbox.put(bench.store, "digest", bench.clock(), body=gathered.body(kind, NOW - span, NOW + HOUR))
    bench.deliver()
    Illustrator(bench.store, bench.app, bench.clock, UTC, digest.drawers(bench.store, UTC)).run_once()
    messages = page.get_by_role("log", name="Messages")
    expect(messages).to_contain_text("Digest of Sun 22 Nov to Mon 23 Nov: 1 alert, 1 still open.")
    report = messages.locator("li.message", has_text="Rules, Mon 16 Nov to Mon 23 Nov: 1 alert")
    expect(report.get_by_role("row").nth(1)).to_contain_text("Bulk delete by one actor")
    report.locator("button.replies").click()
    picture = page.get_by_role("region", name="Thread").get_by_role("img")
    expect(picture).to_have_attribute("alt", re.compile("^Bursts by rule, .*: 1 burst of 1 rule"))
    expect(picture).to_have_js_property("complete", value=True)
    grounds = set()
    schemes: tuple[Literal["light", "dark"], ...] = ("light", "dark")
    for scheme in schemes:
        page.emulate_media(color_scheme=scheme)
        with Image.open(io.BytesIO(picture.screenshot())) as shot:
            assert shot.convert("RGB").getpixel((9, 9)) == ImageColor.getrgb(GROUND)
        grounds.add(page.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert len(grounds) == 2

    bench.slack.requests.invite(GENERAL)
    hello = go(page, "general")
    expect(hello).to_contain_text("Hello, I am audit-bot. I watch the audit log")
    expect(hello).to_contain_text("Alerts go to #security-alerts.")
    hello.get_by_role("button", name="Build a query").click()
    expect(page.get_by_role("dialog", name="Ask the audit log")).to_contain_text("/audit search last:24h")


@pytest.mark.slow
def test_answers_are_corrected_exported_drawn_and_ended_and_home_shows_what_is_mine(bench: Lab, page: Page) -> None:
    """The rest of /audit, and the Home tab of somebody with work."""
    bench.posted_alert()
    made: dict[str, Any] = {"author": GRACE, "now": NOW, "expires": NOW + DAY, "kind": "snooze"}
    for who in ("ci", "cd"):
        exceptions.add(bench.store, f"actor:{who}*", reason=f"nightly {who}", **made)
    expect(say(page, "/audit actro:eve last:7d")).to_contain_text("Try: /audit actor:eve last:7d")
    expect(say(page, "/audit show A1").get_by_role("button", name="Picture")).to_be_visible()
    expect(say(page, "/audit status")).to_contain_text("Open alerts: 1")
    ranked = say(page, "/audit top by:object last:7d")
    ranked.get_by_role("button", name="Picture").click()
    ranked.get_by_role("button", name="Export CSV").click()
    kept = say(page, "/audit exceptions")
    kept.get_by_label("End one…").select_option("1")
    expect(kept).to_contain_text("Exception 1 has ended. 1 exception in force")
    say(page, "/audit help").get_by_role("button", name="Build a query").click()
    expect(page.get_by_role("dialog", name="Ask the audit log")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()
    mine = go(page, "audit-bot")
    expect(mine.get_by_role("img", name=re.compile("^Events by object"))).to_be_visible()
    expect(mine.locator("a[download^='audit-2026-11-23']")).to_contain_text("12 events, the oldest first.")

    page.get_by_role("button", name="audit-bot: Home").click()
    home = page.get_by_label("Home of audit-bot")
    expect(home).to_contain_text("What waits for somebody: 1 alert")
    expect(home).to_contain_text("nightly cd")
    home.get_by_label("End one…").select_option("2")
    expect(home).to_contain_text("What you keep quiet: nothing")
    home.get_by_role("link", name="A1").click()
    expect(page.get_by_role("log", name="Messages")).to_contain_text("nobody has it yet")
