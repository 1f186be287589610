"""Safe prompts, w_ξ and τ_gc in all the forms that callers pass: used, or refused by name."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from generator.method.dual_latent import dual_latent
from tests.generator.method.drawing import is_stock

X, XI = "wine", "juice"


def draw(pipe: Any, prompt: Any = X, seeds: tuple[int, ...] = (0,), **more: Any) -> Tensor:
    """The latents that one call draws."""
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    latents: Tensor = pipe(prompt, num_inference_steps=2, output_type="latent", generator=generators, **more).images
    return latents


@pytest.mark.parametrize(
    "safe_prompt",
    [None, 5, 0.5, {"juice"}, [None], ["juice", 5], (word for word in ["juice"]), {}, {"embeds": 1}, {"device": "cpu"},
     {"negative_prompt": "juice"}, {"prompt_embeds": torch.ones(1, 1), "text": "juice"}, np.array(["juice"])],
)  # fmt: skip
def test_a_safe_prompt_that_is_neither_text_nor_embeddings_is_refused(pipe: Any, safe_prompt: Any) -> None:
    message = r"^safe_prompt (is (.|\n)*; pass a string|has the keys .*; use one or more of prompt, prompt_embeds)"
    with pytest.raises(ValueError, match=message), dual_latent(pipe, safe_prompt, 0.5, 0.5):
        pass
    assert is_stock(pipe)


@pytest.mark.parametrize(("family", "missing"), [("SDXL", "pooled_prompt_embeds"), ("Sana", "prompt_attention_mask")])
def test_a_safe_prompt_with_half_of_its_embeddings_is_refused(tiny_of: Any, family: str, missing: str) -> None:
    with (
        pytest.raises(ValueError, match=f"^safe_prompt has prompt_embeds but not {missing}"),
        dual_latent(tiny_of(family).pipe, {"prompt_embeds": torch.ones(1, 24, 16)}, 0.5, 0.5),
    ):
        pass


@pytest.mark.parametrize(
    ("prompts", "images", "entries"),
    [(1, 1, 2), (1, 1, 0), (2, 1, 3), (2, 1, 0), (3, 1, 2), (4, 1, 2), (1, 2, 2), (2, 2, 4), (1, 3, 3), (2, 3, 6)],
)
def test_lists_have_one_entry_per_prompt_and_not_per_image(pipe: Any, prompts: int, images: int, entries: int) -> None:
    arguments: dict[str, Any] = {"safe_prompt": [XI], "wxi": [0.5], "tau_gc": [0.5]}
    for name, (value,) in arguments.items():
        with (
            dual_latent(pipe, **arguments | {name: [value] * entries}),
            pytest.raises(
                ValueError, match=f"^{name} has {entries} entries for {prompts} prompts; pass one, or one per"
            ),
        ):
            draw(pipe, [X] * prompts, tuple(range(prompts * images)), num_images_per_prompt=images)
    assert is_stock(pipe)


@pytest.mark.parametrize(
    "half",
    [0.5, [0.5], (0.5,), np.float32(0.5), np.float64(0.5), np.array(0.5), np.array([0.5]), torch.tensor(0.5),
     torch.tensor([0.5]), torch.tensor([0.5]).half()],
    ids=repr,
)  # fmt: skip
def test_numbers_may_come_from_numpy_or_torch(pipe: Any, half: Any) -> None:
    with dual_latent(pipe, XI, 0.5, 0.5):
        expected = draw(pipe)
    with dual_latent(pipe, XI, half, half):
        assert torch.equal(draw(pipe), expected)


@pytest.mark.parametrize(
    "value",
    [None, "0.5x", "half", "", [None], [[0.5]], {"a": 1}, {}, object, -0.1, 1.01, float("inf"), float("nan"),
     torch.tensor([2.0]), np.array([0.5, -1]), [0.5, "low"]],
    ids=repr,
)  # fmt: skip
def test_a_weight_that_is_not_a_number_between_0_and_1_is_refused(pipe: Any, value: Any) -> None:
    for name in ("wxi", "tau_gc"):
        arguments = {"safe_prompt": XI, "wxi": 0.5, "tau_gc": 0.5} | {name: value}
        with pytest.raises(ValueError, match=f"^{name} "), dual_latent(pipe, **arguments):
            draw(pipe)
    assert is_stock(pipe)


LENGTH = {"max_sequence_length": 24}
ENCODED: dict[str, tuple[tuple[str, ...], dict[str, Any]]] = {
    "SDXL": (("prompt_embeds", "", "pooled_prompt_embeds"), {"do_classifier_free_guidance": False}),
    "SD 3": (("prompt_embeds", "", "pooled_prompt_embeds"), {"prompt_2": None, "prompt_3": None} | LENGTH),
    "FLUX": (("prompt_embeds", "pooled_prompt_embeds"), {"prompt_2": None, "max_sequence_length": 32}),
    "Qwen-Image": (("prompt_embeds", "prompt_embeds_mask"), {}),
    "PixArt α": (("prompt_embeds", "prompt_attention_mask"), {"do_classifier_free_guidance": False} | LENGTH),
    "Wan": (("prompt_embeds",), {"do_classifier_free_guidance": False} | LENGTH),
}


@pytest.mark.parametrize("family", [pytest.param(name, marks=pytest.mark.all) for name in ENCODED])
def test_embeddings_of_either_prompt_draw_what_its_text_draws(tiny_of: Any, family: str) -> None:
    tiny, (names, options) = tiny_of(family), ENCODED[family]
    more = {"return_dict": False} | tiny.arguments

    def encoded(prompt: str) -> dict[str, Any]:
        with torch.no_grad():
            outputs = dict(zip(names, tiny.pipe.encode_prompt(prompt, device="cpu", **options), strict=False))
        return {name: value for name, value in outputs.items() if name and value is not None}

    def draw_pair(prompt: dict[str, Any], safe_prompt: Any) -> Tensor:
        generator = torch.Generator().manual_seed(0)
        with dual_latent(tiny.pipe, safe_prompt, 0.5, 0.5):
            arguments = {"num_inference_steps": 2, "output_type": "latent", "generator": generator} | more | prompt
            latents: Tensor = tiny.pipe(**arguments)[0]
        return latents

    texts = draw_pair({"prompt": X}, XI)
    assert torch.equal(draw_pair({"prompt": X}, encoded(XI)), texts)
    assert torch.equal(draw_pair(encoded(X), XI), texts)
    assert torch.equal(draw_pair(encoded(X), encoded(XI)), texts)
