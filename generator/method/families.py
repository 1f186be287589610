"""The supported pipelines: where each keeps its text conditions, and how it guides."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
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


def _rescales(pipe: Any) -> bool:
    return bool(getattr(pipe, "guidance_rescale", 0.0))


def _paths(*names: str) -> frozenset[Path]:
    """Paths from dotted names."""
    return frozenset(tuple(name.split(".")) for name in names)


@dataclass(frozen=True, slots=True)
class Family:
    """One kind of pipeline, as data.

    conditions: path of a text condition in the denoiser's arguments -> its index in encode_prompt's result.
    rows: paths of the denoiser's other tensors, or sequences of tensors, with one row per sample.
    shared: paths of tensors that all rows share, or that a conditioner made for all rows.
    row_lists: paths of lists with one item per row.
    guidance: where the unconditional rows are: before the conditional ones, behind them, or in a second call per step.
    nonlinear: whether the pipeline's guidance, as it is set, is not linear in the predictions.
    timestep: gets the sampler's timestep from the pipeline and the denoiser's arguments.
    denoisers: the networks that predict; conditioners: networks that run before them on the same rows.
    ragged: the first condition is as long as the prompt, and the second is its mask, or None.
    fixed_rows: the pipeline guides one row per image, whatever the denoiser returns.
    no_parallel: why the variant "parallel" is refused, if it is.
    """

    conditions: Mapping[Path, int]
    rows: frozenset[Path]
    shared: frozenset[Path] = frozenset()
    row_lists: frozenset[Path] = frozenset()
    guidance: Literal["before", "behind", "second call"] = "before"
    nonlinear: Callable[[Any], bool] = lambda pipe: False
    timestep: Callable[[Any, Mapping[str, Any]], Tensor] = _own_timestep
    denoisers: tuple[str, ...] = ("transformer",)
    conditioners: tuple[str, ...] = ()
    ragged: bool = False
    fixed_rows: bool = False
    no_parallel: str | None = None


SD = Family(
    {TEXT: 0},
    _paths("sample", "timestep", "timestep_cond", "added_cond_kwargs.image_embeds"),
    shared=_paths("cross_attention_kwargs.ip_adapter_masks"),  # one per adapter
    nonlinear=_rescales,
    denoisers=("unet",),
)
SDXL = replace(
    SD,
    conditions={TEXT: 0, ("added_cond_kwargs", "text_embeds"): 2},
    rows=SD.rows | _paths("added_cond_kwargs.time_ids"),
)
BLENDS = "its pipeline may paste the input picture into the latents between steps, but not into the original's latent"


def _inpainting(family: Family) -> Family:
    return replace(family, no_parallel=BLENDS)


def _with_controlnet(family: Family) -> Family:
    residuals = _paths("down_block_additional_residuals", "mid_block_additional_residual")
    return replace(
        family,
        rows=family.rows | _paths("controlnet_cond"),
        shared=family.shared | residuals,
        conditioners=("controlnet",),
    )


PIXART = Family(
    {TEXT: 0, ("encoder_attention_mask",): 1},
    _paths("hidden_states", "timestep", "added_cond_kwargs.resolution", "added_cond_kwargs.aspect_ratio"),
)

FAMILIES: dict[str, Family] = {
    "StableDiffusionPipeline": SD,
    "StableDiffusionImg2ImgPipeline": SD,
    "StableDiffusionInpaintPipeline": _inpainting(SD),
    "StableDiffusionControlNetPipeline": _with_controlnet(SD),
    "AnimateDiffPipeline": SD,
    "StableDiffusionXLPipeline": SDXL,
    "StableDiffusionXLImg2ImgPipeline": SDXL,
    "StableDiffusionXLInpaintPipeline": _inpainting(SDXL),
    "StableDiffusionXLControlNetPipeline": _with_controlnet(SDXL),
    "StableDiffusion3Pipeline": Family({TEXT: 0, ("pooled_projections",): 2}, _paths("hidden_states", "timestep")),
    "PixArtAlphaPipeline": PIXART,
    "PixArtSigmaPipeline": PIXART,
    "SanaPipeline": Family(
        {TEXT: 0, ("encoder_attention_mask",): 1},
        _paths("hidden_states", "timestep", "guidance"),
        timestep=lambda pipe, call: call["timestep"] / pipe.transformer.config.timestep_scale,
    ),
    "FluxPipeline": Family(
        {TEXT: 0, ("pooled_projections",): 1},
        _paths("hidden_states", "timestep", "guidance", "joint_attention_kwargs.ip_adapter_image_embeds"),
        shared=_paths("txt_ids", "img_ids"),
        guidance="second call",
        timestep=_loop_timestep,
    ),
    "QwenImagePipeline": Family(
        {TEXT: 0, ("encoder_hidden_states_mask",): 1},
        _paths("hidden_states", "timestep", "guidance"),
        guidance="second call",
        nonlinear=lambda pipe: True,  # it rescales each guided prediction to the norm of the conditional one
        timestep=_loop_timestep,
        ragged=True,
    ),
    "WanPipeline": Family(
        {TEXT: 0},
        _paths("hidden_states", "timestep"),
        guidance="second call",
        timestep=_loop_timestep,
        denoisers=("transformer", "transformer_2"),
    ),
    "ZImagePipeline": Family(
        {("cap_feats",): 0},
        _paths("t"),
        row_lists=_paths("x"),
        guidance="behind",
        nonlinear=lambda pipe: pipe.do_classifier_free_guidance and bool(pipe._cfg_normalization),
        timestep=lambda pipe, call: 1000 * (1 - call["t"]),
        fixed_rows=True,
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
