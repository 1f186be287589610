"""The demo model's detector: does a picture still show what the safe prompt removed?"""

from collections.abc import Sequence
from itertools import dropwhile

from PIL.Image import Image

from generator.demo_model.captions import (
    ALWAYS_NAMED,
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
    "setting": ALWAYS_NAMED,
    "outfit": ("swimsuit",),
}


def _phrases(*tables: dict[str, list[str]]) -> list[tuple[tuple[str, ...], str]]:
    """All phrases for each value, "in a bar" as "bar". The longest come first: a water pistol is not a pistol."""
    split = [(words(phrase), name) for table in tables for name, phrases in table.items() for phrase in phrases]
    bare = {(tuple(dropwhile(FUNCTION_WORDS.__contains__, phrase)), name) for phrase, name in split}
    return sorted(bare, key=lambda phrase: (-len(phrase[0]), phrase))


_PHRASES = {
    "object": _phrases(OBJECT),
    "setting": _phrases(SETTING),
    "outfit": _phrases(OUTFIT, WOMANS_OUTFIT, MANS_OUTFIT),
}


class AttributeDetector:
    """Uses the attribute classifier to find values that the safe prompt removed."""

    def __init__(self, *attributes: str) -> None:
        self.attributes, self.classifier = attributes, load()

    def __call__(self, image: Image, request: DrawRequest) -> float:
        return self.many([image], [request])[0]

    def many(self, images: Sequence[Image], requests: Sequence[DrawRequest]) -> list[float]:
        """The greatest risk of any attribute, for each picture."""
        likely, risks = probabilities(self.classifier, list(images)), [0.0] * len(requests)
        for attribute in self.attributes:
            for number, (row, request) in enumerate(zip(likely[attribute].tolist(), requests, strict=True)):
                unwanted = removed_values(attribute, request)
                # An object that is half an offending one also counts.
                labels = [*unwanted, HYBRID] if unwanted and attribute == "object" else unwanted
                risk = sum(row[LABELS[attribute].index(name)] for name in labels)
                risks[number] = min(1.0, max(risks[number], risk))
        return risks


def demo_detector() -> BatchDetector:
    """Finds objects and settings that the safe prompt removed.

    The policy decides which of them offend, by rewriting the prompt: a knife that the policy allowed is no risk. An
    object that is half an offending one is unsafe too. A prompt without a safe prompt has no risk.
    """
    return AttributeDetector("object", "setting")


def swimsuit_detector() -> BatchDetector:
    """Finds swimsuits that the safe prompt removed. For evaluation only: a short safe prompt often names no clothes
    although none offended."""
    return AttributeDetector("outfit")


def removed_values(attribute: str, request: DrawRequest) -> list[str]:
    """The offensive values that the prompt names and the safe prompt does not."""
    if request.safe_prompt is None:
        return []
    removed = _named_values(attribute, request.prompt) - _named_values(attribute, request.safe_prompt)
    return [name for name in CAN_OFFEND[attribute] if name in removed]


def _named_values(attribute: str, prompt: str) -> set[str]:
    text, named, place = words(prompt), set(), 0
    while place < len(text):
        match = next(((p, name) for p, name in _PHRASES[attribute] if tuple(text[place : place + len(p)]) == p), None)
        if match:
            named.add(match[1])
        place += len(match[0]) if match else 1
    return named
