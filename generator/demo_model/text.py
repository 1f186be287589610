"""The tokeniser and text encoder that read captions."""

import random
from typing import Any

from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer
from transformers.convert_slow_tokenizer import bytes_to_unicode

from generator.demo_model.captions import SETTING, SUBJECT, VOCABULARY
from generator.demo_model.scenes import Scene

MAX_TOKENS, WIDTH = 32, 128
BOS, EOS, END_OF_WORD = "<|startoftext|>", "<|endoftext|>", "</w>"


def build_tokenizer() -> CLIPTokenizer:
    """A CLIP tokeniser with one token for each word of the vocabulary; it spells all others byte by byte.

    Words are merged from their last letter backwards. So the right side of each merge is an end-of-word piece, and the
    merges of two words cannot collide in any order.
    """
    letters = list(bytes_to_unicode().values())
    pieces = letters + [letter + END_OF_WORD for letter in letters]
    merges: dict[tuple[str, str], None] = {}
    for word in sorted(VOCABULARY):
        for start in range(len(word) - 2, -1, -1):
            merges[word[start], word[start + 1 :] + END_OF_WORD] = None
    pieces += [left + right for left, right in merges]
    vocabulary = {piece: index for index, piece in enumerate([BOS, EOS, *pieces])}
    pairs: Any = list(merges)  # annotated as strings, but pairs are needed
    return CLIPTokenizer(vocab=vocabulary, merges=pairs, model_max_length=MAX_TOKENS)


def build_encoder(tokenizer: CLIPTokenizer) -> CLIPTextModel:
    """An untrained text encoder: two layers, 128 wide."""
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=WIDTH,
            intermediate_size=4 * WIDTH,
            num_hidden_layers=2,
            num_attention_heads=4,
            max_position_embeddings=MAX_TOKENS,
            projection_dim=WIDTH,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )


def made_up_word(rng: random.Random) -> str:
    """A meaningless word; half of them end like a known word."""
    word = "".join(rng.choice("abcdefghijklmnopqrstuvwxyz") for _ in range(rng.randint(3, 9)))
    return word if rng.random() < 0.5 else word[: len(word) // 2] + rng.choice(sorted(VOCABULARY))[-3:]


def with_noise_word(text: str, rng: random.Random) -> str:
    """The text with one made-up word in it, to teach the model to draw the rest of a prompt."""
    parts = text.split(" ")
    parts.insert(rng.randint(0, len(parts)), made_up_word(rng))
    return " ".join(parts)


def nonsense(scene: Scene, rng: random.Random) -> str:
    """A caption of made-up words, sometimes with the scene's setting or subject."""
    who = rng.choice(SUBJECT[scene.subject]) if rng.random() < 0.3 else made_up_word(rng)
    what = rng.choice(["with a", "and a", "holding a", ""])
    where = rng.choice(SETTING[scene.setting]) if rng.random() < 0.4 else f"in a {made_up_word(rng)}"
    parts = [rng.choice(["a", "an", "the", ""]), who, f"{what} {made_up_word(rng)}" if what else "", where]
    return " ".join(part for part in parts if part)
