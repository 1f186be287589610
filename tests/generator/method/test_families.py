"""The identities of the method, on a real pipeline of each family. `make test-all` covers all families."""

from typing import Any

import pytest
import torch
from diffusers import AnimateDiffPipeline
from torch import Tensor

from generator.method.dual_latent import UnsupportedPipelineError, dual_latent
from generator.method.families import family_of
from generator.method.schedule import Clock

STEPS = 6
X, XI = "wine", "some juice"


def draw(tiny: Any, prompt: Any, seeds: tuple[int, ...] = (0,), **more: Any) -> Tensor:
    """The latents that one call draws."""
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    arguments = {"num_inference_steps": STEPS, "output_type": "latent", "return_dict": False} | tiny.arguments | more
    if isinstance(prompt, list):
        arguments |= {name: arguments[name].expand(len(prompt), -1, -1, -1) for name in tiny.pictures}
        if "negative_prompt" in arguments:
            arguments["negative_prompt"] = [arguments["negative_prompt"]] * len(prompt)
    latents: Tensor = tiny.pipe(prompt, generator=generators, **arguments)[0]
    return latents


def count_rows(tiny: Any) -> list[int]:
    """Records the rows of each call of each network, with those that the method adds."""
    seen: list[int] = []
    for name in tiny.networks:
        getattr(tiny.pipe, name).register_forward_pre_hook(
            lambda _, args, kwargs: seen.append(len((*args, *kwargs.values())[0])), with_kwargs=True
        )
    return seen


def fused_steps_that_run(tiny: Any) -> int:
    """k at τ_gc = .5, minus the steps that image to image skips."""
    return Clock(tiny.pipe.scheduler).fused_steps(0.5) - (STEPS - tiny.steps)


def close(one: Tensor, other: Tensor) -> bool:
    return torch.allclose(one, other, rtol=1e-3, atol=1e-3 * float(other.abs().mean()))


def supports_parallel(tiny: Any) -> bool:
    return not family_of(tiny.pipe).no_parallel and "UniPC" not in type(tiny.pipe.scheduler).__name__


def test_with_wxi_0_the_stock_pipeline_draws_the_original(tiny: Any) -> None:
    expected = draw(tiny, X)
    with dual_latent(tiny.pipe, XI, wxi=0.0, tau_gc=0.5):
        assert torch.equal(draw(tiny, X), expected)


def test_with_wxi_1_or_tau_gc_0_the_stock_pipeline_draws_the_safe_prompt(tiny: Any) -> None:
    expected = draw(tiny, XI)
    assert not close(expected, draw(tiny, X))
    for wxi, tau_gc in [(1.0, 0.5), (0.5, 0.0)]:
        with dual_latent(tiny.pipe, XI, wxi, tau_gc):
            assert torch.equal(draw(tiny, X), expected)


def test_only_fused_steps_cost_more_rows(tiny: Any) -> None:
    with dual_latent(tiny.pipe, XI, wxi=0.75, tau_gc=0.5):
        seen = count_rows(tiny)
        draw(tiny, X)
    k = fused_steps_that_run(tiny)
    assert 0 < k < tiny.steps
    assert sum(seen) == tiny.calls_of_networks * (tiny.rows * tiny.steps + k)


def test_swapping_the_prompts_and_their_weights_draws_the_same(tiny: Any) -> None:
    with dual_latent(tiny.pipe, XI, wxi=0.3, tau_gc=1.0):
        one = draw(tiny, X)
    with dual_latent(tiny.pipe, X, wxi=0.7, tau_gc=1.0):
        other = draw(tiny, XI)
    assert close(one, other)
    assert not close(one, draw(tiny, X))
    assert not close(one, draw(tiny, XI))


@pytest.mark.parametrize("variant", ["coupled", "parallel"])
def test_a_picture_is_the_same_alone_and_in_a_batch(tiny: Any, variant: Any) -> None:
    if variant == "parallel" and not supports_parallel(tiny):
        with pytest.raises(UnsupportedPipelineError, match="parallel"), dual_latent(tiny.pipe, XI, 0.5, 0.5, variant):
            pass
        return
    prompts, safe, wxi, tau_gc = [X, "a gun", "sun"], [XI, "moss", "moon"], [0.5, 0.0, 0.75], [0.5, 0.5, 1.0]
    with dual_latent(tiny.pipe, safe, wxi, tau_gc, variant):
        together = draw(tiny, prompts, (1, 2, 3))
    assert close(together[1], draw(tiny, prompts[1], (2,))[0])
    for j in (0, 2):
        with dual_latent(tiny.pipe, safe[j], wxi[j], tau_gc[j], variant):
            alone = draw(tiny, prompts[j], (j + 1,))
        assert close(together[j], alone[0])
        assert not close(together[j], draw(tiny, safe[j], (j + 1,))[0])


