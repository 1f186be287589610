"""Erasure by fine-tuning: what it changes in the demo model."""

from pathlib import Path

import torch

from evaluation.image.esd import erase
from generator.models import load


def test_only_cross_attention_is_trained_and_the_saved_model_can_be_loaded(tmp_path: Path) -> None:
    pipe, original = load("demo"), load("demo").unet.state_dict()
    erase(pipe, ["a gun", "a pistol"], iterations=2, rate=1e-3, eta=1, batch=1, seed=0)
    trained = pipe.unet.state_dict()
    changed = {name for name, value in trained.items() if not torch.equal(value, original[name])}
    assert changed
    assert all("attn2" in name for name in changed)
    pipe.save_pretrained(tmp_path / "no-gun")
    loaded = load(str(tmp_path / "no-gun")).unet.state_dict()
    assert all(torch.equal(loaded[name], trained[name]) for name in changed)
