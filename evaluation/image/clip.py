"""A CLIP model (Radford et al. 2021), to compare pictures with each other and with texts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from PIL import Image
from torch.nn.functional import normalize
from transformers import AutoTokenizer, CLIPImageProcessor, CLIPModel

from evaluation.measures import Floats


class Clip:
    """A model in transformers' layout, from a folder or the hub."""

    def __init__(self, source: str, device: Any) -> None:
        """
        Raises:
            OSError: the model cannot be found.
        """
        self.model: Any = CLIPModel.from_pretrained(source, use_safetensors=True).eval().to(device)
        self.processor: Any = CLIPImageProcessor.from_pretrained(source)
        self.tokenizer: Any = AutoTokenizer.from_pretrained(source)
        self.device = device

    @torch.no_grad()
    def embed(self, images: Sequence[Image.Image]) -> Floats:
        """One unit vector per picture, (n, width)."""
        rgb = [image.convert("RGB") for image in images]
        pixels = self.processor(images=rgb, return_tensors="pt").to(self.device)
        vectors = self.model.visual_projection(self.model.vision_model(**pixels).pooler_output)
        return _array(vectors)

    @torch.no_grad()
    def scores(self, embedded: Sequence[Floats], texts: Sequence[str]) -> list[float]:
        """max(0, cosine) of embedded pictures with their texts, in [0, 1]: the CLIP score (Hessel et al. 2021) without
        its factor."""
        tokens = self.tokenizer(list(texts), padding=True, truncation=True, return_tensors="pt").to(self.device)
        vectors = _array(self.model.text_projection(self.model.text_model(**tokens).pooler_output))
        return [min(1.0, max(0.0, float(one @ other))) for one, other in zip(embedded, vectors, strict=True)]


def _array(vectors: torch.Tensor) -> Floats:
    array: Floats = normalize(vectors.float(), dim=-1).cpu().double().numpy()
    return array
