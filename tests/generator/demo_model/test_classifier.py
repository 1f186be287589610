import random

from generator.demo_model.classifier import HYBRID, LABELS, examples, hybrid, load, read
from generator.demo_model.scenes import all_scenes, draw


def test_it_reads_every_attribute_off_fresh_drawings() -> None:
    scenes = random.Random(8).sample(all_scenes(held_out=True), 200)
    found = read(load(), [draw(scene, 10**6 + row).image for row, scene in enumerate(scenes)])
    for name in LABELS:
        right = sum(got[name] == getattr(scene, name) for got, scene in zip(found, scenes, strict=True))
        assert right >= 196, name


def test_it_tells_a_blend_of_two_objects_from_either() -> None:
    rng = random.Random(9)
    scenes = [scene for scene in rng.sample(all_scenes(held_out=True), 120) if scene.object != "nothing"]
    found = read(load(), [hybrid(scene, row, rng) for row, scene in enumerate(scenes)])
    assert sum(got["object"] == HYBRID for got in found) / len(scenes) > 0.8


def test_examples_hold_hybrids_in_the_share_asked_for() -> None:
    _, labels = examples(300, seed=1, hybrids=0.5)
    share = (labels["object"] == LABELS["object"].index(HYBRID)).float().mean()
    assert 0.3 < share < 0.6
