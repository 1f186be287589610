"""The calls during which two prompts are drawn: of the pipeline, and of its denoiser."""

from dataclasses import dataclass, field
from threading import get_ident
from typing import Any

import torch
from torch import Tensor

from generator.method.rows import fuse
from generator.method.schedule import Clock, Schedule, UnsupportedPipelineError, weight


@dataclass
class PipelineCall:
    """One call of the pipeline, with R encoded rows; the images of one prompt are adjacent."""

    original: list[Any]  # x's conditions, R rows each
    carried: list[Any]  # the conditions that the pipeline got: ξ's, or x's where w_ξ is 0
    wxi: list[float]
    tau_gc: list[float]
    guided: bool
    clock: Clock | None = None
    step: int = 0  # the last one in which the denoiser was called
    calls: int = 0  # of the denoiser
    checked: Any = None  # the last condition that was found to carry ξ
    thread: int = field(default_factory=get_ident)

    def carries(self, text: Any, safe: range, total: int) -> bool:
        """Whether these rows of a condition are the ones that encode_prompt returned; checks each condition once."""
        if isinstance(text, list):
            return all(any(text[row] is own for own in self.carried[0]) for row in safe)
        if text is not self.checked:
            carried = self.carried[0].to(text).unsqueeze(1)
            rows = text.unflatten(0, (total, -1))[safe.start : safe.stop]
            if carried.shape[2:] != rows.shape[2:] or not bool((rows == carried).all()):
                return False
            self.checked = text
        return True

    def weights(self, pipe: Any, schedule: Schedule, images: int, timestep: Tensor) -> dict[int, float]:
        """w_ξ at this timestep, for each image whose original takes part.

        Raises:
            UnsupportedPipelineError: the timestep was passed already, so this is a call without encode_prompt.
        """
        clock = self.clock = self.clock or Clock(pipe.scheduler)
        step, weights = clock.step(float(timestep)), {}
        if step < self.step and not getattr(pipe, "free_init_enabled", False):
            raise UnsupportedPipelineError("The denoiser was called for another picture without encode_prompt.")
        self.step = step
        for image in range(images):
            row = image * len(self.wxi) // images
            if step < (k := clock.original_steps(self.wxi[row], self.tau_gc[row])):
                weights[image] = weight(self.wxi[row], step, k, schedule)
        return weights


@dataclass
class DenoiserCall:
    """One call of a denoiser in which at least one original takes part."""

    total: int  # the pipeline's own rows
    images: int
    timestep: Tensor  # the sampler's
    active: Tensor  # images whose original takes part, in order
    safe: Tensor  # rows of their safe prompts; empty in an unconditional call
    wxi: Tensor  # (len(active),)
    copied: Tensor  # unconditional rows that are repeated for the originals
    apart: bool  # whether the pipeline guides the originals too

    def fused(self, predicted: Tensor) -> Tensor:
        """The predictions for the pipeline's own rows, with the originals' fused into them."""
        prediction = predicted[: self.total].clone()
        prediction[self.safe] = fuse(predicted[self.total :], prediction[self.safe], self.wxi)
        return prediction

    def for_guidance(self, predicted: Tensor) -> Tensor:
        """All predictions, as the pipeline guides them row by row: the unconditional ones come first."""
        own, extra = predicted[: self.total], predicted[self.total :]
        unconditional = own[: self.total - self.images] if len(self.safe) else own
        copies, original = extra[: len(self.copied)], extra[len(self.copied) :]
        if not len(copies):
            copies = unconditional[self.active[: len(unconditional)]]
        return torch.cat([unconditional, copies, own[len(unconditional) :], original])
