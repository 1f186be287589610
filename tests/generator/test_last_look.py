"""Real pictures of a tiny pipeline, before detectors that are made to find what a test needs."""

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from generator.last_look import Blocked, draw_seen
from generator.pipeline import Drawing, load, plan
from propriety.drawing import DrawRequest

STRONGER = [{"wxi": 0.75, "tau_gc": 0.5}, {"wxi": 1.0, "tau_gc": 0.0}]


@pytest.fixture
def loaded(pipe: Any, tmp_path: Path) -> Any:
    pipe.save_pretrained(tmp_path)
    return load(str(tmp_path))


def dual(**fields: Any) -> DrawRequest:
    asked = {"prompt": "wine", "safe_prompt": "juice", "wxi": 0.5, "tau_gc": 0.5, "seed": 3, "steps": 2}
    return DrawRequest.model_validate(asked | {"stronger": STRONGER} | fields)


def look(pipe: Any, *requests: DrawRequest, safe_after: int) -> tuple[list[Drawing | Blocked], list[Image.Image]]:
    """What leaves, and all pictures that were looked at, where only the looks after the first few find no risk."""
    seen: list[Image.Image] = []

    def detect(image: Image.Image, request: DrawRequest) -> float:
        seen.append(image)
        return 0.9 if len(seen) <= safe_after else 0.1

    return draw_seen(pipe, detect, [one for request in requests for one in plan(pipe, request)]), seen


def test_a_safe_picture_leaves_as_it_was_drawn_first(loaded: Any) -> None:
    (drawing,), seen = look(loaded, dual(), safe_after=0)
    assert isinstance(drawing, Drawing)
    assert (len(seen), drawing.parameters.wxi, drawing.notes) == (1, 0.5, [])


def test_an_unsafe_one_is_drawn_again_from_its_seed_with_the_next_knobs(loaded: Any) -> None:
    (drawing,), seen = look(loaded, dual(), safe_after=1)
    assert isinstance(drawing, Drawing)
    assert (drawing.parameters.wxi, drawing.parameters.tau_gc, drawing.parameters.seed) == (0.75, 0.5, 3)
    assert "drawn again, 1x" in drawing.notes[0]
    assert seen[0].tobytes() != seen[1].tobytes()


def test_after_the_last_knobs_it_is_blocked_and_why_is_told(loaded: Any) -> None:
    (blocked,), seen = look(loaded, dual(), safe_after=9)
    assert isinstance(blocked, Blocked)
    assert len(seen) == 3
    assert (blocked.parameters.wxi, blocked.parameters.denoiser_rows) == (1.0, 4)
    assert "unsafe with probability 0.90" in blocked.notes[-1]


def test_a_plain_picture_has_no_stronger_knobs_and_is_blocked_at_once(loaded: Any) -> None:
    (blocked,), seen = look(loaded, DrawRequest(prompt="wine", steps=2), safe_after=9)
    assert isinstance(blocked, Blocked)
    assert len(seen) == 1


def test_only_the_unsafe_ones_of_a_batch_are_drawn_again_and_their_order_stays(loaded: Any) -> None:
    outcomes, seen = look(loaded, dual(n=2), dual(prompt="beer", seed=9), safe_after=1)
    assert len(seen) == 4
    assert [(one.parameters.seed, one.parameters.wxi) for one in outcomes] == [(3, 0.75), (4, 0.5), (9, 0.5)]


def test_knobs_that_let_the_original_through_say_so_in_the_picture_s_prompt(loaded: Any) -> None:
    (drawing,), _ = look(loaded, dual(wxi=0.0), safe_after=1)
    assert (drawing.parameters.wxi, drawing.parameters.prompt) == (0.75, "juice")


def test_a_detector_that_answers_no_number_blocks(loaded: Any) -> None:
    planned = plan(loaded, DrawRequest(prompt="wine", steps=2))
    (blocked,) = draw_seen(loaded, lambda image, request: float("nan"), planned)
    assert isinstance(blocked, Blocked)
