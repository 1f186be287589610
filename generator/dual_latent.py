"""Dual latent reconstruction (arXiv 2411.13982) on stock Stable Diffusion pipelines, variant "coupled".

Two prompts leave one latent: the original x and the safe ξ. While step i < k = round(τ_gc·N), of N steps,

    z' = w_x · step(z, x) + w_ξ · step(z, ξ),    w_x = 1 - w_ξ;    afterwards z' = step(z, ξ).

The paper's equations were not at hand: this is the form that its abstract and ablations describe. A sampler's step that
is affine in the prediction, as those of DDIM and Euler are, turns the sum of stepped latents into the step of
ε = ε_u + g · (w_x ε_x + w_ξ ε_ξ - ε_u). So the predictions are fused and the sampler never learns of two branches: its
state needs no care, a stochastic term is shared by both branches, and every sample of a batch has its own k.

    with dual_latent(pipe, safe_prompt="a woman holding a glass of juice", wxi=0.75, tau_gc=0.2):
        image = pipe("a woman holding a wine glass", num_inference_steps=25).images[0]
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal

import torch
from diffusers import DDIMScheduler, EulerDiscreteScheduler, StableDiffusionPipeline
from torch import Tensor


class UnsupportedPipelineError(ValueError):
    """The pipeline or its sampler cannot be served, so nothing is drawn."""


def fused_steps(tau_gc: float, steps: int) -> int:
    """k, the number of first steps in which both branches are summed: τ_gc·N, halves rounded to the even number."""
    return round(tau_gc * steps)


def original_steps(wxi: float, tau_gc: float, steps: int) -> int:
    """The steps in which the original prompt costs a row of its own: none where one branch has all the weight."""
    return fused_steps(tau_gc, steps) if 0.0 < wxi < 1.0 else 0


def denoiser_rows(wxi: float, tau_gc: float, steps: int, guided: bool = True) -> int:
    """Rows that one picture sends through the denoiser: 2N + k, or N + k without classifier-free guidance."""
    return (2 if guided else 1) * steps + original_steps(wxi, tau_gc, steps)


def fuse(original: Tensor, safe: Tensor, wxi: Tensor) -> Tensor:
    """w_x · original + w_ξ · safe, for predictions or latents (B, …) and one w_ξ in [0, 1] per sample (B,)."""
    weight = wxi.to(safe).reshape(-1, *[1] * (safe.ndim - 1))
    return (1 - weight) * original + weight * safe


def append_rows(value: Any, rows: Tensor, total: int) -> Any:
    """Repeats some rows at the end of every tensor that has `total` rows, inside dicts, lists and tuples too."""
    if isinstance(value, Tensor):
        return torch.cat([value, value[rows]]) if value.ndim and value.shape[0] == total else value
    if isinstance(value, dict):
        return {key: append_rows(item, rows, total) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(append_rows(item, rows, total) for item in value)
    return value


@contextmanager
def dual_latent(
    pipe: Any,
    safe_prompt: str | Sequence[str] | Tensor,
    wxi: float | Sequence[float],
    tau_gc: float | Sequence[float],
    variant: Literal["coupled"] = "coupled",
) -> Iterator[None]:
    """While open, each call of the pipeline draws its prompts x together with the safe prompts ξ.

    All arguments of the call keep their meaning; the prompt is x. The pipeline's own rows carry ξ, and x joins as extra
    rows for its k steps: should the hook on the denoiser be lost, the safe prompt is drawn. At guidance_scale ≤ 1 there
    is no unconditional row and ε = w_x ε_x + w_ξ ε_ξ. guidance_rescale acts on the fused prediction. A pipeline serves
    one such context, and one call, at a time.

    Args:
        pipe: a StableDiffusionPipeline with a DDIM or an Euler sampler that clips nothing.
        safe_prompt: ξ, one for all prompts or one for each; or its embeddings (P, tokens, width).
        wxi: w_ξ in [0, 1], one or one per prompt. 0 is the stock pipeline on x, whatever tau_gc; 1 the stock one on ξ.
        tau_gc: τ_gc in [0, 1], one or one per prompt. 0 is the stock pipeline on ξ (unless wxi is 0).
        variant: "coupled".

    Raises:
        UnsupportedPipelineError: for another pipeline or sampler, here or when the pipeline is called.
        ValueError: for a number out of range, or (when the pipeline is called) lengths that do not match its prompts.
    """
    if variant != "coupled":
        raise ValueError(f"variant is {variant!r}; only 'coupled' exists so far.")
    if not issubclass(type(pipe), StableDiffusionPipeline):
        message = f"{type(pipe).__name__} is not served; dual latents take a StableDiffusionPipeline so far."
        raise UnsupportedPipelineError(message)
    if "encode_prompt" in vars(pipe):
        raise ValueError("encode_prompt of this pipeline is wrapped already; is one dual_latent inside another?")
    _check_sampler(pipe)
    branches = _Branches(pipe, safe_prompt, _in_unit(wxi, "wxi"), _in_unit(tau_gc, "tau_gc"))
    hooks = [
        pipe.unet.register_forward_pre_hook(branches.add_original, with_kwargs=True),
        pipe.unet.register_forward_hook(branches.fuse_original),
    ]
    pipe.encode_prompt = branches.encode
    try:
        yield
    finally:
        del pipe.encode_prompt
        for hook in hooks:
            hook.remove()


class _Branches:
    """What a pipeline call has to know about the two prompts of each of its B images."""

    def __init__(
        self,
        pipe: Any,
        safe_prompt: str | Sequence[str] | Tensor,
        wxi: list[float],
        tau_gc: list[float],
    ) -> None:
        self.pipe = pipe
        self.stock_encode = pipe.encode_prompt
        self.safe_prompt, self.wxi, self.tau_gc = safe_prompt, wxi, tau_gc
        self.original: Tensor | None = None  # embeddings of x, (B, tokens, width)
        self.weights: list[float] = []  # w_ξ of each of the B images
        self.fractions: list[float] = []  # τ_gc of each of the B images
        self.active: Tensor | None = None  # images whose original row is in the running denoiser call

    def encode(
        self, prompt: Any, device: Any, num_images_per_prompt: int, guided: bool, *args: Any, **kwargs: Any
    ) -> tuple[Tensor, Tensor | None]:
        """Stands in for the pipeline's encode_prompt: keeps x's embeddings and returns ξ's (x's where w_ξ is 0)."""
        _check_sampler(self.pipe)
        per_prompt = num_images_per_prompt
        original, negative = self.stock_encode(prompt, device, per_prompt, guided, *args, **kwargs)
        count = original.shape[0] // per_prompt
        texts = self.safe_prompt
        if isinstance(texts, Tensor):
            given = {"prompt": None, "prompt_embeds": _per_prompt(texts, count, "safe_prompt")}
        else:
            given = {"prompt": list(_per_prompt([texts] if isinstance(texts, str) else texts, count, "safe_prompt"))}
        shared = {name: kwargs[name] for name in ("lora_scale", "clip_skip") if name in kwargs}
        safe, _ = self.stock_encode(
            device=device,
            num_images_per_prompt=per_prompt,
            do_classifier_free_guidance=False,
            **given,
            **shared,
        )
        if safe.shape != original.shape:
            raise ValueError(
                f"The prompt's embeddings have shape {tuple(original.shape)}, the safe prompt's {tuple(safe.shape)}: "
                "give the safe prompt as embeddings of the same length."
            )
        self.weights = [w for w in _per_prompt(self.wxi, count, "wxi") for _ in range(per_prompt)]
        self.fractions = [t for t in _per_prompt(self.tau_gc, count, "tau_gc") for _ in range(per_prompt)]
        self.original = original
        stock = torch.tensor([w == 0.0 for w in self.weights], device=original.device)
        return torch.where(stock[:, None, None], original, safe), negative

    def add_original(self, _: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, Any]:
        """Before the denoiser: appends to its 2B (or B) rows those of the original prompts that still take part."""
        sample, timestep = args[0], args[1]
        step, steps = _step_index(self.pipe.scheduler.timesteps, timestep)
        active = [
            j
            for j, (w, fraction) in enumerate(zip(self.weights, self.fractions, strict=True))
            if step < original_steps(w, fraction, steps)
        ]
        self.active = None
        if not active or self.original is None:
            return args, kwargs
        total, images = sample.shape[0], len(self.weights)
        if total not in (images, 2 * images):
            raise ValueError(f"The denoiser got {total} rows for {images} images; dual latents know 1 or 2 an image.")
        self.active = torch.tensor(active, device=sample.device)
        rows = self.active + (total - images)
        args, kwargs = append_rows(args, rows, total), append_rows(kwargs, rows, total)
        original = self.original[self.active].to(kwargs["encoder_hidden_states"])
        kwargs["encoder_hidden_states"] = torch.cat([kwargs["encoder_hidden_states"][:total], original])
        return args, kwargs

    def fuse_original(self, _: Any, args: tuple[Any, ...], output: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """After the denoiser: takes the original rows off and sums them into the rows of their safe prompts."""
        if self.active is None:
            return output
        total = output[0].shape[0] - len(self.active)
        prediction, original = output[0][:total].clone(), output[0][total:]
        rows = self.active + (total - len(self.weights))
        weights = torch.tensor(self.weights, device=prediction.device)[self.active]
        prediction[rows] = fuse(original, prediction[rows], weights)
        return (prediction, *output[1:])


def _step_index(timesteps: Tensor, timestep: Any) -> tuple[int, int]:
    """Step i of N; of equal timesteps the last, which lets the original go sooner."""
    found = (timesteps == timestep).nonzero()
    if not len(found):
        raise ValueError(f"The denoiser was called at timestep {timestep}, which the sampler does not have.")
    return int(found[-1]), len(timesteps)


def _per_prompt(values: Any, count: int, name: str) -> Any:
    """One value per prompt: as given, or the only one repeated."""
    if len(values) == 1 != count:
        return values.expand(count, -1, -1) if isinstance(values, Tensor) else list(values) * count
    if len(values) != count:
        raise ValueError(f"{name} has {len(values)} entries for {count} prompts; give one, or one per prompt.")
    return values


def _in_unit(values: float | Sequence[float], name: str) -> list[float]:
    listed = [float(v) for v in (values if isinstance(values, Sequence) else [values])]
    if not all(0.0 <= v <= 1.0 for v in listed):
        raise ValueError(f"{name} is {values}; each value lies in [0, 1].")
    return listed


def _check_sampler(pipe: Any) -> None:
    name = type(pipe.scheduler).__name__
    if not issubclass(type(pipe.scheduler), DDIMScheduler | EulerDiscreteScheduler):
        raise UnsupportedPipelineError(
            f"The sampler {name} is not served; use DDIMScheduler or EulerDiscreteScheduler, e.g. "
            "pipe.scheduler = DDIMScheduler.from_config(pipe.scheduler.config, clip_sample=False)."
        )
    config = pipe.scheduler.config
    if config.get("clip_sample") or config.get("thresholding"):
        raise UnsupportedPipelineError(
            "The sampler clips its prediction, so that a sum of steps is no step of the sum; build it with "
            "from_config(pipe.scheduler.config, clip_sample=False, thresholding=False)."
        )
