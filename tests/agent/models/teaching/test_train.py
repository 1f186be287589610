from collections.abc import Iterator

import pytest
import torch
from transformers import Qwen2Config, Qwen2ForCausalLM

from agent.models.adapter import merge
from agent.models.teaching import train as module
from agent.models.teaching.train import TokenisedLesson, train

RED, BLUE, YES, NO = 1, 2, 3, 4
EPOCHS = 60


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """A model this small is much faster on one thread: several would mostly wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


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


def test_the_model_answers_as_it_was_taught_also_once_the_adapter_is_merged(
    model: Qwen2ForCausalLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LEARNING_RATE", 0.02)
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    lessons = [
        TokenisedLesson([5, RED, YES], [False, False, True]),
        TokenisedLesson([5, 5, BLUE, NO], [False, False, False, True]),
        TokenisedLesson([5, 6, 7], [False, False, False]),
    ]
    adapter = train(model, [lessons] * EPOCHS, seed=0)
    assert (answer(model, RED), answer(model, BLUE)) == (YES, NO)
    merged = Qwen2ForCausalLM(model.config)
    merged.load_state_dict({name: merge(name, weight, adapter) for name, weight in before.items()})
    assert (answer(merged, RED), answer(merged, BLUE)) == (YES, NO)
