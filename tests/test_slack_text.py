"""Text from strangers: what people see of it, and that Slack reads nothing into it."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.slack.text import NOTHING_VISIBLE, clean, clean_lines, cut, defuse
from tests.laws import law

HIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


@pytest.mark.parametrize(
    ("given_name", "seen"),
    [
        ("eve@corp.example", "eve@corp.example"),
        ("  two\n\tlines ", "two lines"),
        ("\u202egnp.exe\u202c", "gnp.exe"),
        ("zero\u200bwidth\ufeff\u00adjoin\u2060er", "zerowidthjoiner"),
        ("bell\x07 escape\x1b[31m", "bell escape[31m"),
        ("half\ud800pair", "halfpair"),
        ("\u200b\u2800\u3164", NOTHING_VISIBLE),
        ("", NOTHING_VISIBLE),
        ("<!channel> `code` *bold* :smile:", "<!channel> `code` *bold* :smile:"),
        ("日本語 und Ümläute", "日本語 und Ümläute"),
    ],
)
def test_a_name_keeps_what_can_be_seen_and_loses_the_rest(given_name: str, seen: str) -> None:
    assert clean(given_name) == seen


def test_a_long_name_is_cut_with_an_ellipsis() -> None:
    assert clean("x" * 5_000, 20) == "x" * 19 + "…"
    assert cut("short", 20) == "short"


def test_marks_do_not_pile_up_on_a_letter() -> None:
    assert len(clean("a" + "\u0335" * 60)) <= 3


def test_lines_stay_lines_where_they_are_meant() -> None:
    assert clean_lines("one\ntwo\u202e\n", 100) == "one\ntwo"


@law()
@given(st.text(st.characters(exclude_categories=()), max_size=300))
def test_nothing_hidden_survives_and_something_is_always_there(name: str) -> None:
    """Cleaning leaves one line of visible characters within the limit, whatever comes."""
    seen = clean(name, 60)
    assert 0 < len(seen) <= 60
    assert not any(unicodedata.category(character) in HIDDEN for character in seen)
    assert clean(seen, 60) == seen
    seen.encode()


@law()
@given(st.text(st.sampled_from("<>&|!@#:/`*_~ab1 "), max_size=60))
def test_no_fallback_text_holds_a_mention_a_link_or_an_emoji(text: str) -> None:
    """What Slack reads in `text` is only what stands between < and >, a scheme before //, or a name between colons."""
    made = defuse(text)
    assert "<" not in made
    assert ">" not in made
    assert "://" not in made
    assert not [part for part in made.split(":")[1:-1] if part and all(c.isalnum() or c in "_+'-" for c in part)]


def test_what_is_no_markup_stays_readable() -> None:
    plain = "High: eve@corp.example at 07:59 from 192.0.2.66, 12 events; usual: none"
    assert defuse(plain) == plain
