"""The supported pipelines: where each keeps its text conditions, and how it guides."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from torch import Tensor

from generator.method.schedule import UnsupportedPipelineError

Path = tuple[str, ...]
TEXT: Path = ("encoder_hidden_states",)


def _own_timestep(pipe: Any, call: Mapping[str, Any]) -> Tensor:
    timestep: Tensor = call["timestep"]
    return timestep


def _loop_timestep(pipe: Any, call: Mapping[str, Any]) -> Tensor:
    """The denoiser's is scaled and rounded to the latents' dtype, so use the loop's."""
    timestep: Tensor = pipe._current_timestep
    return timestep


@dataclass(frozen=True, slots=True)
class Family:
    """One kind of pipeline, as data.

    conditions: path of a text condition in the denoiser's arguments -> its index in encode_prompt's result.
    guidance: where the unconditional rows are: before the conditional ones, behind them, or in a second call per step.
    timestep: gets the sampler's timestep from the pipeline and the denoiser's arguments.
    denoisers: the networks that predict; conditioners: networks that run before them on the same rows.
    shared: arguments shared by all rows of a call; row_lists: arguments that are lists with an item per row.
    ragged: the first condition is as long as the prompt, and the second is its mask, or None.
    no_parallel: why the variant "parallel" is refused, if it is.
    """

    conditions: Mapping[Path, int] = field(default_factory=lambda: {TEXT: 0})
    guidance: Literal["before", "behind", "second call"] = "before"
    timestep: Callable[[Any, Mapping[str, Any]], Tensor] = _own_timestep
    denoisers: tuple[str, ...] = ("transformer",)
    conditioners: tuple[str, ...] = ()
    shared: frozenset[str] = frozenset()
    row_lists: frozenset[str] = frozenset()
    ragged: bool = False
    no_parallel: str | None = None


BLENDS = "its pipeline may paste the input picture into the latents between steps, but not into the original's latent"
POOLED_XL = {TEXT: 0, ("added_cond_kwargs", "text_embeds"): 2}
MASKED = {TEXT: 0, ("encoder_attention_mask",): 1}
UNET = ("unet",)
CONTROLNET = ("controlnet",)

FAMILIES: dict[str, Family] = {
    "StableDiffusionPipeline": Family(denoisers=UNET),
    "StableDiffusionImg2ImgPipeline": Family(denoisers=UNET),
    "StableDiffusionInpaintPipeline": Family(denoisers=UNET, no_parallel=BLENDS),
    "StableDiffusionControlNetPipeline": Family(denoisers=UNET, conditioners=CONTROLNET),
    "AnimateDiffPipeline": Family(denoisers=UNET),
    "StableDiffusionXLPipeline": Family(POOLED_XL, denoisers=UNET),
    "StableDiffusionXLImg2ImgPipeline": Family(POOLED_XL, denoisers=UNET),
    "StableDiffusionXLInpaintPipeline": Family(POOLED_XL, denoisers=UNET, no_parallel=BLENDS),
    "StableDiffusionXLControlNetPipeline": Family(POOLED_XL, denoisers=UNET, conditioners=CONTROLNET),
    "StableDiffusion3Pipeline": Family({TEXT: 0, ("pooled_projections",): 2}),
    "PixArtAlphaPipeline": Family(MASKED),
    "PixArtSigmaPipeline": Family(MASKED),
    "SanaPipeline": Family(
        MASKED, timestep=lambda pipe, call: call["timestep"] / pipe.transformer.config.timestep_scale
    ),
    "FluxPipeline": Family(
        {TEXT: 0, ("pooled_projections",): 1},
        guidance="second call",
        timestep=_loop_timestep,
        shared=frozenset({"txt_ids", "img_ids"}),
    ),
    "QwenImagePipeline": Family(
        {TEXT: 0, ("encoder_hidden_states_mask",): 1},
        guidance="second call",
        timestep=_loop_timestep,
        ragged=True,
    ),
    "WanPipeline": Family(guidance="second call", timestep=_loop_timestep, denoisers=("transformer", "transformer_2")),
    "ZImagePipeline": Family(
        {("cap_feats",): 0},
        guidance="behind",
        timestep=lambda pipe, call: 1000 * (1 - call["t"]),
        row_lists=frozenset({"x", "cap_feats"}),
        no_parallel="its loop guides a fixed number of rows, so it cannot guide the original's",
    ),
}


def family_of(pipe: Any) -> Family:
    """The family of a pipeline.

    Raises:
        UnsupportedPipelineError: the pipeline is not supported.
    """
    for ancestor in type(pipe).__mro__:
        if ancestor.__name__ in FAMILIES:
            return FAMILIES[ancestor.__name__]
    raise UnsupportedPipelineError(f"{type(pipe).__name__} is not supported; use one of {', '.join(sorted(FAMILIES))}.")


def get(arguments: Mapping[str, Any], path: Path) -> Any:
    """The denoiser's argument at a path."""
    for name in path:
        arguments = arguments[name]
    return arguments


def put(arguments: dict[str, Any], path: Path, value: Any) -> None:
    """Replaces the argument at a path; copies dictionaries on the way, as the pipeline owns them."""
    *outer, last = path
    for name in outer:
        arguments[name] = dict(arguments[name])
        arguments = arguments[name]
    arguments[last] = value
