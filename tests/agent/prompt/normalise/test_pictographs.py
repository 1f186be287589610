"""Emoji and symbols are read by name, and plain text stays."""

from __future__ import annotations

import pytest

from agent.prompt.normalise import variants
from agent.prompt.normalise.pictographs import name_pictographs


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("a woman with 🍷", "a woman with wine glass"),
        ("كأس 🍷", "كأس wine glass"),
        ("🔪🩸", "kitchen knife drop of blood"),
        ("🚬 break", "cigarette break"),
        ("a man with 🔫", "a man with pistol"),
        ("👩🏽\u200d🌾 in a field ✨", "woman farmer in a field sparkles"),
        ("👩\u200d👩\u200d👧", "family woman woman girl"),
        ("👨\u200d❤\ufe0f\u200d💋\u200d👨", "kiss man man"),
        ("🫱🏻\u200d🫲🏿", "handshake"),
        ("👍🏽 and 👍", "thumbs up and thumbs up"),
        ("🙂\u200d↔\ufe0f", "head shaking horizontally"),
        ("❤ ❤\ufe0f ❤\ufe0e", "red heart red heart red heart"),
        ("🔥🇩🇪🔥", "fire Germany flag fire"),
        ("🏳\ufe0f\u200d🌈", "rainbow flag"),
        ("🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f", "England"),
        ("☭ on a wall", "hammer and sickle on a wall"),
    ],
)
def test_emoji_and_symbols_are_read_by_name(text: str, named: str) -> None:
    assert variants(text) == [text, named]


@pytest.mark.parametrize(
    "text",
    ["a cat", "© 2024, 5 * 3 #1", "1\ufe0f\u20e3", "a → b", ":wine_glass:", "赤い花  と猫", "می\u200cخواهم", "🇽🇽"],
)
def test_text_without_pictographs_stays(text: str) -> None:
    assert name_pictographs(text) == text
