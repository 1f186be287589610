"""Load a text-to-image pipeline, and draw requests with it."""

import secrets
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from inspect import signature
from pathlib import Path
from typing import Any

import torch
from diffusers import DDIMScheduler, DiffusionPipeline, DPMSolverMultistepScheduler, EulerDiscreteScheduler
from PIL.Image import Image

from generator.method.dual_latent import dual_latent
from generator.method.families import family_of
from generator.method.schedule import Clock, UnsupportedPipelineError, check_sampler, denoiser_rows
from propriety.drawing import IMAGES_AT_ONCE, CannotDrawError, DrawRequest, Parameters, Sampler, Variant

DEMO = Path(__file__).parent / "demo_model" / "weights"
DEMO_GUIDANCE = 4.0
LOADER: Any = DiffusionPipeline
SAMPLERS: dict[Sampler, tuple[Any, dict[str, Any]]] = {
    "ddim": (DDIMScheduler, {"clip_sample": False, "thresholding": False}),
    "euler": (EulerDiscreteScheduler, {}),
    "dpm++": (DPMSolverMultistepScheduler, {"thresholding": False}),
}
TEXT_TO_IMAGE = (
    "StableDiffusionPipeline",
    "StableDiffusionXLPipeline",
    "StableDiffusion3Pipeline",
    "FluxPipeline",
    "PixArtAlphaPipeline",
    "PixArtSigmaPipeline",
    "SanaPipeline",
)
PIXART_SIDES = {  # in latents, for which diffusers has a table of sizes
    "PixArtAlphaPipeline": (32, 64, 128),
    "PixArtSigmaPipeline": (32, 64, 128, 256),
}


class ModelNotFoundError(RuntimeError):
    """There is no such model, or it is of another kind than the generator draws with."""


@dataclass(frozen=True, slots=True, eq=False)
class Planned:
    """One picture of a request, with the parameters that it will be drawn with."""

    request: DrawRequest
    parameters: Parameters

    @property
    def kind(self) -> tuple[object, ...]:
        """What pictures must have in common to share a batch."""
        shared = ("width", "height", "steps", "guidance_scale", "sampler")
        return tuple(getattr(self.parameters, name) for name in shared)


@dataclass(frozen=True, slots=True)
class Drawing:
    """A picture, how it was drawn, and what a person should know about it."""

    image: Image
    parameters: Parameters
    notes: list[str]


def load(model: str = "demo", fast: bool = False) -> Any:
    """A pipeline ready to draw: in float16 on the GPU where there is one, else in float32 on the CPU.

    Weights are read from safetensors alone: other formats are pickles, which run what is in them.

    Args:
        model: "demo" (the small model that comes with Propriety), a folder in diffusers' layout, or a hub id.
        fast: in bfloat16, channels last, the denoiser's repeated blocks compiled for both numbers of rows. Takes a
            minute or more, and draws slightly other pictures.

    Raises:
        ModelNotFoundError: where there is no such model, or it is not among TEXT_TO_IMAGE, or diffusers cannot draw at
            its size or with its sampler.
    """
    source = str(DEMO) if model == "demo" else model
    if model == "demo" and not (DEMO / "model_index.json").is_file():
        raise ModelNotFoundError(f"The demo model's weights are not at {DEMO}; train them, or name another model.")
    device, dtype = ("cuda", torch.float16) if torch.cuda.is_available() else ("cpu", torch.float32)
    try:
        pipe = LOADER.from_pretrained(source, dtype=torch.bfloat16 if fast else dtype, use_safetensors=True)
    except (OSError, ValueError) as error:
        raise ModelNotFoundError(
            f"The model {model!r} is neither a folder in diffusers' layout nor a model of the hub that can be reached: "
            f"{str(error).strip().splitlines()[0]} Mend the name or path, or use 'demo'."
        ) from error
    kind = type(pipe).__name__
    if kind not in TEXT_TO_IMAGE:
        raise ModelNotFoundError(
            f"The model {model!r} is a {kind}; requests are drawn with {', '.join(TEXT_TO_IMAGE)}."
        )
    sides = PIXART_SIDES.get(kind)
    if sides and (side := pipe.transformer.config.sample_size) not in sides:
        raise ModelNotFoundError(
            f"The model {model!r} cannot be drawn with: its sample_size is {side}, and a {kind} draws at one of "
            f"{', '.join(map(str, sides))}. Mend transformer/config.json if that is wrong, or name another model."
        )
    if _matches_flows(pipe):
        try:
            check_sampler(pipe.scheduler)
        except UnsupportedPipelineError as error:
            raise ModelNotFoundError(f"The model {model!r} cannot be drawn with: {error}") from error
    pipe.set_progress_bar_config(disable=True)
    pipe = pipe.to(device)
    return _quickened(pipe) if fast else pipe


