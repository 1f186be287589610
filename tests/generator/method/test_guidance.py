"""Options of guidance: with each, the method's equations hold, or the call is refused.

The equations are written out with the stock pipeline: one step from given latents is a call that stops after it.
"""

from copy import deepcopy
from functools import wraps
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from diffusers import (
    DDIMScheduler,
    DPMSolverMultistepScheduler,
    FirstBlockCacheConfig,
    FlowMatchEulerDiscreteScheduler,
    UniPCMultistepScheduler,
)
from torch import Tensor

from generator.method.dual_latent import UnsupportedPipelineError, dual_latent
from generator.method.families import family_of
from generator.method.rows import fuse
from generator.method.schedule import Clock, denoiser_rows

STEPS, K = 4, 2
X, XI = "wine", "some juice"
RESCALE = {"guidance_rescale": 0.7}
SKIP_LAYERS = {"skip_guidance_layers": [0], "skip_layer_guidance_start": 0.0, "skip_layer_guidance_stop": 0.6}


def draw(tiny: Any, prompt: Any, seeds: tuple[int, ...] = (0,), **more: Any) -> Tensor:
    """The latents that one call draws."""
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    arguments = {"num_inference_steps": STEPS, "output_type": "latent", "return_dict": False} | tiny.arguments | more
    latents: Tensor = tiny.pipe(prompt, generator=generators, **arguments)[0]
    return latents


def stock_step(tiny: Any, prompt: str, i: int, latents: Tensor | None, **more: Any) -> Tensor:
    """The latents after step i of the stock pipeline, from the given ones (None: the first noise)."""
    after: list[Tensor] = []

    def on_step_end(pipe: Any, step: int, _: Any, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        if step == i:
            after.append(tensors["latents"])
            pipe._interrupt = True
        return {"latents": latents.clone()} if step == i - 1 and latents is not None else {}

    draw(tiny, prompt, callback_on_step_end=on_step_end, **more)
    return after[0]


def written_out(tiny: Any, variant: str, wxi: float, **more: Any) -> Tensor:
    """The method's equations, with K fused steps, for a sampler without a history."""
    original = latents = None
    for i in range(STEPS):
        safe = stock_step(tiny, XI, i, latents, **more)
        if i < K:
            original = stock_step(tiny, X, i, original, **more)
            safe = fuse(original, safe, torch.tensor([wxi], dtype=torch.float64))
        latents = safe
        original = original if variant == "parallel" else latents
    assert latents is not None
    return latents


FLOW = {"shift": 1.0, "use_dynamic_shifting": False}  # even timesteps, so that τ_gc = .5 fuses two of four steps
# family, options of the call, options of a flow-match sampler
NONLINEAR: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("SD 1.x", RESCALE, {}),
    ("Qwen-Image", {}, FLOW),
    ("SDXL", RESCALE, {}),
    ("SDXL image to image", RESCALE | {"strength": 1.0}, {}),
    ("SDXL inpainting", RESCALE, {}),
]
LINEAR: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("Z-Image", {"cfg_truncation": 0.3}, FLOW),
    ("SD ControlNet", {"control_guidance_start": 0.3, "control_guidance_end": 0.6}, {}),
    ("SD 3", SKIP_LAYERS, FLOW),
    ("FLUX, guided", {"true_cfg_scale": 9.0}, FLOW),
    ("Wan 2.2", {"guidance_scale_2": 2.0}, FLOW),
]
QUICK = ("SD 1.x", "Qwen-Image")


def params(*cases: tuple[str, dict[str, Any], dict[str, Any]]) -> list[Any]:
    return [
        pytest.param(*case, id=f"{case[0]} {' '.join(case[1])}", marks=() if case[0] in QUICK else pytest.mark.all)
        for case in cases
    ]


@pytest.mark.parametrize("variant", ["coupled", "parallel"])
@pytest.mark.parametrize(("family", "options", "sampler"), params(*NONLINEAR, *LINEAR))
def test_the_pipeline_draws_the_sum_of_latents(
    tiny_of: Any, family: str, options: dict[str, Any], sampler: dict[str, Any], variant: Any
) -> None:
    tiny = deepcopy(tiny_of(family))  # families share text encoders
    if variant == "parallel" and family_of(tiny.pipe).no_parallel:
        return
    tiny.pipe.to(torch.float64)
    if sampler:
        tiny.pipe.scheduler = FlowMatchEulerDiscreteScheduler(**sampler)
    with dual_latent(tiny.pipe, XI, 0.25, K / STEPS, variant):
        drawn = draw(tiny, X, **options)
    assert "step" not in vars(tiny.pipe.scheduler)
    expected = written_out(tiny, variant, 0.25, **options)
    tolerance = 1e-6 if drawn.dtype == torch.float32 else 1e-12  # Z-Image's latents are float32
    assert (drawn - expected).abs().max() <= tolerance * expected.abs().mean()


@pytest.mark.parametrize(("family", "options", "_"), params(*NONLINEAR))
def test_if_guidance_is_not_linear_the_rows_and_the_stock_pictures_stay_the_same(
    tiny_of: Any, family: str, options: dict[str, Any], _: Any
) -> None:
    tiny = tiny_of(family)
    plain, safe = draw(tiny, X, **options), draw(tiny, XI, **options)
    for wxi, tau_gc, expected in [(0.0, 0.5, plain), (1.0, 0.5, safe), (0.5, 0.0, safe)]:
        with dual_latent(tiny.pipe, XI, wxi, tau_gc):
            assert torch.equal(draw(tiny, X, **options), expected)
    rows: list[int] = []
    (network,) = tiny.networks
    with dual_latent(tiny.pipe, XI, 0.5, 0.5):
        getattr(tiny.pipe, network).register_forward_pre_hook(
            lambda _, args, kwargs: rows.append(len((*args, *kwargs.values())[0])), with_kwargs=True
        )
        draw(tiny, X, **options)
    assert sum(rows) == denoiser_rows(STEPS, Clock(tiny.pipe.scheduler).fused_steps(0.5))


