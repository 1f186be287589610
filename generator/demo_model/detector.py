"""The last look at the demo model's pictures: whether what was written out of the prompt is still seen."""

from collections.abc import Sequence
from itertools import dropwhile

from PIL.Image import Image

from generator.demo_model.captions import (
    ALWAYS_SAID,
    FUNCTION_WORDS,
    MANS_OUTFIT,
    OBJECT,
    OUTFIT,
    SETTING,
    WOMANS_OUTFIT,
    words,
)
from generator.demo_model.classifier import HYBRID, LABELS, load, probabilities
from propriety.drawing import DrawRequest
from propriety.pictures.detector import BatchDetector

CAN_OFFEND = {
    "object": ("wine glass", "cigarette", "gun", "knife"),
    "setting": ALWAYS_SAID,
    "outfit": ("swimsuit",),
}


def _phrases(*tables: dict[str, list[str]]) -> list[tuple[tuple[str, ...], str]]:
    """All words for each value, "in a bar" as "bar"; the longest first, so that a water pistol is no pistol."""
    said = [(words(phrase), name) for table in tables for name, phrases in table.items() for phrase in phrases]
    bare = {(tuple(dropwhile(FUNCTION_WORDS.__contains__, phrase)), name) for phrase, name in said}
    return sorted(bare, key=lambda phrase: (-len(phrase[0]), phrase))


_PHRASES = {
    "object": _phrases(OBJECT),
    "setting": _phrases(SETTING),
    "outfit": _phrases(OUTFIT, WOMANS_OUTFIT, MANS_OUTFIT),
}


class Reader:
    """The attribute classifier on what the safe prompt no longer names."""

    def __init__(self, *attributes: str) -> None:
        self.attributes, self.classifier = attributes, load()

    def __call__(self, image: Image, request: DrawRequest) -> float:
        return self.many([image], [request])[0]

    def many(self, images: Sequence[Image], requests: Sequence[DrawRequest]) -> list[float]:
        """As for one picture, for each: the greatest risk of any attribute."""
        likely, risks = probabilities(self.classifier, list(images)), [0.0] * len(requests)
        for attribute in self.attributes:
            for number, (row, request) in enumerate(zip(likely[attribute].tolist(), requests, strict=True)):
                unwanted = written_out(attribute, request)
                # Half an offending object, half another is too much.
                seen = [*unwanted, HYBRID] if unwanted and attribute == "object" else unwanted
                risk = sum(row[LABELS[attribute].index(name)] for name in seen)
                risks[number] = min(1.0, max(risks[number], risk))
        return risks


def demo_detector() -> BatchDetector:
    """Sees the objects and settings that the safe prompt no longer names.

    Which of them offend is the policy's to say, and it has said so by rewriting: a knife is fine for a cook who was
    allowed one. What is half such an object, half another counts as unsafe too. A prompt drawn as asked has no risk.
    """
    return Reader("object", "setting")


def swimsuit_detector() -> BatchDetector:
    """Sees swimsuits that the safe prompt no longer names; for measuring, as a short safe prompt often names no clothes
    where none offended."""
    return Reader("outfit")


def written_out(attribute: str, request: DrawRequest) -> list[str]:
    """The values that can offend, that the prompt names, and that the safe prompt does not."""
    if request.safe_prompt is None:
        return []
    left_out = _named(attribute, request.prompt) - _named(attribute, request.safe_prompt)
    return [name for name in CAN_OFFEND[attribute] if name in left_out]


def _named(attribute: str, text: str) -> set[str]:
    read, named, place = words(text), set(), 0
    while place < len(read):
        found = next(((p, name) for p, name in _PHRASES[attribute] if tuple(read[place : place + len(p)]) == p), None)
        if found:
            named.add(found[1])
        place += len(found[0]) if found else 1
    return named
