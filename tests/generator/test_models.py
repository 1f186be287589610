"""Loading models, from tiny pipelines saved to a folder."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from generator.models import ModelNotFoundError, load
from generator.pipeline import draw, warm_up
from propriety.drawing import DrawRequest


@pytest.mark.parametrize("part", ["unet", "text_encoder", "vae"])
def test_weights_that_are_not_safetensors_are_not_read(pipe: Any, tmp_path: Path, part: str) -> None:
    pipe.save_pretrained(tmp_path)
    (weights,) = (tmp_path / part).glob("*.safetensors")
    name = "pytorch_model.bin" if part == "text_encoder" else "diffusion_pytorch_model.bin"
    torch.save(getattr(pipe, part).state_dict(), weights.with_name(name))
    weights.unlink()
    with pytest.raises(ModelNotFoundError, match="safetensors"):
        load(str(tmp_path))


@pytest.mark.parametrize(("name", "side"), [("PixArt Σ", 4), ("PixArt α", 256)])
def test_a_pixart_of_a_size_that_diffusers_does_not_know_is_refused(
    tiny_of: Any, tmp_path: Path, name: str, side: int
) -> None:
    pixart = tiny_of(name).pipe
    pixart.transformer.register_to_config(sample_size=side)
    pixart.save_pretrained(tmp_path / "pixart")
    with pytest.raises(ModelNotFoundError, match=rf"pixart' cannot draw: its sample_size is {side}, .*config"):
        load(str(tmp_path / "pixart"))


@pytest.mark.slow
def test_fast_draws_nearly_the_same(pipe: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compiled: list[Any] = []

    def compile_eagerly(block: Any, **_: Any) -> None:
        compiled.append(block)
        block._compiled_call_impl = torch.compile(block._call_impl, backend="eager")

    monkeypatch.setattr("torch.nn.Module.compile", compile_eagerly)  # the real backend, a C++ compiler, takes minutes
    pipe.save_pretrained(tmp_path)
    request = DrawRequest(prompt="wine", safe_prompt="juice", wxi=0.5, tau_gc=0.5, seed=3, steps=2)
    (plain,) = draw(load(str(tmp_path)), [request])
    fast = load(str(tmp_path), fast=True)
    warm_up(fast)
    assert fast.unet.dtype == torch.bfloat16
    assert compiled
    (quick,) = draw(fast, [request])
    assert quick.parameters == plain.parameters
    difference = np.asarray(plain.image, dtype=int) - np.asarray(quick.image, dtype=int)
    assert 0 < abs(difference).max() < 16


def test_a_pipeline_that_needs_a_picture_is_refused(tiny_of: Any, tmp_path: Path) -> None:
    tiny_of("SD image to image").pipe.save_pretrained(tmp_path)
    with pytest.raises(ModelNotFoundError, match="StableDiffusionImg2ImgPipeline, which is not supported"):
        load(str(tmp_path))


def test_a_missing_model_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ModelNotFoundError, match="neither a folder"):
        load(str(tmp_path / "none"))
    monkeypatch.setattr("generator.models.DEMO", tmp_path)
    with pytest.raises(ModelNotFoundError, match="demo model's weights"):
        load("demo")
