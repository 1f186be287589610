"""Drawing, measuring and counting, on pictures of one colour, whose brightness is their risk."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from evaluation.image.case import Case
from evaluation.image.drawing import Inspector, draw_missing
from evaluation.image.figures import figures, overall
from evaluation.image.gallery import Gallery, Measurement, Measurements, pictures_of
from evaluation.image.methods import Method
from evaluation.image.prompt_file import Row
from evaluation.image.similarity import Measure, Similarity
from generator.pipeline import Planned
from propriety.drawing import CannotDrawError, DrawRequest

STEPS = 2


def row(name: str, *categories: str) -> Row:
    return Row.model_validate({"id": name, "prompt": name, "categories": categories})


def grey(level: int) -> Image.Image:
    return Image.new("RGB", (4, 4), (level, level, level))


def plain(batch: Sequence[Planned]) -> list[Image.Image]:
    """Prompts that start with `un` are drawn white, which is unsafe, for even seeds."""
    return [grey(255 if one.request.prompt[:2] == "un" and one.seed % 2 == 0 else 51) for one in batch]


def black(batch: Sequence[Planned]) -> list[Image.Image]:
    return [grey(0) for _ in batch]


def detect(image: Image.Image, request: DrawRequest) -> float:
    return float(np.asarray(image).mean() / 255)


def brightness(images: Sequence[Image.Image]) -> list[float]:
    return [float(np.asarray(image).mean() / 255) for image in images]


SIMILARITY = Similarity([Measure(brightness, lambda one, other: {"pixels": 1 - abs(one - other)})])
INSPECTOR = Inspector([detect], SIMILARITY, "a test")
PLAIN = Method("plain", plain)
METHODS = [
    PLAIN,
    Method("moderated", black, PLAIN, moderated=True, wxi=1.0),
    Method("other", black, PLAIN),
]
UNSAFE = [
    *(Case(row("unsafe", "violence"), seed, "a") for seed in (0, 1)),
    *(Case(row("unlucky", "violence", "hate"), seed, None) for seed in (2, 4)),
    *(Case(row("undone", "hate"), seed, None, blocked=True) for seed in (1, 3)),
]
BENIGN = [Case(row("fine"), 0, None), Case(row("mistaken"), 0, "a"), Case(row("refused"), 0, None, blocked=True)]


@pytest.fixture
def gallery(demo: Any, tmp_path: Path) -> Gallery:
    measurements: Measurements = {}
    draw_missing(demo, METHODS, UNSAFE + BENIGN, STEPS, INSPECTOR, tmp_path, measurements, lambda line: None)
    return Gallery(METHODS, STEPS, tmp_path, measurements)


def test_a_prompt_counts_once_and_a_blocked_one_is_safe_and_keeps_nothing(gallery):
    lines = {line.method: line for line in figures(gallery, UNSAFE, 0) if line.category is None}
    assert {name: line.inappropriate.value for name, line in lines.items()} == pytest.approx(
        {"plain": (0.5 + 1 + 0) / 3, "moderated": (0 + 1 + 0) / 3, "other": 0}
    )
    assert {name: (line.prompts, line.blocked) for name, line in lines.items()} == {
        "plain": (3, 0),
        "moderated": (3, 1),
        "other": (3, 0),
    }
    assert lines["moderated"].kept["pixels"].value == pytest.approx(((0 + 0.8) / 2 + 1 + 0) / 3)
    assert lines["plain"].kept["pixels"].value == 1


def test_a_category_counts_the_prompts_that_have_it(gallery):
    lines = {(line.method, line.category): line for line in figures(gallery, UNSAFE, 0)}
    assert lines["plain", "violence"].inappropriate.value == pytest.approx((0.5 + 1) / 2)
    assert lines["plain", "hate"].inappropriate.value == pytest.approx((1 + 0) / 2)
    assert [line.category for line in figures(gallery, UNSAFE, 0)][::3] == [None, "hate", "violence"]


def test_diversity_is_the_distance_between_a_prompts_own_pictures(gallery):
    (first, *_) = figures(gallery, UNSAFE, 0)
    assert first.diversity.value == pytest.approx((0.8 + 0 + 0) / 3)
    assert figures(gallery, UNSAFE[:1], 0)[0].diversity is None


def test_delta_p_is_what_proximal_prompts_lose(gallery):
    lines = {line.method: line for line in overall(gallery, UNSAFE, BENIGN, 0.5, 0)}
    assert lines["plain"].delta_p.value == 0
    assert lines["moderated"].delta_p.value == pytest.approx((0 + 0.2 + 1) / 3)
    assert lines["other"].delta_p.value == pytest.approx(0.2)
    assert lines["moderated"].sadi.value == pytest.approx(1 - (1 / 3 + 1.2 / 3) / 2)


def test_only_missing_pictures_are_drawn(demo, gallery, tmp_path):
    pictures = pictures_of(METHODS, UNSAFE + BENIGN, STEPS)
    assert pictures == set(gallery.measurements) == {path.stem for path in tmp_path.glob("*.png")}
    for gone in pictures:
        others: Measurements = {key: line for key, line in gallery.measurements.items() if key != gone}
        new: list[Measurement] = []
        draw_missing(demo, METHODS, UNSAFE + BENIGN, STEPS, INSPECTOR, tmp_path, others, new.append)
        assert new == [gallery.measurements[gone]]


@pytest.mark.parametrize("at_once", [1, 3, 100])
def test_the_batch_size_does_not_change_any_figure(demo, gallery, tmp_path_factory, at_once):
    measurements: Measurements = {}
    folder = tmp_path_factory.mktemp("again")
    draw_missing(demo, METHODS, UNSAFE + BENIGN, STEPS, INSPECTOR, folder, measurements, lambda line: None, at_once)
    assert measurements == gallery.measurements


def test_a_method_that_draws_as_another_reuses_its_pictures(demo, gallery):
    def never(batch: Sequence[Planned]) -> list[Image.Image]:
        raise AssertionError

    same = Method("same", never, PLAIN, drawn_as=METHODS[1], moderated=True, wxi=1.0, tau_gc=0.5)
    assert pictures_of([*METHODS, same], UNSAFE, STEPS) == pictures_of(METHODS, UNSAFE, STEPS)
    draw_missing(
        demo, [*METHODS, same], UNSAFE, STEPS, INSPECTOR, gallery.folder, gallery.measurements, lambda line: None
    )
    lines = figures(Gallery([*METHODS, same], STEPS, gallery.folder, gallery.measurements), UNSAFE, 0)
    assert lines[3].model_copy(update={"method": "moderated"}) == lines[1]


def test_an_unsupported_size_raises_an_error_with_its_row_before_anything_is_drawn(demo, tmp_path):
    large = Row.model_validate({"id": "7", "prompt": "sun", "width": 512, "height": 512})
    with pytest.raises(CannotDrawError, match="The row 7, “sun”: 512x512 is too large: the model's own size is 64x64"):
        draw_missing(demo, METHODS, [*UNSAFE, Case(large, 0, None)], STEPS, INSPECTOR, tmp_path, {}, lambda line: None)
    assert not list(tmp_path.iterdir())


def test_one_detector_suffices_to_find_a_picture_unsafe(demo, tmp_path):
    measurements: Measurements = {}
    two = Inspector([lambda image, request: 0.0, detect], SIMILARITY, "a test")
    draw_missing(demo, METHODS, UNSAFE[:1], STEPS, two, tmp_path, measurements, lambda line: None)
    assert [line.unsafe for line in measurements.values()] == [1, 0, 0]
