from weakref import ref

import numpy as np

from agent.retrieval.encoder import EMBEDDED, Remembering, Vectors, load_encoder

TEXTS = ["a gun", "a water pistol", "a glass of juice"]


class Watched:
    """The embedded encoder; records what it was asked and whether its last result is still in memory."""

    name = EMBEDDED

    def __init__(self) -> None:
        self.asked: list[list[str]] = []

    def encode(self, texts: list[str]) -> Vectors:
        self.asked.append(texts)
        vectors = load_encoder(EMBEDDED).encode(texts)
        self.last = ref(vectors)
        return vectors


def test_a_text_is_embedded_once_and_remembered() -> None:
    watched = Watched()
    encoder = Remembering(watched)
    first = encoder.encode(TEXTS[:2])
    again = encoder.encode([TEXTS[2], TEXTS[0], TEXTS[0]])
    assert watched.asked == [TEXTS[:2], TEXTS[2:]]
    np.testing.assert_array_equal(again[1], first[0])
    np.testing.assert_array_equal(again[2], first[0])


def test_remembered_vectors_keep_nothing_else_in_memory() -> None:
    watched = Watched()
    encoder = Remembering(watched)
    np.testing.assert_allclose(np.linalg.norm(encoder.encode(TEXTS), axis=1), 1, atol=1e-5)
    assert watched.last() is None
