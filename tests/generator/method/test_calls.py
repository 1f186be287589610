"""Arguments and callbacks of the pipeline's calls: they mean the same as on the stock pipeline."""

from typing import Any

import pytest
import torch
from diffusers.callbacks import SDCFGCutoffCallback
from torch import Tensor

from generator.method.dual_latent import UnsupportedPipelineError, dual_latent
from tests.generator.method.drawing import STEPS, VARIANT, XI, X, close, draw, dual, is_stock

UNCONDITIONAL = {"coupled": 1, "parallel": 2}  # rows in a fused step


def count_rows(pipe: Any) -> list[int]:
    seen: list[int] = []
    pipe.unet.conv_in.register_forward_pre_hook(lambda _, args: seen.append(len(args[0])))
    return seen


@VARIANT
def test_a_context_can_be_used_for_several_calls(pipe: Any, variant: Any) -> None:
    expected = dual(pipe, variant), dual(pipe, variant, prompt=["sun"] * 2, seeds=(1, 2), num_inference_steps=6)
    with dual_latent(pipe, XI, 0.5, 0.5, variant):
        for _ in range(2):
            assert torch.equal(draw(pipe), expected[0])
            assert torch.equal(draw(pipe, ["sun"] * 2, (1, 2), num_inference_steps=6), expected[1])
    assert is_stock(pipe)


@VARIANT
@pytest.mark.parametrize("guidance_scale", [0.0, 0.5, 1.0, 1.01])
def test_guidance_of_at_most_1_has_no_unconditional_rows(pipe: Any, variant: Any, guidance_scale: float) -> None:
    options = {"guidance_scale": guidance_scale, "negative_prompt": "bad"}
    plain, safe = draw(pipe, **options), draw(pipe, XI, **options)
    assert torch.equal(dual(pipe, variant, wxi=0.0, **options), plain)
    assert torch.equal(dual(pipe, variant, wxi=1.0, **options), safe)
    once = {"num_inference_steps": 1, "tau_gc": 1.0} | options
    expected = (draw(pipe, num_inference_steps=1, **options) + draw(pipe, XI, num_inference_steps=1, **options)) / 2
    assert close(dual(pipe, variant, **once), expected)
    rows = count_rows(pipe)
    dual(pipe, variant, **options)
    more = (0, 0) if guidance_scale <= 1 else (UNCONDITIONAL[variant], 1)
    assert rows == [2 + more[0]] * 2 + [1 + more[1]] * 2


@VARIANT
def test_every_output_type_shows_the_same_picture(pipe: Any, variant: Any) -> None:
    latents = dual(pipe, variant)
    with torch.no_grad():
        decoded = pipe.vae.decode(latents / pipe.vae.config.scaling_factor, return_dict=False)[0]
    expected = (decoded / 2 + 0.5).clamp(0, 1)
    assert torch.allclose(dual(pipe, variant, output_type="pt"), expected)
    assert torch.allclose(torch.from_numpy(dual(pipe, variant, output_type="np")).permute(0, 3, 1, 2), expected)
    (picture,) = dual(pipe, variant, output_type="pil")
    assert picture.size == (32, 32)  # type: ignore[attr-defined]


@VARIANT
def test_generators_may_be_one_or_a_list_and_latents_may_be_given(pipe: Any, variant: Any) -> None:
    one = dual(pipe, variant, prompt=[X] * 2, generator=torch.Generator().manual_seed(0))
    assert torch.equal(one, dual(pipe, variant, prompt=[X] * 2, generator=torch.Generator().manual_seed(0)))
    assert close(one[:1], dual(pipe, variant))
    latents = torch.randn(1, 4, 4, 4, generator=torch.Generator().manual_seed(0))
    assert torch.equal(dual(pipe, variant, latents=latents, generator=None), dual(pipe, variant))


