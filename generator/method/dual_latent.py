"""Dual latent reconstruction (arXiv 2411.13982) on stock diffusers pipelines.

Two prompts are drawn at once, the original x and the safe ξ. While step i < k = round(τ_gc·N), of N steps,

    coupled:   z' = w_x · step(z, x) + w_ξ · step(z, ξ),          w_x = 1 - w_ξ,
    parallel:  z'_x = step(z_x, x),    z' = w_x · z'_x + w_ξ · step(z, ξ),

and afterwards z' = step(z, ξ). This form follows the paper's abstract and ablations; its equations were not available.
If a sampler's step is affine in the prediction, the coupled sum of stepped latents is the step of
ε = ε_u + g · (w_x ε_x + w_ξ ε_ξ - ε_u). So the predictions are fused, and the sampler sees only one branch: its history
stays valid, both branches share a stochastic term, and every sample of a batch has its own k. Where guidance is not
linear (guidance_rescale), the pipeline guides both predictions, and the guided ones are fused. The variant "parallel"
lets the pipeline guide the original's rows too, and steps them with a copy of the sampler.

    with dual_latent(pipe, safe_prompt="a woman holding a glass of juice", wxi=0.75, tau_gc=0.2):
        image = pipe("a woman holding a wine glass", num_inference_steps=25).images[0]
"""

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from inspect import signature
from typing import Any, get_args

from generator.method.branches import Branches
from generator.method.conditions import SafePrompt, check_safe_prompt
from generator.method.families import family_of
from generator.method.parallel import ParallelBranches
from generator.method.schedule import Schedule, UnsupportedPipelineError, check_sampler, in_unit
from propriety.drawing import Variant

VARIANTS: dict[Variant, type[Branches]] = {"coupled": Branches, "parallel": ParallelBranches}


@contextmanager
def dual_latent(
    pipe: Any,
    safe_prompt: SafePrompt,
    wxi: float | Iterable[float],
    tau_gc: float | Iterable[float],
    variant: Variant = "coupled",
    schedule: Schedule = "constant",
) -> Iterator[None]:
    """Within this context, each call of the pipeline draws its prompts x together with the safe prompts ξ.

    All arguments of the call keep their meaning; the prompt is x. The pipeline's own rows carry ξ, and x is added as
    extra rows for its k steps, so losing the hook on the denoiser means that ξ is drawn. Without guidance there is no
    unconditional row, and ε = w_x ε_x + w_ξ ε_ξ. A pipeline can be in one such context, and in one call, at a time.

    Args:
        pipe: a pipeline of one of `generator.method.families.FAMILIES`, with a sampler of
            `generator.method.schedule.SAMPLERS`.
        safe_prompt: ξ, one for all prompts or one per prompt; or its embeddings, named as encode_prompt's arguments,
            e.g. {"prompt_embeds": (P, tokens, width), "pooled_prompt_embeds": (P, width)}.
        wxi: w_ξ in [0, 1], one or one per prompt. 0 is the stock pipeline on x, whatever tau_gc; 1 the stock one on ξ.
        tau_gc: τ_gc in [0, 1], one or one per prompt, of the sampler's whole schedule
            (`generator.method.schedule.Clock`). 0 is the stock pipeline on ξ (unless wxi is 0).
        variant: "coupled", 2N + k rows, or "parallel", 2N + 2k.
        schedule: w_ξ over the k steps: "constant" (as in the paper), or rising from wxi to 1, "linear" or "cosine".

    Raises:
        UnsupportedPipelineError: the pipeline or sampler is not supported; raised here or when the pipeline is called.
        ValueError: a number is out of range, or (when the pipeline is called) a length does not match its prompts.
    """
    if variant not in VARIANTS:
        raise ValueError(f"variant is {variant!r}; use one of {', '.join(VARIANTS)}.")
    if schedule not in get_args(Schedule):
        raise ValueError(f"schedule is {schedule!r}; use one of {', '.join(get_args(Schedule))}.")
    family = family_of(pipe)
    if "encode_prompt" in vars(pipe):
        raise ValueError("encode_prompt of this pipeline is already replaced; is this dual_latent inside another?")
    check_sampler(pipe.scheduler)
    check_safe_prompt(safe_prompt, signature(pipe.encode_prompt))
    knobs = in_unit(wxi, "wxi"), in_unit(tau_gc, "tau_gc")
    branches = VARIANTS[variant](pipe, family, safe_prompt, *knobs, schedule)
    with ExitStack() as stack:
        branches.install(stack)
        yield


__all__ = ["UnsupportedPipelineError", "dual_latent"]
