"""Rows of a denoiser's call: taken, appended and summed. Pure functions on what a call's arguments are made of."""

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

NO_ROWS = "ip_adapter_masks"  # one for each adapter, which may be as many as there are rows


def fuse(original: Tensor, safe: Tensor, wxi: Tensor) -> Tensor:
    """w_x · original + w_ξ · safe, for predictions or latents (B, …) and one w_ξ in [0, 1] per sample (B,)."""
    weight = wxi.to(safe).reshape(-1, *[1] * (safe.ndim - 1))
    return (1 - weight) * original + weight * safe


def append_rows(value: Any, rows: Tensor, total: int) -> Any:
    """Repeats some rows at the end of every tensor that has `total` rows, inside dicts, lists and tuples too."""
    if isinstance(value, Tensor):
        return torch.cat([value, value[rows]]) if value.ndim and value.shape[0] == total else value
    if isinstance(value, dict):
        return {key: item if key == NO_ROWS else append_rows(item, rows, total) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(append_rows(item, rows, total) for item in value)
    return value


def take(value: Any, rows: Tensor, total: int) -> Any:
    """Some of the `total` rows of a condition: a list of one tensor each, or a tensor (total · m, …), m frames each."""
    if isinstance(value, list):
        return [value[j] for j in rows]
    return value.unflatten(0, (total, -1))[rows].flatten(0, 1)


def join(own: Any, copies: Any, more: Any, total: int) -> Any:
    """A condition's rows, copies of some of them, and others (B, …), cast and repeated by frame; or lists of these."""
    if isinstance(own, list):
        return own + copies + more
    return torch.cat([own, copies, more.to(own).repeat_interleave(len(own) // total, 0)])


def lengthen(condition: list[Any], length: int) -> list[Any]:
    """Embeddings (B, tokens, width) and their mask, None for all, padded to a length with tokens masked out."""
    text, mask = condition
    if mask is None:
        mask = torch.ones(text.shape[:2], dtype=torch.bool, device=text.device)
    missing = length - text.shape[1]
    return [pad(text, (0, 0, 0, missing)), pad(mask, (0, missing))]


def choose(first: Tensor, one: Any, other: Any) -> Any:
    """Row by row `one` where `first` (B,) holds, else `other`; tensors (B, …) or lists of B."""
    if isinstance(one, list):
        return [a if chosen else b for chosen, a, b in zip(first.tolist(), one, other, strict=True)]
    return torch.where(first.to(one.device).reshape(-1, *[1] * (one.ndim - 1)), one, other)


def with_prediction(output: Any, prediction: Tensor) -> Any:
    """A network's or sampler's output, a tuple or one of diffusers' dataclasses, with another first entry."""
    first = list(prediction.unbind()) if isinstance(output[0], list) else prediction
    if isinstance(output, tuple):
        return (first, *output[1:])
    name, *_ = output.keys()
    return type(output)(**{**output, name: first})
