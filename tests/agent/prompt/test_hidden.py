"""Hidden letters come into plain sight; what only looks hidden stays."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.prompt.compose import composed
from agent.prompt.hidden import reveal
from propriety.verdict import ChatMessage

HIDDEN = [
    "a severed arm", "blood everywhere", "un homme pendu", "bir silah", "a bottle of wine", "naked people",
    "eine Bombe", "pistolet", "un arma de fuego", "ganja", "A GUN!", "100% beer",
]  # fmt: skip


def in_tags(text: str) -> str:
    return "".join(chr(0xE0000 + ord(letter)) for letter in text)


def in_selectors(text: str) -> str:
    return "".join(chr(0xFE00 + byte if byte < 16 else 0xE0100 + byte - 16) for byte in text.encode())


@pytest.mark.parametrize("text", HIDDEN)
@pytest.mark.parametrize("hide", [in_tags, in_selectors, lambda text: "\U000e0001" + in_tags(text) + "\U000e007f"])
@pytest.mark.parametrize("place", ["{} a tree on a hill", "a tree{} on a hill", "a tree on a hill 🌳{}", "قلعة{}"])
def test_hidden_text_is_judged_and_nothing_of_it_stays_hidden(text: str, hide, place: str) -> None:
    prompt = composed([ChatMessage(role="user", content=place.format(hide(text)))], 8000)
    assert text in prompt
    assert not any(0xE0000 <= ord(letter) <= 0xE01EF for letter in prompt)
    assert place.format("").split()[0] in prompt


@pytest.mark.parametrize("text", ["قلعة على تل", "愛", "кровь", "🍷"])
def test_text_of_any_script_in_variation_selectors_is_revealed(text: str) -> None:
    assert text in reveal(f"a tree {in_selectors(text)}")


@pytest.mark.parametrize(
    "text",
    [
        "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",
        "❤️‍🔥", "1️⃣", "葛\U000e0100飾区", "辻\U000e0101",
        "👩🏽‍🚀 on the moon", "☎︎", "🏴", "🏴‍☠️", "🇩🇪", "क्‍ष", "a tree",
    ],
)  # fmt: skip
def test_flags_emoji_and_ideographs_keep_what_they_need(text: str) -> None:
    assert reveal(text) == text


def test_a_black_flag_with_any_other_tags_is_no_flag() -> None:
    assert reveal("🏴" + in_tags("a gun") + "\U000e007f") == "🏴 a gun "


@given(st.text())
def test_revealing_twice_changes_nothing_more_and_never_raises(text: str) -> None:
    assert reveal(reveal(text)) == reveal(text)
