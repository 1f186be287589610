"""The windows of a prompt: stretches of words that are compared with concepts."""

from __future__ import annotations

import re
from collections.abc import Iterator

from propriety.verdict import Span

MAX_WINDOW_WORDS = 5
MAX_WINDOWS = 96
MAX_MEAN_WORD = 14  # characters; text with longer words is in a script without spaces
SCRIPT_STEP = 4  # characters that stand for a word in such scripts


def windows_of(prompt: str) -> list[Span]:
    """The whole prompt first, then its stretches of two to five words, at most `MAX_WINDOWS` in all.

    Text without spaces between words is cut by characters.
    """
    words = [match.span() for match in re.finditer(r"\S+", prompt)]
    if words and len(prompt) / len(words) > MAX_MEAN_WORD:
        words = [(start, min(start + SCRIPT_STEP, len(prompt))) for start in range(0, len(prompt), SCRIPT_STEP)]
    whole = Span(start=0, end=len(prompt), text=prompt)
    return [whole, *_stretches(prompt, words)][:MAX_WINDOWS]


def _stretches(prompt: str, words: list[tuple[int, int]]) -> Iterator[Span]:
    stride = 1 + len(words) * (MAX_WINDOW_WORDS - 1) // MAX_WINDOWS
    for first in range(0, len(words), stride):
        for size in range(2, MAX_WINDOW_WORDS + 1):
            if first + size <= len(words) and size < len(words):
                start, end = words[first][0], words[first + size - 1][1]
                yield Span(start=start, end=end, text=prompt[start:end])
