import pytest
import torch

from agent.models.convert import hub_name, quantise


@pytest.mark.parametrize(
    ("gguf", "hub"),
    [
        ("blk.3.attn_q.bias", "model.layers.3.self_attn.q_proj.bias"),
        ("blk.27.ffn_down.weight", "model.layers.27.mlp.down_proj.weight"),
        ("output_norm.weight", "model.norm.weight"),
        ("output.weight", "model.embed_tokens.weight"),
    ],
)
def test_gguf_tensors_get_their_qwen2_names(gguf: str, hub: str) -> None:
    assert hub_name(gguf) == hub


def test_quantised_weights_are_off_by_half_a_step_at_most() -> None:
    weight = torch.randn(6, 40, generator=torch.Generator().manual_seed(0)) * torch.logspace(-3, 2, 6)[:, None]
    weight[0] = 0
    integers, scale = quantise(weight)
    assert (integers.dtype, tuple(scale.shape)) == (torch.int8, (6, 1))
    assert (weight - integers * scale).abs().le(0.5001 * scale).all()
    assert integers[1:].abs().amax(dim=1).eq(127).all()
