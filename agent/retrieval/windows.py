"""The windows of a prompt: stretches of words that are compared with concepts."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from typing import NamedTuple

from propriety.verdict import Span

MAX_WINDOW_WORDS = 5
MAX_PASSAGE_WORDS = 23
MIN_SENTENCE_WORDS = 5  # shorter ones are read with the next
MAX_MEAN_WORD = 14  # characters; text with longer words is in a script without spaces
SCRIPT_STEP = 4  # characters that stand for a word in such scripts
MIN_SENTENCE_STEPS = 2
SENTENCE = re.compile(r"(?:[^.!?…。！？।॥؟\n]|[.!?…](?![\s\"'”’»)\]]|$))+[.!?…。！？।॥؟\n\"'”’»)\]]*")
PAIRS = [('"', '"'), ("“", "”"), ("„", "“"), ("«", "»"), ("‹", "›"), ("(", ")"), ("[", "]"), ("「", "」"), ("『", "』")]

Words = list[tuple[int, int]]


class Passage(NamedTuple):
    """A part of a prompt that is read by itself.

    windows: the whole passage first, then its stretches of two to five words, without the marks around them.
    sketch: some of the windows, the whole among them, that hold each of its words.
    """

    windows: list[Span]
    sketch: list[Span]


def passages_of(prompt: str) -> list[Passage]:
    """The whole prompt if it is short; otherwise its sentences.

    So the words of a sentence are read alike wherever it stands. Sentences of a few words are read with
    the next one, and those of more than 23 in parts that overlap, so that each stretch of five words is in one of them.
    Text without spaces between words is cut by characters.
    """
    spaced = _is_spaced(prompt)
    words = _words(prompt, 0, len(prompt), spaced)
    if len(words) <= MAX_PASSAGE_WORDS:
        return [_passage(prompt, 0, len(prompt), words)]
    sentences = [_words(prompt, *sentence, spaced) for sentence in _sentences(prompt, spaced)]
    parts = [part for sentence in sentences for part in _parts(sentence)]
    return [_passage(prompt, part[0][0], part[-1][1], part) for part in parts]


def _is_spaced(text: str) -> bool:
    return len(text) <= MAX_MEAN_WORD * len(text.split())


def _words(prompt: str, start: int, end: int, spaced: bool) -> Words:
    if spaced and _is_spaced(prompt[start:end]):
        return [(start + match.start(), start + match.end()) for match in re.finditer(r"\S+", prompt[start:end])]
    return [(first, min(first + SCRIPT_STEP, end)) for first in range(start, end, SCRIPT_STEP)]


def _sentences(prompt: str, spaced: bool) -> Iterator[tuple[int, int]]:
    shortest = MIN_SENTENCE_WORDS if spaced else MIN_SENTENCE_STEPS
    start, last = 0, len(prompt.rstrip())
    for end in [*(match.end() for match in SENTENCE.finditer(prompt)), last]:
        text = prompt[start:end].strip()
        if text and (end >= last or len(_words(text, 0, len(text), spaced)) >= shortest):
            first = prompt.index(text, start)
            yield first, first + len(text)
            start = end


def _parts(words: Words) -> Iterator[Words]:
    step = MAX_PASSAGE_WORDS - MAX_WINDOW_WORDS + 1
    for first in range(0, max(len(words) - MAX_WINDOW_WORDS + 1, 1), step):
        yield words[first : first + MAX_PASSAGE_WORDS]


def _passage(prompt: str, start: int, end: int, words: Words) -> Passage:
    whole = Span(start=start, end=end, text=prompt[start:end])
    words = [_without_marks(prompt, *word) for word in words]
    windows, sketch, last = [whole], [whole], len(words) - MAX_WINDOW_WORDS
    for first in range(len(words)):
        for size in range(2, MAX_WINDOW_WORDS + 1):
            if first + size <= len(words) and size < len(words):
                low, high = _with_both_marks(prompt, words[first][0], words[first + size - 1][1])
                windows.append(Span(start=low, end=high, text=prompt[low:high]))
                if size == MAX_WINDOW_WORDS and (first % 2 == 0 or first == last):
                    sketch.append(windows[-1])
    return Passage(windows, sketch)


def _without_marks(prompt: str, low: int, high: int) -> tuple[int, int]:
    """Where a word stands without the marks around it, which are kept if it has nothing else."""
    first, last = low, high
    while first < last and _is_mark(prompt[first]):
        first += 1
    while first < last and _is_mark(prompt[last - 1]):
        last -= 1
    return (first, last) if first < last else (low, high)


def _is_mark(letter: str) -> bool:
    """Whether this is a quote, bracket, dash or stop, and no sign that stands for letters."""
    return unicodedata.category(letter) in ("Ps", "Pe", "Pi", "Pf", "Pd", "Po") and letter not in "*#@%&"


def _with_both_marks(prompt: str, low: int, high: int) -> tuple[int, int]:
    """A stretch with the mark beside it whose other half it holds, so that no half is left over when it goes."""
    text = prompt[low:high]
    for opening, closing in PAIRS:
        odd = text.count(opening) % 2 if opening == closing else text.count(opening) - text.count(closing)
        if odd > 0 and prompt.startswith(closing, high):
            high += 1
        elif odd and low and prompt[low - 1] == opening and (odd < 0 or opening == closing):
            low -= 1
    return low, high
