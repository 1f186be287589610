"""What is counted, on pictures of one colour whose risk the colour says, and what is drawn again and what is not."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from evaluation.image.figures import figures, wholes
from evaluation.image.likeness import Likeness, Measure
from evaluation.image.look import Eyes, Gallery, Looked, Seen, draw_all, pictures
from evaluation.image.methods import Case, Method
from evaluation.image.rows import Row
from generator.pipeline import Planned
from propriety.drawing import CannotDrawError, DrawRequest

STEPS = 2


def row(name: str, *categories: str) -> Row:
    return Row.model_validate({"id": name, "prompt": name, "categories": categories})


def grey(level: int) -> Image.Image:
    return Image.new("RGB", (4, 4), (level, level, level))


def plain(batch: Sequence[Planned]) -> list[Image.Image]:
    """Prompts that start with `un` come out white, which is unsafe, on their even seeds."""
    return [grey(255 if one.request.prompt[:2] == "un" and one.parameters.seed % 2 == 0 else 51) for one in batch]


def black(batch: Sequence[Planned]) -> list[Image.Image]:
    return [grey(0) for _ in batch]


def detect(image: Image.Image, request: DrawRequest) -> float:
    return float(np.asarray(image).mean() / 255)


def greys(images: Sequence[Image.Image]) -> list[float]:
    return [float(np.asarray(image).mean() / 255) for image in images]


EYES = Eyes([detect], Likeness([Measure(greys, lambda one, other: {"pixels": 1 - abs(one - other)})]), "a test")
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
    seen: Seen = {}
    draw_all(demo, METHODS, UNSAFE + BENIGN, STEPS, EYES, tmp_path, seen, lambda line: None)
    return Gallery(METHODS, STEPS, tmp_path, seen)


def test_a_prompts_share_counts_once_and_what_is_blocked_is_safe_and_keeps_nothing(gallery):
    found = {line.method: line for line in figures(gallery, UNSAFE, 0) if line.category is None}
    assert {name: line.inappropriate.value for name, line in found.items()} == pytest.approx(
        {"plain": (0.5 + 1 + 0) / 3, "moderated": (0 + 1 + 0) / 3, "other": 0}
    )
    assert {name: (line.prompts, line.blocked) for name, line in found.items()} == {
        "plain": (3, 0),
        "moderated": (3, 1),
        "other": (3, 0),
    }
    assert found["moderated"].kept["pixels"].value == pytest.approx(((0 + 0.8) / 2 + 1 + 0) / 3)
    assert found["plain"].kept["pixels"].value == 1


def test_categories_count_the_prompts_that_name_them(gallery):
    found = {(line.method, line.category): line for line in figures(gallery, UNSAFE, 0)}
    assert found["plain", "violence"].inappropriate.value == pytest.approx((0.5 + 1) / 2)
    assert found["plain", "hate"].inappropriate.value == pytest.approx((1 + 0) / 2)
    assert [line.category for line in figures(gallery, UNSAFE, 0)][::3] == [None, "hate", "violence"]


def test_diversity_is_the_distance_of_a_prompts_own_pictures(gallery):
    (first, *_) = figures(gallery, UNSAFE, 0)
    assert first.diversity.value == pytest.approx((0.8 + 0 + 0) / 3)
    assert figures(gallery, UNSAFE[:1], 0)[0].diversity is None


def test_sadi_counts_what_proximal_prompts_lose(gallery):
    found = {line.method: line for line in wholes(gallery, UNSAFE, BENIGN, 0.5, 0)}
    assert found["plain"].delta_p.value == 0
    assert found["moderated"].delta_p.value == pytest.approx((0 + 0.2 + 1) / 3)
    assert found["other"].delta_p.value == pytest.approx(0.2)
    assert found["moderated"].sadi.value == pytest.approx(1 - (1 / 3 + 1.2 / 3) / 2)


def test_only_what_was_not_seen_is_drawn(demo, gallery, tmp_path):
    wanted = pictures(METHODS, UNSAFE + BENIGN, STEPS)
    assert wanted == set(gallery.seen) == {path.stem for path in tmp_path.glob("*.png")}
    for gone in wanted:
        left: Seen = {key: line for key, line in gallery.seen.items() if key != gone}
        told: list[Looked] = []
        draw_all(demo, METHODS, UNSAFE + BENIGN, STEPS, EYES, tmp_path, left, told.append)
        assert told == [gallery.seen[gone]]


@pytest.mark.parametrize("at_once", [1, 3, 100])
def test_the_size_of_a_batch_changes_no_figure(demo, gallery, tmp_path_factory, at_once):
    seen: Seen = {}
    folder = tmp_path_factory.mktemp("again")
    draw_all(demo, METHODS, UNSAFE + BENIGN, STEPS, EYES, folder, seen, lambda line: None, at_once)
    assert seen == gallery.seen


def test_a_method_known_to_draw_as_another_shows_its_pictures_and_draws_none(demo, gallery):
    def never(batch: Sequence[Planned]) -> list[Image.Image]:
        raise AssertionError

    same = Method("same", never, PLAIN, drawn_as=METHODS[1], moderated=True, wxi=1.0, tau_gc=0.5)
    assert pictures([*METHODS, same], UNSAFE, STEPS) == pictures(METHODS, UNSAFE, STEPS)
    draw_all(demo, [*METHODS, same], UNSAFE, STEPS, EYES, gallery.folder, gallery.seen, lambda line: None)
    found = figures(Gallery([*METHODS, same], STEPS, gallery.folder, gallery.seen), UNSAFE, 0)
    assert found[3].model_copy(update={"method": "moderated"}) == found[1]


def test_a_row_of_a_size_that_the_model_cannot_draw_is_named_before_anything_is_drawn(demo, tmp_path):
    large = Row.model_validate({"id": "7", "prompt": "sun", "width": 512, "height": 512})
    with pytest.raises(CannotDrawError, match="The row 7, “sun”: 512x512 is too large: the model's own size is 64x64"):
        draw_all(demo, METHODS, [*UNSAFE, Case(large, 0, None)], STEPS, EYES, tmp_path, {}, lambda line: None)
    assert not list(tmp_path.iterdir())


def test_any_detector_finds_a_picture_unsafe(demo, tmp_path):
    seen: Seen = {}
    none = Eyes([lambda image, request: 0.0, detect], EYES.compare, "a test")
    draw_all(demo, METHODS, UNSAFE[:1], STEPS, none, tmp_path, seen, lambda line: None)
    assert [line.unsafe for line in seen.values()] == [1, 0, 0]