def test_the_parallel_variant_costs_a_second_unconditional_row(tiny: Any) -> None:
    if not supports_parallel(tiny):
        return
    with dual_latent(tiny.pipe, XI, 0.75, 0.5, "parallel"):
        seen = count_rows(tiny)
        draw(tiny, X)
    k = fused_steps_that_run(tiny)
    assert sum(seen) == tiny.calls_of_networks * tiny.rows * (tiny.steps + k)


def test_several_images_of_a_prompt_share_its_safe_prompt(tiny: Any) -> None:
    if isinstance(tiny.pipe, AnimateDiffPipeline):
        return  # it ignores num_videos_per_prompt
    with dual_latent(tiny.pipe, XI, 0.5, 0.5):
        together = draw(tiny, X, (1, 2), **{tiny.images_per_prompt: 2})
        assert close(together[1], draw(tiny, X, (2,))[0])


def test_guess_mode_of_a_controlnet_is_refused(tiny_of: Any) -> None:
    tiny = tiny_of("SD ControlNet")
    with dual_latent(tiny.pipe, XI, 0.5, 0.5), pytest.raises(UnsupportedPipelineError, match="guess_mode"):
        draw(tiny, X, guess_mode=True)


def test_embeddings_that_bypass_the_encoder_are_refused(tiny_of: Any) -> None:
    tiny = tiny_of("Z-Image")
    embeds, negative = tiny.pipe.encode_prompt([X], "cpu")
    with (
        dual_latent(tiny.pipe, XI, 0.5, 0.5),
        pytest.raises(UnsupportedPipelineError, match="without calling encode_prompt"),
    ):
        draw(tiny, None, prompt_embeds=embeds, negative_prompt_embeds=negative)


def test_a_negative_prompt_may_equal_the_safe_prompt(tiny_of: Any) -> None:
    tiny = tiny_of("FLUX, guided")
    with dual_latent(tiny.pipe, XI, 0.5, 1.0):
        texts = draw(tiny, X, negative_prompt=XI)
    near = 0.5 * draw(tiny, X, negative_prompt=XI, num_inference_steps=1) + 0.5 * draw(
        tiny, XI, negative_prompt=XI, num_inference_steps=1
    )
    with dual_latent(tiny.pipe, XI, 0.5, 1.0):
        assert close(draw(tiny, X, negative_prompt=XI, num_inference_steps=1), near)
    assert not close(texts, draw(tiny, XI, negative_prompt=XI))


def test_the_safe_prompt_may_be_embeddings(tiny_of: Any) -> None:
    tiny = tiny_of("FLUX")
    embeds, pooled, _ = tiny.pipe.encode_prompt(XI, None, "cpu", max_sequence_length=32)
    with dual_latent(tiny.pipe, XI, 0.5, 0.5):
        expected = draw(tiny, X)
    with dual_latent(tiny.pipe, {"prompt_embeds": embeds, "pooled_prompt_embeds": pooled}, 0.5, 0.5):
        assert close(draw(tiny, X), expected)


def test_free_noise_and_free_init_are_refused_if_they_would_undo_the_method(tiny_of: Any) -> None:
    tiny = tiny_of("AnimateDiff")
    tiny.pipe.enable_free_init(num_iters=2)
    with dual_latent(tiny.pipe, XI, 0.5, 0.5, "parallel"), pytest.raises(UnsupportedPipelineError, match="FreeInit"):
        draw(tiny, X)
    tiny.pipe.disable_free_init()
    tiny.pipe.enable_free_noise(context_length=2, context_stride=1)
    with dual_latent(tiny.pipe, XI, 0.5, 0.5), pytest.raises(UnsupportedPipelineError, match="another condition"):
        tiny.pipe({0: X, 2: "sun"}, num_inference_steps=STEPS, output_type="latent", **tiny.arguments)
