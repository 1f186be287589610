"""Pure functions that take, append and sum the rows in a denoiser's arguments."""

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

NO_ROWS = "ip_adapter_masks"  # one per adapter, even if there happen to be as many rows


def fuse(original: Tensor, safe: Tensor, wxi: Tensor) -> Tensor:
    """w_x · original + w_ξ · safe, for predictions or latents (B, …) and a w_ξ in [0, 1] per sample (B,)."""
    weight = wxi.to(safe).reshape(-1, *[1] * (safe.ndim - 1))
    return (1 - weight) * original + weight * safe


def append_rows(value: Any, rows: Tensor, total: int) -> Any:
    """Appends copies of some rows to every tensor with `total` rows, also inside dicts, lists and tuples."""
    if isinstance(value, Tensor):
        return torch.cat([value, value[rows]]) if value.ndim and value.shape[0] == total else value
    if isinstance(value, dict):
        return {key: item if key == NO_ROWS else append_rows(item, rows, total) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(append_rows(item, rows, total) for item in value)
    return value


def take(value: Any, rows: Tensor, total: int) -> Any:
    """Some of a condition's `total` rows: a list of tensors, or a tensor (total · m, …) with m frames per row."""
    if isinstance(value, list):
        return [value[j] for j in rows]
    return value.unflatten(0, (total, -1))[rows].flatten(0, 1)


def join(own: Any, copies: Any, more: Any, total: int) -> Any:
    """A condition's own rows, copied rows, and more rows (B, …), cast and repeated per frame; or lists of them."""
    if isinstance(own, list):
        return own + copies + more
    return torch.cat([own, copies, more.to(own).repeat_interleave(len(own) // total, 0)])


def lengthen(condition: list[Any], length: int) -> list[Any]:
    """Embeddings (B, tokens, width) and their mask (None: all ones), padded to a length with masked tokens."""
    text, mask = condition
    if mask is None:
        mask = torch.ones(text.shape[:2], dtype=torch.bool, device=text.device)
    missing = length - text.shape[1]
    return [pad(text, (0, 0, 0, missing)), pad(mask, (0, missing))]


def choose(first: Tensor, one: Any, other: Any) -> Any:
    """For each row, `one` if `first` (B,) is true, else `other`; tensors (B, …) or lists of B."""
    if isinstance(one, list):
        return [a if chosen else b for chosen, a, b in zip(first.tolist(), one, other, strict=True)]
    return torch.where(first.to(one.device).reshape(-1, *[1] * (one.ndim - 1)), one, other)


def with_prediction(output: Any, prediction: Tensor) -> Any:
    """A network's or sampler's output (a tuple or a diffusers dataclass), with its first entry replaced."""
    first = list(prediction.unbind()) if isinstance(output[0], list) else prediction
    if isinstance(output, tuple):
        return (first, *output[1:])
    name, *_ = output.keys()
    return type(output)(**{**output, name: first})
