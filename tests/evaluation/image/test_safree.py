"""SAFREE's projection on the demo model's text encoder."""

from typing import Any

import torch

from evaluation.image.safree import projected


def embedded(pipe: Any, prompt: str) -> tuple[list[str], torch.Tensor]:
    ids = pipe.tokenizer(prompt, padding="max_length", max_length=32, return_tensors="pt").input_ids
    with torch.no_grad():
        return [pipe.tokenizer.decode(one) for one in ids[0]], pipe.text_encoder(ids).last_hidden_state[0]


def test_the_word_that_speaks_of_the_concept_is_projected_and_nothing_behind_the_prompt(demo):
    prompt = "a man holding a knife in a kitchen"
    words, plain = embedded(demo, prompt)
    (safe,) = projected(demo, [prompt], ["a knife"])
    changed = (safe - plain).norm(dim=-1) > 1e-4
    assert changed[words.index("knife")]
    assert not changed[0]
    assert not changed[words.index("<|endoftext|>") :].any()


def test_a_prompt_that_is_the_concept_ends_off_its_subspace(demo):
    words, plain = embedded(demo, "a knife")
    (safe,) = projected(demo, ["a knife"], ["a knife"])
    knife, concept = words.index("knife"), plain[words.index("<|endoftext|>")]
    before, after = (abs(torch.cosine_similarity(words[knife], concept, 0)) for words in (plain, safe))
    assert after < before


def test_a_single_word_has_no_other_to_compare_with_and_stays(demo):
    (safe,) = projected(demo, ["knife"], ["a knife"])
    assert torch.equal(safe, embedded(demo, "knife")[1])
