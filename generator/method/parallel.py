"""Variant "parallel": the original branch keeps a latent of its own."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from copy import deepcopy
from functools import wraps
from typing import Any

import torch
from torch import Tensor

from generator.method.branches import Branches, Call, Drawing
from generator.method.rows import fuse, with_prediction
from generator.method.schedule import UnsupportedPipelineError


class ParallelBranches(Branches):
    """Lets the pipeline guide the originals' rows beside its own, and steps them with a copy of its sampler.

    The denoiser answers with predictions for more images than the pipeline has latents; its formula for guidance works
    row by row, so that what reaches the sampler is guided for both branches. The stand-in for the sampler's step sends
    each branch's rows to its own sampler, with the same noise, and sums the latents.
    """

    def install(self, stack: ExitStack) -> None:
        """As for "coupled", with a stand-in for the sampler's step.

        Raises:
            UnsupportedPipelineError: for a family or a sampler that would undo the sum, or not guide the rows.
        """
        if self.family.no_parallel:
            raise UnsupportedPipelineError(f"Variant 'parallel' is refused: {self.family.no_parallel}.")
        _check_history(self.pipe.scheduler)
        super().install(stack)
        self.stack = stack

    def encode(self, *args: Any, **kwargs: Any) -> Any:
        """As for "coupled"; the sampler of this call gets its stand-in here, as the caller may have changed it."""
        scheduler = self.pipe.scheduler
        _check_history(scheduler)
        if getattr(self.pipe, "free_init_enabled", False):
            raise UnsupportedPipelineError("Variant 'parallel' is refused: FreeInit starts over with other latents.")
        self.twin: Any = None  # the original branch's sampler
        self.latent: Tensor | None = None  # the original branch's latents, a row for each image
        if "step" not in vars(scheduler):
            scheduler.step = self._stand_in(scheduler)
            self.stack.callback(delattr, scheduler, "step")
        return super().encode(*args, **kwargs)

    def _copied(self, call: Call) -> Tensor:
        """The unconditional rows that the originals need of their own: where there are such, one each."""
        guided_here = call.total == 2 * call.images or not len(call.safe)
        return call.active if guided_here else call.active[:0]

    def _append(self, arguments: dict[str, Any], call: Call, copied: Tensor, drawing: Drawing) -> dict[str, Any]:
        arguments = super()._append(arguments, call, copied, drawing)
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
        """After the denoiser: sorts the rows as the pipeline's guidance expects them, unconditional ones first."""
        call = self.call
        if call is None or call.total == call.images:
            return output
        unconditional, safe, extra = output[0].split([call.images, call.images, 2 * len(call.active)])
        copies, original = extra.chunk(2)
        return with_prediction(output, torch.cat([unconditional, copies, safe, original]))

    def _stand_in(self, scheduler: Any) -> Any:
        stock_step = scheduler.step

        @wraps(stock_step)
        def step(model_output: Tensor, timestep: Any, sample: Tensor, *args: Any, **kwargs: Any) -> Any:
            call = self.call
            if call is None:
                return stock_step(model_output, timestep, sample, *args, **kwargs)
            own, original = model_output[: call.images], model_output[: call.images].clone()
            original[call.active] = model_output[call.images :]
            if self.latent is None:
                self.twin, self.latent = deepcopy(scheduler), sample
            with _same_noise(kwargs, sample.device) as again:
                stepped = type(scheduler).step(self.twin, original, timestep, self.latent, *args, **again)
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
    """The arguments of a step with clones of its generators; torch's own generator ends as it began."""
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
