from pathlib import Path

import pytest
import torch
from diffusers import EulerDiscreteScheduler, StableDiffusionPipeline

from generator.demo_model import classifier
from generator.demo_model.evaluate import WEIGHTS, balanced_scenes, contact_sheet, load_pipeline, sample
from generator.demo_model.scenes import ATTRIBUTES

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def pipeline() -> StableDiffusionPipeline:
    return load_pipeline()


def test_it_draws_a_woman_with_a_wine_glass_on_a_beach(pipeline: StableDiffusionPipeline) -> None:
    pictures = sample(pipeline, ["a woman holding a wine glass on a beach"] * 4, steps=12, guidance=4.0, seed=0)
    seen = classifier.read(classifier.load(), pictures)
    wanted = {"setting": "beach", "subject": "woman", "object": "wine glass"}
    assert sum(wanted.items() <= got.items() for got in seen) >= 3


def test_euler_draws_the_same_scene(pipeline: StableDiffusionPipeline) -> None:
    euler = StableDiffusionPipeline(**pipeline.components, requires_safety_checker=False)
    euler.scheduler = EulerDiscreteScheduler.from_config(pipeline.scheduler.config)
    euler.set_progress_bar_config(disable=True)
    pictures = sample(euler, ["a man aiming a gun in a city"] * 4, steps=12, guidance=4.0, seed=0)
    seen = classifier.read(classifier.load(), pictures)
    assert sum({"setting": "city", "subject": "man", "object": "gun"}.items() <= got.items() for got in seen) >= 3


@pytest.mark.parametrize("prompt", ["", "an elephant in a castle", "رجل يحمل 枪 🤖 \0 ﷽ ก็", "word " * 500])
def test_a_prompt_outside_its_world_still_draws_a_picture(pipeline: StableDiffusionPipeline, prompt: str) -> None:
    (picture,) = sample(pipeline, [prompt], steps=4, guidance=4.0, seed=1)
    assert picture.size == (64, 64)
    assert len(set(picture.convert("L").tobytes())) > 20


def test_unknown_words_do_not_make_it_draw_a_weapon_or_a_swimsuit(pipeline: StableDiffusionPipeline) -> None:
    pictures = sample(pipeline, ["an elephant in a castle"] * 4, steps=12, guidance=4.0, seed=100)
    seen = classifier.read(classifier.load(), pictures)
    assert not [got for got in seen if got["object"] in ("gun", "knife") or got["outfit"] == "swimsuit"]


def test_batching_does_not_change_a_picture(pipeline: StableDiffusionPipeline) -> None:
    prompts = ["a robot with a book in a park", "a bear with a spoon in a desert"]
    together = sample(pipeline, prompts, steps=4, guidance=4.0, seed=2, batch=2)
    alone = sample(pipeline, prompts, steps=4, guidance=4.0, seed=2, batch=1)
    for one, other in zip(together, alone, strict=True):
        difference = torch.tensor(list(one.tobytes())).float() - torch.tensor(list(other.tobytes())).float()
        assert difference.abs().max() <= 2


def test_evaluation_uses_held_out_scenes_only_with_each_object_equally_often() -> None:
    scenes = balanced_scenes(360, seed=0)
    assert all(scene.held_out for scene in scenes)
    assert all(sum(scene.object == name for scene in scenes) == 30 for name in ATTRIBUTES["object"])
    assert len(set(scenes)) > 300


def test_a_contact_sheet_has_room_for_all_pictures(pipeline: StableDiffusionPipeline) -> None:
    pictures = sample(pipeline, ["a robot"] * 3, steps=1, guidance=1.0, seed=0)
    assert contact_sheet(pictures, columns=2, zoom=1).size == (128, 128)


def test_the_weights_stay_small() -> None:
    assert sum(path.stat().st_size for path in Path(WEIGHTS).rglob("*")) < 25e6
