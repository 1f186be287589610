"""URL encoding, base64 and ROT13: decoded where clear text comes out."""

from __future__ import annotations

import base64
import binascii
import codecs
import re
from urllib.parse import unquote

from agent.prompt.normalise.characters import JOINERS, scripts
from agent.prompt.normalise.english import STOPWORDS, plausible, wordlike, words
from agent.prompt.normalise.leet import LEET_INSIDE

BASE64 = re.compile(r"(?<![A-Za-z0-9+/=_-])(?:[A-Za-z0-9+/_-]{6,}={1,2}|[A-Za-z0-9+/_-]{12,})(?![A-Za-z0-9+/=_-])")
PERCENT = re.compile(r"%(?:25)*(?=[0-9A-Fa-f]{2})")
# Turkish and Basque write "%50" and "%20'si" for percentages.
PERCENTAGE = re.compile(r"[^\w%]*+%\d[\d.,]*+(?:['’]\w++)?[^\w%]*+")
JAPANESE = {"CJK", "HIRAGANA", "KATAKANA", "KATAKANA-HIRAGANA"}
ROT13 = re.compile(r"\brot[- ]?13\b\W*", re.IGNORECASE)
MIN_ROT13_LETTERS = 12
"""A shorter text is decoded from ROT13 only where it says that it is ROT13."""


def decode_url(text: str) -> str:
    return re.sub(r"\S+", _decode_url_word, text) if "%" in text else text


def _decode_url_word(match: re.Match[str]) -> str:
    if PERCENTAGE.fullmatch(match[0]):
        return match[0]
    try:
        decoded = unquote(PERCENT.sub("%", match[0]), errors="strict")
    except UnicodeDecodeError:
        return match[0]
    return decoded if _readable(decoded) else match[0]


def decode_base64(text: str) -> str:
    return BASE64.sub(_decode_base64_run, text)


def _decode_base64_run(match: re.Match[str]) -> str:
    body = match[0].rstrip("=").translate(str.maketrans("-_", "+/"))
    try:
        decoded = base64.b64decode(body + "=" * (-len(body) % 4), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return match[0]
    inner = decode_base64(decoded)
    return inner if _readable(inner) and (inner != decoded or _clearly_text(inner)) else match[0]


def decode_rot13(text: str) -> str:
    announced = ROT13.search(text)
    if announced:
        raw = text[announced.end() :]
        decoded = codecs.encode(raw, "rot13")
        return text[: announced.start()] + decoded if wordlike(decoded) > wordlike(raw) else text
    letters = sum(char.isalpha() for char in text)
    if letters < MIN_ROT13_LETTERS or LEET_INSIDE.search(text) or words(text) & STOPWORDS:
        return text
    decoded = codecs.encode(text, "rot13")
    decoded_words = words(decoded)
    stopwords = decoded_words & STOPWORDS
    if not stopwords:
        return text
    raw_share, share = wordlike(text), wordlike(decoded)
    many_stopwords = len(stopwords) >= max(2, 0.3 * len(decoded_words))
    return decoded if share >= max(0.4, raw_share + 0.2) or (many_stopwords and share > raw_share) else text


def _readable(text: str) -> bool:
    return bool(text.strip()) and all(char.isprintable() or char in "\n\t" + JOINERS for char in text)


def _clearly_text(text: str) -> bool:
    found = re.findall(r"[^\W\d_]+", text)
    if sum(char.isalpha() or char.isspace() for char in text) < 0.8 * len(text) or not found:
        return False
    return sum(map(_could_be_word, found)) >= 0.7 * len(found) and max(map(len, found)) > 2


def _could_be_word(letters: str) -> bool:
    if letters.isascii():
        return len(letters) < 3 or plausible(letters.lower())
    of_word = scripts(letters)
    return len(of_word) == 1 or of_word <= JAPANESE
