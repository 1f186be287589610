from pathlib import Path

import pytest
import torch
from torch import Tensor

from generator.demo_model import text
from generator.demo_model.captions import VOCABULARY
from generator.demo_model.denoiser import Examples, Training, build_scheduler, loss, tokenize, train
from generator.demo_model.evaluate import WEIGHTS
from generator.demo_model.scenes import Scene

pytestmark = pytest.mark.slow
PROMPT = "a man in a blue coat holding a gun in a park"


def read(training: Training, prompt: str) -> Tensor:
    with torch.no_grad():
        states: Tensor = training.averaged["text_encoder"](tokenize(training.tokenizer, [prompt])).last_hidden_state
    return states


def evaluate(training: Training) -> float:
    torch.manual_seed(0)
    ids = tokenize(training.tokenizer, [PROMPT] * 8)
    with torch.no_grad():
        return float(loss(training.averaged, ids, torch.randn(8, 16, 8, 8), torch.ones(8, 8, 8), build_scheduler()))


def test_training_starts_from_an_exported_model_and_resumes_from_its_checkpoint(tmp_path: Path) -> None:
    scenes = [Scene("park", "man", "coat", "blue", "gun")] * 4
    examples, checkpoint = Examples(scenes, torch.randn(4, 16, 8, 8), torch.ones(4, 8, 8)), tmp_path / "denoiser.pt"
    exported = Training.start()
    exported.begin_with(WEIGHTS)
    trained = train(checkpoint, examples, start=WEIGHTS, minutes=0.005, batch=2, rate=1e-6, seed=1)
    assert trained.step > 0
    assert evaluate(trained) == pytest.approx(evaluate(exported), rel=0.01)
    resumed = train(checkpoint, examples, start=None, minutes=0.005, batch=2, rate=1e-6, seed=1)
    assert (resumed.step, evaluate(resumed)) == (trained.step, evaluate(trained))


def test_a_new_word_does_not_change_how_an_exported_model_reads_others(monkeypatch: pytest.MonkeyPatch) -> None:
    same = Training.start()
    same.begin_with(WEIGHTS)
    monkeypatch.setattr(text, "VOCABULARY", VOCABULARY | {"aardvark"})
    larger = Training.start()
    larger.begin_with(WEIGHTS)
    assert len(larger.tokenizer) > len(same.tokenizer)
    torch.testing.assert_close(read(larger, PROMPT), read(same, PROMPT))
    assert not torch.allclose(read(larger, "an aardvark"), read(same, "an aardvark"))
