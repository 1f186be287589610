"""Undo obfuscation: "bl00d", "b l o o d" and "Ymxvb2Q=" are judged as what they say, beside the raw text."""

from __future__ import annotations

import base64
import binascii
import codecs
import itertools
import re
import unicodedata
from collections.abc import Callable
from urllib.parse import unquote

MAX_LAYERS = 64
"""Encodings nested deeper than this are left as they are."""

JOINERS = "\u200c\u200d"
# Cf characters that are visible (Prepended_Concatenation_Mark), and invisible characters outside Cf.
VISIBLE_FORMAT = frozenset("\u0600\u0601\u0602\u0603\u0604\u0605\u06dd\u070f\u0890\u0891\u08e2\U000110bd\U000110cd")
INVISIBLE = frozenset("\u034f\u115f\u1160\u17b4\u17b5")
JOINING = re.compile(r"[\u0600-\u08ff\u0900-\u0dff\u0f00-\u109f\u1780-\u18af\ufe0f\U0001f3fb-\U0001f3ff]")
FLAG = re.compile("\U0001f3f4[\U000e0030-\U000e007a]+\U000e007f")
EMOJI = re.compile("[\u2600-\u27bf\u2b50\U0001f300-\U0001f3fa\U0001f400-\U0001faff]")
EMOJI_JOINTS = dict.fromkeys([0x200D, 0xFE0F, *range(0x1F3FB, 0x1F400)], None)
OVERLAY = re.compile("(?<=[A-Za-z])[\u0334-\u0338]+")

TO_LATIN = str.maketrans(
    "АВЕКМНОРСТУХІЈЅаеорсухіјѕӏһԁԛԝ" + "ΑΒΕΖΗΙΚΜΝΟΡΤΥΧοαινρυκχ",
    "ABEKMHOPCTYXIJSaeopcyxijslhdqw" + "ABEZHIKMNOPTYXoaivpukx",
)
TO_CYRILLIC = str.maketrans("ABEKMHOPCTYXaeopcyx", "АВЕКМНОРСТУХаеорсух")
CYRILLIC_GREEK = re.compile(r"[Ͱ-ϿЀ-ԯ]")
CYRILLIC_ONLY = re.compile(r"[A-Za-zЀ-ԯ]+")
LATIN = re.compile(r"[A-Za-z]")

LEET = str.maketrans("03457@$!", "oeastasi")  # and 1, which is i or l
LEET_DIGITS = re.compile("[0134578@$!]")
# So many words, a quarter of the text, make it leetspeak throughout; of words that are less clear it takes half.
LEET_WORDS, LEET_UNCLEAR_WORDS = 3, 2
LEET_INSIDE = re.compile("[A-Za-z][013457@$!]+[A-Za-z]")
LEET_NUMBERS = frozenset("to is it at as so its set see sit test state site toes lies".split())  # noqa: SIM905
LEET_TOKEN = re.compile(r"(?<![\w@$%.])[A-Za-z0-9@$]+(?:![A-Za-z0-9@$]+)*(?![\w@$%])(?!\.\w)")
# What may follow a number without being a word, and stems that are numbered.
UNITS = frozenset("st nd rd th am pm mm cm km in ft kg lb oz px ml kb mb gb tb hz hr yr ds up er wd".split())  # noqa: SIM905
NUMBERED = frozenset("web vol fig gen cam mod ver sec pic img div lot bus top lev room page model level panel".split())  # noqa: SIM905
NAMES = frozenset("c3po w3c h1b se7en m1a1".split())  # noqa: SIM905

SPACED = re.compile(
    r"(?<![\w@$])(?:[^\W\d_]|[013457@$])([ .\-_*])(?:(?:[^\W\d_]|[013457@$])\1)+(?:[^\W\d_]|[013457@$])(?![\w@$])"
)
# A text whose every word is spelt has wider gaps between them.
WIDE_GAP = re.compile(r" {2,}")
LETTER_BY_LETTER = re.compile(r"\W*\w(?: \w)*\W*")
SPACED_RUNS = 3
ALPHABETIC = re.compile(r"[A-Za-zÀ-ɏͰ-ϿЀ-ԯ]+")

BASE64 = re.compile(r"(?<![A-Za-z0-9+/=_-])(?:[A-Za-z0-9+/_-]{6,}={1,2}|[A-Za-z0-9+/_-]{12,})(?![A-Za-z0-9+/=_-])")
PERCENT = re.compile(r"%(?:25)*(?=[0-9A-Fa-f]{2})")
ROT13 = re.compile(r"\brot[- ]?13\b\W*", re.IGNORECASE)
WORD = re.compile(r"\w+")
STOPWORDS = frozenset(
    (  # noqa: SIM905
        "a an the of and with in on at to for is by from his her man woman girl boy i you my your it what where how "
        "who why can do does are that this me get make"
    ).split()
)

