import random

from generator.demo_model.classifier import HYBRID, LABELS, examples, hybrid, load, read
from generator.demo_model.scenes import all_scenes, draw


def test_it_reads_every_attribute_of_new_pictures() -> None:
    scenes = random.Random(8).sample(all_scenes(held_out=True), 200)
    read_values = read(load(), [draw(scene, 10**6 + row).image for row, scene in enumerate(scenes)])
    for name in LABELS:
        right = sum(got[name] == getattr(scene, name) for got, scene in zip(read_values, scenes, strict=True))
        assert right >= 196, name


def test_it_recognises_a_blend_of_two_objects() -> None:
    rng = random.Random(9)
    scenes = [scene for scene in rng.sample(all_scenes(held_out=True), 120) if scene.object != "nothing"]
    read_values = read(load(), [hybrid(scene, row, rng) for row, scene in enumerate(scenes)])
    assert sum(got["object"] == HYBRID for got in read_values) / len(scenes) > 0.8


def test_examples_contain_the_requested_share_of_hybrids() -> None:
    _, labels = examples(120, seed=1, hybrids=0.5)
    share = (labels["object"] == LABELS["object"].index(HYBRID)).float().mean()
    assert 0.3 < share < 0.6
