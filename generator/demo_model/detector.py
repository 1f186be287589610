"""The last look at the demo model's pictures: whether what was written out of the prompt is still seen."""

from PIL.Image import Image

from generator.demo_model.captions import OBJECT, words
from generator.demo_model.classifier import HYBRID, LABELS, load, probabilities
from generator.detector import Detector
from generator.schema import DrawRequest

CAN_OFFEND = ("wine glass", "cigarette", "gun", "knife")
_PHRASES = sorted(
    {(tuple(words(phrase.removeprefix("a "))), name) for name, phrases in OBJECT.items() for phrase in phrases},
    key=lambda phrase: (-len(phrase[0]), phrase),
)


def demo_detector() -> Detector:
    """The attribute classifier, on the objects that the safe prompt no longer names.

    Which objects offend is the policy's to say, and it has said so by rewriting: a knife is fine for a cook who was
    allowed one. What is half such an object, half another counts as unsafe too. A prompt drawn as asked has no risk.
    """
    classifier = load()
    labels = LABELS["object"]

    def detect(image: Image, request: DrawRequest) -> float:
        unwanted = written_out(request)
        if not unwanted:
            return 0.0
        (row,) = probabilities(classifier, [image])["object"]
        return min(1.0, float(sum(row[labels.index(name)] for name in (*unwanted, HYBRID))))

    return detect


def written_out(request: DrawRequest) -> list[str]:
    """The objects that can offend, that the prompt names, and that the safe prompt does not."""
    if request.safe_prompt is None:
        return []
    kept = _objects(request.safe_prompt)
    return [name for name in CAN_OFFEND if name in _objects(request.prompt) - kept]


def _objects(text: str) -> set[str]:
    """The objects that a text names; the longest phrase wins, so that a water pistol is no pistol."""
    read, named, place = words(text), set(), 0
    while place < len(read):
        found = next(((p, name) for p, name in _PHRASES if tuple(read[place : place + len(p)]) == p), None)
        if found:
            named.add(found[1])
        place += len(found[0]) if found else 1
    return named
