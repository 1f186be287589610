"""Words spelt letter by letter, "b l o o d", are joined: no library does that without splitting plain text too."""

from __future__ import annotations

import functools
import re
from pathlib import Path

from agent.prompt.normalise.english import begins_word, plausible
from agent.prompt.normalise.leet import leet_word
from agent.prompt.normalise.look_alikes import fold_look_alikes

SPACED = re.compile(
    r"(?<![\w@$])(?:[^\W\d_]|[013457@$])([ .\-_*])(?:(?:[^\W\d_]|[013457@$])\1)+(?:[^\W\d_]|[013457@$])(?![\w@$])"
)
# If every word of a text is spelt, the gaps between words are wider.
WIDE_GAP = re.compile(r" {2,}")
LETTER_BY_LETTER = re.compile(r"\W*\w(?: \w)*\W*")
MIN_SPACED_WORDS = 3
ALPHABETIC = re.compile(r"[A-Za-zÀ-ɏͰ-ϿЀ-ԯ]+")
MAX_INITIALS = 4


def join_spaced(text: str) -> str:
    """The text with spelt words joined; an "a" that was spelt with its noun ("a k n i f e") stays a word."""
    words = WIDE_GAP.split(text)
    spelt = sum(bool(LETTER_BY_LETTER.fullmatch(word)) for word in words)
    if len(words) >= MIN_SPACED_WORDS and spelt * 4 >= len(words) * 3:
        return " ".join(word.replace(" ", "") if LETTER_BY_LETTER.fullmatch(word) else word for word in words)
    return SPACED.sub(_join, text)


def _join(match: re.Match[str]) -> str:
    word = fold_look_alikes(match[0][::2], match.string)
    if match[1] == "." and word.isupper() and len(word) <= MAX_INITIALS:  # "U.S.A."
        return match[0]
    if not word.isascii():
        return word if len(word) > 3 and ALPHABETIC.fullmatch(word) else match[0]
    letters = word if word.isalpha() else leet_word(word)
    if not letters or not plausible(letters.lower()):
        return match[0]
    return f"{word[0]} {word[1:]}" if _begins_with_article(letters.lower()) else word


def _begins_with_article(word: str) -> bool:
    """Whether a spelt word is "a" and a noun, "aknife", and not a word like "animal"."""
    return word[0] == "a" and plausible(word[1:]) and begins_word(word[1:]) and word not in words_in_a()


@functools.cache
def words_in_a() -> frozenset[str]:
    """English words that look like the article "a" and a noun."""
    lines = Path(__file__).with_name("words_in_a.txt").read_text(encoding="utf-8").splitlines()
    return frozenset(line for line in lines if not line.startswith("#"))
