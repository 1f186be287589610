"""Variant "parallel": the original branch has its own latent."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor

from generator.method.branches import Branches
from generator.method.calls import DenoiserCall, PipelineCall
from generator.method.rows import fuse
from generator.method.schedule import UnsupportedPipelineError


class ParallelBranches(Branches):
    """Lets the pipeline guide the originals' rows along with its own, and steps them with a copy of its sampler.

    The denoiser gets a second unconditional row for each original, and returns predictions for more images than the
    pipeline has latents. The pipeline's guidance works row by row. The stand-in for the sampler's step passes each
    branch's guided predictions to its own sampler, with the same noise, and fuses the latents.
    """

    copies_unconditional = True

    def install(self, stack: ExitStack) -> None:
        """As for "coupled"; refuses what cannot be drawn in parallel.

        Raises:
            UnsupportedPipelineError: the family or the sampler would undo the sum, or not guide the rows.
        """
        if self.family.no_parallel:
            raise UnsupportedPipelineError(f"Variant 'parallel' is refused: {self.family.no_parallel}.")
        _check_history(self.pipe.scheduler)
        super().install(stack)

    def encode(self, *args: Any, **kwargs: Any) -> Any:
        """As for "coupled", with a new latent for the original branch."""
        _check_history(self.pipe.scheduler)
        if getattr(self.pipe, "free_init_enabled", False):
            raise UnsupportedPipelineError("Variant 'parallel' is refused: FreeInit restarts with other latents.")
        self.twin: Any = None  # the original branch's sampler
        self.latent: Tensor | None = None  # the original branch's latents, one row per image
        return super().encode(*args, **kwargs)

    def _guides_apart(self) -> bool:
        return True

    def _append(self, arguments: dict[str, Any], call: DenoiserCall, pipeline_call: PipelineCall) -> dict[str, Any]:
        arguments = super()._append(arguments, call, pipeline_call)
        if self.latent is not None:
            name = next(iter(arguments))
            latent = self.latent[call.active]
            if hasattr(self.twin, "scale_model_input"):
                latent = self.twin.scale_model_input(latent, call.timestep)
            sample = arguments[name].clone()
            extra = sample[call.total :]
            extra[:, : latent.shape[1]] = torch.cat([latent] * (len(extra) // len(latent))).to(sample)
            arguments[name] = sample
        return arguments

    def step_both(
        self,
        stock_step: Callable[..., Any],
        call: DenoiserCall,
        own: Tensor,
        original: Tensor,
        timestep: Any,
        sample: Tensor,
        *args: Any,
        **kwargs: Any,
    ) -> Any:
        """Steps each branch with its own sampler, and fuses the latents, and the clean pictures that they predict."""
        prediction = own.clone()
        prediction[call.active] = original
        if self.latent is None:
            self.twin, self.latent = deepcopy(self.pipe.scheduler), sample
        with _same_noise(kwargs, sample.device) as copied_kwargs:
            stepped = type(self.twin).step(self.twin, prediction, timestep, self.latent, *args, **copied_kwargs)
        self.latent = stepped[0]
        output = stock_step(own, timestep, sample, *args, **kwargs)

        def fused(safe: Any, original: Any) -> Any:
            if not isinstance(safe, Tensor):
                return safe
            latents = safe.clone()
            latents[call.active] = fuse(original[call.active], safe[call.active], call.wxi)
            return latents

        if isinstance(output, tuple):
            return tuple(map(fused, output, stepped))
        return type(output)(**{name: fused(value, stepped[name]) for name, value in output.items()})


def _check_history(scheduler: Any) -> None:
    if any(ancestor.__name__ == "UniPCMultistepScheduler" for ancestor in type(scheduler).__mro__):
        raise UnsupportedPipelineError(
            "Variant 'parallel' is refused: UniPC's corrector rebuilds each latent from its own history, "
            "which undoes the sum. Use 'coupled', or another sampler."
        )


@contextmanager
def _same_noise(kwargs: dict[str, Any], device: torch.device) -> Iterator[dict[str, Any]]:
    """A step's arguments with its generators cloned; torch's global generator is restored afterwards."""
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices):
        generator = kwargs.get("generator")
        if isinstance(generator, list):
            yield kwargs | {"generator": [_clone(one) for one in generator]}
        elif generator is not None:
            yield kwargs | {"generator": _clone(generator)}
        else:
            yield kwargs


def _clone(generator: torch.Generator) -> torch.Generator:
    copy = torch.Generator(generator.device)
    copy.set_state(generator.get_state())
    return copy
