"""Loads text-to-image models as diffusers pipelines."""

from inspect import signature
from pathlib import Path
from typing import Any

import torch
from diffusers import DiffusionPipeline

from generator.method.families import family_of
from generator.method.schedule import UnsupportedPipelineError, check_sampler

DEMO = Path(__file__).parent / "demo_model" / "weights"
DEMO_GUIDANCE = 4.0
LOADER: Any = DiffusionPipeline
TEXT_TO_IMAGE = (
    "StableDiffusionPipeline",
    "StableDiffusionXLPipeline",
    "StableDiffusion3Pipeline",
    "FluxPipeline",
    "PixArtAlphaPipeline",
    "PixArtSigmaPipeline",
    "SanaPipeline",
)
PIXART_SIDES = {  # in latents; diffusers has a table of sizes for these only
    "PixArtAlphaPipeline": (32, 64, 128),
    "PixArtSigmaPipeline": (32, 64, 128, 256),
}


class ModelNotFoundError(RuntimeError):
    """The model does not exist, or the generator cannot draw with it."""


def load(model: str = "demo", fast: bool = False) -> Any:
    """A pipeline ready to draw: float16 on a GPU if there is one, else float32 on the CPU.

    Only safetensors are read: other formats are pickles, which can run code.

    Args:
        model: "demo" (the small model that comes with Propriety), a folder in diffusers' layout, or a Hugging Face id.
        fast: bfloat16, channels last, the denoiser's repeated blocks compiled, which takes a minute or more and happens
            in the first call with each number of rows (`generator.pipeline.warm_up`). The pictures differ slightly.

    Raises:
        ModelNotFoundError: the model does not exist, is not one of TEXT_TO_IMAGE, or has a size that diffusers, or a
            sampler that dual latents cannot draw with.
    """
    source = str(DEMO) if model == "demo" else model
    if model == "demo" and not (DEMO / "model_index.json").is_file():
        raise ModelNotFoundError(f"The demo model's weights are missing at {DEMO}; train them, or name another model.")
    device, dtype = ("cuda", torch.float16) if torch.cuda.is_available() else ("cpu", torch.float32)
    try:
        pipe = LOADER.from_pretrained(source, dtype=torch.bfloat16 if fast else dtype, use_safetensors=True)
    except (OSError, ValueError) as error:
        raise ModelNotFoundError(
            f"The model {model!r} is neither a folder in diffusers' layout nor a model that Hugging Face serves: "
            f"{str(error).strip().splitlines()[0]} Fix the name or path, or use 'demo'."
        ) from error
    kind = type(pipe).__name__
    if kind not in TEXT_TO_IMAGE:
        raise ModelNotFoundError(
            f"The model {model!r} is a {kind}, which is not supported; use one of {', '.join(TEXT_TO_IMAGE)}."
        )
    sides = PIXART_SIDES.get(kind)
    if sides and (side := pipe.transformer.config.sample_size) not in sides:
        raise ModelNotFoundError(
            f"The model {model!r} cannot draw: its sample_size is {side}, but a {kind} needs one of "
            f"{', '.join(map(str, sides))}. Fix transformer/config.json if that is wrong, or name another model."
        )
    if is_flow_matching(pipe):
        try:
            check_sampler(pipe.scheduler)
        except UnsupportedPipelineError as error:
            raise ModelNotFoundError(f"The model {model!r} cannot draw: {error}") from error
    pipe.set_progress_bar_config(disable=True)
    pipe = pipe.to(device)
    if fast:
        _denoiser(pipe).to(memory_format=torch.channels_last).compile_repeated_blocks()
    return pipe


def is_flow_matching(pipe: Any) -> bool:
    """Whether the model works with no sampler but its own."""
    config = pipe.scheduler.config
    return "beta_start" not in config or bool(config.get("use_flow_sigmas"))


def _denoiser(pipe: Any) -> Any:
    return getattr(pipe, family_of(pipe).denoisers[0])


def model_name(pipe: Any) -> str:
    """The name that the pipeline was loaded by: "demo", a folder, or a Hugging Face id."""
    name = str(pipe.name_or_path or "unnamed")
    return "demo" if name == str(DEMO) else name


def own_size(pipe: Any) -> tuple[int, int]:
    """Width and height in pixels that the model was trained at."""
    side = getattr(pipe, "default_sample_size", None) or _denoiser(pipe).config.sample_size
    height, width = (side, side) if isinstance(side, int) else side
    return width * pipe.vae_scale_factor, height * pipe.vae_scale_factor


def default_guidance(pipe: Any) -> float:
    """The guidance scale for a request that gives none."""
    default: float = signature(pipe.__call__).parameters["guidance_scale"].default
    return DEMO_GUIDANCE if model_name(pipe) == "demo" else default
