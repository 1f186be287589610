"""Leetspeak, "bl00d". No library reads it: those that exist replace every digit, in "mp3" and "4k" too."""

from __future__ import annotations

import re

from agent.prompt.normalise.english import plausible, wordlike

LEET = str.maketrans("03457@$!", "oeastasi")  # and 1, which is i or l
LEET_DIGITS = re.compile("[0134578@$!]")
LATIN = re.compile(r"[A-Za-z]")
# This many clear words that are a quarter of the text make all of it leetspeak. Less clear words must be half of it.
MIN_CLEAR_WORDS, MIN_UNCLEAR_WORDS = 3, 2
LEET_INSIDE = re.compile("[A-Za-z][013457@$!]+[A-Za-z]")
LEET_NUMBERS = frozenset("to is it at as so its set see sit test state site toes lies".split())  # noqa: SIM905
TOKEN = re.compile(r"(?<![\w@$%.])[A-Za-z0-9@$]+(?:![A-Za-z0-9@$]+)*(?![\w@$%])(?!\.\w)")
# What may follow a number without being a word, and stems that are numbered.
UNITS = frozenset("st nd rd th am pm mm cm km in ft kg lb oz px ml kb mb gb tb hz hr yr ds up er wd".split())  # noqa: SIM905
NUMBERED = frozenset("web vol fig gen cam mod ver sec pic img div lot bus top lev room page model level panel".split())  # noqa: SIM905
NAMES = frozenset("c3po w3c h1b se7en m1a1".split())  # noqa: SIM905


def fold_leet(text: str) -> str:
    """The text with its leetspeak as words: single words, or all of a text that is mostly leetspeak."""
    tokens = TOKEN.findall(text)
    clear = [token for token in tokens if leet_word(token)]
    mixed = [token for token in tokens if LEET_DIGITS.search(token) and LATIN.search(token) and token not in clear]
    inside = [token for token in mixed if LEET_INSIDE.search(token) and token.lower() not in NAMES]
    if (len(clear) >= MIN_CLEAR_WORDS and len(clear) * 4 >= len(tokens)) or (
        len(clear) + len(inside) >= MIN_UNCLEAR_WORDS and (len(clear) + len(mixed)) * 2 >= len(tokens) > 2
    ):
        return TOKEN.sub(lambda match: _letters(match[0]), text)
    return TOKEN.sub(lambda match: leet_word(match[0]) or match[0], text)


def leet_word(token: str) -> str | None:
    """The word that a token of letters and digits stands for; None if it is not leetspeak."""
    lower = token.lower()
    letters = sum(char.isalpha() for char in token)
    if letters == len(token) or letters < 2 or letters * 2 < len(token) or lower in NAMES:
        return None
    if re.search(r"[2689]|^\d\d|\d\d$|^\d[a-z]{1,2}\d$", lower):
        return None
    if lower[0].isdigit() and (plausible(lower[1:]) or lower[1:] in UNITS):
        return None
    if lower[0] == "@" and plausible(lower[1:]):
        return None
    stem = lower[:-1]
    # A digit at the end is a number ("mp3"), except in words like "nud3" or where more digits stand for letters.
    if (
        lower[-1].isdigit()
        and stem.isalpha()
        and (lower[-1] != "3" or stem in NUMBERED or not re.fullmatch(r"[a-z]{0,3}[aeiou][b-df-hj-np-tv-z]", stem))
    ):
        return None
    word = re.sub(r"(?<=[bcfgps])1(?=[aeou03])", "l", lower).replace("1", "i").translate(LEET)
    if not plausible(word):
        return None
    return word.upper() if token.upper() == token else word


def _letters(token: str) -> str:
    """The letters of a token in a text that is all leetspeak, where "4", "0f", "15" and "7h3" are letters too."""
    if (word := leet_word(token)) or not LEET_DIGITS.search(token) or token.lower() in NAMES:
        return word or token
    word = token.translate(LEET)
    readings = [word.replace("1", letter) for letter in "il"] if "1" in word else [word]
    best = max(readings, key=lambda reading: (plausible(reading.lower()), wordlike(reading)))
    return token if len(token) > 1 and token.isdigit() and best not in LEET_NUMBERS else best
