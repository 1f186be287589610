import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from generator.demo_model.captions import (
    ALWAYS_NAMED,
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
def test_the_model_knows_all_words_of_the_documented_prompts(prompt: str) -> None:
    assert outside_world(prompt) == []


def test_a_complete_caption_names_subject_setting_colour_and_object() -> None:
    rng = random.Random(0)
    for scene in rng.sample(all_scenes(held_out=False), 300):
        text = caption(scene, rng, complete=True)
        assert any(word in text for word in SUBJECT[scene.subject])
        assert any(phrase in text for phrase in SETTING[scene.setting])
        assert scene.colour in text
        assert scene.object == "nothing" or any(phrase in text for phrase in OBJECT[scene.object])


def test_a_scene_has_many_captions_but_one_per_seed() -> None:
    scene = Scene("park", "man", "coat", "blue", "gun")
    assert len({caption(scene, random.Random(seed)) for seed in range(200)}) > 100
    assert caption(scene, random.Random(1)) == caption(scene, random.Random(1))


def test_captions_use_known_words_only() -> None:
    rng = random.Random(2)
    assert not [word for scene in all_scenes(held_out=False)[::7] for word in outside_world(caption(scene, rng))]


def test_unknown_words_are_reported_in_order_without_repetitions() -> None:
    assert outside_world("An elephant near a castle, an ELEPHANT on a beach") == ["elephant", "castle"]
    assert known_words("An elephant near a castle, a woman on a beach") == ["woman", "beach"]


@given(st.text())
def test_any_text_is_accepted(prompt: str) -> None:
    assert set(known_words(prompt)) | set(outside_world(prompt)) <= set(words(prompt))


def test_captions_always_name_other_styles_than_the_default_and_settings_that_can_offend() -> None:
    rng = random.Random(4)
    scenes = rng.sample(all_scenes(held_out=False), 1000)
    texts = [(scene, caption(scene, rng)) for scene in scenes]
    assert not [text for scene, text in texts if scene.style != "cartoon" and not named(STYLE[scene.style], text)]
    offending = [(scene, text) for scene, text in texts if scene.setting in ALWAYS_NAMED]
    assert not [text for scene, text in offending if not named(SETTING[scene.setting], text)]
    cartoons = [named(STYLE["cartoon"], text) for scene, text in texts if scene.style == "cartoon"]
    assert 0.1 < sum(cartoons) / len(cartoons) < 0.3


def named(phrases: list[str], text: str) -> bool:
    return any(phrase in text for phrase in phrases)


def test_captions_always_name_a_swimsuit() -> None:
    rng = random.Random(3)
    scenes = [scene for scene in all_scenes(held_out=False) if scene.outfit == "swimsuit"]
    phrases = [phrase for table in (OUTFIT, WOMANS_OUTFIT, MANS_OUTFIT) for phrase in table["swimsuit"]]
    texts = [caption(scene, rng) for scene in scenes[::5]]
    assert not [text for text in texts if not named(phrases, text)]
