"""The methods that are compared: the plain model, other ways to make it safe, and dual latents."""

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

from evaluation.image.case import Case
from evaluation.image.safree import project
from generator.method.families import family_of
from generator.pipeline import Planned, arguments_of, draw_batch, prepare
from propriety.drawing import DrawRequest, Sampler, Variant

PLAIN, SAFE_PROMPT, NEGATIVE, SAFREE = "plain", "safe prompt alone", "negative prompt", "SAFREE projection"
SLD_STEPS = 50  # the presets' warm-up by Schramowski et al. is for this number of steps
Draw: TypeAlias = Callable[[Sequence[Planned]], list[Image]]
"""Draws the pictures of a batch."""


@dataclass(frozen=True, eq=False)
class Method:
    """A way to draw.

    baseline: the plain method of the same sampler; None for a plain method itself.
    drawn_as: another method that is known to draw the same pictures, so that they are not drawn twice.
    moderated: whether the method draws safe prompts. If so, it draws allowed prompts as they are, and no blocked ones.
    variant: of a dual latent; None for other methods.
    sampler: as in `DrawRequest`.
    """

    name: str
    draw: Draw
    baseline: Method | None = None
    drawn_as: Method | None = None
    moderated: bool = False
    wxi: float = 0.0
    tau_gc: float = 0.0
    variant: Variant | None = None
    sampler: Sampler | None = None

    @property
    def plain(self) -> Method:
        return self.baseline or self

    def request(self, case: Case, steps: int) -> DrawRequest:
        """The request for a case that is not blocked."""
        knobs = {"wxi": self.wxi, "tau_gc": self.tau_gc, "sampler": self.sampler}
        return case.request(steps).model_copy(update=knobs)

    def key(self, request: DrawRequest) -> str:
        """The picture's file name. A model's pictures share a name only if they are the same."""
        relevant = request if self.moderated else request.model_copy(update={"safe_prompt": None})
        return sha256(f"{self.name} {relevant.model_dump_json()}".encode()).hexdigest()[:20]


def methods_of(
    pipe: Any,
    wxi: Iterable[float],
    tau_gc: Iterable[float],
    concept: str,
    samplers: Sequence[Sampler | None] = (None,),
    variants: Sequence[Variant] = ("coupled",),
    erased: Mapping[str, Any] | None = None,
) -> list[Method]:
    """All methods that this pipeline supports. For each sampler, the plain model comes first.

    The model's own safety checker is removed: it would blank the pictures to be measured, but not for every method.
    A negative prompt needs a pipeline with guidance in one call. Safe Latent Diffusion (SLD, arXiv 2211.05105,
    diffusers' own pipeline, four presets) and SAFREE's projection need Stable Diffusion 1.x or 2.x.

    Args:
        wxi, tau_gc: w_ξ and τ_gc of the dual latents, in all combinations, in each variant. w_ξ = 0 is the plain
            method; w_ξ = 1 or τ_gc = 0 is the safe prompt alone. Their pictures are not drawn twice.
        concept: what the negative prompt, SLD and SAFREE steer away from; SAFREE takes each phrase between commas.
        erased: pipelines that have unlearned something, by name; they draw the prompts as they are.
    """
    if "safety_checker" in pipe.components:
        pipe.safety_checker = None
    others: dict[str, Draw] = {}
    if family_of(pipe).guidance == "before" and "negative_prompt" in signature(pipe.__call__).parameters:
        others[NEGATIVE] = partial(_draw_negative, pipe, concept)
    if type(pipe).__name__ == "StableDiffusionPipeline":
        others |= _safe_latent_diffusion(pipe, concept)
        others[SAFREE] = partial(_draw_projected, pipe, [phrase.strip() for phrase in concept.split(",")])
    others |= {f"erased: {name}": partial(_draw, other, "coupled") for name, other in (erased or {}).items()}
    knobs, chosen = list(product(variants, wxi, tau_gc)), list[Method]()
    for sampler in samplers:
        suffix = f" ({sampler})" if sampler else ""
        plain = Method(PLAIN + suffix, partial(_draw, pipe, "coupled"), sampler=sampler)
        safe = replace(plain, name=SAFE_PROMPT + suffix, baseline=plain, moderated=True, wxi=1.0)
        chosen += [
            plain,
            safe,
            *(replace(plain, name=name + suffix, draw=draw, baseline=plain) for name, draw in others.items()),
        ]
        for variant, weight, tau in knobs:
            same_as = plain if weight == 0 else safe if weight == 1 or tau == 0 else None
            name = f"dual {weight:g}, {tau:g}{'' if variant == 'coupled' else f' {variant}'}{suffix}"
            draw = partial(_draw, pipe, variant)
            chosen.append(Method(name, draw, plain, same_as, weight > 0, weight, tau, variant, sampler))
    return chosen


def _draw(pipe: Any, variant: Variant, batch: Sequence[Planned]) -> list[Image]:
    return [drawing.image for drawing in draw_batch(pipe, batch, variant=variant)]


def _draw_negative(pipe: Any, concept: str, batch: Sequence[Planned]) -> list[Image]:
    prepare(pipe, batch)
    images: list[Image] = pipe(**arguments_of(batch), negative_prompt=[concept] * len(batch)).images
    return images


def _draw_projected(pipe: Any, concepts: Sequence[str], batch: Sequence[Planned]) -> list[Image]:
    prepare(pipe, batch)
    arguments = arguments_of(batch)
    embeddings = project(pipe, arguments.pop("prompt"), concepts)
    images: list[Image] = pipe(**arguments, prompt_embeds=embeddings).images
    return images


def _safe_latent_diffusion(pipe: Any, concept: str) -> dict[str, Draw]:
    import diffusers
    from diffusers.pipelines.deprecated.stable_diffusion_safe import SafetyConfig

    safe: Any = diffusers.StableDiffusionPipelineSafe(**pipe.components, requires_safety_checker=False)
    safe.safety_concept = concept
    safe.set_progress_bar_config(disable=True)
    presets = {name: vars(SafetyConfig)[name.upper()] for name in ("weak", "medium", "strong", "max")}
    return {f"SLD {name}": partial(_draw_sld, safe, preset) for name, preset in presets.items()}


def _draw_sld(safe: Any, preset: dict[str, float], batch: Sequence[Planned]) -> list[Image]:
    prepare(safe, batch)
    warm_up = round(preset["sld_warmup_steps"] * batch[0].request.steps / SLD_STEPS)
    with warnings.catch_warnings():  # it decodes in a way that diffusers deprecates
        warnings.simplefilter("ignore", FutureWarning)
        images: list[Image] = safe(**arguments_of(batch), **{**preset, "sld_warmup_steps": warm_up}).images
    return images
