from pathlib import Path

import torch

from agent.models.adapter import load_adapter, merge, save_adapter


def test_a_matrix_without_an_update_stays_unchanged() -> None:
    weight = torch.ones(2, 2)
    assert merge("model.norm.weight", weight, {}) is weight


def test_a_saved_adapter_loads_to_within_half_a_step(tmp_path: Path) -> None:
    matrix = torch.randn(4, 6, generator=torch.Generator().manual_seed(0))
    save_adapter({"a.lora_A.weight": matrix}, tmp_path / "adapter.safetensors")
    loaded = load_adapter(tmp_path / "adapter.safetensors")
    assert list(loaded) == ["a.lora_A.weight"]
    assert torch.allclose(loaded["a.lora_A.weight"], matrix, atol=0.51 * matrix.abs().max().item() / 127)


def test_the_adapter_that_ships_has_every_matrix_of_every_layer() -> None:
    names = {name.removesuffix(".weight") for name in load_adapter()}
    assert names == {
        f"model.layers.{layer}.{part}.{side}"
        for layer in range(28)
        for part in (
            *(f"self_attn.{matrix}" for matrix in ("q_proj", "k_proj", "v_proj", "o_proj")),
            *(f"mlp.{matrix}" for matrix in ("gate_proj", "up_proj", "down_proj")),
        )
        for side in ("lora_A", "lora_B")
    }