@pytest.mark.parametrize(("family", "options", "_"), params(*NONLINEAR[:2]))
def test_if_guidance_is_not_linear_a_picture_is_the_same_alone_and_in_a_batch(
    tiny_of: Any, family: str, options: dict[str, Any], _: Any
) -> None:
    tiny = tiny_of(family)
    if "negative_prompt" in tiny.arguments:
        tiny.arguments["negative_prompt"] = ["bad"] * 3
    prompts, safe, wxi, tau_gc = [X, "a gun", "sun"], [XI, "moss", "moon"], [0.5, 0.0, 0.75], [0.5, 0.5, 1.0]
    with dual_latent(tiny.pipe, safe, wxi, tau_gc):
        together = draw(tiny, prompts, (1, 2, 3), **options)
    if "negative_prompt" in tiny.arguments:
        tiny.arguments["negative_prompt"] = "bad"
    for j, prompt in enumerate(prompts):
        with dual_latent(tiny.pipe, safe[j], wxi[j], tau_gc[j]):
            alone = draw(tiny, prompt, (j + 1,), **options)[0]
        torch.testing.assert_close(together[j], alone, rtol=1e-3, atol=1e-3 * float(alone.abs().mean()))


def test_guidance_that_is_not_linear_works_with_a_sampler_s_history(pipe: Any) -> None:
    pipe.scheduler = DPMSolverMultistepScheduler.from_config(pipe.scheduler.config)
    tiny = SimpleNamespace(pipe=pipe, arguments={"guidance_scale": 4.0} | RESCALE)
    with dual_latent(pipe, X, 0.5, 0.5):
        same = draw(tiny, X)
    torch.testing.assert_close(same, draw(tiny, X), rtol=1e-4, atol=1e-4)


def test_the_options_of_one_call_do_not_change_the_next(pipe: Any) -> None:
    tiny = SimpleNamespace(pipe=pipe, arguments={"guidance_scale": 4.0})
    with dual_latent(pipe, XI, 0.5, 0.5):
        expected = draw(tiny, X)
    with dual_latent(pipe, XI, 0.5, 0.5):
        assert not torch.allclose(draw(tiny, X, **RESCALE), expected)
        assert torch.equal(draw(tiny, X), expected)


def test_a_step_that_the_caller_replaced_is_called_and_stays(pipe: Any) -> None:
    tiny = SimpleNamespace(pipe=pipe, arguments={"guidance_scale": 4.0})
    expected = {}
    for variant in ("coupled", "parallel"):
        with dual_latent(pipe, XI, 0.5, 0.5, variant):  # type: ignore[arg-type]
            expected[variant] = draw(tiny, X, **RESCALE)
    stock_step, calls = pipe.scheduler.step, []

    @wraps(stock_step)
    def own(*args: Any, **kwargs: Any) -> Any:
        calls.append(args)
        return stock_step(*args, **kwargs)

    pipe.scheduler.step = own
    for variant in ("coupled", "parallel"):
        calls.clear()
        with dual_latent(pipe, XI, 0.5, 0.5, variant):  # type: ignore[arg-type]
            assert torch.equal(draw(tiny, X, **RESCALE), expected[variant])
        assert len(calls) == STEPS
        assert pipe.scheduler.step is own


def test_normalised_guidance_of_z_image_is_refused_if_the_original_takes_part(tiny_of: Any) -> None:
    tiny = tiny_of("Z-Image")
    for wxi, prompt in [(0.0, X), (1.0, XI)]:
        with dual_latent(tiny.pipe, XI, wxi, 0.5):
            drawn = draw(tiny, X, cfg_normalization=True)
        assert torch.equal(drawn, draw(tiny, prompt, cfg_normalization=True))
    with dual_latent(tiny.pipe, XI, 0.5, 0.5):
        with pytest.raises(UnsupportedPipelineError, match="cfg_normalization=False"):
            draw(tiny, X, cfg_normalization=True)
        draw(tiny, X, cfg_normalization=True, guidance_scale=0.0)  # without guidance nothing is normalised


@pytest.mark.parametrize("variant", ["coupled", "parallel"])
def test_a_denoiser_that_keeps_results_between_steps_is_refused(tiny_of: Any, variant: Any) -> None:
    tiny = tiny_of("FLUX, guided")
    tiny.pipe.transformer.enable_cache(FirstBlockCacheConfig(threshold=0.2))
    with (
        dual_latent(tiny.pipe, XI, 0.5, 0.5, variant),
        pytest.raises(UnsupportedPipelineError, match=r"Call disable_cache\(\)"),
    ):
        draw(tiny, X)
    tiny.pipe.transformer.disable_cache()
    with dual_latent(tiny.pipe, XI, 0.5, 0.5, variant):
        draw(tiny, X)


@pytest.mark.parametrize("sampler", [DDIMScheduler, DPMSolverMultistepScheduler, UniPCMultistepScheduler])
def test_dynamic_thresholding_is_refused(pipe: Any, sampler: Any) -> None:
    pipe.scheduler = sampler.from_config(pipe.scheduler.config, thresholding=True)
    with pytest.raises(UnsupportedPipelineError, match="thresholding=False"), dual_latent(pipe, XI, 0.5, 0.5):
        pass
