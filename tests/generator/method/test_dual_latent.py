"""The identities of the method, on a real pipeline of tiny size."""

from typing import Any

import pytest
import torch
from diffusers import DDIMScheduler, EulerDiscreteScheduler, LMSDiscreteScheduler
from torch import Tensor

from generator.method.dual_latent import UnsupportedPipelineError, dual_latent
from generator.method.rows import fuse
from generator.method.schedule import denoiser_rows

STEPS = 10
X, XI = "wine", "juice"
SAMPLERS = [DDIMScheduler, EulerDiscreteScheduler]


@pytest.fixture(params=SAMPLERS, ids=["ddim", "euler"])
def either(pipe: Any, request: pytest.FixtureRequest) -> Any:
    extra = {"clip_sample": False} if request.param is DDIMScheduler else {}
    pipe.scheduler = request.param.from_config(pipe.scheduler.config, **extra)
    return pipe


def draw(pipe: Any, prompt: Any, seeds: int | list[int] = 0, **kwargs: Any) -> Tensor:
    """The latents that one call draws."""
    seeds = [seeds] if isinstance(seeds, int) else seeds
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    arguments = {"num_inference_steps": STEPS, "guidance_scale": 4.0, "output_type": "latent"} | kwargs
    latents: Tensor = pipe(prompt, generator=generators, **arguments).images
    return latents


def rows(pipe: Any) -> tuple[list[int], Any]:
    """Records the rows of each denoiser call, inside the denoiser."""
    seen: list[int] = []
    return seen, pipe.unet.conv_in.register_forward_pre_hook(lambda _, args: seen.append(args[0].shape[0]))


@pytest.mark.parametrize("prediction_type", ["epsilon", "v_prediction"])
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_the_sum_of_stepped_latents_is_the_step_of_the_summed_predictions(sampler: Any, prediction_type: str) -> None:
    extra = {"clip_sample": False} if sampler is DDIMScheduler else {}
    guidance, wxi = 4.0, torch.tensor([0.25, 0.75], dtype=torch.float64)
    torch.manual_seed(0)
    z, unconditional, original, safe = torch.randn(4, 2, 3, 4, 4, dtype=torch.float64)

    def step(prediction: Tensor) -> Tensor:
        scheduler = sampler(prediction_type=prediction_type, **extra)
        scheduler.set_timesteps(STEPS)
        t = scheduler.timesteps[3]
        guided = unconditional + guidance * (prediction - unconditional)
        stepped: Tensor = scheduler.step(guided, t, z, return_dict=False)[0]
        return stepped

    summed = fuse(step(original), step(safe), wxi)
    torch.testing.assert_close(step(fuse(original, safe, wxi)), summed, rtol=1e-6, atol=1e-6)


def test_with_wxi_0_the_stock_pipeline_draws_the_original(either: Any) -> None:
    expected = draw(either, X)
    with dual_latent(either, XI, wxi=0.0, tau_gc=0.5):
        assert torch.equal(draw(either, X), expected)


@pytest.mark.parametrize(("wxi", "tau_gc"), [(1.0, 0.5), (0.5, 0.0)])
def test_with_wxi_1_or_tau_gc_0_the_stock_pipeline_draws_the_safe_prompt(
    either: Any, wxi: float, tau_gc: float
) -> None:
    expected = draw(either, XI)
    with dual_latent(either, XI, wxi=wxi, tau_gc=tau_gc):
        assert torch.equal(draw(either, X), expected)


def test_the_original_s_row_leaves_after_k_steps(either: Any) -> None:
    plain, counter = rows(either)
    draw(either, X)
    counter.remove()
    dual, counter = rows(either)
    with dual_latent(either, XI, wxi=0.75, tau_gc=0.3):
        draw(either, X)
    assert sum(plain) == denoiser_rows(STEPS, 0) == 2 * STEPS
    assert dual == [3, 3, 3] + [2] * 7
    assert sum(dual) == denoiser_rows(STEPS, 3) == 2 * STEPS + 3


def test_both_prompts_change_the_picture(either: Any) -> None:
    with dual_latent(either, XI, wxi=0.5, tau_gc=0.5):
        dual = draw(either, X)
    assert not torch.allclose(dual, draw(either, X))
    assert not torch.allclose(dual, draw(either, XI))


