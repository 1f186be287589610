"""What is compared on the same prompts and seeds: the plain model, other ways to make it safe, and dual latents."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from hashlib import sha256
from inspect import signature
from itertools import product
from typing import Any, TypeAlias

from PIL.Image import Image

from evaluation.image.rows import Row
from evaluation.image.safree import projected
from generator.method.families import family_of
from generator.pipeline import Planned, arguments_of, draw_batch, prepare
from propriety.drawing import DrawRequest, Sampler, Variant

PLAIN, SAFE_PROMPT, NEGATIVE, SAFREE = "plain", "safe prompt alone", "negative prompt", "SAFREE projection"
SLD_STEPS = 50  # for which Schramowski et al. state their presets' warm-up
Draw: TypeAlias = Callable[[Sequence[Planned]], list[Image]]
"""The pictures of a batch."""


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


@dataclass(frozen=True, eq=False)
class Method:
    """A way to draw. Those that draw a safe prompt ask the moderator first, and draw what it allows as it is.

    beside: the plain method of the same sampler; None for a plain one.
    drawn_as: the method whose pictures these are, where that is known beforehand.
    variant: of a dual latent; None for all others.
    sampler: as in `DrawRequest`.
    """

    name: str
    images: Draw
    beside: Method | None = None
    drawn_as: Method | None = None
    moderated: bool = False
    wxi: float = 0.0
    tau_gc: float = 0.0
    variant: Variant | None = None
    sampler: Sampler | None = None

    @property
    def plain(self) -> Method:
        return self.beside or self

    def request(self, case: Case, steps: int) -> DrawRequest:
        """What is drawn for a case that is not blocked."""
        knobs = {"wxi": self.wxi, "tau_gc": self.tau_gc, "sampler": self.sampler}
        return case.request(steps).model_copy(update=knobs)

    def key(self, request: DrawRequest) -> str:
        """A file name for the picture: the same for the same picture of the same model."""
        told = request if self.moderated else request.model_copy(update={"safe_prompt": None})
        return sha256(f"{self.name} {told.model_dump_json()}".encode()).hexdigest()[:20]


def methods(
    pipe: Any,
    wxi: Iterable[float],
    tau_gc: Iterable[float],
    concept: str,
    samplers: Sequence[Sampler | None] = (None,),
    variants: Sequence[Variant] = ("coupled",),
    erased: Mapping[str, Any] | None = None,
) -> list[Method]:
    """All that this pipeline can be compared with, for each sampler the plain model first.

    The model's own safety checker is taken out: it would blank what is to be measured, and not for every method.
    A negative prompt needs guidance in one call; Safe Latent Diffusion (arXiv 2211.05105, diffusers' own pipeline, four
    presets) and SAFREE's projection the components of Stable Diffusion 1.x or 2.x.

    Args:
        wxi, tau_gc: w_ξ and τ_gc of the dual latents, each with each, in each variant. w_ξ = 0 is the plain method, and
            w_ξ = 1, or τ_gc = 0, the safe prompt alone: their pictures are not drawn twice.
        concept: what the negative prompt, Safe Latent Diffusion and, phrase by phrase between commas, SAFREE steer away
            from.
        erased: pipelines that have unlearned something, by name; each draws the prompts as they are.
    """
    if "safety_checker" in pipe.components:
        pipe.safety_checker = None
    ways: dict[str, Draw] = {}
    if family_of(pipe).guidance == "before" and "negative_prompt" in signature(pipe.__call__).parameters:
        ways[NEGATIVE] = partial(_negative, pipe, concept)
    if type(pipe).__name__ == "StableDiffusionPipeline":
        ways |= _safe_latent_diffusion(pipe, concept)
        ways[SAFREE] = partial(_projected, pipe, [phrase.strip() for phrase in concept.split(",")])
    ways |= {f"erased: {name}": partial(_drawn, other, "coupled") for name, other in (erased or {}).items()}
    knobs, found = list(product(variants, wxi, tau_gc)), []
    for sampler in samplers:
        by = f" ({sampler})" if sampler else ""
        plain = Method(PLAIN + by, partial(_drawn, pipe, "coupled"), sampler=sampler)
        safe = replace(plain, name=SAFE_PROMPT + by, beside=plain, moderated=True, wxi=1.0)
        found += [
            plain,
            safe,
            *(replace(plain, name=name + by, images=way, beside=plain) for name, way in ways.items()),
        ]
        for variant, weight, tau in knobs:
            known = plain if weight == 0 else safe if weight == 1 or tau == 0 else None
            name = f"dual {weight:g}, {tau:g}{'' if variant == 'coupled' else f' {variant}'}{by}"
            images = partial(_drawn, pipe, variant)
            found.append(Method(name, images, plain, known, weight > 0, weight, tau, variant, sampler))
    return found


def _drawn(pipe: Any, variant: Variant, batch: Sequence[Planned]) -> list[Image]:
    return [drawing.image for drawing in draw_batch(pipe, batch, variant=variant)]


def _negative(pipe: Any, concept: str, batch: Sequence[Planned]) -> list[Image]:
    prepare(pipe, batch)
    images: list[Image] = pipe(**arguments_of(batch), negative_prompt=[concept] * len(batch)).images
    return images


def _projected(pipe: Any, concepts: Sequence[str], batch: Sequence[Planned]) -> list[Image]:
    prepare(pipe, batch)
    arguments = arguments_of(batch)
    embeddings = projected(pipe, arguments.pop("prompt"), concepts)
    images: list[Image] = pipe(**arguments, prompt_embeds=embeddings).images
    return images


def _safe_latent_diffusion(pipe: Any, concept: str) -> dict[str, Draw]:
    import diffusers
    from diffusers.pipelines.deprecated.stable_diffusion_safe import SafetyConfig

    safe: Any = diffusers.StableDiffusionPipelineSafe(**pipe.components, requires_safety_checker=False)
    safe.safety_concept = concept
    safe.set_progress_bar_config(disable=True)
    presets = {name: vars(SafetyConfig)[name.upper()] for name in ("weak", "medium", "strong", "max")}
    return {f"SLD {name}": partial(_guided_away, safe, preset) for name, preset in presets.items()}


def _guided_away(safe: Any, preset: dict[str, float], batch: Sequence[Planned]) -> list[Image]:
    prepare(safe, batch)
    warm_up = round(preset["sld_warmup_steps"] * batch[0].parameters.steps / SLD_STEPS)
    with warnings.catch_warnings():  # it decodes as diffusers no longer advises
        warnings.simplefilter("ignore", FutureWarning)
        images: list[Image] = safe(**arguments_of(batch), **{**preset, "sld_warmup_steps": warm_up}).images
    return images
