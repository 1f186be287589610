"""In which steps the original prompt takes part, and with what weight, on a sampler's own timesteps."""

import math
from collections.abc import Iterable
from typing import Any, Literal

import torch
from torch import Tensor

from propriety.drawing import Variant

Schedule = Literal["constant", "linear", "cosine"]

SAMPLERS = (
    "DDIMScheduler",
    "EulerDiscreteScheduler",
    "EulerAncestralDiscreteScheduler",
    "PNDMScheduler",
    "DPMSolverMultistepScheduler",
    "UniPCMultistepScheduler",
    "HeunDiscreteScheduler",
    "LCMScheduler",
    "FlowMatchEulerDiscreteScheduler",
)


class UnsupportedPipelineError(ValueError):
    """The pipeline or its sampler is not supported, so nothing is drawn."""


def fused_steps(tau_gc: float, steps: int) -> int:
    """k, the number of first steps in which both branches are summed: τ_gc·N, rounded half to even."""
    return round(tau_gc * steps)


def denoiser_rows(steps: int, k: int, guided: bool = True, variant: Variant = "coupled") -> int:
    """Rows that one picture sends through the denoiser: 2N + k coupled, 2N + 2k parallel; unguided N + k."""
    if not guided:
        return steps + k
    return 2 * steps + (2 * k if variant == "parallel" else k)


def weight(wxi: float, step: int, k: int, schedule: Schedule) -> float:
    """w_ξ at step i < k: constant (as in the paper), or rising from w_ξ at step 0 to 1 at step k."""
    rise = {"constant": 0.0, "linear": step / k, "cosine": (1 - math.cos(math.pi * step / k)) / 2}[schedule]
    return wxi + (1 - wxi) * rise


class Clock:
    """A sampler's distinct timesteps t_0 > … > t_{N-1}, from pure noise on.

    A timestep at which the sampler calls the denoiser twice (PNDM, Heun) is one step. On evenly spaced timesteps,
    k = round(τ_gc·N). Otherwise (a shifted flow schedule, Karras or exponential noise levels, the caller's own
    timesteps), τ_gc is a fraction of the noise level t/T, with T training timesteps: step i is fused if its middle
    (t_i + t_{i+1}) / 2T is at least 1 - τ_gc, which would give the same k on even timesteps.
    """

    def __init__(self, scheduler: Any) -> None:
        self.times: Tensor = torch.unique_consecutive(scheduler.timesteps.double().cpu())
        self.train_steps: int = scheduler.config.num_train_timesteps
        self.counted: dict[float, int] = {}

    def step(self, timestep: float) -> int:
        """The index of the step at a timestep.

        Raises:
            ValueError: the sampler does not have that timestep.
        """
        distance, step = (self.times - timestep).abs().min(0)
        if distance > 0.01:
            raise ValueError(f"The denoiser was called at timestep {timestep}, which the sampler does not have.")
        return int(step)

    def fused_steps(self, tau_gc: float) -> int:
        """k for this sampler's timesteps."""
        if tau_gc not in self.counted:
            self.counted[tau_gc] = self._fused_steps(tau_gc)
        return self.counted[tau_gc]

    def _fused_steps(self, tau_gc: float) -> int:
        gaps = -self.times.diff()
        if len(gaps) == 0 or gaps.max() - gaps.min() <= 2.0:
            return fused_steps(tau_gc, len(self.times))
        following = torch.cat([self.times[1:], torch.zeros(1)])
        return int(((self.times + following) / 2 >= (1 - tau_gc) * self.train_steps).sum())

    def original_steps(self, wxi: float, tau_gc: float) -> int:
        """The number of steps in which the original costs a row: 0 if one branch has all the weight."""
        return self.fused_steps(tau_gc) if 0.0 < wxi < 1.0 else 0


def check_sampler(scheduler: Any) -> None:
    """Refuses a sampler for which the method's identities are not tested.

    Raises:
        UnsupportedPipelineError: the sampler is not one of SAMPLERS, or clips its prediction.
    """
    name = type(scheduler).__name__
    if not any(ancestor.__name__ in SAMPLERS for ancestor in type(scheduler).__mro__):
        raise UnsupportedPipelineError(
            f"The sampler {name} is not supported; use one of {', '.join(SAMPLERS)}, e.g. "
            "pipe.scheduler = DDIMScheduler.from_config(pipe.scheduler.config, clip_sample=False)."
        )
    if scheduler.config.get("clip_sample") or scheduler.config.get("thresholding"):
        raise UnsupportedPipelineError(
            "The sampler clips its prediction, so a sum of steps is not the step of the sum; create it with "
            "from_config(pipe.scheduler.config, clip_sample=False, thresholding=False)."
        )


def in_unit(values: float | Iterable[float], name: str) -> list[float]:
    """The values as a list.

    Raises:
        ValueError: a value is not a number in [0, 1].
    """
    given: Any = values
    has_several = getattr(given, "ndim", isinstance(given, Iterable))  # an array without dimensions is one value
    try:
        listed = [float(value) for value in given] if has_several else [float(given)]
    except (TypeError, ValueError):
        raise ValueError(f"{name} is {values!r}; pass a number in [0, 1], or one per prompt.") from None
    if not all(0.0 <= value <= 1.0 for value in listed):
        raise ValueError(f"{name} is {values}; each value must be in [0, 1].")
    return listed
