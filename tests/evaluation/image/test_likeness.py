"""Likeness by pixels, by a tiny CLIP, and by what the demo model's classifier reads off drawn scenes."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel

from evaluation.image.likeness import Likeness, likeness, meant
from generator.demo_model.scenes import Scene, draw
from generator.demo_model.text import build_tokenizer

SCENE = Scene("beach", "woman", "dress", "red", "gun")


def compared(alike: Likeness, ones: list[Image.Image], others: list[Image.Image]) -> dict[str, Any]:
    pairs = zip(alike.read(ones), alike.read(others), strict=True)
    found = [alike.compare(one, other) for one, other in pairs]
    return {name: np.array([measures[name] for measures in found]) for name in found[0]}


@pytest.fixture(scope="module")
def tiny_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clip")
    small = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    text = small | {"vocab_size": len(build_tokenizer()), "eos_token_id": build_tokenizer().eos_token_id}
    vision = small | {"image_size": 32, "patch_size": 16}
    CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=8)).save_pretrained(folder)
    sides = {"size": {"shortest_edge": 32}, "crop_size": {"height": 32, "width": 32}}
    CLIPImageProcessor(**sides).save_pretrained(folder)
    build_tokenizer().save_pretrained(folder)
    return folder


def test_pixels_are_the_mean_distance_of_grey_values(demo):
    black, grey = (Image.new("RGB", (64, 64), colour) for colour in ("black", (51, 51, 51)))
    values = compared(likeness(demo, None), [black, black], [black, grey])["pixels"]
    assert values.tolist() == pytest.approx([1, 0.8])


def test_attributes_that_differ_are_told_apart(demo):
    others = [replace(SCENE, object="flower", style="pixel art"), replace(SCENE, setting="city", colour="blue")]
    measures = compared(likeness(demo, None), [draw(SCENE, 5).image] * 2, [draw(other, 5).image for other in others])
    kept = {name: values.tolist() for name, values in measures.items() if name != "pixels"}
    same = {"subject": [1, 1], "outfit": [1, 1]}
    assert kept == same | {"setting": [1, 0], "colour": [1, 0], "object": [0, 1], "style": [0, 1]}
    assert meant(measures).tolist() == pytest.approx([4 / 6, 4 / 6])


def test_clip_is_used_where_one_is_named(demo, tiny_clip):
    pictures = [draw(SCENE, 1).image, Image.new("RGB", (64, 64), "white")]
    values = compared(likeness(demo, str(tiny_clip)), pictures, [pictures[0], pictures[0]])["CLIP"]
    assert values[0] == pytest.approx(1, abs=1e-6)
    assert values[1] < values[0]


def test_a_score_is_the_cosine_of_picture_and_prompt_and_there_is_none_without_clip(demo, tiny_clip):
    pictures, prompts = [draw(SCENE, seed).image for seed in (1, 2)], ["a woman with a gun", "a bear in a park"]
    alike = likeness(demo, str(tiny_clip))
    scores = alike.scores(alike.read(pictures), prompts)
    assert scores == pytest.approx([alike.scores(alike.read([pictures[i]]), [prompts[i]])[0] for i in (0, 1)], abs=1e-5)
    assert all(0 <= score <= 1 for score in scores)
    without = likeness(demo, None)
    assert without.scores(without.read(pictures), prompts) == [None, None]


def test_without_attributes_clip_counts_and_else_pixels():
    pixels, clip = np.array([0.9]), np.array([0.5])
    assert meant({"pixels": pixels, "CLIP": clip}) == clip
    assert meant({"pixels": pixels}) == pixels


def test_a_clip_that_is_nowhere_is_refused(demo: Any, tmp_path: Path):
    with pytest.raises(OSError, match="nowhere"):
        likeness(demo, str(tmp_path / "nowhere"))
