import random

from hypothesis import given
from hypothesis import strategies as st

from generator.demo_model.captions import VOCABULARY
from generator.demo_model.scenes import Scene
from generator.demo_model.text import MAX_TOKENS, build_tokenizer, nonsense, with_noise_word

TOKENIZER = build_tokenizer()


def test_every_known_word_is_one_token() -> None:
    assert all(len(TOKENIZER(word, add_special_tokens=False).input_ids) == 1 for word in VOCABULARY)


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"])))
def test_any_text_becomes_tokens_of_the_vocabulary(text: str) -> None:
    ids = TOKENIZER(text, padding="max_length", truncation=True, max_length=MAX_TOKENS).input_ids
    assert len(ids) == MAX_TOKENS
    assert all(0 <= index < len(TOKENIZER) for index in ids)


def test_a_noise_word_leaves_the_caption_intact() -> None:
    caption = ["a", "woman", "on", "a", "beach"]
    noisy = with_noise_word(" ".join(caption), random.Random(0)).split()
    assert len(noisy) == 6
    assert [word for word in noisy if word in caption] == caption


def test_nonsense_names_neither_objects_nor_clothes() -> None:
    rng = random.Random(1)
    scene = Scene("beach", "woman", "dress", "red", "nothing")
    texts = {nonsense(scene, rng) for _ in range(300)}
    assert len(texts) > 200
    assert not [text for text in texts if {"gun", "knife", "dress", "red"} & set(text.split())]