# Which letters commonly follow which in English; a word with a pair outside this table is no plausible reading.
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


def normalise(text: str) -> str:
    """The text with its obfuscation undone; plain text of any script comes back as its NFKC form.

    Undone, layer by layer until nothing changes: compatibility forms (NFKC), invisible characters, look-alike letters
    in mixed-script tokens (Unicode TR 39), leetspeak, letter spacing, and base64, URL encoding or ROT13 that decode to
    clear text. Joiners stay where emoji, Arabic or Indic scripts need them. Never raises; idempotent up to
    `MAX_LAYERS` nested encodings.
    """
    for _ in range(MAX_LAYERS):
        before = text
        for step in STEPS:
            text = step(text)
        if text == before:
            break
    return text


def variants(text: str) -> list[str]:
    """The readings to judge: the raw text first, then the normalised one with emoji by name, where that differs."""
    plain = _name_emoji(normalise(text))
    return [text] if plain == text else [text, plain]


def hides(raw: str, plain: str) -> bool:
    """Whether most words of the normalised reading cannot be read in the raw text."""
    words, shown = WORD.findall(plain.lower()), set(WORD.findall(raw.lower()))
    return sum(word not in shown for word in words) * 2 > len(words)


def _name_emoji(text: str) -> str:
    """Pictographs by their Unicode names, "🍷" as "wine glass": encoders have seen few of them."""
    named = EMOJI.sub(lambda match: f" {unicodedata.name(match.group(), '').lower()} ", text)
    return text if named == text else " ".join(named.translate(EMOJI_JOINTS).split())


def _nfkc(text: str) -> str:
    return unicodedata.normalize("NFKC", text)


def _drop_invisible(text: str) -> str:
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


def _fold_homoglyphs(text: str) -> str:
    def fold(match: re.Match[str]) -> str:
        token = match.group()
        if not (LATIN.search(token) and CYRILLIC_GREEK.search(token)):
            return token
        latin = token.translate(TO_LATIN)
        if not CYRILLIC_GREEK.search(latin):
            return latin
        cyrillic = token.translate(TO_CYRILLIC)
        return cyrillic if CYRILLIC_ONLY.fullmatch(token) and not LATIN.search(cyrillic) else token

    folded = WORD.sub(fold, text)
    # What is left may be whole words of look-alikes, "а" or "соре"; a text with one true Cyrillic letter keeps them.
    latin = folded.translate(TO_LATIN)
    return latin if folded != text and not CYRILLIC_GREEK.search(latin) else folded


def _fold_leet(text: str) -> str:
    tokens = LEET_TOKEN.findall(text)
    read = [token for token in tokens if _leet_word(token)]
    mixed = [token for token in tokens if LEET_DIGITS.search(token) and LATIN.search(token) and token not in read]
    inside = [token for token in mixed if LEET_INSIDE.search(token) and token.lower() not in NAMES]
    if (len(read) >= LEET_WORDS and len(read) * 4 >= len(tokens)) or (
        len(read) + len(inside) >= LEET_UNCLEAR_WORDS and (len(read) + len(mixed)) * 2 >= len(tokens) > 2
    ):
        return LEET_TOKEN.sub(lambda match: _leet_letters(match.group()), text)
    return LEET_TOKEN.sub(lambda match: _leet_word(match.group()) or match.group(), text)


def _leet_letters(token: str) -> str:
    """A token of a text that is leetspeak throughout: "4", "0f", "15" and "7h3" are letters there too."""
    if (word := _leet_word(token)) or not LEET_DIGITS.search(token) or token.lower() in NAMES:
        return word or token
    word = token.translate(LEET)
    readings = [word.replace("1", letter) for letter in "il"] if "1" in word else [word]
    best = max(readings, key=lambda reading: (_plausible(reading.lower()), _wordlike(reading)))
    return token if len(token) > 1 and token.isdigit() and best not in LEET_NUMBERS else best


def _leet_word(token: str) -> str | None:
    """The word that a token of letters and digits stands for; None where it is no leetspeak."""
    lower = token.lower()
    letters = sum(char.isalpha() for char in token)
    if letters == len(token) or letters < 2 or letters * 2 < len(token) or lower in NAMES:
        return None
    if re.search(r"[2689]|^\d\d|\d\d$|^\d[a-z]{1,2}\d$", lower):
        return None
    if lower[0].isdigit() and (_plausible(lower[1:]) or lower[1:] in UNITS):
        return None
    if lower[0] == "@" and _plausible(lower[1:]):
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
    if not _plausible(word):
        return None
    return word.upper() if token.upper() == token else word


