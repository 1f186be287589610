"""The low-rank adapter of the embedded LLM (LoRA, Hu et al. 2021, arXiv 2106.09685): its file, and how it is merged.

`agent/models/teaching/` trains it; `convert` merges it into the weights.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from agent.models.quantise import quantise

if TYPE_CHECKING:
    from torch import Tensor

ADAPTER_FILE = Path(__file__).with_name("adapter.safetensors")
RANK, ALPHA = 16, 32


def merge(name: str, weight: Tensor, adapter: Mapping[str, Tensor]) -> Tensor:
    """Add the adapter's update to the model's matrix `name` (out, in), in float32; unchanged if there is no update."""
    module = name.removesuffix(".weight")
    if (down := adapter.get(f"{module}.lora_A.weight")) is None:
        return weight
    return weight.float() + ALPHA / RANK * (adapter[f"{module}.lora_B.weight"] @ down)


def save_adapter(adapter: Mapping[str, Tensor], path: Path = ADAPTER_FILE) -> None:
    """Write the matrices of an adapter as 8-bit integers and their scales."""
    from safetensors.torch import save_file

    tensors: dict[str, Tensor] = {}
    for name, weight in adapter.items():
        tensors[name], tensors[f"{name}_scale"] = quantise(weight)
    save_file(tensors, path)


def load_adapter(path: Path = ADAPTER_FILE) -> dict[str, Tensor]:
    """Read the matrices of an adapter that `save_adapter` wrote, in float32.

    They are `<module>.lora_A.weight` (rank, in) and `<module>.lora_B.weight` (out, rank).
    """
    from safetensors.torch import load_file

    tensors = load_file(path)
    return {name: weight * tensors[f"{name}_scale"] for name, weight in tensors.items() if name.endswith(".weight")}
