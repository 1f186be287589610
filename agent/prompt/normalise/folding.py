"""The same word written another way: capitals, accents, vowel signs and stretched letters.

Folded text is compared with the concepts. What is drawn keeps the person's spelling.
"""

from __future__ import annotations

import re
import unicodedata

# Arabic vowel signs and the stroke that stretches letters (tatweel); Hebrew vowel points and cantillation marks.
MARKS = (
    "\u0610-\u061a\u0640\u064b-\u0652\u0656-\u065f\u0670\u06d6-\u06dc\u06df-\u06e4\u06e7\u06e8\u06ea-\u06ed"
    "\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7"
)
MARK = re.compile(f"[{MARKS}]+")
CAPITALS = re.compile(r"\b[^\W\d_a-z]{4,}\b")
MIN_CAPITALS = 4
# Letters that no accent makes of ASCII ones.
WITHOUT_ACCENT = str.maketrans(
    {"ł": "l", "Ł": "L", "ı": "i", "đ": "d", "Đ": "D", "ø": "o", "Ø": "O", "ß": "ss", "æ": "ae", "œ": "oe"}
)


def fold(text: str) -> str:
    """The text without marks that ordinary spelling omits, and in lower case where capitals shout."""
    if not text.isascii():
        text = MARK.sub("", text)
    if text.islower():
        return text
    capitals, small = sum(map(str.isupper, text)), sum(map(str.islower, text))
    if capitals >= MIN_CAPITALS and capitals * 3 >= small * 2:
        return lower(text)
    return CAPITALS.sub(lambda match: lower(match[0]) if match[0].isupper() else match[0], text)


def lower(text: str) -> str:
    """Lower case by the rules of the language, which in Turkish and Azeri is known by its letters.

    There the small letter of "I" is "ı". But keyboards without "İ" write "I" for both, so without one the accents go.
    """
    if "İ" in text:
        return text.replace("I", "ı").replace("İ", "i").lower()
    return without_accents(text.lower()) if re.search("[ĞŞ]", text) else text.lower()


def without_accents(text: str) -> str:
    """Latin letters without accents, as they are typed on a foreign keyboard; other scripts stay as they are."""
    if text.isascii():
        return text
    return "".join(map(_letter, unicodedata.normalize("NFC", text).translate(WITHOUT_ACCENT)))


def _letter(letter: str) -> str:
    first = unicodedata.normalize("NFD", letter)[0]
    return first if first.isascii() and first.isalpha() else letter


def spelling(word: str) -> str:
    """What all ways to write a word have in common."""
    return without_accents(MARK.sub("", word).replace("İ", "i").lower())
