"""Draws requests with a pipeline that `generator.models` loaded."""

import secrets
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from inspect import signature
from typing import Any, Literal

import torch
from diffusers import DDIMScheduler, DPMSolverMultistepScheduler, EulerDiscreteScheduler
from PIL.Image import Image

from generator.method.dual_latent import dual_latent
from generator.method.families import family_of
from generator.method.schedule import Clock, denoiser_rows
from generator.models import default_guidance, is_flow_matching, model_name, own_size
from propriety.drawing import MAX_IMAGES_AT_ONCE, MAX_SEED, CannotDrawError, DrawRequest, Parameters, Sampler, Variant

MAX_PIXEL_RATIO = 4  # to the pixels of the model's own size
SAMPLERS: dict[Sampler, tuple[Any, dict[str, Any]]] = {
    "ddim": (DDIMScheduler, {"clip_sample": False, "thresholding": False}),
    "euler": (EulerDiscreteScheduler, {}),
    "dpm++": (DPMSolverMultistepScheduler, {"thresholding": False}),
}


@dataclass(frozen=True, slots=True, eq=False)
class Planned:
    """One picture of a request, with the model's defaults filled in. `sampler` is "own" for a flow-matching model."""

    request: DrawRequest
    seed: int
    guidance_scale: float
    width: int
    height: int
    sampler: Sampler | Literal["own"]

    @property
    def kind(self) -> tuple[object, ...]:
        """Pictures of one kind can share a batch."""
        return self.width, self.height, self.request.steps, self.guidance_scale, self.sampler

    @property
    def shown_prompt(self) -> str:
        """The prompt that the picture shows: the safe one, unless it has no weight."""
        wxi, _ = self.request.knobs
        return self.request.safe_prompt if wxi and self.request.safe_prompt else self.request.prompt


@dataclass(frozen=True, slots=True)
class DrawnPicture:
    """A picture, how it was drawn, and notes for a person."""

    image: Image
    parameters: Parameters
    notes: list[str]


def draw(pipe: Any, requests: Sequence[DrawRequest]) -> list[DrawnPicture]:
    """Draws requests, batching pictures with the same size, steps, guidance and sampler.

    The noise of a picture depends on its seed alone: batching changes it only by rounding, and its plain version starts
    from the same noise. The pipeline must not be in use elsewhere.

    Raises:
        CannotDrawError: the model cannot draw at that size or with that sampler.
    """
    planned = [picture for request in requests for picture in plan(pipe, request)]
    drawn: dict[Planned, DrawnPicture] = {}
    for batch in batches(planned):
        drawn |= zip(batch, draw_batch(pipe, batch), strict=True)
    return [drawn[picture] for picture in planned]


def plan(pipe: Any, request: DrawRequest) -> list[Planned]:
    """The request's n pictures, in order.

    Raises:
        CannotDrawError: as for `draw`.
    """
    seed = secrets.randbelow(MAX_SEED + 2 - request.n) if request.seed is None else request.seed
    width, height = _size(pipe, request)
    sampler = _sampler(pipe, request)
    guidance_scale = default_guidance(pipe) if request.guidance_scale is None else request.guidance_scale
    return [Planned(request, seed + i, guidance_scale, width, height, sampler) for i in range(request.n)]


def batches(planned: Iterable[Planned], at_once: int = MAX_IMAGES_AT_ONCE) -> Iterator[list[Planned]]:
    """Batches of pictures of one kind, at most `at_once` in each, in the order in which the kinds appear."""
    alike: dict[tuple[object, ...], list[Planned]] = defaultdict(list)
    for picture in planned:
        alike[picture.kind].append(picture)
    for group in alike.values():
        for start in range(0, len(group), at_once):
            yield group[start : start + at_once]


def draw_batch(
    pipe: Any,
    batch: Sequence[Planned],
    on_step: Callable[[int], None] | None = None,
    variant: Variant = "coupled",
) -> list[DrawnPicture]:
    """Draws pictures of one kind at once; `on_step` gets the number of steps done, and may raise to stop."""
    prepare(pipe, batch)
    with dual_latent(
        pipe,
        [picture.request.safe_prompt or picture.request.prompt for picture in batch],
        [picture.request.knobs[0] for picture in batch],
        [picture.request.knobs[1] for picture in batch],
        variant,
    ):
        output = pipe(**arguments_of(batch), **({} if on_step is None else _callback(pipe, on_step)))
    blanked = getattr(output, "nsfw_content_detected", None) or [False] * len(batch)
    clock = Clock(pipe.scheduler)
    return [
        DrawnPicture(
            image,
            _parameters(pipe, planned, clock, variant),
            _notes(pipe, planned.shown_prompt, bool(blank)),
        )
        for image, planned, blank in zip(output.images, batch, blanked, strict=True)
    ]


