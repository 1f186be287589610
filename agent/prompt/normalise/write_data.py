"""Write `look_alikes.tsv` and `words_in_a.txt`: `python -m agent.prompt.normalise.write_data`.

Needs `pip install icukit-pyicu pyspellchecker`. ICU has Unicode's data on look-alikes (UTS 39: confusables.txt and
Identifier_Status). No library replaces the file: disarm and decancer make Latin of every script ("кровь" is "kpobb"),
homoglyphs and confusable-homoglyphs lack a third of Unicode's data, and ICU takes 65 MB.
"""

from __future__ import annotations

import re
import sys
import unicodedata
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import icu
from spellchecker import SpellChecker

from agent.prompt.normalise.english import begins_word, plausible

HERE = Path(__file__).parent
FIRST_PHONETIC = "\u0250"
SMALL_CAPITAL = re.compile("LATIN LETTER SMALL CAPITAL ([A-Z])")

# Missing from UTS 39: "χ", and "ғ", which stands for the small capital F since few fonts have that.
ADDED = {"ғ": "f", "χ": "x"}

CHECKER = icu.SpoofChecker()
ALLOWED = CHECKER.getRecommendedUnicodeSet()


def skeleton(letter: str) -> str:
    """What a letter looks like (UTS 39, section 4): letters that can be confused have one skeleton."""
    return str(CHECKER.getSkeleton(0, letter))


def small_capitals() -> dict[str, str]:
    """Each small capital and the ASCII letter that it stands for."""
    named = ((chr(code), SMALL_CAPITAL.fullmatch(unicodedata.name(chr(code), ""))) for code in range(sys.maxunicode))
    return {letter: match[1].lower() for letter, match in named if match}


def look_alikes() -> Iterator[str]:
    """Rows of `look_alikes.tsv`, by code point."""
    letters = [
        letter
        for letter in map(chr, range(0x80, sys.maxunicode))
        if unicodedata.category(letter).startswith("L") and unicodedata.is_normalized("NFKC", letter)
    ]
    used_scripts = {script(letter) for letter in letters if letter in ALLOWED}
    small = small_capitals() | ADDED
    like_small = {skeleton(letter): ascii_letter for letter, ascii_letter in small.items()}
    for letter in letters:
        looks = skeleton(letter)
        cased = unicodedata.category(letter) in ("Lu", "Ll")
        # In scripts that are in use, letters without case are prefixes of Latin words: Hebrew "וiPhone", "and iPhone".
        if not cased and script(letter) in used_scripts:
            continue
        # Latin letters outside the phonetic blocks belong to an alphabet, if only a former one ("ƿ").
        if script(letter) == "LATIN" and (letter in ALLOWED or letter < FIRST_PHONETIC):
            continue
        if len(looks) == 1 and looks.isascii() and looks.isalpha():
            kind = "exact"
            if looks == "l" and not letter.islower():
                looks = "I"
        elif letter in small or (looks in like_small and script(letter) != "LATIN"):
            kind, looks = "small", small.get(letter) or like_small[looks]
        else:
            continue
        use = "allowed" if letter in ALLOWED else "rare"
        yield f"{ord(letter):04X}\t{looks}\t{script(letter)}\t{kind}\t{use}"


def script(letter: str) -> str:
    return unicodedata.name(letter, "").partition(" ")[0]


def words_in_a() -> Iterator[str]:
    """Words that could be read as the article "a" and another word: "animal", "alien"."""
    for word in SpellChecker(language="en").word_frequency.dictionary:
        if word[0] == "a" and plausible(word[1:]) and begins_word(word[1:]):
            yield word


def main() -> None:
    rows = [
        f"# Letters that look like ASCII letters, from the UTS 39 data of Unicode {icu.UNICODE_VERSION} "
        f"(ICU {icu.ICU_VERSION}).",
        "# Under the Unicode License v3, see look_alikes.LICENSE.txt. Written by write_data.py.",
        "# Code point, ASCII letter, script, what it looks like (exact: the letter; small: its small capital), and",
        "# whether languages are written with it (UTS 39: Identifier_Status Allowed).",
        *look_alikes(),
    ]
    (HERE / "look_alikes.tsv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    words = [
        f'# English words that could be "a" and another word, from pyspellchecker {version("pyspellchecker")} (MIT).',
        "# Written by write_data.py.",
        *sorted(words_in_a()),
    ]
    (HERE / "words_in_a.txt").write_text("\n".join(words) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
