"""Variant "parallel": the original branch has its own latent."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from copy import deepcopy
from functools import wraps
from typing import Any

import torch
from torch import Tensor

from generator.method.branches import Branches, DenoiserCall, PipelineCall
from generator.method.rows import fuse, with_prediction
from generator.method.schedule import UnsupportedPipelineError


class ParallelBranches(Branches):
    """Lets the pipeline guide the originals' rows along with its own, and steps them with a copy of its sampler.

    The denoiser returns predictions for more images than the pipeline has latents. The pipeline's guidance works row by
    row, so the sampler gets guided predictions for both branches. The stand-in for the sampler's step passes each
    branch's rows to its own sampler, with the same noise, and fuses the latents.
    """

    def install(self, stack: ExitStack) -> None:
        """As for "coupled"; refuses what cannot be drawn in parallel.

        Raises:
            UnsupportedPipelineError: the family or the sampler would undo the sum, or not guide the rows.
        """
        if self.family.no_parallel:
            raise UnsupportedPipelineError(f"Variant 'parallel' is refused: {self.family.no_parallel}.")
        _check_history(self.pipe.scheduler)
        super().install(stack)
        self.stack = stack

    def encode(self, *args: Any, **kwargs: Any) -> Any:
        """As for "coupled", with a stand-in for the step of the sampler, which the caller may have changed by now."""
        scheduler = self.pipe.scheduler
        _check_history(scheduler)
        if getattr(self.pipe, "free_init_enabled", False):
            raise UnsupportedPipelineError("Variant 'parallel' is refused: FreeInit restarts with other latents.")
        self.twin: Any = None  # the original branch's sampler
        self.latent: Tensor | None = None  # the original branch's latents, one row per image
        if "step" not in vars(scheduler):
            scheduler.step = self._stand_in(scheduler)
            self.stack.callback(delattr, scheduler, "step")
        return super().encode(*args, **kwargs)

    def _copied(self, call: DenoiserCall) -> Tensor:
        """The unconditional rows to copy for the originals: one each, in a call that has any."""
        has_unconditional = call.total == 2 * call.images or not len(call.safe)
        return call.active if has_unconditional else call.active[:0]

    def _append(
        self, arguments: dict[str, Any], call: DenoiserCall, copied: Tensor, pipeline_call: PipelineCall
    ) -> dict[str, Any]:
        arguments = super()._append(arguments, call, copied, pipeline_call)
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

    def fuse_original(self, _: Any, args: tuple[Any, ...], output: Any) -> Any:
        """Runs after the denoiser: orders the rows as the pipeline's guidance expects, unconditional ones first."""
        call = self.denoiser_call
        if call is None or call.total == call.images:
            return output
        unconditional, safe, extra = output[0].split([call.images, call.images, 2 * len(call.active)])
        copies, original = extra.chunk(2)
        return with_prediction(output, torch.cat([unconditional, copies, safe, original]))

    def _stand_in(self, scheduler: Any) -> Any:
        stock_step = scheduler.step

        @wraps(stock_step)
        def step(model_output: Tensor, timestep: Any, sample: Tensor, *args: Any, **kwargs: Any) -> Any:
            call = self.denoiser_call
            if call is None:
                return stock_step(model_output, timestep, sample, *args, **kwargs)
            own, original = model_output[: call.images], model_output[: call.images].clone()
            original[call.active] = model_output[call.images :]
            if self.latent is None:
                self.twin, self.latent = deepcopy(scheduler), sample
            with _same_noise(kwargs, sample.device) as copied_kwargs:
                stepped = type(scheduler).step(self.twin, original, timestep, self.latent, *args, **copied_kwargs)
            self.latent = stepped[0]
            output = stock_step(own, timestep, sample, *args, **kwargs)
            latents = output[0].clone()
            latents[call.active] = fuse(stepped[0][call.active], latents[call.active], call.wxi)
            return with_prediction(output, latents)

        return step


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
