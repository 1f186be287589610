"""Invisible characters are dropped, letters in boxes are read, and what scripts and emoji need stays."""

from __future__ import annotations

import pytest

from agent.prompt.normalise import normalise
from agent.prompt.normalise.characters import drop_invisible, unbox


@pytest.mark.parametrize(
    ("boxed", "plain"),
    [
        ("🅶🆄🅽", "GUN"),
        ("a 🅺🅽🅸🅵🅴 on 🅰 table", "a KNIFE on A table"),
        ("🅑🅛🅞🅞🅓", "BLOOD"),
        ("🅱🅾🅾🅱🆂", "BOOBS"),
        ("🅱lood", "Blood"),
        ("🅱\ufe0flood", "Blood"),
        ("🆂🅰🅽🅶🆁🅴 sur le mur", "SANGRE sur le mur"),
        ("🇬🇺🇳", "GUN"),
        ("🇧🇱🇴🇴🇩 on a wall", "BLOOD on a wall"),
        ("🇸🇪🇽🇾 🇩🇪", "SEXY 🇩🇪"),
        ("⒢⒰⒩", "gun"),
    ],
)
def test_letters_in_boxes_and_of_flags_that_do_not_exist_are_read(boxed: str, plain: str) -> None:
    assert unbox(boxed) == plain


@pytest.mark.parametrize(
    ("boxed", "plain"),
    [("🅶 🆄 🅽", "GUN"), ("🇬 🇺 🇳", "GUN"), ("🇬\u200b🇺\u200b🇳", "GUN"), ("🄶🅄🄽", "GUN"), ("Ⓖⓤⓝ", "Gun"), ("ᵍᵘⁿ", "gun")],
)
def test_spaced_boxes_and_compatibility_forms_are_read(boxed: str, plain: str) -> None:
    assert normalise(boxed) == plain


@pytest.mark.parametrize(
    "text",
    ["🇩🇪", "🇩🇪🇫🇷🇮🇹", "blood types 🅰\ufe0f 🅱\ufe0f 🆎 🅾\ufe0f", "a 🅿\ufe0f sign", "⒜ first ⒝ second", "🆗 🆒 🆘"],
)
def test_flags_buttons_and_numbered_lists_stay(text: str) -> None:
    assert unbox(text) == text


def test_invisible_characters_and_strike_through_are_dropped() -> None:
    assert drop_invisible("bl\u200bo\u00ado\u2060d") == "blood"
    assert drop_invisible("b\u0336l\u0336o\u0336o\u0336d\u0336") == "blood"


@pytest.mark.parametrize("text", ["می\u200cخواهم", "र\u200dय", "👩\u200d👩\u200d👧", "🏳\ufe0f\u200d🌈", "👍🏽"])
def test_joiners_stay_where_scripts_and_emoji_need_them(text: str) -> None:
    assert drop_invisible(text) == text
