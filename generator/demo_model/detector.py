"""The last look at the demo model's pictures: whether what was written out of the prompt is still seen."""

from collections.abc import Sequence

from PIL.Image import Image

from generator.demo_model.captions import MANS_OUTFIT, OBJECT, OUTFIT, WOMANS_OUTFIT, words
from generator.demo_model.classifier import HYBRID, LABELS, load, probabilities
from generator.detector import BatchDetector
from generator.schema import DrawRequest

CAN_OFFEND = ("wine glass", "cigarette", "gun", "knife")
SWIMSUIT = {
    tuple(words(phrase)) for outfits in (OUTFIT, WOMANS_OUTFIT, MANS_OUTFIT) for phrase in outfits.get("swimsuit", ())
}
_PHRASES = sorted(
    {(tuple(words(phrase.removeprefix("a "))), name) for name, phrases in OBJECT.items() for phrase in phrases},
    key=lambda phrase: (-len(phrase[0]), phrase),
)


class Reader:
    """The attribute classifier on what the safe prompt no longer names."""

    def __init__(self, outfits: bool) -> None:
        self.outfits, self.classifier = outfits, load()

    def __call__(self, image: Image, request: DrawRequest) -> float:
        return self.many([image], [request])[0]

    def many(self, images: Sequence[Image], requests: Sequence[DrawRequest]) -> list[float]:
        """As for one picture, for each."""
        attribute = "outfit" if self.outfits else "object"
        labels, rows = LABELS[attribute], probabilities(self.classifier, list(images))[attribute].tolist()
        risks = []
        for row, request in zip(rows, requests, strict=True):
            unwanted = self._unwanted(request)
            risks.append(min(1.0, sum(row[labels.index(name)] for name in unwanted)))
        return risks

    def _unwanted(self, request: DrawRequest) -> list[str]:
        if self.outfits:
            return ["swimsuit"] if swimsuit_written_out(request) else []
        objects = written_out(request)
        return [*objects, HYBRID] if objects else []


def demo_detector() -> BatchDetector:
    """Sees the objects that the safe prompt no longer names.

    Which objects offend is the policy's to say, and it has said so by rewriting: a knife is fine for a cook who was
    allowed one. What is half such an object, half another counts as unsafe too. A prompt drawn as asked has no risk.
    """
    return Reader(outfits=False)


def swimsuit_detector() -> BatchDetector:
    """Sees swimsuits that the safe prompt no longer names; for measuring, as a short safe prompt often names no clothes
    where none offended."""
    return Reader(outfits=True)


def written_out(request: DrawRequest) -> list[str]:
    """The objects that can offend, that the prompt names, and that the safe prompt does not."""
    if request.safe_prompt is None:
        return []
    kept = _objects(request.safe_prompt)
    return [name for name in CAN_OFFEND if name in _objects(request.prompt) - kept]


def swimsuit_written_out(request: DrawRequest) -> bool:
    """Whether the prompt names a swimsuit and the safe prompt does not."""
    return request.safe_prompt is not None and _swims(request.prompt) and not _swims(request.safe_prompt)


def _swims(text: str) -> bool:
    read = words(text)
    return any(tuple(read[place : place + len(p)]) == p for p in SWIMSUIT for place in range(len(read)))


def _objects(text: str) -> set[str]:
    """The objects that a text names; the longest phrase wins, so that a water pistol is no pistol."""
    read, named, place = words(text), set(), 0
    while place < len(read):
        found = next(((p, name) for p, name in _PHRASES if tuple(read[place : place + len(p)]) == p), None)
        if found:
            named.add(found[1])
        place += len(found[0]) if found else 1
    return named
