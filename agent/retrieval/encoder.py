"""Text encoders: the one included in a PyPI package, or any sentence-transformers model."""

from __future__ import annotations

from functools import cache
from threading import Lock
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from cachetools import LRUCache

Vector = npt.NDArray[np.float32]
Vectors = npt.NDArray[np.float32]

EMBEDDED = "multilingual-e5-small"
MAX_REMEMBERED = 20_000  # texts, at 1.5 kB each for the default encoder


class Encoder(Protocol):
    """Maps texts to unit vectors, so that an inner product is a cosine similarity."""

    name: str

    def encode(self, texts: list[str]) -> Vectors:
        """Embed n texts as float32 of shape (n, d), each row of length 1."""
        ...

    def count_tokens(self, text: str) -> int:
        """The tokens of a text, without those that mark its beginning and end."""
        ...


class SentenceTransformer:
    """Any model id or folder of the sentence-transformers library (extra `sentence-transformers`)."""

    def __init__(self, name: str) -> None:
        from sentence_transformers import SentenceTransformer as Model

        self.name = name
        self._model: Any = Model(name, model_kwargs={"use_safetensors": True})

    def encode(self, texts: list[str]) -> Vectors:
        return np.asarray(self._model.encode(texts, normalize_embeddings=True), dtype=np.float32)

    def count_tokens(self, text: str) -> int:
        return len(self._model.tokenizer(text, add_special_tokens=False)["input_ids"])


class Remembering:
    """Remembers the last vectors of another encoder: a prompt and its rewrites share most of their words."""

    def __init__(self, encoder: Encoder) -> None:
        self.name = encoder.name
        self._encoder = encoder
        self._kept: LRUCache[str, Vector] = LRUCache(MAX_REMEMBERED)
        self._lock = Lock()

    def encode(self, texts: list[str]) -> Vectors:
        with self._lock:
            vectors = {text: self._kept[text] for text in texts if text in self._kept}
        if missing := [text for text in dict.fromkeys(texts) if text not in vectors]:
            # A row is a view, which would keep all rows of its call in memory for as long as it is remembered.
            rows = [row.copy() for row in self._encoder.encode(missing)]
            fresh = dict(zip(missing, rows, strict=True))
            with self._lock:
                self._kept.update(fresh)
            vectors |= fresh
        return np.stack([vectors[text] for text in texts])

    def count_tokens(self, text: str) -> int:
        return self._encoder.count_tokens(text)


@cache
def load_encoder(name: str) -> Encoder:
    """`multilingual-e5-small`, which is included, or any model that sentence-transformers can load under `name`.

    A process has one of each: they are large, and they remember.
    """
    if name != EMBEDDED:
        return Remembering(SentenceTransformer(name))
    from agent.retrieval.e5.model import E5

    return Remembering(E5())


def similarity(encoder: Encoder, text: str, other: str) -> float:
    """Cosine similarity of two texts, clipped to [0, 1]."""
    left, right = encoder.encode([text, other])
    return min(max(float(left @ right), 0.0), 1.0)
