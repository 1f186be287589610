"""k and the weights, on the timesteps of real samplers."""

from typing import Any

import pytest
from diffusers import DDIMScheduler, EulerDiscreteScheduler, FlowMatchEulerDiscreteScheduler, PNDMScheduler

from generator.method.schedule import Clock, denoiser_rows, fused_steps, weight


def clock(sampler: Any, steps: int = 20) -> Clock:
    sampler.set_timesteps(steps)
    return Clock(sampler)


def test_k_is_the_rounded_fraction_of_the_steps() -> None:
    assert [fused_steps(tau, 25) for tau in (0, 0.1, 0.2, 0.3, 1)] == [0, 2, 5, 8, 25]


@pytest.mark.parametrize("spacing", ["leading", "trailing", "linspace"])
@pytest.mark.parametrize("steps", [7, 20, 30])
def test_on_even_timesteps_tau_gc_is_a_fraction_of_the_steps(spacing: str, steps: int) -> None:
    for sampler in (DDIMScheduler(timestep_spacing=spacing), EulerDiscreteScheduler(timestep_spacing=spacing)):
        ks = [clock(sampler, steps).fused_steps(tau) for tau in (0, 0.1, 0.33, 0.5, 1)]
        assert ks == [round(tau * steps) for tau in (0, 0.1, 0.33, 0.5, 1)]


def test_tau_gc_counts_steps_on_an_unshifted_flow_schedule_and_noise_on_a_shifted_one() -> None:
    taus = (0, 0.1, 0.2, 0.5, 1)
    assert [clock(FlowMatchEulerDiscreteScheduler()).fused_steps(tau) for tau in taus] == [0, 2, 4, 10, 20]
    shifted = clock(FlowMatchEulerDiscreteScheduler(shift=3.0))
    ks = [shifted.fused_steps(tau) for tau in taus]
    assert ks == [0, 5, 8, 14, 20]
    for tau, k in zip(taus[1:4], ks[1:4], strict=True):
        level = shifted.times / 1000
        assert (level[k - 1] + level[k]) / 2 >= 1 - tau > (level[k] + level[k + 1]) / 2


def test_on_karras_noise_levels_tau_gc_counts_training_time() -> None:
    karras = clock(EulerDiscreteScheduler(use_karras_sigmas=True))
    k = karras.fused_steps(0.2)
    assert k not in (0, 4)
    assert karras.times[k - 1] > 800 > karras.times[k + 1]


def test_a_repeated_timestep_is_one_step() -> None:
    plms = clock(PNDMScheduler(skip_prk_steps=True))
    assert (len(plms.times), plms.fused_steps(0.2)) == (20, 4)
    assert plms.step(float(plms.times[1])) == 1
    with pytest.raises(ValueError, match="does not have"):
        plms.step(3.7)


def test_the_weight_of_the_safe_prompt_may_rise_to_one() -> None:
    assert [weight(0.5, i, 4, "constant") for i in range(4)] == [0.5] * 4
    assert [weight(0.5, i, 4, "linear") for i in range(4)] == [0.5, 0.625, 0.75, 0.875]
    cosine = [weight(0.5, i, 4, "cosine") for i in range(4)]
    assert cosine == pytest.approx([0.5, 0.5732, 0.75, 0.9268], abs=1e-4)


def test_rows_are_counted_as_documented() -> None:
    assert denoiser_rows(25, 5) == 2 * 25 + 5
    assert denoiser_rows(25, 5, guided=False) == 25 + 5
    assert denoiser_rows(25, 5, variant="parallel") == 2 * 25 + 2 * 5
    ddim = clock(DDIMScheduler(), 25)
    assert [ddim.original_steps(wxi, 0.2) for wxi in (0, 0.75, 1)] == [0, 5, 0]
