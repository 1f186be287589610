"""Drawing batches of requests with tiny pipelines."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from generator.models import load
from generator.pipeline import draw, draw_batch, plan
from propriety.drawing import CannotDrawError, DrawRequest


def request(**fields: Any) -> DrawRequest:
    return DrawRequest(**{"prompt": "wine", "seed": 3, "steps": 4} | fields)


@pytest.fixture(scope="module")
def loaded(tiny_of: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("tiny")
    tiny_of("SD 1.x").pipe.save_pretrained(folder)
    return load(str(folder))


def test_a_picture_is_the_same_alone_and_in_a_batch(loaded: Any) -> None:
    dual = request(safe_prompt="juice", wxi=0.5, tau_gc=0.5)
    batch = draw(loaded, [request(), dual, request(seed=4, sampler="euler"), dual.model_copy(update={"n": 2})])
    (alone,) = draw(loaded, [dual])
    assert len(batch) == 5
    assert [one.parameters.sampler for one in batch] == ["ddim", "ddim", "euler", "ddim", "ddim"]
    assert [one.parameters.seed for one in batch] == [3, 3, 4, 3, 4]
    for other in (batch[1], batch[3]):
        difference = np.asarray(alone.image, dtype=int) - np.asarray(other.image, dtype=int)
        assert abs(difference).max() <= 1


def test_the_parameters_report_how_the_picture_was_drawn(loaded: Any) -> None:
    plain, dual = draw(loaded, [request(seed=None), request(safe_prompt="juice", wxi=0.75, tau_gc=0.5)])
    assert plain.parameters.seed in range(2**32)
    assert (plain.parameters.prompt, plain.parameters.wxi, plain.parameters.denoiser_rows) == ("wine", 0, 8)
    assert (dual.parameters.prompt, dual.parameters.fused_steps, dual.parameters.denoiser_rows) == ("juice", 2, 10)
    assert (dual.parameters.width, dual.parameters.height) == dual.image.size == (32, 32)


def test_each_step_is_reported_whichever_callback_the_pipeline_has(loaded: Any, tiny_of: Any, tmp_path: Path) -> None:
    untrained = tiny_of("PixArt Σ").pipe
    untrained.transformer.register_to_config(sample_size=32)  # diffusers has no table of sizes for smaller ones
    untrained.save_pretrained(tmp_path)
    pixart = load(str(tmp_path))
    for pipe in (loaded, pixart):
        steps: list[int] = []
        assert len(draw_batch(pipe, plan(pipe, request(n=2)), steps.append)) == 2
        assert steps == [1, 2, 3, 4]


def test_a_prompt_too_long_for_the_model_is_noted(loaded: Any) -> None:
    (picture,) = draw(loaded, [request(prompt="a " * 40)])
    assert "not read" in picture.notes[0]


def test_a_size_that_the_model_cannot_draw_is_refused(loaded: Any) -> None:
    with pytest.raises(CannotDrawError, match="own size is 32x32"):
        draw(loaded, [request(width=128, height=64)])


def test_a_flow_matching_model_keeps_its_own_sampler(tiny_of: Any, tmp_path: Path) -> None:
    tiny_of("SD 3").pipe.save_pretrained(tmp_path)
    loaded = load(str(tmp_path))
    (picture,) = draw(loaded, [request(safe_prompt="juice", wxi=0.5, tau_gc=0.3)])
    used = picture.parameters
    assert (used.sampler, used.guidance_scale, used.fused_steps, used.denoiser_rows) == ("own", 7.0, 2, 10)
    with pytest.raises(CannotDrawError, match="its own sampler"):
        draw(loaded, [request(sampler="ddim")])


def test_sdxl_uses_the_sampler_of_the_request(tiny_of: Any, tmp_path: Path) -> None:
    tiny_of("SDXL").pipe.save_pretrained(tmp_path)
    loaded = load(str(tmp_path))
    euler, ddim = draw(loaded, [request(sampler="euler"), request(guidance_scale=1)])
    assert (euler.parameters.sampler, euler.parameters.denoiser_rows) == ("euler", 8)
    assert (ddim.parameters.sampler, ddim.parameters.denoiser_rows) == ("ddim", 4)