def _join_spaced(text: str) -> str:
    runs = WIDE_GAP.split(text)
    if len(runs) >= SPACED_RUNS and sum(bool(LETTER_BY_LETTER.fullmatch(run)) for run in runs) * 4 >= len(runs) * 3:
        return " ".join(run.replace(" ", "") if LETTER_BY_LETTER.fullmatch(run) else run for run in runs)

    def join(match: re.Match[str]) -> str:
        word = match.group()[::2]
        if word.isupper() and len(word) < 5 and match[1] == ".":  # "U.S.A."
            return match.group()
        if word.isascii():
            folded = word if word.isalpha() else _leet_word(word)
            return word if folded and _plausible(folded.lower()) else match.group()
        return word if len(word) > 3 and ALPHABETIC.fullmatch(word) else match.group()

    return SPACED.sub(join, text)


def _decode_url(text: str) -> str:
    def decode(match: re.Match[str]) -> str:
        try:
            decoded = unquote(PERCENT.sub("%", match.group()), errors="strict")
        except UnicodeDecodeError:
            return match.group()
        return decoded if _readable(decoded) else match.group()

    return re.sub(r"\S+", decode, text) if "%" in text else text


def _decode_base64(text: str) -> str:
    def decode(match: re.Match[str]) -> str:
        body = match.group().rstrip("=").translate(str.maketrans("-_", "+/"))
        try:
            decoded = base64.b64decode(body + "=" * (-len(body) % 4), validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            return match.group()
        inner = BASE64.sub(decode, decoded)
        return inner if _readable(inner) and (inner != decoded or _clearly_text(inner)) else match.group()

    return BASE64.sub(decode, text)


def _decode_rot13(text: str) -> str:
    announced = ROT13.search(text)
    if announced:
        raw = text[announced.end() :]
        decoded = codecs.encode(raw, "rot13")
        if _wordlike(decoded) > _wordlike(raw):
            return text[: announced.start()] + decoded
        return text
    decoded = codecs.encode(text, "rot13")
    words, shown = _words(decoded), _words(text)
    stopwords = words & STOPWORDS
    letters = sum(char.isalpha() for char in text)
    hidden = (
        letters >= 12
        and bool(stopwords)
        and not shown & STOPWORDS
        and not LEET_INSIDE.search(text)
        and (
            _wordlike(decoded) >= max(0.4, _wordlike(text) + 0.2)
            or (len(stopwords) >= max(2, 0.3 * len(words)) and _wordlike(decoded) > _wordlike(text))
        )
    )
    return decoded if hidden else text


def _readable(text: str) -> bool:
    return bool(text.strip()) and all(char.isprintable() or char in "\n\t" + JOINERS for char in text)


def _clearly_text(text: str) -> bool:
    words = re.findall(r"[^\W\d_]+", text)
    if sum(char.isalpha() or char.isspace() for char in text) < 0.8 * len(text) or not words:
        return False
    plausible = sum(len(word) < 3 or not word.isascii() or _plausible(word.lower()) for word in words)
    return plausible >= 0.7 * len(words) and max(map(len, words)) > 2


def _plausible(word: str) -> bool:
    """Whether lower-case letters could be an English word of three letters or more."""
    return (
        len(word) > 2
        and word.isascii()
        and word.isalpha()
        and bool(re.search("[aeiou]", word))
        and not re.search(r"[b-df-hj-np-tv-xz]{5}|(.)\1\1|^(.)\2(?!$)", word)
        and all(second in FOLLOWERS[first] for first, second in itertools.pairwise(word))
    )


def _wordlike(text: str) -> float:
    """Share of letter pairs that are common in English, in [0, 1]."""
    pairs = [word[i : i + 2] for word in re.findall(r"[a-z]+", text.lower()) for i in range(len(word) - 1)]
    return sum(pair in COMMON_PAIRS for pair in pairs) / len(pairs) if pairs else 0.0


def _words(text: str) -> set[str]:
    return set(re.findall(r"[a-z]+", text.lower()))


STEPS: tuple[Callable[[str], str], ...] = (
    _nfkc,
    _drop_invisible,
    _fold_homoglyphs,
    _decode_url,
    _decode_base64,
    _decode_rot13,
    _join_spaced,
    _fold_leet,
)
