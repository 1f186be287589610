"""Failures, nested contexts, shared networks and threads: the pipeline stays as it was, or the call is refused."""

from collections.abc import Callable
from copy import deepcopy
from threading import Barrier, BrokenBarrierError, Thread
from typing import Any

import pytest
import torch
from diffusers import StableDiffusionPipeline
from torch import Tensor

from generator.method.dual_latent import UnsupportedPipelineError, dual_latent
from tests.generator.method.drawing import VARIANT, XI, X, draw, dual, is_stock


class Interrupted(BaseException):
    """Like KeyboardInterrupt, which would end pytest where it is not expected."""


def fail(*_: Any, **__: Any) -> Any:
    raise Interrupted


FAILURES: dict[str, Callable[[Any, pytest.MonkeyPatch], dict[str, Any]]] = {
    "in the callback": lambda pipe, patch: {"callback_on_step_end": fail},
    "in the encoder": lambda pipe, patch: patch.setattr(pipe.text_encoder, "forward", fail) or {},
    "in the denoiser": lambda pipe, patch: patch.setattr(pipe.unet.mid_block, "forward", fail) or {},
    "in the sampler": lambda pipe, patch: patch.setattr(pipe.scheduler, "_get_variance", fail) or {},
    "in the decoder": lambda pipe, patch: patch.setattr(pipe.vae, "decode", fail) or {"output_type": "pt"},
    "in the caller's arguments": lambda pipe, patch: {"prompt": 5},
    "in the method": lambda pipe, patch: {"prompt": [X] * 3},
}


@VARIANT
@pytest.mark.parametrize("name", FAILURES)
def test_after_a_failure_the_pipeline_is_as_it_was(
    pipe: Any, variant: Any, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    stock, expected = draw(pipe), dual(pipe, variant)
    with dual_latent(pipe, [XI, XI] if name == "in the method" else XI, 0.5, 0.5, variant):
        with monkeypatch.context() as patch, pytest.raises((Interrupted, ValueError)):
            draw(pipe, **{"prompt": X} | FAILURES[name](pipe, patch))
        if name != "in the method":
            assert torch.equal(draw(pipe), expected)
    assert is_stock(pipe)
    assert torch.equal(draw(pipe), stock)
    assert torch.equal(dual(pipe, variant), expected)


@VARIANT
def test_leaving_the_context_by_an_exception_restores_the_pipeline(pipe: Any, variant: Any) -> None:
    stock = draw(pipe)
    with pytest.raises(Interrupted), dual_latent(pipe, XI, 0.5, 0.5, variant):
        draw(pipe, callback_on_step_end=fail)
    assert is_stock(pipe)
    assert torch.equal(draw(pipe), stock)


@VARIANT
def test_a_context_inside_another_is_refused_and_leaves_the_outer_one(pipe: Any, variant: Any) -> None:
    expected = dual(pipe, variant)
    with dual_latent(pipe, XI, 0.5, 0.5, variant):
        with pytest.raises(ValueError, match="inside another"), dual_latent(pipe, XI, 0.1, 0.1, variant):
            pass
        assert torch.equal(draw(pipe), expected)
    assert is_stock(pipe)


@VARIANT
def test_contexts_of_two_pipelines_do_not_mix(pipe: Any, variant: Any) -> None:
    other = deepcopy(pipe)
    expected = dual(pipe, variant), dual(other, variant, wxi=0.2)
    with dual_latent(pipe, XI, 0.5, 0.5, variant), dual_latent(other, XI, 0.2, 0.5, variant):
        assert torch.equal(draw(pipe), expected[0])
        assert torch.equal(draw(other), expected[1])
        assert torch.equal(draw(pipe), expected[0])


@VARIANT
@pytest.mark.parametrize("prompt", [X, XI, "sun"])
def test_another_pipeline_with_the_same_denoiser_is_refused_inside_the_context(
    pipe: Any, variant: Any, prompt: str
) -> None:
    other = StableDiffusionPipeline(**pipe.components, requires_safety_checker=False)
    other.set_progress_bar_config(disable=True)
    expected = draw(other, prompt)
    with dual_latent(pipe, XI, 0.5, 0.5, variant):
        with pytest.raises(UnsupportedPipelineError, match="without calling encode_prompt"):
            draw(other, prompt)
        draw(pipe)
        with pytest.raises(UnsupportedPipelineError, match="encode_prompt"):
            draw(other, prompt)
    assert torch.equal(draw(other, prompt), expected)


@VARIANT
def test_two_threads_in_one_context_are_refused(pipe: Any, variant: Any) -> None:
    expected = dual(pipe, variant)
    embeds, negative = pipe.encode_prompt(X, "cpu", 1, True)  # tokenizers may not be shared by threads, either
    options = {"prompt": None, "prompt_embeds": embeds, "negative_prompt_embeds": negative}
    in_step = Barrier(2, timeout=60)
    outcomes: list[Any] = []

    def wait(_: Any, step: int, __: Any, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        if step == 0:
            in_step.wait()
        return tensors

    def run() -> None:
        try:
            outcomes.append(draw(pipe, callback_on_step_end=wait, **options))
        except (UnsupportedPipelineError, BrokenBarrierError) as error:
            outcomes.append(str(error))
            in_step.abort()

    with dual_latent(pipe, {"prompt_embeds": pipe.encode_prompt(XI, "cpu", 1, False)[0]}, 0.5, 1.0, variant):
        threads = [Thread(target=run) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(120)
        assert any("thread" in str(outcome) for outcome in outcomes)
        assert [type(outcome) for outcome in outcomes] == [str, str]  # neither drew a picture
    assert is_stock(pipe)
    assert torch.equal(dual(pipe, variant), expected)


@VARIANT
def test_two_threads_with_a_pipeline_each_draw_what_one_draws(pipe: Any, variant: Any) -> None:
    pipes = [pipe, deepcopy(pipe)]
    expected = dual(pipe, variant)
    outcomes: list[Tensor] = []
    threads = [Thread(target=lambda one=one: outcomes.append(dual(one, variant))) for one in pipes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert len(outcomes) == 2
    assert all(torch.equal(outcome, expected) for outcome in outcomes)
