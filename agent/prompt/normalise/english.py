"""Whether letters could be English words: judged by letter pairs, since a word list would weigh more than the rest."""

from __future__ import annotations

import itertools
import re

STOPWORDS = frozenset(
    (  # noqa: SIM905
        "a an the of and with in on at to for is by from his her man woman girl boy i you my your it what where how "
        "who why can do does are that this me get make"
    ).split()
)

# The letters that commonly follow each letter in English.
FOLLOWERS = {
    "a": "bcdfgiklmnprstuvwxyz", "b": "abeijlorsuy", "c": "acehiklorstuy", "d": "adegiloruswy",
    "e": "abcdefgilmnopqrstuvwxyz", "f": "aefilortuy", "g": "aeghilnorsuy", "h": "aeiotruy",
    "i": "abcdefgklmnoprstvxz", "j": "aeiou", "k": "aeiklnosy", "l": "abcdefiklmoprstuvy", "m": "abeimnopsuy",
    "n": "acdefgiklnostuvy", "o": "abcdefghiklmnoprstuvwxyz", "p": "aehiloprstuy", "q": "u",
    "r": "abcdefgiklmnoprstuvwy", "s": "aceghiklmnopqstuwy", "t": "aehiloprstuwy", "u": "abcdefgilmnprstxyz",
    "v": "aeioy", "w": "aehiklnors", "x": "aceipty", "y": "abcdeilmnoprst", "z": "aeiloyz",
}  # fmt: skip
COMMON_PAIRS = frozenset(
    (  # noqa: SIM905
        "th he in er an re nd at on nt ha es st en ed to it ou ea hi is or ti as te et ng of al de se le sa "
        "si ar ve ra ld ur lo oo bl od na ak ke wo om ma wi me ri ro ic ne io ll be ch ho ee us di so fi la "
        "el li il un pe ie ca co wh ay ow be pr tr no fo su sh im lf ge mo"
    ).split()
)
ONSET = re.compile(
    "(?:[bcfgkps]l|[bcdfgkpt]r|[dst]w|[cgpstw]h|[gk]n|wr|qu|s[cfkmnpt]|s[cp]l|s[cpt]r|s[hk]r|sch|squ|shr|thr|chr|phr"
    "|[bcdfghjklmnprstvwyz])(?=[aeiouy])"
)


def plausible(word: str) -> bool:
    """Whether lower-case letters could be an English word of three letters or more."""
    return (
        len(word) > 2
        and word.isascii()
        and word.isalpha()
        and bool(re.search("[aeiou]", word))
        and not re.search(r"[b-df-hj-np-tv-xz]{5}|(.)\1\1|^(.)\2(?!$)", word)
        and all(second in FOLLOWERS[first] for first, second in itertools.pairwise(word))
    )


def begins_word(letters: str) -> bool:
    """Whether lower-case letters begin with consonants that can begin an English word."""
    return bool(ONSET.match(letters))


def wordlike(text: str) -> float:
    """Share of letter pairs that are common in English, in [0, 1]."""
    pairs = [word[i : i + 2] for word in re.findall(r"[a-z]+", text.lower()) for i in range(len(word) - 1)]
    return sum(pair in COMMON_PAIRS for pair in pairs) / len(pairs) if pairs else 0.0


def words(text: str) -> set[str]:
    """The words of a text that have ASCII letters alone, in lower case: "ba" is no word of "başını"."""
    return {word for word in re.findall(r"[^\W\d_]+", text.lower()) if word.isascii()}
