"""Characters that hide letters: compatibility forms, invisible characters, and letters in boxes."""

from __future__ import annotations

import re
import unicodedata
from string import ascii_lowercase, ascii_uppercase

from agent.prompt.normalise.pictographs import is_emoji

JOINERS = "\u200c\u200d"
# Cf characters that are visible (Prepended_Concatenation_Mark), and invisible characters outside Cf.
VISIBLE_FORMAT = frozenset("\u0600\u0601\u0602\u0603\u0604\u0605\u06dd\u070f\u0890\u0891\u08e2\U000110bd\U000110cd")
INVISIBLE = frozenset("\u034f\u115f\u1160\u17b4\u17b5")
# What a joiner may follow: letters of Arabic, Indic and South-East Asian scripts, and parts of emoji.
JOINING = re.compile(r"[\u0600-\u08ff\u0900-\u0dff\u0f00-\u109f\u1780-\u18af\ufe0f\U0001f3fb-\U0001f3ff]")
FLAG = re.compile("\U0001f3f4[\U000e0030-\U000e007a]+\U000e007f")
OVERLAY = re.compile("(?<=[A-Za-z])[\u0334-\u0338]+")

# Neither NFKC nor UTS 39 makes plain letters of those in black circles and squares or of those that flags consist of.
# NFKC makes "(g)" of the bracketed letter "⒢", so a run of them would not be a word.
BOXED = str.maketrans(
    dict(zip((*range(0x1F150, 0x1F16A), *range(0x1F170, 0x1F18A)), ascii_uppercase * 2, strict=True)) | {0xFE0F: None}
)
HIDDEN = re.compile("[\u249c-\u24b5\U0001f150-\U0001f1ff]")
BOXES = re.compile("(?:[\U0001f150-\U0001f169\U0001f170-\U0001f189]\ufe0f?)+")
BUTTON = re.compile("(?<![^\\W\\d_])[🅰🅱🅾🅿]\ufe0f?(?![^\\W\\d_])")
REGIONAL = str.maketrans(dict(zip(range(0x1F1E6, 0x1F200), ascii_uppercase, strict=True)))
REGIONALS = re.compile("[\U0001f1e6-\U0001f1ff]+")
BRACKETED = str.maketrans(dict(zip(range(0x249C, 0x24B6), ascii_lowercase, strict=True)))
BRACKETS = re.compile("[\u249c-\u24b5]{2,}")


def scripts(text: str) -> set[str]:
    """The scripts of a text's letters, as the first words of their Unicode names: {"LATIN", "CYRILLIC"}."""
    return {unicodedata.name(char, "").partition(" ")[0] for char in text if char.isalpha()}


def unbox(text: str) -> str:
    """Letters in black circles, black squares or brackets, and those of flags that do not exist, as plain letters.

    The emoji 🅰, 🅱, 🅾 and 🅿 stay where they stand alone and no other letter of the text is in a box.
    """
    if not HIDDEN.search(text):
        return text
    if any(not BUTTON.fullmatch(box) for box in BOXES.findall(text)) or BUTTON.sub("", text) != BOXES.sub("", text):
        text = BOXES.sub(lambda match: match[0].translate(BOXED), text)
    text = BRACKETS.sub(lambda match: match[0].translate(BRACKETED), text)
    return REGIONALS.sub(_unbox_flags, text)


def _unbox_flags(match: re.Match[str]) -> str:
    run = match[0]
    pairs = (run[i : i + 2] for i in range(0, len(run), 2))
    return run if all(is_emoji(pair) for pair in pairs) else run.translate(REGIONAL)


def nfkc(text: str) -> str:
    return unicodedata.normalize("NFKC", text)


def drop_invisible(text: str) -> str:
    """The text without invisible characters and strike-through; joiners stay where a script or an emoji needs them."""
    if text.isascii():
        return text
    flags = {i for match in FLAG.finditer(text) for i in range(*match.span())}
    kept: list[str] = []
    for i, char in enumerate(text):
        if char in JOINERS:
            previous = kept[-1] if kept else ""
            keep = bool(previous) and (bool(JOINING.match(previous)) or unicodedata.category(previous) == "So")
        elif char in INVISIBLE:
            keep = False
        else:
            keep = unicodedata.category(char) != "Cf" or char in VISIBLE_FORMAT or i in flags
        if keep:
            kept.append(char)
    return OVERLAY.sub("", "".join(kept))
