"""Pure functions that take, append and sum the rows in a denoiser's arguments."""

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

from generator.method.families import Family, Path
from generator.method.schedule import UnsupportedPipelineError


def fuse(original: Tensor, safe: Tensor, wxi: Tensor) -> Tensor:
    """w_x · original + w_ξ · safe, for predictions or latents (B, …) and a w_ξ in [0, 1] per sample (B,).

    Half precision is summed in float32.
    """
    dtype = torch.promote_types(safe.dtype, torch.float32)
    weight = wxi.to(safe.device, dtype).reshape(-1, *[1] * (safe.ndim - 1))
    return ((1 - weight) * original.to(dtype) + weight * safe.to(dtype)).to(safe.dtype)


def append_rows(value: Any, rows: Tensor, total: int, family: Family, path: Path = ()) -> Any:
    """The denoiser's arguments with copies of some of their `total` rows appended, in all but the text conditions.

    Raises:
        UnsupportedPipelineError: the family does not say whether a tensor has a row per sample, or it has other rows.
    """
    if path in family.shared or path in family.conditions:
        return value
    if isinstance(value, Tensor) and value.ndim:
        _check_rows(value, total, family, path)
        return torch.cat([value, value[rows]])
    if isinstance(value, dict):
        return {key: append_rows(item, rows, total, family, (*path, str(key))) for key, item in value.items()}
    if path in family.row_lists:
        return value + take(value, rows, total)
    if isinstance(value, list | tuple):
        return type(value)(append_rows(item, rows, total, family, path) for item in value)
    return value


def _check_rows(value: Tensor, total: int, family: Family, path: Path) -> None:
    name, shape = ".".join(path), tuple(value.shape)
    if path not in family.rows:
        raise UnsupportedPipelineError(
            f"The denoiser got the tensor {name} of shape {shape}. Dual latents do not know whether all rows of a batch"
            " share it, so they cannot add the original prompt's rows. Call the pipeline without it."
        )
    if len(value) != total:
        raise UnsupportedPipelineError(f"The denoiser got {name} of shape {shape}; it should have {total} rows.")


def take(value: Any, rows: Tensor, total: int) -> Any:
    """Some of a condition's `total` rows: a list of tensors, or a tensor (total · m, …) with m frames per row."""
    if isinstance(value, list):
        return [value[j] for j in rows]
    return value.unflatten(0, (total, -1))[rows].flatten(0, 1)


def join(own: Any, copied: Tensor, more: Any, total: int) -> Any:
    """A condition's `total` rows, copies of some, and more (B, …), cast and repeated per frame; or lists of rows."""
    copies = take(own, copied, total)
    if isinstance(own, list):
        return own + copies + (more or [])
    parts = [] if more is None else [more.to(own).repeat_interleave(len(own) // total, 0)]
    return torch.cat([own, copies, *parts])


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
