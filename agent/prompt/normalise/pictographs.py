"""Emoji and other pictographs by name, "🍷" as "wine glass": encoders have seen few of them."""

from __future__ import annotations

import re
import unicodedata

SYMBOLS = "\u2600-\u27bf\u2b50\U0001f300-\U0001f3fa\U0001f400-\U0001faff"
SYMBOL = re.compile(f"[{SYMBOLS}]")
# Symbols and regional indicators, and what may follow one in an emoji: variation, joiner, skin tone, tag of a flag.
EMOJI_RUN = re.compile(
    f"(?:[{SYMBOLS}\U0001f1e6-\U0001f1ff][\ufe0e\ufe0f\u200d\U0001f3fb-\U0001f3ff\U000e0020-\U000e007f]*"
    "(?:(?<=\u200d)[\u2194\u2195\u2b1b]\ufe0f?)?)+"
)
COUNTRY_FLAG = re.compile("[\U0001f1e6-\U0001f1ff]{2}")
SKIN_TONE = re.compile("_?(?:light|medium-light|medium|medium-dark|dark)_skin_tone")
JOINTS = dict.fromkeys([0x200D, 0xFE0E, 0xFE0F])
NAMES = {"🔫": "pistol"}
"""Names that say more than Unicode's short one, "water pistol"."""


def name_pictographs(text: str) -> str:
    """The text with a name in place of each emoji and symbol, without skin tones; keycaps and arrows stay."""
    if text.isascii():
        return text
    named = EMOJI_RUN.sub(_name_run, text)
    return text if named == text else " ".join(named.split())


def is_emoji(text: str) -> bool:
    """Whether the whole text is one emoji."""
    import emoji  # takes 50 ms to import, and few prompts have an emoji

    return emoji.is_emoji(text)


def _name_run(match: re.Match[str]) -> str:
    import emoji

    named = emoji.replace_emoji(match[0], replace=lambda chars, data: f" {_name(chars, data['en'])} ")
    # Symbols that are not emoji mean something too: "☭" is "hammer and sickle".
    named = SYMBOL.sub(lambda symbol: f" {unicodedata.name(symbol[0], '').lower()} ", named)
    return match[0] if named == match[0] else named.translate(JOINTS)


def _name(chars: str, code: str) -> str:
    name = NAMES.get(chars) or SKIN_TONE.sub("", code.strip(":")).replace("_", " ")
    return f"{name} flag" if COUNTRY_FLAG.fullmatch(chars) else name
