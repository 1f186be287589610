"""How alike two pictures are: by pixels, by CLIP where one is at hand, by what the demo model's classifier reads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from PIL import Image

from evaluation.image.clip import Clip
from evaluation.measures import Floats
from generator.pipeline import model_name

PIXELS, CLIP = "pixels", "CLIP"
Reading: TypeAlias = tuple[Any, ...]
"""Of one picture, what each measure compares."""


class Measure(NamedTuple):
    """Reads pictures once, and compares two readings: named values in [0, 1], 1 where the pictures are the same."""

    read: Callable[[Sequence[Image.Image]], Sequence[Any]]
    compare: Callable[[Any, Any], dict[str, float]]


class Likeness:
    """All measures that are at hand, `pixels` first, then CLIP."""

    def __init__(self, measures: Sequence[Measure], clip: Clip | None = None) -> None:
        self.measures, self.clip = measures, clip

    def read(self, images: Sequence[Image.Image]) -> list[Reading]:
        """One reading a picture, (n,)."""
        return list(zip(*(measure.read(images) for measure in self.measures), strict=True))

    def compare(self, one: Reading, other: Reading) -> dict[str, float]:
        """Named measures in [0, 1]."""
        found: dict[str, float] = {}
        for measure, here, there in zip(self.measures, one, other, strict=True):
            found |= measure.compare(here, there)
        return found

    def scores(self, readings: Sequence[Reading], prompts: Sequence[str]) -> Sequence[float | None]:
        """The CLIP score of each picture with its prompt, (n,); None without CLIP."""
        if self.clip is None:
            return [None] * len(readings)
        return self.clip.scores([reading[1] for reading in readings], prompts)


def likeness(pipe: Any, clip: str | None) -> Likeness:
    """All measures that are at hand for this model.

    Args:
        clip: folder or hub id of a CLIP model in transformers' layout; None for none.

    Raises:
        OSError: where there is no such CLIP model.
    """
    found = [Measure(lambda images: [np.asarray(image.convert("RGB")) for image in images], _pixels)]
    seer = Clip(clip, pipe.device) if clip else None
    if seer:
        found.append(
            Measure(
                lambda images: list(seer.read(images)), lambda one, other: {CLIP: float(np.clip(one @ other, 0, 1))}
            )
        )
    if model_name(pipe) == "demo":
        found.append(_attributes())
    return Likeness(found, seer)


def distance(alike: dict[str, float]) -> float:
    """How far apart two pictures are: 1 - CLIP, else 1 - pixels."""
    return 1 - alike.get(CLIP, alike[PIXELS])


def meant(measures: dict[str, Floats]) -> Floats:
    """What of the picture's meaning is kept, (n,): the mean of the attributes, else CLIP, else pixels."""
    attributes = [values for name, values in measures.items() if name not in (PIXELS, CLIP)]
    if attributes:
        return np.mean(attributes, axis=0)  # type: ignore[no-any-return]
    return measures.get(CLIP, measures[PIXELS])


def _pixels(one: Any, other: Any) -> dict[str, float]:
    return {PIXELS: 1 - float(np.abs(one.astype(np.int16) - other).mean()) / 255}


def _attributes() -> Measure:
    from generator.demo_model.classifier import load, read
    from generator.demo_model.scenes import ATTRIBUTES

    classifier = load()
    return Measure(
        lambda images: read(classifier, list(images)),
        lambda one, other: {name: float(one[name] == other[name]) for name in ATTRIBUTES},
    )
