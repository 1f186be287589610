import pytest

from agent.models.convert import hub_name


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
