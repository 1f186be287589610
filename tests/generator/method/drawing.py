"""What several tests of the method do with a tiny pipeline."""

from typing import Any

import pytest
import torch
from torch import Tensor

from generator.method.dual_latent import VARIANTS, dual_latent

STEPS = 4
X, XI = "wine", "juice"
VARIANT = pytest.mark.parametrize("variant", list(VARIANTS))


def draw(pipe: Any, prompt: Any = X, seeds: tuple[int, ...] = (0,), **more: Any) -> Tensor:
    """The latents that one call draws."""
    arguments = {"num_inference_steps": STEPS, "guidance_scale": 4.0, "output_type": "latent", "return_dict": False}
    arguments["generator"] = [torch.Generator().manual_seed(seed) for seed in seeds]
    latents: Tensor = pipe(prompt, **arguments | more)[0]
    return latents


def dual(pipe: Any, variant: Any = "coupled", wxi: Any = 0.5, tau_gc: Any = 0.5, **more: Any) -> Tensor:
    """As `draw`, with the safe prompt `XI`."""
    with dual_latent(pipe, XI, wxi, tau_gc, variant):
        return draw(pipe, **more)


def is_stock(pipe: Any) -> bool:
    """Whether nothing of the method is left on a pipeline."""
    networks = [part for part in pipe.components.values() if isinstance(part, torch.nn.Module)]
    hooks = [hook for network in networks for hook in (network._forward_hooks, network._forward_pre_hooks) if hook]
    return not hooks and not {"encode_prompt", "check_inputs"} & set(vars(pipe)) and "step" not in vars(pipe.scheduler)


def close(one: Tensor, other: Tensor) -> bool:
    """Whether latents are equal up to rounding."""
    return torch.allclose(one, other, rtol=1e-3, atol=1e-3 * float(other.abs().mean()))