def test_each_sample_of_a_batch_has_its_own_wxi_and_k(either: Any) -> None:
    prompts, safe = ["wine", "gun", "knife", "sun"], ["juice", "flower", "spoon", "moon"]
    wxi, tau, seeds = [0.5, 0.0, 0.75, 1.0], [0.2, 0.5, 0.5, 0.5], [1, 2, 3, 4]
    seen, counter = rows(either)
    with dual_latent(either, safe, wxi, tau):
        together = draw(either, prompts, seeds)
    counter.remove()
    assert seen == [10] * 2 + [9] * 3 + [8] * 5
    for j in range(4):
        with dual_latent(either, safe[j], wxi[j], tau[j]):
            alone = draw(either, prompts[j], seeds[j])
        torch.testing.assert_close(together[j], alone[0], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(together[1], draw(either, prompts[1], seeds[1])[0], rtol=1e-4, atol=1e-4)


def test_without_guidance_there_is_no_unconditional_row(either: Any) -> None:
    seen, counter = rows(either)
    with dual_latent(either, XI, wxi=0.5, tau_gc=0.3):
        draw(either, X, guidance_scale=1.0)
    counter.remove()
    assert seen == [2] * 3 + [1] * 7
    assert sum(seen) == denoiser_rows(STEPS, 3, guided=False)


def test_several_images_of_a_prompt_share_its_safe_prompt(either: Any) -> None:
    with dual_latent(either, [XI, "moon"], [0.5, 0.75], [0.5, 0.3]):
        images = draw(either, [X, "sun"], [1, 2, 3, 4], num_images_per_prompt=2)
        pairs = draw(either, [X, "sun"], [2, 4])
    torch.testing.assert_close(images[1::2], pairs, rtol=1e-4, atol=1e-4)


def test_negative_prompts_and_embeddings_work_as_usual(either: Any) -> None:
    embeds, _ = either.encode_prompt(X, "cpu", 1, False)
    safe, _ = either.encode_prompt(XI, "cpu", 1, False)
    with dual_latent(either, XI, wxi=0.5, tau_gc=0.5):
        named = draw(either, X, negative_prompt="bad")
        without = draw(either, X)
    negative, _ = either.encode_prompt("bad", "cpu", 1, False)
    with dual_latent(either, {"prompt_embeds": safe}, wxi=0.5, tau_gc=0.5):
        embedded = draw(either, None, prompt_embeds=embeds, negative_prompt_embeds=negative)
    torch.testing.assert_close(named, embedded)
    assert not torch.allclose(named, without)


def test_the_callers_callback_still_runs_and_may_change_the_latents(pipe: Any) -> None:
    steps: list[int] = []

    def callback(_: Any, step: int, __: Any, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        steps.append(step)
        return {"latents": tensors["latents"] * 0} if step == STEPS - 1 else {}

    with dual_latent(pipe, XI, wxi=0.5, tau_gc=0.5):
        latents = draw(pipe, X, callback_on_step_end=callback)
    assert steps == list(range(STEPS))
    assert not latents.any()


def test_noise_added_by_the_sampler_is_shared_by_both_branches(pipe: Any) -> None:
    with dual_latent(pipe, X, wxi=0.5, tau_gc=0.5):
        same = draw(pipe, X, eta=1.0)
    torch.testing.assert_close(same, draw(pipe, X, eta=1.0), rtol=1e-4, atol=1e-4)


def test_an_exception_leaves_the_pipeline_as_it_was(pipe: Any) -> None:
    expected = draw(pipe, X)

    def fail(*_: Any) -> dict[str, Tensor]:
        raise RuntimeError("from the callback")

    with pytest.raises(RuntimeError, match="from the callback"), dual_latent(pipe, XI, wxi=0.5, tau_gc=0.5):
        draw(pipe, X, callback_on_step_end=fail)
    assert "encode_prompt" not in vars(pipe)
    assert not pipe.unet._forward_pre_hooks
    assert not pipe.unet._forward_hooks
    assert torch.equal(draw(pipe, X), expected)


def test_a_lost_hook_draws_the_safe_prompt(pipe: Any) -> None:
    expected = draw(pipe, XI)
    with dual_latent(pipe, XI, wxi=0.5, tau_gc=0.5):
        pipe.unet._forward_pre_hooks.clear()
        pipe.unet._forward_hooks.clear()
        assert torch.equal(draw(pipe, X), expected)


@pytest.mark.parametrize("schedule", ["linear", "cosine"])
def test_a_rising_weight_stays_closer_to_the_safe_prompt(pipe: Any, schedule: Any) -> None:
    safe = draw(pipe, XI)
    with dual_latent(pipe, XI, wxi=0.25, tau_gc=0.5):
        constant = draw(pipe, X)
    seen, counter = rows(pipe)
    with dual_latent(pipe, XI, wxi=0.25, tau_gc=0.5, schedule=schedule):
        rising = draw(pipe, X)
    counter.remove()
    assert sum(seen) == 2 * STEPS + STEPS // 2
    assert 0 < (rising - safe).norm() < (constant - safe).norm()


def test_a_callback_that_restores_the_original_is_refused(pipe: Any) -> None:
    original = torch.cat(pipe.encode_prompt(X, "cpu", 1, True)[::-1])

    def restore(*_: Any) -> dict[str, Tensor]:
        return {"prompt_embeds": original}

    with (
        dual_latent(pipe, XI, wxi=0.5, tau_gc=0.2),
        pytest.raises(UnsupportedPipelineError, match="another condition than encode_prompt returned"),
    ):
        draw(pipe, X, callback_on_step_end=restore)


def test_a_pipeline_that_does_not_encode_its_prompt_is_refused(pipe: Any) -> None:
    embeds = torch.cat(pipe.encode_prompt(X, "cpu", 1, True)[::-1])
    with dual_latent(pipe, XI, wxi=0.5, tau_gc=0.2):
        draw(pipe, XI)
        pipe.check_inputs(X, 32, 32, None)
        with pytest.raises(UnsupportedPipelineError, match="without calling encode_prompt"):
            pipe.unet(torch.zeros(2, 4, 4, 4), 1, embeds)


@pytest.mark.parametrize(
    ("wxi", "tau_gc", "message"), [(1.5, 0.1, "wxi"), (0.5, -0.1, "tau_gc"), (float("nan"), 0.1, "wxi")]
)
def test_wxi_and_tau_gc_out_of_range_are_refused(pipe: Any, wxi: float, tau_gc: float, message: str) -> None:
    with pytest.raises(ValueError, match=message), dual_latent(pipe, XI, wxi, tau_gc):
        pass


@pytest.mark.parametrize("what", [{"safe_prompt": [XI, XI]}, {"wxi": [0.5, 0.5]}, {"tau_gc": [0.1] * 4}])
def test_lengths_that_do_not_match_the_prompts_are_refused(pipe: Any, what: dict[str, Any]) -> None:
    arguments: dict[str, Any] = {"safe_prompt": XI, "wxi": 0.5, "tau_gc": 0.1} | what
    with dual_latent(pipe, **arguments), pytest.raises(ValueError, match=next(iter(what))):
        draw(pipe, [X, X, X], [1, 2, 3])


def test_unsupported_samplers_and_pipelines_are_refused_by_name(pipe: Any) -> None:
    ddim = pipe.scheduler
    with dual_latent(pipe, XI, wxi=0.5, tau_gc=0.1):
        pipe.scheduler = LMSDiscreteScheduler.from_config(ddim.config)
        with pytest.raises(UnsupportedPipelineError, match="LMSDiscreteScheduler is not supported; use one of DDIM"):
            draw(pipe, X)
    pipe.scheduler = DDIMScheduler.from_config(ddim.config, clip_sample=True)
    with pytest.raises(UnsupportedPipelineError, match="clip"), dual_latent(pipe, XI, wxi=0.5, tau_gc=0.1):
        pass
    with pytest.raises(UnsupportedPipelineError, match="str is not supported"), dual_latent("sd", XI, 0.5, 0.1):
        pass


@pytest.mark.parametrize(("name", "value"), [("variant", "serial"), ("schedule", "steep")])
def test_an_unknown_variant_or_schedule_is_refused(pipe: Any, name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"{name} is '{value}'"), dual_latent(pipe, XI, 0.5, 0.1, **{name: value}):
        pass


def test_one_context_inside_another_is_refused(pipe: Any) -> None:
    with (
        dual_latent(pipe, XI, wxi=0.5, tau_gc=0.1),
        pytest.raises(ValueError, match="inside another"),
        dual_latent(pipe, XI, wxi=0.5, tau_gc=0.1),
    ):
        pass
