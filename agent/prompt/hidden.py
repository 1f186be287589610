"""Letters that nobody sees: text in Unicode's tag characters and variation selectors.

A picture generator may read them, and a person cannot. They become plain letters, so that they are judged, and drawn
only if they may be.
"""

from __future__ import annotations

import re

from agent.prompt.normalise.pictographs import is_emoji

# Tag characters mirror ASCII (Unicode 17, section 23.9). With a black flag they spell the flag of a subdivision.
TAGGED = re.compile("(\U0001f3f4?)((?:\U000e0001)?[\U000e0020-\U000e007e]+\U000e007f?|[\U000e0001\U000e007f])")
# One selector chooses a form of the character before it. More of them carry bytes: 16 in the first block, then 240.
SELECTED = re.compile(
    "[\ufe00-\ufe0f\U000e0100-\U000e01ef]{2,}|(?<![\u3400-\u9fff\U00020000-\U0003ffff])[\U000e0100-\U000e01ef]"
)


def reveal(text: str) -> str:
    """The text with hidden letters in plain sight; flags and forms of characters stay as they are."""
    if text.isascii():
        return text
    return SELECTED.sub(_revealed_bytes, TAGGED.sub(_revealed_tags, text))


def _revealed_tags(match: re.Match[str]) -> str:
    if match[1] and is_emoji(match[0]):
        return match[0]
    letters = "".join(chr(ord(tag) - 0xE0000) for tag in match[2] if 0xE0020 <= ord(tag) <= 0xE007E)
    return f"{match[1]} {letters} "


def _revealed_bytes(match: re.Match[str]) -> str:
    carried = bytes(ord(one) - 0xFE00 if ord(one) < 0xE0000 else ord(one) - 0xE0100 + 16 for one in match[0])
    text = carried.decode("utf-8", "replace").replace("\ufffd", " ")
    return f" {''.join(letter if letter.isprintable() else ' ' for letter in text)} "
