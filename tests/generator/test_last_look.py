"""Real pictures of a tiny pipeline, and detectors that report what a test needs."""

from typing import Any

import pytest
from PIL import Image

from generator.last_look import Blocked, draw_checked
from generator.models import load
from generator.pipeline import DrawnPicture, plan
from propriety.drawing import DrawRequest

STRONGER = [{"wxi": 0.75, "tau_gc": 0.5}, {"wxi": 1.0, "tau_gc": 0.0}]


@pytest.fixture(scope="module")
def loaded(tiny_of: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("tiny")
    tiny_of("SD 1.x").pipe.save_pretrained(folder)
    return load(str(folder))


def dual(**fields: Any) -> DrawRequest:
    defaults = {"prompt": "wine", "safe_prompt": "juice", "wxi": 0.5, "tau_gc": 0.5, "seed": 3, "steps": 2}
    return DrawRequest.model_validate(defaults | {"stronger": STRONGER} | fields)


def look(pipe: Any, *requests: DrawRequest, unsafe: int) -> tuple[list[DrawnPicture | Blocked], list[Image.Image]]:
    """The outcomes, and all pictures that the detector saw; it finds the first `unsafe` of them unsafe."""
    seen: list[Image.Image] = []

    def detect(image: Image.Image, request: DrawRequest) -> float:
        seen.append(image)
        return 0.9 if len(seen) <= unsafe else 0.1

    return draw_checked(pipe, detect, [planned for request in requests for planned in plan(pipe, request)]), seen


def test_a_safe_picture_is_drawn_once(loaded: Any) -> None:
    (picture,), seen = look(loaded, dual(), unsafe=0)
    assert isinstance(picture, DrawnPicture)
    assert (len(seen), picture.parameters.wxi, picture.notes) == (1, 0.5, [])


def test_an_unsafe_picture_is_redrawn_from_its_seed_with_the_next_knobs(loaded: Any) -> None:
    (picture,), seen = look(loaded, dual(), unsafe=1)
    assert isinstance(picture, DrawnPicture)
    assert (picture.parameters.wxi, picture.parameters.tau_gc, picture.parameters.seed) == (0.75, 0.5, 3)
    assert "redrawn 1x" in picture.notes[0]
    assert seen[0].tobytes() != seen[1].tobytes()


def test_after_the_last_knobs_the_picture_is_blocked_and_its_notes_say_why(loaded: Any) -> None:
    (blocked,), seen = look(loaded, dual(), unsafe=9)
    assert isinstance(blocked, Blocked)
    assert len(seen) == 3
    assert (blocked.parameters.wxi, blocked.parameters.denoiser_rows) == (1.0, 4)
    assert "unsafe with probability 0.90" in blocked.notes[-1]


def test_an_unsafe_plain_picture_is_blocked_at_once(loaded: Any) -> None:
    (blocked,), seen = look(loaded, DrawRequest(prompt="wine", steps=2), unsafe=9)
    assert isinstance(blocked, Blocked)
    assert len(seen) == 1


def test_only_the_unsafe_pictures_of_a_batch_are_redrawn_and_the_order_is_kept(loaded: Any) -> None:
    outcomes, seen = look(loaded, dual(n=2), dual(prompt="beer", seed=9), unsafe=1)
    assert len(seen) == 4
    assert [(one.parameters.seed, one.parameters.wxi) for one in outcomes] == [(3, 0.75), (4, 0.5), (9, 0.5)]


def test_a_picture_redrawn_from_the_safe_prompt_reports_the_safe_prompt(loaded: Any) -> None:
    (picture,), _ = look(loaded, dual(wxi=0.0), unsafe=1)
    assert (picture.parameters.wxi, picture.parameters.prompt) == (0.75, "juice")


def test_a_detector_that_returns_nan_blocks(loaded: Any) -> None:
    planned = plan(loaded, DrawRequest(prompt="wine", steps=2))
    (blocked,) = draw_checked(loaded, lambda image, request: float("nan"), planned)
    assert isinstance(blocked, Blocked)
