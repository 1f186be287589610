"""Encodes the original and the safe prompts, and picks which of them the pipeline gets."""

from collections.abc import Callable, Mapping, Sequence
from inspect import Signature
from typing import Any

import torch

from generator.method.calls import PipelineCall
from generator.method.families import Family
from generator.method.rows import choose, lengthen

# Needed with prompt_embeds, if encode_prompt returns them.
WITH_EMBEDS = ("pooled_prompt_embeds", "prompt_attention_mask")
SafePrompt = str | Sequence[str] | Mapping[str, Any]


def check_safe_prompt(safe_prompt: SafePrompt, signature: Signature) -> None:
    """Checks what can be checked before the pipeline is called; `signature` is encode_prompt's.

    Raises:
        ValueError: it is neither a text, texts, nor arguments of encode_prompt that describe a prompt.
    """
    if isinstance(safe_prompt, Mapping):
        names = [name for name in _about_prompts(signature) if not name.startswith("negative")]
        if not safe_prompt or not set(safe_prompt) <= set(names):
            raise ValueError(f"safe_prompt has the keys {list(safe_prompt)}; use one or more of {', '.join(names)}.")
        missing = [name for name in names if name in WITH_EMBEDS and name not in safe_prompt]
        if missing and "prompt_embeds" in safe_prompt:
            raise ValueError(f"safe_prompt has prompt_embeds but not {', '.join(missing)}; pass these, too.")
        return
    texts = [safe_prompt] if isinstance(safe_prompt, str) else safe_prompt
    if not isinstance(texts, Sequence) or not all(isinstance(text, str) for text in texts):
        raise ValueError(f"safe_prompt is {safe_prompt!r}; pass a string, a list of strings, or a dict of embeddings.")


def encode_both(
    encode: Callable[..., Any],
    signature: Signature,
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    family: Family,
    safe_prompt: SafePrompt,
    wxi: list[float],
    tau_gc: list[float],
) -> tuple[list[Any], PipelineCall]:
    """What encode_prompt should return when the pipeline calls it with these arguments, and the call that this starts.

    Raises:
        ValueError: the safe prompt, w_ξ or τ_gc do not match the prompts in number or shape.
    """
    given = signature.bind(*args, **kwargs).arguments
    outputs = list(encode(*args, **kwargs))
    places = list(family.conditions.values())
    original = [outputs[place] for place in places]
    rows, prompts = len(original[0]), _count_prompts(given)
    safe_outputs = encode(**_safe_arguments(signature, given, safe_prompt, prompts))
    safe = [safe_outputs[place] for place in places]
    if not (family.ragged or family.row_lists) and safe[0].shape != original[0].shape:
        raise ValueError(
            f"The prompt's embeddings have shape {tuple(original[0].shape)}, the safe prompt's "
            f"{tuple(safe[0].shape)}. Pass the safe prompt as embeddings of the same length."
        )
    wxi = [w for w in _per_prompt(wxi, prompts, "wxi") for _ in range(rows // prompts)]
    tau_gc = [t for t in _per_prompt(tau_gc, prompts, "tau_gc") for _ in range(rows // prompts)]
    carried = _carried(torch.tensor([w == 0.0 for w in wxi]), original, safe, family.ragged)
    if family.ragged:
        original = lengthen(original, original[0].shape[1])
    for place, condition in zip(places, carried, strict=True):
        outputs[place] = condition
    guided = bool(given.get("do_classifier_free_guidance", False))
    return outputs, PipelineCall(original, carried, wxi, tau_gc, guided)


def _about_prompts(signature: Signature) -> list[str]:
    return [name for name in signature.parameters if "prompt" in name and not name.startswith("num_")]


def _safe_arguments(
    signature: Signature, given: Mapping[str, Any], safe_prompt: SafePrompt, prompts: int
) -> dict[str, Any]:
    """The arguments that encoded x, with ξ in place of everything that describes x."""
    about_prompts, parameters = _about_prompts(signature), signature.parameters
    arguments: dict[str, Any] = {name: value for name, value in given.items() if name not in about_prompts}
    arguments |= {name: None for name in about_prompts if parameters[name].default is parameters[name].empty}
    if "do_classifier_free_guidance" in parameters:
        arguments["do_classifier_free_guidance"] = False
    if isinstance(safe_prompt, Mapping):
        given_safe = {name: [value] if isinstance(value, str) else value for name, value in safe_prompt.items()}
        safe = {name: _per_prompt(value, prompts, f"safe_prompt[{name!r}]") for name, value in given_safe.items()}
        return arguments | {"prompt": None} | safe
    texts = [safe_prompt] if isinstance(safe_prompt, str) else safe_prompt
    return arguments | {"prompt": list(_per_prompt(texts, prompts, "safe_prompt"))}


def _carried(stock: torch.Tensor, original: list[Any], safe: list[Any], ragged: bool) -> list[Any]:
    """x's conditions in the rows (B,) that draw x alone, ξ's in the others."""
    if stock.all() or not stock.any():
        return original if stock.all() else safe
    if ragged:
        length = max(original[0].shape[1], safe[0].shape[1])
        original, safe = lengthen(original, length), lengthen(safe, length)
    return [choose(stock, one, other) for one, other in zip(original, safe, strict=True)]


def _count_prompts(given: Mapping[str, Any]) -> int:
    """The number of prompts in encode_prompt's arguments."""
    prompt = given.get("prompt")
    if prompt is None:
        return len(given["prompt_embeds"])
    return 1 if isinstance(prompt, str) else len(prompt)


def _per_prompt(values: Any, count: int, name: str) -> Any:
    """One value per prompt: as given, or a single one repeated."""
    if len(values) == 1 != count:
        return values.expand(count, *values.shape[1:]) if isinstance(values, torch.Tensor) else list(values) * count
    if len(values) != count:
        raise ValueError(f"{name} has {len(values)} entries for {count} prompts; pass one, or one per prompt.")
    return values
