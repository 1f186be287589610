"""How alike two pictures are: by pixels, by CLIP where one is at hand, by what the demo model's classifier reads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
from PIL import Image

from evaluation.measures import Floats
from generator.pipeline import model_name

OBJECT = "object"  # the one attribute that has to change where it offends
PIXELS, CLIP = "pixels", "CLIP"
Likeness: TypeAlias = Callable[[Sequence[Image.Image], Sequence[Image.Image]], dict[str, Floats]]
"""Two sequences of n pictures to named measures in [0, 1], (n,), 1 where a pair is the same."""


def likeness(pipe: Any, clip: str | None) -> Likeness:
    """All measures that are at hand for this model, `pixels` first.

    Args:
        clip: folder or hub id of a CLIP model in transformers' layout; None for none.

    Raises:
        OSError: where there is no such CLIP model.
    """
    found: list[Likeness] = [_pixels]
    if clip:
        found.append(_clip(clip))
    if model_name(pipe) == "demo":
        found.append(_attributes())
    return lambda ones, others: {name: values for each in found for name, values in each(ones, others).items()}


def meant(measures: dict[str, Floats], but_object: bool) -> Floats:
    """What of the picture's meaning is kept, (n,): the mean of the attributes, else CLIP, else pixels."""
    attributes = [values for name, values in measures.items() if name not in (PIXELS, CLIP)]
    if attributes:
        kept = [v for name, v in measures.items() if name not in (PIXELS, CLIP) and not (but_object and name == OBJECT)]
        return np.mean(kept, axis=0)  # type: ignore[no-any-return]
    return measures.get(CLIP, measures[PIXELS])


def _pixels(ones: Sequence[Image.Image], others: Sequence[Image.Image]) -> dict[str, Floats]:
    pairs = zip(ones, others, strict=True)
    return {
        PIXELS: np.array([1 - np.abs(np.subtract(_array(one), _array(other))).mean() / 255 for one, other in pairs])
    }


def _array(image: Image.Image) -> Floats:
    return np.asarray(image.convert("RGB"), dtype=float)


def _clip(source: str) -> Likeness:
    import torch
    from transformers import CLIPImageProcessor, CLIPModel

    model: Any = CLIPModel.from_pretrained(source).eval()
    processor: Any = CLIPImageProcessor.from_pretrained(source)

    def embedded(images: Sequence[Image.Image]) -> Any:
        with torch.no_grad():
            pixels = processor(images=[image.convert("RGB") for image in images], return_tensors="pt")
            vectors = model.visual_projection(model.vision_model(**pixels).pooler_output)
        return torch.nn.functional.normalize(vectors, dim=-1)

    def compare(ones: Sequence[Image.Image], others: Sequence[Image.Image]) -> dict[str, Floats]:
        cosine = (embedded(ones) * embedded(others)).sum(-1).clamp(0, 1)
        return {CLIP: cosine.double().numpy()}

    return compare


def _attributes() -> Likeness:
    from generator.demo_model.classifier import load, read
    from generator.demo_model.scenes import ATTRIBUTES

    classifier = load()

    def compare(ones: Sequence[Image.Image], others: Sequence[Image.Image]) -> dict[str, Floats]:
        pairs = list(zip(read(classifier, list(ones)), read(classifier, list(others)), strict=True))
        return {name: np.array([float(one[name] == other[name]) for one, other in pairs]) for name in ATTRIBUTES}

    return compare
