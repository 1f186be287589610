"""The identities of the method for each sampler, on a real Stable Diffusion pipeline."""

import warnings
from copy import deepcopy
from typing import Any

import diffusers
import pytest
import torch
from torch import Tensor

from generator.method.dual_latent import UnsupportedPipelineError, dual_latent
from generator.method.rows import fuse
from generator.method.schedule import SAMPLERS, Clock

STEPS = 8
X, XI = "wine", "juice"
DPM, UNIPC = diffusers.DPMSolverMultistepScheduler, diffusers.UniPCMultistepScheduler
CASES: dict[str, tuple[Any, dict[str, Any]]] = {
    "DDIM": (diffusers.DDIMScheduler, {"clip_sample": False}),
    "Euler": (diffusers.EulerDiscreteScheduler, {}),
    "Euler, Karras": (diffusers.EulerDiscreteScheduler, {"use_karras_sigmas": True}),
    "Euler ancestral": (diffusers.EulerAncestralDiscreteScheduler, {}),
    "PNDM": (diffusers.PNDMScheduler, {"skip_prk_steps": True}),
    "DPM++ 2M": (DPM, {}),
    "DPM++ SDE": (DPM, {"algorithm_type": "sde-dpmsolver++"}),
    "UniPC": (UNIPC, {}),
    "LCM": (diffusers.LCMScheduler, {}),
    "Heun": (diffusers.HeunDiscreteScheduler, {}),
}
MULTISTEP = {"PNDM", "DPM++ 2M", "DPM++ SDE", "UniPC", "Heun"}  # they reuse earlier predictions, also after k
# A plain sampler; with noise; with a history; with two calls per timestep; and the one that "parallel" refuses.
QUICK, SLOW = ("DDIM", "Euler ancestral"), ("DPM++ 2M", "PNDM", "UniPC")


@pytest.fixture(
    params=[
        pytest.param(name, marks=() if name in QUICK else pytest.mark.slow if name in SLOW else pytest.mark.all)
        for name in CASES
    ]
)
def sampled(pipe: Any, request: pytest.FixtureRequest) -> Any:
    sampler, options = CASES[request.param]
    config = {key: value for key, value in pipe.scheduler.config.items() if key != "clip_sample"}
    pipe.scheduler = sampler.from_config(config, **options)
    pipe.case = request.param
    return pipe


def draw(pipe: Any, prompt: Any, seeds: tuple[int, ...] = (0,), **more: Any) -> Tensor:
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    arguments = {"num_inference_steps": STEPS, "guidance_scale": 4.0, "output_type": "latent"} | more
    latents: Tensor = pipe(prompt, generator=generators, **arguments).images
    return latents


def written_out(pipe: Any, variant: str, wxi: float, tau_gc: float) -> Tensor:
    """The method's equations written out: two branches, a sampler for each, and a sum of latents."""
    conditions = {prompt: torch.cat(pipe.encode_prompt(prompt, "cpu", 1, True)[::-1]) for prompt in (X, XI)}
    samplers = {prompt: deepcopy(pipe.scheduler) for prompt in (X, XI)}
    noises = {prompt: torch.Generator().manual_seed(0) for prompt in (X, XI)}
    for sampler in samplers.values():
        sampler.set_timesteps(STEPS)
    start = pipe.prepare_latents(1, 4, 32, 32, torch.float64, "cpu", noises[X])
    noises[XI].set_state(noises[X].get_state())
    latents = {X: start * samplers[XI].init_noise_sigma / pipe.scheduler.init_noise_sigma, XI: start}
    latents[XI] = latents[X]

    def step(prompt: str, t: Tensor) -> Tensor:
        sampler = samplers[prompt]
        sample = sampler.scale_model_input(torch.cat([latents[prompt]] * 2), t)
        unconditional, text = pipe.unet(sample, t, conditions[prompt], return_dict=False)[0].chunk(2)
        pipe.scheduler = sampler  # the pipeline knows which arguments its sampler's step takes
        extra = pipe.prepare_extra_step_kwargs(noises[prompt], 0.0)
        stepped: Tensor = sampler.step(
            unconditional + 4.0 * (text - unconditional), t, latents[prompt], **extra, return_dict=False
        )[0]
        return stepped

    clock = Clock(samplers[XI])
    for t in samplers[XI].timesteps:
        fused = clock.step(float(t)) < clock.fused_steps(tau_gc)
        original = step(X, t) if fused else latents[X]
        safe = step(XI, t)
        latents[XI] = fuse(original, safe, torch.tensor([wxi])) if fused else safe
        latents[X] = original if variant == "parallel" else latents[XI]
    return latents[XI]


