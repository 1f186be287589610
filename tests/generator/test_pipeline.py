"""Loading a model and drawing batches of requests, with a tiny pipeline saved to a folder."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from generator.pipeline import ModelNotFoundError, draw, draw_batch, load, plan
from propriety.drawing import CannotDrawError, DrawRequest


def request(**fields: Any) -> DrawRequest:
    return DrawRequest(**{"prompt": "wine", "seed": 3, "steps": 4} | fields)


@pytest.fixture
def loaded(pipe: Any, tmp_path: Path) -> Any:
    pipe.save_pretrained(tmp_path)
    return load(str(tmp_path))


@pytest.mark.parametrize("part", ["unet", "text_encoder", "vae"])
def test_weights_that_are_no_safetensors_are_not_read(pipe: Any, tmp_path: Path, part: str) -> None:
    pipe.save_pretrained(tmp_path)
    (weights,) = (tmp_path / part).glob("*.safetensors")
    name = "pytorch_model.bin" if part == "text_encoder" else "diffusion_pytorch_model.bin"
    torch.save(getattr(pipe, part).state_dict(), weights.with_name(name))
    weights.unlink()
    with pytest.raises(ModelNotFoundError, match="safetensors"):
        load(str(tmp_path))


def test_a_picture_is_the_same_alone_and_in_company(loaded: Any) -> None:
    dual = request(safe_prompt="juice", wxi=0.5, tau_gc=0.5)
    company = draw(loaded, [request(), dual, request(seed=4, sampler="euler"), dual.model_copy(update={"n": 2})])
    (alone,) = draw(loaded, [dual])
    assert len(company) == 5
    assert [one.parameters.sampler for one in company] == ["ddim", "ddim", "euler", "ddim", "ddim"]
    assert [one.parameters.seed for one in company] == [3, 3, 4, 3, 4]
    for other in (company[1], company[3]):
        difference = np.asarray(alone.image, dtype=int) - np.asarray(other.image, dtype=int)
        assert abs(difference).max() <= 1


def test_the_parameters_tell_how_it_was_drawn(loaded: Any) -> None:
    plain, dual = draw(loaded, [request(seed=None), request(safe_prompt="juice", wxi=0.75, tau_gc=0.5)])
    assert 0 <= plain.parameters.seed < 2**32
    assert (plain.parameters.prompt, plain.parameters.wxi, plain.parameters.denoiser_rows) == ("wine", 0, 8)
    assert (dual.parameters.prompt, dual.parameters.fused_steps, dual.parameters.denoiser_rows) == ("juice", 2, 10)
    assert (dual.parameters.width, dual.parameters.height) == dual.image.size == (32, 32)


def test_each_step_is_told_whatever_callback_the_pipeline_takes(loaded: Any, tiny_of: Any, tmp_path: Path) -> None:
    untrained = tiny_of("PixArt Σ").pipe
    untrained.transformer.register_to_config(sample_size=32)  # PixArt draws at sizes that it has a table for
    untrained.save_pretrained(tmp_path)
    pixart = load(str(tmp_path))
    for pipe in (loaded, pixart):
        told: list[int] = []
        assert len(draw_batch(pipe, plan(pipe, request(n=2)), told.append)) == 2
        assert told == [1, 2, 3, 4]


@pytest.mark.parametrize(("name", "side"), [("PixArt Σ", 4), ("PixArt α", 256)])
def test_a_pixart_that_diffusers_has_no_sizes_for_is_refused(
    tiny_of: Any, tmp_path: Path, name: str, side: int
) -> None:
    pixart = tiny_of(name).pipe
    pixart.transformer.register_to_config(sample_size=side)
    pixart.save_pretrained(tmp_path / "pixart")
    with pytest.raises(ModelNotFoundError, match=rf"pixart' cannot be drawn with: its sample_size is {side}, .*config"):
        load(str(tmp_path / "pixart"))


def test_a_prompt_too_long_for_the_model_is_noted(loaded: Any) -> None:
    (drawing,) = draw(loaded, [request(prompt="a " * 40)])
    assert "not read" in drawing.notes[0]


def test_a_size_that_the_model_cannot_draw_is_refused(loaded: Any) -> None:
    with pytest.raises(CannotDrawError, match="own size is 32x32"):
        draw(loaded, [request(width=128, height=64)])


def test_a_model_that_matches_flows_is_drawn_with_its_own_sampler(tiny_of: Any, tmp_path: Path) -> None:
    tiny_of("SD 3").pipe.save_pretrained(tmp_path)
    loaded = load(str(tmp_path))
    (drawing,) = draw(loaded, [request(safe_prompt="juice", wxi=0.5, tau_gc=0.3)])
    told = drawing.parameters
    assert (told.sampler, told.guidance_scale, told.fused_steps, told.denoiser_rows) == ("own", 7.0, 2, 10)
    with pytest.raises(CannotDrawError, match="its own sampler"):
        draw(loaded, [request(sampler="ddim")])


def test_sdxl_takes_the_samplers_of_a_request(tiny_of: Any, tmp_path: Path) -> None:
    tiny_of("SDXL").pipe.save_pretrained(tmp_path)
    loaded = load(str(tmp_path))
    euler, ddim = draw(loaded, [request(sampler="euler"), request(guidance_scale=1)])
    assert (euler.parameters.sampler, euler.parameters.denoiser_rows) == ("euler", 8)
    assert (ddim.parameters.sampler, ddim.parameters.denoiser_rows) == ("ddim", 4)


def test_the_fast_switch_draws_nearly_the_same(pipe: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compiled: list[Any] = []
    monkeypatch.setattr(  # the compiler for C++ takes minutes; which blocks it gets, and for which shapes, is the same
        "torch.nn.Module.compile", lambda self, **_: compiled.append(self) or wrap(self)
    )

    def wrap(block: Any) -> None:
        block._compiled_call_impl = torch.compile(block._call_impl, backend="eager")

    pipe.save_pretrained(tmp_path)
    asked = [request(), request(safe_prompt="juice", wxi=0.5, tau_gc=0.5)]
    plain = draw(load(str(tmp_path)), asked)
    quick = load(str(tmp_path), fast=True)
    assert quick.unet.dtype == torch.bfloat16
    assert compiled
    for one, other in zip(plain, draw(quick, asked), strict=True):
        assert one.parameters.denoiser_rows == other.parameters.denoiser_rows
        difference = np.asarray(one.image, dtype=int) - np.asarray(other.image, dtype=int)
        assert 0 < abs(difference).max() < 16


def test_a_pipeline_that_needs_a_picture_is_refused(tiny_of: Any, tmp_path: Path) -> None:
    tiny_of("SD image to image").pipe.save_pretrained(tmp_path)
    with pytest.raises(ModelNotFoundError, match="StableDiffusionImg2ImgPipeline; requests are drawn with"):
        load(str(tmp_path))


def test_a_missing_model_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ModelNotFoundError, match="neither a folder"):
        load(str(tmp_path / "none"))
    monkeypatch.setattr("generator.pipeline.DEMO", tmp_path)
    with pytest.raises(ModelNotFoundError, match="demo model's weights"):
        load("demo")
