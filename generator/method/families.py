"""The pipelines that dual latents serve: where each keeps its text conditions, and how it guides."""

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
    """The loop's own: the denoiser's is scaled and rounded to the latents' dtype."""
    timestep: Tensor = pipe._current_timestep
    return timestep


@dataclass(frozen=True, slots=True)
class Family:
    """One kind of pipeline, as data.

    conditions: where a text condition sits among the denoiser's arguments -> its place in what encode_prompt returns.
    guidance: whether unconditional rows stand before the conditional ones in one call, behind them, or in the second
        call of each step.
    timestep: the sampler's timestep, from the pipeline and the denoiser's arguments.
    denoisers: the pipeline's networks that predict; conditioners: those run before them on the same rows.
    shared: arguments that all rows of a call share; row_lists: those that are a list with an item per row.
    ragged: the length of the first condition follows the prompt, and the second is its mask, or None.
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


BLENDS = "its pipeline may paste the given picture into the latents between steps, which the original's latent misses"
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
        no_parallel="its loop guides a fixed number of rows, so that the original's latent cannot be guided with them",
    ),
}


def family_of(pipe: Any) -> Family:
    """The family that a pipeline belongs to.

    Raises:
        UnsupportedPipelineError: for a pipeline of none.
    """
    for ancestor in type(pipe).__mro__:
        if ancestor.__name__ in FAMILIES:
            return FAMILIES[ancestor.__name__]
    raise UnsupportedPipelineError(
        f"{type(pipe).__name__} is not served; dual latents take: {', '.join(sorted(FAMILIES))}."
    )


def get(arguments: Mapping[str, Any], path: Path) -> Any:
    """A denoiser's argument, or what lies deeper in it."""
    for name in path:
        arguments = arguments[name]
    return arguments


def put(arguments: dict[str, Any], path: Path, value: Any) -> None:
    """Another value for it; dictionaries on the way are copied, as they are the pipeline's."""
    *outer, last = path
    for name in outer:
        arguments[name] = dict(arguments[name])
        arguments = arguments[name]
    arguments[last] = value
