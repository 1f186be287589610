import pytest
import torch
from transformers import Qwen2Config, Qwen2ForCausalLM

from agent.models import adapter
from agent.models.adapter import Taught, merged, train
from agent.models.convert import load_adapter, save_adapter

RED, BLUE, YES, NO = 1, 2, 3, 4


@pytest.fixture
def model() -> Qwen2ForCausalLM:
    torch.manual_seed(0)
    return Qwen2ForCausalLM(
        Qwen2Config(
            vocab_size=8,
            hidden_size=16,
            intermediate_size=32,
            num_hidden_layers=2,
            num_attention_heads=2,
            num_key_value_heads=1,
            max_position_embeddings=32,
        )
    )


def answer(model: Qwen2ForCausalLM, token: int) -> int:
    with torch.no_grad():
        return int(model(torch.tensor([[5, token]])).logits[0, -1].argmax())


def test_what_is_taught_is_answered_and_merging_does_the_same(
    model: Qwen2ForCausalLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adapter, "LEARNING_RATE", 0.02)
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    lessons = [Taught([5, RED, YES], [False, False, True]), Taught([5, 5, BLUE, NO], [False, False, False, True])]
    trained = train(model, [[*lessons, Taught([5, 6, 7], [False] * 3)]] * 60, seed=0)
    assert (answer(model, RED), answer(model, BLUE)) == (YES, NO)
    again = Qwen2ForCausalLM(model.config)
    again.load_state_dict({name: merged(name, weight, trained) for name, weight in before.items()})
    assert (answer(again, RED), answer(again, BLUE)) == (YES, NO)


def test_what_no_adapter_touches_stays_as_it_is() -> None:
    weight = torch.ones(2, 2)
    assert merged("model.norm.weight", weight, {}) is weight


def test_an_adapter_is_read_as_it_was_written_to_half_a_step(tmp_path) -> None:
    matrix = torch.randn(4, 6, generator=torch.Generator().manual_seed(0))
    save_adapter({"a.lora_A.weight": matrix}, tmp_path / "adapter.safetensors")
    read = load_adapter(tmp_path / "adapter.safetensors")
    assert list(read) == ["a.lora_A.weight"]
    assert torch.allclose(read["a.lora_A.weight"], matrix, atol=0.51 * matrix.abs().max().item() / 127)


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
