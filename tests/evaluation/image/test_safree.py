"""SAFREE's projection on the demo model's text encoder."""

from typing import Any

import torch

from evaluation.image.safree import project


def embed(pipe: Any, prompt: str) -> tuple[list[str], torch.Tensor]:
    ids = pipe.tokenizer(prompt, padding="max_length", max_length=32, return_tensors="pt").input_ids
    with torch.no_grad():
        return [pipe.tokenizer.decode(one) for one in ids[0]], pipe.text_encoder(ids).last_hidden_state[0]


def test_the_word_for_the_concept_is_projected_but_not_the_padding(demo):
    prompt = "a man holding a knife in a kitchen"
    words, plain = embed(demo, prompt)
    (safe,) = project(demo, [prompt], ["a knife"])
    changed = (safe - plain).norm(dim=-1) > 1e-4
    assert changed[words.index("knife")]
    assert not changed[0]
    assert not changed[words.index("<|endoftext|>") :].any()


def test_projection_moves_the_concept_away_from_its_own_subspace(demo):
    words, plain = embed(demo, "a knife")
    (safe,) = project(demo, ["a knife"], ["a knife"])
    knife, concept = words.index("knife"), plain[words.index("<|endoftext|>")]
    before, after = (abs(torch.cosine_similarity(words[knife], concept, 0)) for words in (plain, safe))
    assert after < before


def test_a_single_word_is_unchanged_because_there_is_no_other_to_compare_with(demo):
    (safe,) = project(demo, ["knife"], ["a knife"])
    assert torch.equal(safe, embed(demo, "knife")[1])
