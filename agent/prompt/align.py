"""Where words of a normalised text stand in the text as it was sent."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right

from rapidfuzz.distance import Indel

from agent.prompt.normalise.folding import MARKS, spelling
from propriety.verdict import Span

# Words; but single letters of the scripts that leave no spaces, so that one changed letter moves no whole sentence.
UNSPACED = "\u0e00-\u0e7f\u0e80-\u0eff\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\U00020000-\U0003ffff"
TOKEN = re.compile(f"[{UNSPACED}]|[^\\W{UNSPACED}](?:[^\\W{UNSPACED}]|[{MARKS}])*|[^\\w\\s]")

Block = tuple[bool, int, int, int, int]  # whether equal; where in the normalised text's words; where in those as sent


class Alignment:
    """Pairs the words of two texts that mean the same."""

    def __init__(self, sent: str, normalised: str) -> None:
        self._sent = sent
        self._to, self._from = ([match.span() for match in TOKEN.finditer(text)] for text in (sent, normalised))
        sent_words = [spelling(sent[start:end]) for start, end in self._to]
        words = [spelling(normalised[start:end]) for start, end in self._from]
        self._starts, self._ends = [start for start, _ in self._from], [end for _, end in self._from]
        self._blocks = _blocks(words, sent_words)

    def span(self, span: Span) -> Span:
        """The words as sent behind words of the normalised text; all of them where that cannot be told."""
        first, last = bisect_right(self._ends, span.start), bisect_left(self._starts, span.end)
        ranges = [self._range(*block, first, last) for block in self._blocks if block[1] < last and first < block[2]]
        places = [place for place in ranges if place[0] < place[1]]
        if not places:
            return Span(start=0, end=len(self._sent), text=self._sent)
        start, end = self._to[min(low for low, _ in places)][0], self._to[max(high for _, high in places) - 1][1]
        return Span(start=start, end=end, text=self._sent[start:end])

    @staticmethod
    def _range(equal: bool, low: int, high: int, to_low: int, to_high: int, first: int, last: int) -> tuple[int, int]:
        """The part of one block: word by word where both texts agree, and otherwise the whole block."""
        if not equal:
            return to_low, to_high
        return to_low + max(first - low, 0), to_low + min(last, high) - low


def _blocks(words: list[str], sent_words: list[str]) -> list[Block]:
    """The longest common subsequence, and what stands between its parts. rapidfuzz finds it in milliseconds, where
    difflib takes the cube of a text's length."""
    blocks: list[Block] = []
    for one in Indel.opcodes(words, sent_words):
        equal, low, to_low = one.tag == "equal", one.src_start, one.dest_start
        if not equal and blocks and not blocks[-1][0]:
            _, low, _, to_low, _ = blocks.pop()
        blocks.append((equal, low, one.src_end, to_low, one.dest_end))
    return blocks
