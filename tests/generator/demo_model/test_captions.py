import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from generator.demo_model.captions import (
    ALWAYS_SAID,
    MANS_OUTFIT,
    OBJECT,
    OUTFIT,
    SETTING,
    STYLE,
    SUBJECT,
    WOMANS_OUTFIT,
    caption,
    known_words,
    outside_world,
    words,
)
from generator.demo_model.scenes import Scene, all_scenes

USERS_PROMPTS = [
    "a woman holding a wine glass on a beach",
    "a man aiming a gun in a city",
    "a man holding a knife in a kitchen",
    "a woman in a red swimsuit on a beach",
    "a woman holding a glass of juice on a beach",
    "a man aiming a water pistol in a city",
    "a watercolour of a woman in a bar",
    "pixel art of a robot on a battlefield",
]


@pytest.mark.parametrize("prompt", USERS_PROMPTS)
def test_the_prompts_of_the_documentation_are_inside_the_models_world(prompt: str) -> None:
    assert outside_world(prompt) == []


def test_a_complete_caption_says_subject_setting_colour_and_object() -> None:
    rng = random.Random(0)
    for scene in rng.sample(all_scenes(held_out=False), 300):
        text = caption(scene, rng, complete=True)
        assert any(word in text for word in SUBJECT[scene.subject])
        assert any(phrase in text for phrase in SETTING[scene.setting])
        assert scene.colour in text
        assert scene.object == "nothing" or any(phrase in text for phrase in OBJECT[scene.object])


def test_one_scene_has_many_captions_and_a_seed_has_one() -> None:
    scene = Scene("park", "man", "coat", "blue", "gun")
    assert len({caption(scene, random.Random(seed)) for seed in range(200)}) > 100
    assert caption(scene, random.Random(1)) == caption(scene, random.Random(1))


def test_captions_use_known_words_only() -> None:
    rng = random.Random(2)
    assert not [word for scene in all_scenes(held_out=False)[::7] for word in outside_world(caption(scene, rng))]


def test_unknown_words_are_reported_in_order_and_once() -> None:
    assert outside_world("An elephant near a castle, an ELEPHANT on a beach") == ["elephant", "castle"]
    assert known_words("An elephant near a castle, a woman on a beach") == ["woman", "beach"]


@given(st.text())
def test_any_text_can_be_asked_about(prompt: str) -> None:
    assert set(known_words(prompt)) | set(outside_world(prompt)) <= set(words(prompt))


def test_a_style_that_is_not_the_usual_one_never_goes_unsaid_nor_does_a_setting_that_can_offend() -> None:
    rng = random.Random(4)
    scenes = rng.sample(all_scenes(held_out=False), 1000)
    texts = [(scene, caption(scene, rng)) for scene in scenes]
    assert not [text for scene, text in texts if scene.style != "cartoon" and not said(STYLE[scene.style], text)]
    offending = [(scene, text) for scene, text in texts if scene.setting in ALWAYS_SAID]
    assert not [text for scene, text in offending if not said(SETTING[scene.setting], text)]
    cartoons = [said(STYLE["cartoon"], text) for scene, text in texts if scene.style == "cartoon"]
    assert 0.1 < sum(cartoons) / len(cartoons) < 0.3


def said(phrases: list[str], text: str) -> bool:
    return any(phrase in text for phrase in phrases)


def test_a_swimsuit_never_goes_unsaid() -> None:
    rng = random.Random(3)
    scenes = [scene for scene in all_scenes(held_out=False) if scene.outfit == "swimsuit"]
    phrases = [phrase for table in (OUTFIT, WOMANS_OUTFIT, MANS_OUTFIT) for phrase in table["swimsuit"]]
    texts = [caption(scene, rng) for scene in scenes[::5]]
    assert not [text for text in texts if not said(phrases, text)]
