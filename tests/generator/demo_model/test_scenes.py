from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from generator.demo_model.data import random_scenes
from generator.demo_model.scenes import ATTRIBUTES, Scene, all_scenes, cells, draw

SCENE = Scene("beach", "woman", "swimsuit", "red", "wine glass")


def test_the_same_scene_and_seed_give_the_same_pixels() -> None:
    assert draw(SCENE, 3).image.tobytes() == draw(SCENE, 3).image.tobytes()
    assert draw(SCENE, 3).image.tobytes() != draw(SCENE, 4).image.tobytes()


def test_a_picture_is_64_pixels_wide_and_high() -> None:
    assert draw(SCENE, 0).image.size == (64, 64)


def test_another_object_with_the_same_seed_changes_only_the_object_s_box() -> None:
    wine, juice = draw(SCENE, 5), draw(Scene("beach", "woman", "swimsuit", "red", "juice glass"), 5)
    different = (np.array(wine.image) != np.array(juice.image)).any(-1)
    assert different.any()
    assert not (different & ~cells(wine.object_box, 64)).any()


@pytest.mark.parametrize("attribute", ATTRIBUTES)
def test_every_value_of_an_attribute_looks_different(attribute: str) -> None:
    pictures = {
        draw(Scene(**{**SCENE.__dict__, attribute: value}), 1).image.tobytes() for value in ATTRIBUTES[attribute]
    }
    assert len(pictures) == len(ATTRIBUTES[attribute])


def test_held_out_combinations_are_never_trained_on() -> None:
    kept, trained = set(all_scenes(held_out=True)), set(all_scenes(held_out=False))
    assert kept.isdisjoint(trained)
    assert 0.05 < len(kept) / (len(kept) + len(trained)) < 0.1
    assert {scene for scene, _ in random_scenes(2000, 1)}.isdisjoint(kept)


def test_a_combination_is_held_out_in_every_style_or_in_none() -> None:
    for scene in all_scenes(held_out=True)[::20]:
        assert all(replace(scene, style=style).held_out for style in ATTRIBUTES["style"])


def test_every_object_is_held_out_often_enough_to_be_evaluated() -> None:
    counts = Counter(scene.object for scene in all_scenes(held_out=True))
    assert all(counts[name] >= 25 for name in ATTRIBUTES["object"])