def test_the_pipeline_draws_the_coupled_sum_of_latents(sampled: Any) -> None:
    sampled.to(torch.float64)
    for tau_gc in [1.0] if sampled.case in MULTISTEP else [0.5, 1.0]:
        with dual_latent(sampled, XI, 0.75, tau_gc):
            drawn = draw(sampled, X)
        torch.testing.assert_close(drawn, written_out(sampled, "coupled", 0.75, tau_gc), rtol=1e-5, atol=1e-5)


def test_the_pipeline_draws_the_parallel_sum_of_latents(sampled: Any) -> None:
    if sampled.case == "UniPC":
        with (
            pytest.raises(UnsupportedPipelineError, match="corrector"),
            dual_latent(sampled, XI, 0.75, 0.5, "parallel"),
        ):
            pass
        return
    sampled.to(torch.float64)
    with dual_latent(sampled, XI, 0.75, 0.5, "parallel"):
        drawn = draw(sampled, X)
    assert "step" not in vars(sampled.scheduler)
    torch.testing.assert_close(drawn, written_out(sampled, "parallel", 0.75, 0.5), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_sum_of_steps_is_the_step_of_the_sum_with_histories(name: str) -> None:
    options = {"DDIMScheduler": {"clip_sample": False}, "PNDMScheduler": {"skip_prk_steps": True}}.get(name, {})
    samplers = [getattr(diffusers, name)(**options) for _ in range(3)]
    for sampler in samplers:
        sampler.set_timesteps(STEPS)
    numbers = torch.Generator().manual_seed(0)
    z = torch.randn(2, 3, 4, 4, dtype=torch.float64, generator=numbers)
    wxi = torch.tensor([0.25, 0.75], dtype=torch.float64)
    for t in samplers[0].timesteps:
        original, safe = torch.randn(2, *z.shape, dtype=torch.float64, generator=numbers)
        stepped = []
        for sampler, prediction in zip(samplers, [original, safe, fuse(original, safe, wxi)], strict=True):
            torch.manual_seed(int(t))
            if hasattr(sampler, "scale_model_input"):
                sampler.scale_model_input(z, t)
            stepped.append(sampler.step(prediction, t, z, return_dict=False)[0])
        torch.testing.assert_close(stepped[2], fuse(stepped[0], stepped[1], wxi), rtol=1e-5, atol=1e-5)
        z = stepped[2]


def test_if_one_prompt_has_all_the_weight_the_stock_pipeline_draws_it(sampled: Any) -> None:
    plain, safe = draw(sampled, X), draw(sampled, XI)
    for variant in ["coupled"] if sampled.case == "UniPC" else ["coupled", "parallel"]:
        for wxi, tau_gc, expected in [(0.0, 0.5, plain), (1.0, 0.5, safe), (0.5, 0.0, safe)]:
            with dual_latent(sampled, XI, wxi, tau_gc, variant):  # type: ignore[arg-type]
                assert torch.equal(draw(sampled, X), expected)


def test_two_denoiser_calls_at_one_timestep_are_one_step(sampled: Any) -> None:
    seen: list[int] = []
    with dual_latent(sampled, XI, wxi=0.75, tau_gc=0.5):
        sampled.unet.conv_in.register_forward_pre_hook(lambda _, args: seen.append(len(args[0])))
        draw(sampled, X)
    clock = Clock(sampled.scheduler)
    k = clock.fused_steps(0.5)
    assert seen == [3 if clock.step(float(t)) < k else 2 for t in sampled.scheduler.timesteps]
    assert 0 < k < len(clock.times)


def test_noise_is_the_same_alone_and_in_a_batch(sampled: Any) -> None:
    with dual_latent(sampled, [XI, "moon"], [0.5, 0.75], [0.5, 0.75]):
        together = draw(sampled, [X, "sun"], (1, 2))
    with dual_latent(sampled, "moon", 0.75, 0.75):
        alone = draw(sampled, "sun", (2,))
    torch.testing.assert_close(together[1], alone[0], rtol=1e-3, atol=1e-3)


def test_the_caller_s_generator_ends_in_the_same_state_as_without_the_method(pipe: Any) -> None:
    pipe.scheduler = diffusers.EulerAncestralDiscreteScheduler.from_config(pipe.scheduler.config)
    for seeded in (True, False):
        generator = torch.Generator() if seeded else torch.random.default_generator
        states = []
        for variant in ("stock", "parallel"):
            generator.manual_seed(3)
            given = {"generator": generator} if seeded else {}
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                if variant == "stock":
                    pipe(X, num_inference_steps=STEPS, output_type="latent", **given)
                else:
                    with dual_latent(pipe, XI, 0.5, 0.5, "parallel"):
                        pipe(X, num_inference_steps=STEPS, output_type="latent", **given)
            states.append(generator.get_state())
        assert torch.equal(*states)