def _quickened(pipe: Any) -> Any:
    denoiser = _denoiser(pipe).to(memory_format=torch.channels_last)
    denoiser.compile_repeated_blocks()
    for tau_gc in (0.0, 1.0):  # each number of rows is compiled once
        draw(pipe, [DrawRequest(prompt="a", safe_prompt="b", wxi=0.5, tau_gc=tau_gc, steps=2, seed=0)])
    return pipe


def _matches_flows(pipe: Any) -> bool:
    """Whether the model takes no other sampler than its own kind."""
    config = pipe.scheduler.config
    return "beta_start" not in config or bool(config.get("use_flow_sigmas"))


def _denoiser(pipe: Any) -> Any:
    return getattr(pipe, family_of(pipe).denoisers[0])


def model_name(pipe: Any) -> str:
    """What the pipeline was loaded as: "demo", a folder, or a hub id."""
    name = str(pipe.name_or_path or "unnamed")
    return "demo" if name == str(DEMO) else name


def own_size(pipe: Any) -> tuple[int, int]:
    """The width and height in pixels that the model was trained at."""
    side = getattr(pipe, "default_sample_size", None) or _denoiser(pipe).config.sample_size
    height, width = (side, side) if isinstance(side, int) else side
    return width * pipe.vae_scale_factor, height * pipe.vae_scale_factor


def draw(pipe: Any, requests: Sequence[DrawRequest]) -> list[Drawing]:
    """Draws requests in batches of those that share size, steps, guidance and sampler.

    Each image has its own noise, from its seed alone, so that it is the same alone and in company, to rounding, and
    starts as its plain drawing does. The pipeline must not be drawing elsewhere meanwhile.

    Raises:
        CannotDrawError: for a size or a sampler that the model cannot draw with.
    """
    planned = [one for request in requests for one in plan(pipe, request)]
    drawn: dict[Planned, Drawing] = {}
    for batch in batches(planned):
        drawn |= zip(batch, draw_batch(pipe, batch), strict=True)
    return [drawn[one] for one in planned]


def plan(pipe: Any, request: DrawRequest) -> list[Planned]:
    """The request's n pictures, in order.

    Raises:
        CannotDrawError: as `draw`.
    """
    seed = secrets.randbelow(2**32 - request.n) if request.seed is None else request.seed
    return [Planned(request, _parameters(pipe, request, seed + i)) for i in range(request.n)]


def batches(planned: Iterable[Planned], at_once: int = IMAGES_AT_ONCE) -> Iterator[list[Planned]]:
    """Pictures that can be drawn at once, at most so many, in the order in which their kinds appear."""
    alike: dict[tuple[object, ...], list[Planned]] = defaultdict(list)
    for one in planned:
        alike[one.kind].append(one)
    for group in alike.values():
        for start in range(0, len(group), at_once):
            yield group[start : start + at_once]