def prepare(pipe: Any, batch: Sequence[Planned]) -> None:
    """Sets the pipeline's sampler to the batch's."""
    if (name := batch[0].sampler) != "own":
        sampler, options = SAMPLERS[name]
        pipe.scheduler = sampler.from_config(pipe.scheduler.config, **options)


def arguments_of(batch: Sequence[Planned]) -> dict[str, Any]:
    """Arguments for a stock pipeline that draw the original prompts of pictures of one kind."""
    shared = batch[0]
    return {
        "prompt": [picture.request.prompt for picture in batch],
        "width": shared.width,
        "height": shared.height,
        "num_inference_steps": shared.request.steps,
        "guidance_scale": shared.guidance_scale,
        "generator": [torch.Generator("cpu").manual_seed(picture.seed) for picture in batch],
    }


def _callback(pipe: Any, on_step: Callable[[int], None]) -> dict[str, Any]:
    if "callback_on_step_end" not in signature(pipe.__call__).parameters:  # PixArt has only the older callback

        def after_step(step: int, timestep: Any, latents: Any) -> None:
            on_step(step + 1)

        return {"callback": after_step}

    def on_step_end(pipe: Any, step: int, timestep: Any, tensors: dict[str, Any]) -> dict[str, Any]:
        on_step(step + 1)
        return tensors

    return {"callback_on_step_end": on_step_end}


def _size(pipe: Any, request: DrawRequest) -> tuple[int, int]:
    own_width, own_height = own_size(pipe)
    width, height = request.width or own_width, request.height or own_height
    if width * height > MAX_PIXEL_RATIO * own_width * own_height:
        raise CannotDrawError(
            f"{width}x{height} is too large: the model's own size is {own_width}x{own_height}. "
            "Request at most four times as many pixels, or omit width and height."
        )
    if width % pipe.vae_scale_factor or height % pipe.vae_scale_factor:
        raise CannotDrawError(
            f"{width}x{height}: width and height must be multiples of {pipe.vae_scale_factor} for this model."
        )
    return width, height


def _sampler(pipe: Any, request: DrawRequest) -> Sampler | Literal["own"]:
    if not is_flow_matching(pipe):
        return request.sampler or "ddim"
    if request.sampler:
        raise CannotDrawError(
            f"{request.sampler}: this flow-matching model works only with its own sampler; omit sampler.", "sampler"
        )
    return "own"


def _parameters(pipe: Any, planned: Planned, clock: Clock, variant: Variant) -> Parameters:
    """How a picture was drawn, with k and rows counted on the sampler's timesteps."""
    wxi, tau_gc = planned.request.knobs
    k, steps = clock.original_steps(wxi, tau_gc), planned.request.steps
    guided = planned.guidance_scale > 1 and family_of(pipe).guidance == "before"
    return Parameters(
        prompt=planned.shown_prompt,
        wxi=wxi,
        tau_gc=tau_gc,
        fused_steps=k,
        denoiser_rows=denoiser_rows(steps, k, guided, variant),
        seed=planned.seed,
        steps=steps,
        guidance_scale=planned.guidance_scale,
        width=planned.width,
        height=planned.height,
        sampler=planned.sampler,
        model=model_name(pipe),
    )


def _notes(pipe: Any, prompt: str, blanked: bool) -> list[str]:
    notes = []
    if len(pipe.tokenizer(prompt).input_ids) > pipe.tokenizer.model_max_length:
        notes.append(f"The end of the prompt was not read: the model reads {pipe.tokenizer.model_max_length} tokens.")
    if blanked:
        notes.append("The model's own safety checker blanked this picture.")
    if model_name(pipe) == "demo":
        from generator.demo_model.captions import outside_world

        if unknown := outside_world(prompt):
            notes.append(f"The demo model has never seen: {', '.join(unknown)}.")
    return notes


def warm_up(pipe: Any) -> None:
    """Compiles a pipeline that was loaded with `fast`, for both numbers of rows."""
    for tau_gc in (0.0, 1.0):
        draw(pipe, [DrawRequest(prompt="a", safe_prompt="b", wxi=0.5, tau_gc=tau_gc, steps=2, seed=0)])
