"""Pictures in threads: once for each alert, after its message, whatever crashes or is refused in between."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image

from bot.alert.pictures import TRIES, Illustrator
from bot.model import Entity
from bot.sandbox.slack_state import ALERTS, OPS, Fault
from bot.store import alerts
from bot.store.messages import pictures
from bot.store.queries.explain import activity_of, alert_story, event_story
from bot.times import DAY, HOUR, MINUTE
from tests.slack_lab import NOW, Lab, fill, lab, record, seed_alert
from tests.test_activity import figures


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Lab]:
    with lab(tmp_path) as made:
        yield made


def illustrator(bench: Lab) -> Illustrator:
    """Return one as a new process would make it, a minute after it learnt what was posted."""
    pictures.take_note(bench.store, bench.clock())
    bench.clock.leap(pictures.SETTLE)
    return Illustrator(bench.store, bench.app, bench.clock)


def files(bench: Lab, ts: str) -> list[dict[str, Any]]:
    return [file for reply in bench.slack.messages(thread=ts) for file in reply.get("files", ())]


def states(bench: Lab) -> list[str]:
    return [row[0] for row in bench.store.rows("SELECT state FROM pictures ORDER BY id")]


def test_the_thread_of_an_alert_gets_one_picture_with_true_words(bench: Lab) -> None:
    """After the message, which never waited for it; and not again, by whichever process."""
    fill(bench.store, count=7, end=NOW - 3 * DAY)
    fill(bench.store, "other@corp.example", count=9, end=NOW - 2 * DAY)
    number, ts = bench.posted_alert()
    assert not [name for name, _ in bench.slack.recorded.calls if name.startswith("files.")]
    assert Illustrator(bench.store, bench.app, bench.clock).run_once() == 0  # it gathers itself first
    assert illustrator(bench).run_once() == 1
    assert illustrator(bench).run_once() == 0
    [file] = files(bench, ts)
    assert file["name"] == f"A{number}.png"
    assert file["title"] == "eve@corp.example: events by hour, the last 30 days"
    assert figures(file["alt_txt"], r": (\d+) events on (\d+) of 30 days") == (19, 2)
    assert figures(file["alt_txt"], r"(\d+) events in th[a-z]+ hours?") == (12,)
    with Image.open(io.BytesIO(httpx.get(file["url_private"], trust_env=False).content)) as shown:
        assert (shown.format, shown.size[0]) == ("PNG", 900)
    assert bench.slack.recorded.refused == []


def test_what_is_not_posted_gets_no_picture(bench: Lab) -> None:
    """Neither history, nor what still waits for Slack, nor what is older than a day."""
    seed_alert(bench.store)
    assert illustrator(bench).run_once() == 0
    bench.deliver()
    bench.clock.leap(2 * DAY)
    assert illustrator(bench).run_once() == 0


@pytest.mark.parametrize("there", [True, False])
def test_a_picture_cut_off_by_a_crash_is_looked_up(bench: Lab, there: bool) -> None:
    """One that came through is not uploaded again; one that did not, is."""
    number, ts = bench.posted_alert()
    illustrator(bench)
    assert pictures.claim(bench.store, bench.clock())
    if there:
        bench.app.post_file(ALERTS, f"A{number}.png", b"x", "x", thread_ts=ts)
    anew = illustrator(bench)
    anew.recover()
    assert anew.run_once() == 1
    assert len(files(bench, ts)) == 1
    assert states(bench) == ["posted"]


def test_a_lost_reply_ends_in_one_picture(bench: Lab) -> None:
    _, ts = bench.posted_alert()
    bench.slack.fail("files.completeUploadExternal", Fault(drop=True))
    assert illustrator(bench).run_once() == 0
    bench.clock.leap(MINUTE)
    assert illustrator(bench).run_once() == 1
    assert len(files(bench, ts)) == 1


@pytest.mark.slow
def test_a_failing_picture_is_dropped_after_a_few_tries_without_noise(
    bench: Lab, caplog: pytest.LogCaptureFixture
) -> None:
    """The alert's message stands, nobody is rung, and the log says it once."""
    _, ts = bench.posted_alert()
    bench.slack.fail("files.getUploadURLExternal", Fault("internal_error", 500), times=99)
    before = bench.store.value("SELECT count(*) FROM outbox")
    for _ in range(TRIES + 3):
        illustrator(bench).run_once()
        bench.clock.leap(10 * MINUTE)
    assert bench.store.value("SELECT tries FROM pictures") == TRIES
    assert (states(bench), files(bench, ts), bench.slack.messages(OPS)) == (["dropped"], [], [])
    assert bench.store.value("SELECT count(*) FROM outbox") == before
    assert caplog.text.count("a picture is left out") == 1


