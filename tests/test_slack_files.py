"""Files in Slack: three steps of an upload, in a thread or not, and what the stand-in refuses of it."""

from __future__ import annotations

import io
from collections.abc import Iterator

import httpx
import pytest
from PIL import Image

from bot.errors import DeliveryError
from bot.sandbox.slack import FakeSlack, fake_slack
from bot.sandbox.slack_state import ALERTS, ARCHIVED, GENERAL, Fault
from bot.serving import serve
from bot.slack.sender import SlackSender
from tests.slack_lab import SECRET, Clock, all_taken, settings


def png(colour: str = "red") -> bytes:
    made = io.BytesIO()
    Image.new("RGB", (8, 8), colour).save(made, "PNG")
    return made.getvalue()


class Desk:
    """A sender and its Slack."""

    def __init__(self, slack: FakeSlack, sender: SlackSender, url: str) -> None:
        self.slack, self.sender, self.url = slack, sender, url

    def post(
        self, channel: str = ALERTS, name: str = "A1.png", thread: str | None = None, alt: str = "a square"
    ) -> None:
        self.sender.post_file(channel, name, png(), "Thirty <b>days</b>", alt=alt, thread_ts=thread)


@pytest.fixture
def desk() -> Iterator[Desk]:
    fake, slack = fake_slack("", SECRET, Clock())
    with serve(fake) as server:
        yield Desk(slack, SlackSender(settings(server.url), Clock()), server.url)
        all_taken(slack)


def test_a_picture_stands_in_the_thread_with_its_words(desk: Desk) -> None:
    """What was uploaded can be looked at, and whoever cannot see it is told what it shows."""
    root = desk.sender.post_text(ALERTS, "root")
    desk.post(thread=root, alt="a red square, no <!channel>")
    [reply] = desk.slack.messages(thread=root)
    [file] = reply["files"]
    assert (file["name"], file["title"], file["alt_txt"]) == (
        "A1.png", "Thirty <b>days</b>", "a red square, no <!channel>",
    )  # fmt: skip
    shown = httpx.get(file["url_private"], trust_env=False)
    assert (shown.content, shown.headers["content-type"]) == (png(), "image/png")


def test_a_file_is_found_again_in_its_thread_only(desk: Desk) -> None:
    """After a crash the bot asks whether the picture is there already; other apps' files count for nothing."""
    roots = [desk.sender.post_text(ALERTS, "root") for _ in range(2)]
    desk.post(thread=roots[0])
    desk.slack.post(
        desk.slack.channels[ALERTS], {"text": ""}, bot_id="B0OTHER", thread_ts=roots[1], files=[{"name": "A1.png"}]
    )
    assert desk.sender.has_file(ALERTS, roots[0], "A1.png")
    assert not desk.sender.has_file(ALERTS, roots[0], "A2.png")
    assert not desk.sender.has_file(ALERTS, roots[1], "A1.png")


def test_what_is_no_picture_can_only_be_saved(desk: Desk) -> None:
    """A file with a script in it is never opened as a page."""
    desk.sender.post_file(ALERTS, "events.csv", b"<script>alert(1)</script>", "events")
    [message] = desk.slack.messages()
    shown = httpx.get(message["files"][0]["url_private"], trust_env=False)
    assert shown.headers["content-disposition"].startswith("attachment")
    assert shown.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    ("channel", "code"), [("C0NOWHERE", "channel_not_found"), (GENERAL, "not_in_channel"), (ARCHIVED, "is_archived")]
)
def test_a_channel_that_cannot_be_used_is_a_permanent_error(desk: Desk, channel: str, code: str) -> None:
    with pytest.raises(DeliveryError) as caught:
        desk.post(channel)
    assert (caught.value.code, caught.value.permanent) == (code, True)


def test_without_the_scope_nothing_is_uploaded(desk: Desk) -> None:
    """An app that was installed before pictures came says so at the first step."""
    desk.slack.scopes.discard("files:write")
    with pytest.raises(DeliveryError) as caught:
        desk.post()
    assert (caught.value.code, caught.value.permanent) == ("missing_scope", True)
    assert desk.slack.files.stored() == []


def test_an_alternative_text_is_cut_to_what_slack_takes(desk: Desk) -> None:
    desk.post(alt="word " * 1_000)
    assert len(desk.slack.messages()[0]["files"][0]["alt_txt"]) <= 1_000


def test_a_lost_reply_to_the_last_step_is_a_passing_error_and_one_message(desk: Desk) -> None:
    root = desk.sender.post_text(ALERTS, "root")
    desk.slack.fail("files.completeUploadExternal", Fault(drop=True))
    with pytest.raises(DeliveryError) as caught:
        desk.post(thread=root)
    assert (caught.value.code, caught.value.permanent) == ("reply_lost", False)
    assert len(desk.slack.messages(thread=root)) == 1
    assert desk.sender.has_file(ALERTS, root, "A1.png")


def test_the_stand_in_takes_only_what_was_announced(desk: Desk) -> None:
    """Wrong lengths, unknown addresses, files shown twice or never uploaded: refused as Slack does."""
    api = desk.sender._posts.client
    first = api.files_getUploadURLExternal(filename="x.png", length=3)
    assert httpx.post(first["upload_url"], content=b"four", trust_env=False).status_code == 400
    assert httpx.post(f"{desk.url}/upload/F0", content=b"abc", trust_env=False).status_code == 404
    assert httpx.get(f"{desk.url}/files/{first['file_id']}", trust_env=False).status_code == 404
    for method, given, word in (
        ("files.completeUploadExternal", {"files": f'[{{"id": "{first["file_id"]}"}}]'}, "file_not_found"),
        ("files.completeUploadExternal", {"files": "[]"}, "missing_argument"),
        ("files.getUploadURLExternal", {"filename": "x.png", "length": 0}, "missing_argument"),
        ("files.getUploadURLExternal", {"filename": "x.png", "length": 1, "alt_txt": "x" * 1001}, "alt_txt_too_large"),
        ("conversations.replies", {"channel": ALERTS, "ts": "1.1"}, "thread_not_found"),
    ):
        answer = httpx.post(
            f"{desk.url}/api/{method}", data=given, headers={"Authorization": f"Bearer {api.token}"}, trust_env=False
        )
        assert answer.json()["error"] == word