def draw_batch(
    pipe: Any,
    batch: Sequence[Planned],
    on_step: Callable[[int], None] | None = None,
    variant: Variant = "coupled",
) -> list[Drawing]:
    """Draws pictures of one kind at once; `on_step` is told how many steps are done, and may raise to stop."""
    prepare(pipe, batch)
    with dual_latent(
        pipe,
        [one.request.safe_prompt or one.request.prompt for one in batch],
        [one.parameters.wxi for one in batch],
        [one.parameters.tau_gc for one in batch],
        variant,
    ):
        output = pipe(**arguments_of(batch), **({} if on_step is None else _callback(pipe, on_step)))
    blanked = getattr(output, "nsfw_content_detected", None) or [False] * len(batch)
    clock = Clock(pipe.scheduler)
    return [
        Drawing(
            image, _as_drawn(pipe, one.parameters, clock, variant), _notes(pipe, one.parameters.prompt, bool(blank))
        )
        for image, one, blank in zip(output.images, batch, blanked, strict=True)
    ]


def prepare(pipe: Any, batch: Sequence[Planned]) -> None:
    """Gives the pipeline the sampler of the batch."""
    if (name := batch[0].parameters.sampler) != "own":
        sampler, options = SAMPLERS[name]
        pipe.scheduler = sampler.from_config(pipe.scheduler.config, **options)


def arguments_of(batch: Sequence[Planned]) -> dict[str, Any]:
    """With what a stock pipeline is called to draw the original prompts of pictures of one kind."""
    shared = batch[0].parameters
    return {
        "prompt": [one.request.prompt for one in batch],
        "width": shared.width,
        "height": shared.height,
        "num_inference_steps": shared.steps,
        "guidance_scale": shared.guidance_scale,
        "generator": [torch.Generator("cpu").manual_seed(one.parameters.seed) for one in batch],
    }


def _callback(pipe: Any, on_step: Callable[[int], None]) -> dict[str, Any]:
    if "callback_on_step_end" not in signature(pipe.__call__).parameters:  # PixArt's are of the older kind

        def told(step: int, timestep: Any, latents: Any) -> None:
            on_step(step + 1)

        return {"callback": told}

    def ended(pipe: Any, step: int, timestep: Any, tensors: dict[str, Any]) -> dict[str, Any]:
        on_step(step + 1)
        return tensors

    return {"callback_on_step_end": ended}


def _as_drawn(pipe: Any, parameters: Parameters, clock: Clock, variant: Variant) -> Parameters:
    """The parameters with k and the rows counted on the sampler's timesteps."""
    k = clock.original_steps(parameters.wxi, parameters.tau_gc)
    guided = parameters.guidance_scale > 1 and family_of(pipe).guidance == "before"
    rows = denoiser_rows(parameters.steps, k, guided, variant)
    return parameters.model_copy(update={"fused_steps": k, "denoiser_rows": rows})


def _parameters(pipe: Any, request: DrawRequest, seed: int) -> Parameters:
    own_width, own_height = own_size(pipe)
    width, height = request.width or own_width, request.height or own_height
    if width * height > 4 * own_width * own_height:
        raise CannotDrawError(
            f"{width}x{height} is too large: the model's own size is {own_width}x{own_height}. "
            "Ask for four times as many pixels at most, or leave width and height out."
        )
    if width % pipe.vae_scale_factor or height % pipe.vae_scale_factor:
        raise CannotDrawError(f"{width}x{height}: this model needs multiples of {pipe.vae_scale_factor}.")
    flows = _matches_flows(pipe)
    if flows and request.sampler:
        raise CannotDrawError(
            f"{request.sampler}: this model matches flows with its own sampler; name none.", "sampler"
        )
    wxi, tau_gc = request.knobs
    model = model_name(pipe)
    own_guidance = DEMO_GUIDANCE if model == "demo" else signature(pipe.__call__).parameters["guidance_scale"].default
    guidance = own_guidance if request.guidance_scale is None else request.guidance_scale
    return Parameters(
        prompt=request.prompt if wxi == 0 or request.safe_prompt is None else request.safe_prompt,
        wxi=wxi,
        tau_gc=tau_gc,
        fused_steps=0,  # counted once the sampler has its timesteps
        denoiser_rows=0,
        seed=seed,
        steps=request.steps,
        guidance_scale=guidance,
        width=width,
        height=height,
        sampler="own" if flows else request.sampler or "ddim",
        model=model,
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
