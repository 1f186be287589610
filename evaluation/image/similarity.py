"""How similar two pictures are: by pixels, by CLIP, and by the attributes that the demo model's classifier reads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from PIL import Image

from evaluation.image.clip import Clip
from evaluation.measures import Floats
from generator.models import model_name

PIXELS, CLIP = "pixels", "CLIP"
Features: TypeAlias = tuple[Any, ...]
"""What each measure compares of one picture."""


class Measure(NamedTuple):
    """`read` returns a feature per picture; `compare` returns similarities in [0, 1] by name, 1 for equal pictures."""

    read: Callable[[Sequence[Image.Image]], Sequence[Any]]
    compare: Callable[[Any, Any], dict[str, float]]


class Similarity:
    """All available measures: pixels first, then CLIP."""

    def __init__(self, measures: Sequence[Measure], clip: Clip | None = None) -> None:
        self.measures, self.clip = measures, clip

    def read(self, images: Sequence[Image.Image]) -> list[Features]:
        """The features of each picture, (n,)."""
        return list(zip(*(measure.read(images) for measure in self.measures), strict=True))

    def compare(self, one: Features, other: Features) -> dict[str, float]:
        """Similarities by name, in [0, 1]."""
        similarities: dict[str, float] = {}
        for measure, feature, other_feature in zip(self.measures, one, other, strict=True):
            similarities |= measure.compare(feature, other_feature)
        return similarities

    def scores(self, features: Sequence[Features], prompts: Sequence[str]) -> Sequence[float | None]:
        """The CLIP score of each picture with its prompt, (n,); None without CLIP."""
        if self.clip is None:
            return [None] * len(features)
        return self.clip.scores([each[1] for each in features], prompts)


def similarity_for(pipe: Any, clip: str | None) -> Similarity:
    """All measures that are available for this model.

    Args:
        clip: folder or hub id of a CLIP model in transformers' layout, or None.

    Raises:
        OSError: the CLIP model cannot be found.
    """
    measures = [Measure(lambda images: [np.asarray(image.convert("RGB")) for image in images], _pixels)]
    model = Clip(clip, pipe.device) if clip else None
    if model:
        measures.append(Measure(lambda images: list(model.embed(images)), _cosine))
    if model_name(pipe) == "demo":
        measures.append(_attributes())
    return Similarity(measures, model)


def distance(similarities: dict[str, float]) -> float:
    """How far apart two pictures are: 1 - CLIP or, without CLIP, 1 - pixels."""
    return 1 - similarities.get(CLIP, similarities[PIXELS])


def meaning(similarities: dict[str, Floats]) -> Floats:
    """How much of the pictures' meaning is kept, (n,): the mean of the attributes; without them CLIP; else pixels."""
    attributes = [values for name, values in similarities.items() if name not in (PIXELS, CLIP)]
    if attributes:
        return np.mean(attributes, axis=0)  # type: ignore[no-any-return]
    return similarities.get(CLIP, similarities[PIXELS])


def _pixels(one: Any, other: Any) -> dict[str, float]:
    return {PIXELS: 1 - float(np.abs(one.astype(np.int16) - other).mean()) / 255}


def _cosine(one: Any, other: Any) -> dict[str, float]:
    return {CLIP: float(np.clip(one @ other, 0, 1))}


def _attributes() -> Measure:
    from generator.demo_model.classifier import load, read
    from generator.demo_model.scenes import ATTRIBUTES

    classifier = load()
    return Measure(
        lambda images: read(classifier, list(images)),
        lambda one, other: {name: float(one[name] == other[name]) for name in ATTRIBUTES},
    )
