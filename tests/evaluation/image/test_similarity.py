"""Similarity by pixels, by a tiny CLIP, and by the attributes that the demo model's classifier reads."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel

from evaluation.image.similarity import Similarity, meaning, similarity_for
from generator.demo_model.scenes import Scene, draw
from generator.demo_model.text import build_tokenizer

SCENE = Scene("beach", "woman", "dress", "red", "gun")


def compare(similarity: Similarity, ones: list[Image.Image], others: list[Image.Image]) -> dict[str, Any]:
    pairs = zip(similarity.read(ones), similarity.read(others), strict=True)
    results = [similarity.compare(one, other) for one, other in pairs]
    return {name: np.array([result[name] for result in results]) for name in results[0]}


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


def test_pixels_measure_the_mean_difference_of_colour_values(demo):
    black, grey = (Image.new("RGB", (64, 64), colour) for colour in ("black", (51, 51, 51)))
    values = compare(similarity_for(demo, None), [black, black], [black, grey])["pixels"]
    assert values.tolist() == pytest.approx([1, 0.8])


def test_each_attribute_is_compared_separately(demo):
    others = [replace(SCENE, object="flower", style="pixel art"), replace(SCENE, setting="city", colour="blue")]
    measures = compare(
        similarity_for(demo, None), [draw(SCENE, 5).image] * 2, [draw(other, 5).image for other in others]
    )
    kept = {name: values.tolist() for name, values in measures.items() if name != "pixels"}
    same = {"subject": [1, 1], "outfit": [1, 1]}
    assert kept == same | {"setting": [1, 0], "colour": [1, 0], "object": [0, 1], "style": [0, 1]}
    assert meaning(measures).tolist() == pytest.approx([4 / 6, 4 / 6])


def test_clip_is_used_where_one_is_named(demo, tiny_clip):
    pictures = [draw(SCENE, 1).image, Image.new("RGB", (64, 64), "white")]
    values = compare(similarity_for(demo, str(tiny_clip)), pictures, [pictures[0], pictures[0]])["CLIP"]
    assert values[0] == pytest.approx(1, abs=1e-6)
    assert values[1] < values[0]


def test_clip_scores_do_not_depend_on_the_batch_and_are_none_without_clip(demo, tiny_clip):
    pictures, prompts = [draw(SCENE, seed).image for seed in (1, 2)], ["a woman with a gun", "a bear in a park"]
    similarity = similarity_for(demo, str(tiny_clip))
    scores = similarity.scores(similarity.read(pictures), prompts)
    assert scores == pytest.approx(
        [similarity.scores(similarity.read([pictures[i]]), [prompts[i]])[0] for i in (0, 1)], abs=1e-5
    )
    assert all(0 <= score <= 1 for score in scores)
    without = similarity_for(demo, None)
    assert without.scores(without.read(pictures), prompts) == [None, None]


def test_meaning_is_measured_by_clip_without_attributes_and_by_pixels_without_clip():
    pixels, clip = np.array([0.9]), np.array([0.5])
    assert meaning({"pixels": pixels, "CLIP": clip}) == clip
    assert meaning({"pixels": pixels}) == pixels


def test_a_missing_clip_model_raises_an_error_that_names_it(demo: Any, tmp_path: Path):
    with pytest.raises(OSError, match="nowhere"):
        similarity_for(demo, str(tmp_path / "nowhere"))