@VARIANT
@pytest.mark.parametrize(
    ("strength", "steps", "k"),
    [(0.5, 4, 0), (0.75, 4, 1), (1.0, 4, 2)]
    + [
        pytest.param(*case, marks=pytest.mark.all)
        for case in [(0.01, 10, 0), (0.1, 10, 0), (0.3, 4, 0), (0.6, 10, 1), (0.9, 10, 4), (1.0, 10, 5), (0.75, 1, 0)]
    ],
)
def test_image_to_image_fuses_the_noise_above_its_strength(
    tiny_of: Any, variant: Any, strength: float, steps: int, k: int
) -> None:
    tiny = tiny_of("SD image to image")
    options = {"image": tiny.arguments["image"], "strength": strength, "num_inference_steps": steps}
    plain = draw(tiny.pipe, **options)
    assert torch.equal(dual(tiny.pipe, variant, wxi=0.0, **options), plain)
    rows = count_rows(tiny.pipe)
    drawn = dual(tiny.pipe, variant, **options)
    fused = 2 + UNCONDITIONAL[variant]
    assert rows == [fused] * k + [2] * (int(strength * steps) - k)
    assert torch.equal(drawn, draw(tiny.pipe, XI, **options)) == (k == 0)


@VARIANT
def test_a_callback_gets_the_pipeline_s_own_rows_and_may_return_them(pipe: Any, variant: Any) -> None:
    shapes: list[dict[str, Any]] = []

    def callback(_: Any, step: int, __: Any, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        shapes.append({name: len(tensor) for name, tensor in tensors.items()})
        return {name: tensor.clone() for name, tensor in tensors.items()}

    names = ["latents", "prompt_embeds", "negative_prompt_embeds"]
    options = {"callback_on_step_end": callback, "callback_on_step_end_tensor_inputs": names}
    assert torch.equal(dual(pipe, variant, **options), dual(pipe, variant))
    assert shapes == [{"latents": 1, "prompt_embeds": 2, "negative_prompt_embeds": 1}] * STEPS


@VARIANT
@pytest.mark.parametrize("ratio", [0.25, 0.5, 0.75])
def test_a_callback_may_end_guidance(pipe: Any, variant: Any, ratio: float) -> None:
    options = {"callback_on_step_end": SDCFGCutoffCallback(cutoff_step_ratio=ratio)}
    assert torch.equal(dual(pipe, variant, wxi=0.0, **options), draw(pipe, **options))
    rows = count_rows(pipe)
    with dual_latent(pipe, X, 0.5, 1.0, variant):
        same = draw(pipe, **options)
    assert close(same, draw(pipe, **options))
    unguided = STEPS - round(ratio * STEPS) - 1
    assert rows[:STEPS] == [2 + UNCONDITIONAL[variant]] * (STEPS - unguided) + [2] * unguided


@VARIANT
def test_a_callback_may_interrupt_and_the_next_call_is_complete(pipe: Any, variant: Any) -> None:
    def interrupt(pipe: Any, step: int, _: Any, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        pipe._interrupt = step == 1
        return tensors

    complete = dual(pipe, variant, tau_gc=1.0)
    with dual_latent(pipe, XI, 0.5, 1.0, variant):
        assert not torch.equal(draw(pipe, callback_on_step_end=interrupt), complete)
        assert torch.equal(draw(pipe), complete)


@VARIANT
@pytest.mark.parametrize("factor", [0.0, 0.999, 1.001, 2.0])
def test_a_callback_that_changes_the_prompt_s_embeddings_is_refused(pipe: Any, variant: Any, factor: float) -> None:
    def change(_: Any, __: int, ___: Any, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        return {"prompt_embeds": tensors["prompt_embeds"] * factor}

    with pytest.raises(UnsupportedPipelineError, match="another condition than encode_prompt returned"):
        dual(pipe, variant, callback_on_step_end=change, callback_on_step_end_tensor_inputs=["prompt_embeds"])
    assert is_stock(pipe)
