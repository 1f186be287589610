"""Look-alike letters (Unicode UTS 39): in a word of two scripts, "blооd" with Cyrillic "о" is "blood"."""

from __future__ import annotations

import re
from pathlib import Path

from agent.prompt.normalise.characters import scripts

Table = dict[int, str]


def _read() -> tuple[Table, Table, Table, dict[str, Table], set[str]]:
    """What `look_alikes.tsv` holds.

    To ASCII from phonetic Latin letters, from letters that look the same and from those that look like small capitals;
    from ASCII to three scripts; the scripts other than Latin.
    """
    phonetic: Table = {}
    exact: Table = {}
    small: Table = {}
    others: set[str] = set()
    back: dict[str, Table] = {script: {} for script in ("ARMENIAN", "CYRILLIC", "GREEK")}
    for line in Path(__file__).with_name("look_alikes.tsv").read_text(encoding="utf-8").splitlines():
        if line.startswith("#"):
            continue
        code, letter, script, kind, use = line.split("\t")
        if script != "LATIN":
            others.add(script)
        target = phonetic if script == "LATIN" else exact if kind == "exact" else small
        target[int(code, 16)] = letter
        char = chr(int(code, 16))
        if script in back and kind == "exact" and use == "allowed" and char.isupper() == letter.isupper():
            back[script].setdefault(ord(letter), char)
    return phonetic, exact, small, back, others


PHONETIC, EXACT, SMALL, BACK, SCRIPTS = _read()
LATIN_LETTERS = PHONETIC | EXACT
LOOSE = LATIN_LETTERS | SMALL


def _any_of(table: Table) -> str:
    return "".join(map(chr, table))


LATIN = re.compile(f"[A-Za-z{_any_of(PHONETIC)}]")
PHONETIC_LETTER = re.compile(f"[{_any_of(PHONETIC)}]")
LOOK_ALIKE = re.compile(f"[{_any_of(LOOSE)}]")
LETTER = re.compile(r"[^\W\d_]")
WORD = re.compile(r"\w+")
# "PDFка": an abbreviation with a Russian ending.
ABBREVIATION = re.compile("[A-Z]{2,}[^A-Za-z]+")


def fold_look_alikes(text: str, context: str = "") -> str:
    """The text with each word of mixed scripts in one script; words of one script are never transliterated.

    A word becomes Latin if all its other letters look like Latin ones. Otherwise it becomes Armenian, Cyrillic or Greek
    if its Latin letters look like those. Small capitals and phonetic letters ("ᴡɪɴᴇ"), in which no language is written,
    become Latin if the whole word does. The context, by default the text itself, decides where both are as likely.
    """
    if text.isascii() or not (LOOK_ALIKE.search(text) and LATIN.search(text)):
        return text
    latin_around = _latin_surplus(context or text)
    folded = WORD.sub(lambda match: _fold_word(match[0], latin_around), text)
    if folded == text:
        return text
    # Whole words of look-alikes ("а", "соре") are Latin too in such a text, if it has no true letter of their script.
    latin = folded.translate(EXACT)
    return folded if scripts(latin) & SCRIPTS else latin


def _fold_word(word: str, latin_around: int) -> str:
    if word.isascii() or not (PHONETIC_LETTER.search(word) or (LATIN.search(word) and LOOK_ALIKE.search(word))):
        return word
    latin = word.translate(LATIN_LETTERS)
    if latin.isascii():
        return _in_case_of(word, latin)
    latin = word.translate(EXACT)
    if not scripts(latin) & SCRIPTS:
        return _in_case_of(word, latin)
    if ABBREVIATION.fullmatch(word):
        return word
    latin = word.translate(LOOSE)
    is_latin = (_latin_surplus(word) or latin_around) > 0 or PHONETIC_LETTER.search(word)
    if is_latin and not scripts(latin) & SCRIPTS:
        return _in_case_of(word, latin)
    others = scripts(word) - {"LATIN"}
    if len(others) != 1 or not word.isalpha():
        return word
    (script,) = others
    native = word.translate(BACK.get(script, {}))
    return native if scripts(native) == others else word


def _latin_surplus(text: str) -> int:
    """How many more Latin letters than others a text has."""
    return 2 * len(LATIN.findall(text)) - len(LETTER.findall(text))


def _in_case_of(word: str, latin: str) -> str:
    """The Latin reading in lower case if the word's own Latin letters are: many scripts have capitals alone."""
    own = [letter for letter in word if letter.isascii() and letter.isalpha()]
    return latin[0] + latin[1:].lower() if own and all(letter.islower() for letter in own) else latin
