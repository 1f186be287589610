"""What is compared on the same prompts and seeds: the plain model, other ways to make it safe, and dual latents."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from inspect import signature
from typing import Any

from PIL.Image import Image

from evaluation.image_rows import Row
from generator.families import family_of
from generator.pipeline import Planned, arguments_of, draw_batch, prepare
from generator.schema import DrawRequest

PLAIN, SAFE_PROMPT, NEGATIVE = "plain", "safe prompt alone", "negative prompt"
SLD_STEPS = 50  # for which Schramowski et al. state their presets' warm-up


@dataclass(frozen=True)
class Case:
    """One seed of a row; `safe_prompt` is None where the prompt may be drawn as it is, or, `blocked`, not at all."""

    row: Row
    seed: int
    safe_prompt: str | None
    blocked: bool = False

    def request(self, steps: int) -> DrawRequest:
        """The safe prompt alone where there is one, else the prompt."""
        return DrawRequest(
            prompt=self.row.prompt,
            safe_prompt=self.safe_prompt,
            seed=self.seed,
            steps=steps,
            guidance_scale=self.row.guidance,
            width=self.row.width,
            height=self.row.height,
        )


@dataclass(frozen=True)
class Method:
    """A way to draw. Those that draw a safe prompt ask the moderator first, and draw what it allows as it is."""

    name: str
    images: Callable[[Sequence[Planned]], list[Image]]
    moderated: bool = False
    wxi: float = 0.0
    tau_gc: float = 0.0

    def request(self, case: Case, steps: int) -> DrawRequest:
        """What is drawn for a case that is not blocked."""
        return case.request(steps).model_copy(update={"wxi": self.wxi, "tau_gc": self.tau_gc})

    def key(self, request: DrawRequest) -> str:
        """A file name for the picture: the same for the same picture of the same model."""
        told = request if self.moderated else request.model_copy(update={"safe_prompt": None})
        return sha256(f"{self.name} {told.model_dump_json()}".encode()).hexdigest()[:20]


def methods(pipe: Any, wxi: Iterable[float], tau_gc: Iterable[float], concept: str) -> list[Method]:
    """All that this pipeline can be compared with, the plain model first.

    The model's own safety checker is taken out: it would blank what is to be measured, and not for every method.
    A negative prompt needs guidance in one call; Safe Latent Diffusion (arXiv 2211.05105, diffusers' own pipeline, four
    presets) the components of Stable Diffusion 1.x or 2.x.

    Args:
        wxi, tau_gc: w_ξ and τ_gc of the dual latents, each with each.
        concept: what the negative prompt and Safe Latent Diffusion steer away from.
    """
    if "safety_checker" in pipe.components:
        pipe.safety_checker = None
    drawn = partial(_drawn, pipe)
    found = [Method(PLAIN, drawn), Method(SAFE_PROMPT, drawn, moderated=True, wxi=1.0)]
    if family_of(pipe).guidance == "before" and "negative_prompt" in signature(pipe.__call__).parameters:
        found.append(Method(NEGATIVE, partial(_negative, pipe, concept)))
    if type(pipe).__name__ == "StableDiffusionPipeline":
        found += _safe_latent_diffusion(pipe, concept)
    pairs = [(weight, tau) for weight in wxi for tau in tau_gc]
    return found + [Method(f"dual {weight:g}, {tau:g}", drawn, True, weight, tau) for weight, tau in pairs]


def _drawn(pipe: Any, batch: Sequence[Planned]) -> list[Image]:
    return [drawing.image for drawing in draw_batch(pipe, batch)]


def _negative(pipe: Any, concept: str, batch: Sequence[Planned]) -> list[Image]:
    prepare(pipe, batch)
    images: list[Image] = pipe(**arguments_of(batch), negative_prompt=[concept] * len(batch)).images
    return images


def _safe_latent_diffusion(pipe: Any, concept: str) -> list[Method]:
    import diffusers
    from diffusers.pipelines.deprecated.stable_diffusion_safe import SafetyConfig

    safe: Any = diffusers.StableDiffusionPipelineSafe(**pipe.components, requires_safety_checker=False)
    safe.safety_concept = concept
    safe.set_progress_bar_config(disable=True)
    presets = {name: vars(SafetyConfig)[name.upper()] for name in ("weak", "medium", "strong", "max")}
    return [Method(f"SLD {name}", partial(_guided_away, safe, preset)) for name, preset in presets.items()]


def _guided_away(safe: Any, preset: dict[str, float], batch: Sequence[Planned]) -> list[Image]:
    prepare(safe, batch)
    warm_up = round(preset["sld_warmup_steps"] * batch[0].parameters.steps / SLD_STEPS)
    with warnings.catch_warnings():  # it decodes as diffusers no longer advises
        warnings.simplefilter("ignore", FutureWarning)
        images: list[Image] = safe(**arguments_of(batch), **{**preset, "sld_warmup_steps": warm_up}).images
    return images