def test_an_app_without_the_scope_goes_on_without_pictures(bench: Lab) -> None:
    """An older installation: one try an alert."""
    bench.slack.scopes.discard("files:write")
    bench.posted_alert()
    illustrator(bench).run_once()
    assert states(bench) == ["dropped"]


@pytest.mark.slow
def test_a_rate_limit_is_obeyed_and_holds_up_the_rest(bench: Lab) -> None:
    bench.posted_alert()
    bench.posted_alert(actor="mallory@corp.example")
    bench.slack.fail("files.getUploadURLExternal", Fault("ratelimited", 429, 30))
    assert illustrator(bench).run_once() == 0
    assert sorted(states(bench)) == ["pending", "pending"]
    bench.clock.leap(31_000_000)
    assert illustrator(bench).run_once() == 2


def test_a_picture_that_cannot_be_drawn_is_given_up(bench: Lab, caplog: pytest.LogCaptureFixture) -> None:
    """A fault of our own is logged whole, once."""
    pictures.put(bench.store, ALERTS, "1.1", "unheard-of report", NOW)
    assert illustrator(bench).run_once() == 0
    assert states(bench) == ["dropped"]
    assert "KeyError" in caplog.text


# -- what is gathered for them ---------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("entity", "who", "count"),
    [
        (Entity("actor", "eve@corp.example"), "eve@corp.example", 12),
        (Entity("ip", "192.0.2.66"), "192.0.2.66", 12),
        (Entity("unknown", ""), "nobody named", 1),
        (Entity("workspace", ""), "the whole workspace", 14),
        (Entity("actor", "nobody@corp.example"), "nobody@corp.example", 0),
    ],
)
def test_every_kind_of_entity_has_its_days(bench: Lab, entity: Entity, who: str, count: int) -> None:
    from bot.store.log import events

    fill(bench.store)
    odd = [
        record(NOW - DAY, "CREATE", None, "x", ip=None),
        record(NOW - HOUR, "CREATE", "ann@corp.example", "y"),
        record(NOW - 31 * DAY, "CREATE", "eve@corp.example", "z"),
    ]
    events.add(bench.store, odd, events.number_twins(bench.store, odd))
    shown = activity_of(bench.store, entity, bench.app._zone, (NOW - HOUR, NOW))
    assert (shown.who, shown.total) == (who, count)


def test_an_alert_and_an_event_are_explained_by_the_same_days(bench: Lab) -> None:
    """The terminal and Slack draw what is gathered here."""
    number = seed_alert(bench.store)
    story = alert_story(bench.store, number, NOW, bench.app._zone)
    assert story is not None
    assert [finding.title for finding in story.findings] == ["Bulk delete by one actor"]
    event = event_story(bench.store, story.view.evidence[0].id, bench.app._asking._commands._facts)
    assert event is not None
    assert event.findings == story.findings
    assert event.activity.counts == story.activity.counts
    assert event.event.facts["actor_kind"] == "person"
    assert alert_story(bench.store, 99, NOW, bench.app._zone) is None
    assert event_story(bench.store, 9_999, bench.app._asking._commands._facts) is None
    assert re.search(r"12 events", story.activity.words())
    assert alerts.alert(bench.store, number) == story.view.alert
