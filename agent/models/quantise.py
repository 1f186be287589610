"""8-bit integers in place of a matrix, the way vLLM's `int-quantized` format and the adapter's file store them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def quantise(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Round a matrix (out, in) to 8-bit integers (out, in) and float32 scales (out, 1): weight ≈ integers · scales."""
    import torch

    scale = weight.abs().amax(dim=1, keepdim=True).clamp(min=1e-8) / 127
    return (weight / scale).round().to(torch.int8), scale
