"""The demo model's detector, on scenes that the demo world's code draws."""

import random
from dataclasses import replace

import pytest

from generator.demo_model.classifier import hybrid
from generator.demo_model.detector import demo_detector, removed_values, swimsuit_detector
from generator.demo_model.scenes import ATTRIBUTES, Scene, draw
from generator.last_look import Blocked, draw_checked
from generator.models import load
from generator.pipeline import DrawnPicture, plan
from propriety.drawing import DrawRequest, Knobs
from propriety.pictures.detector import THRESHOLD, Detector, look


def rewritten(prompt: str, safe_prompt: str | None) -> DrawRequest:
    return DrawRequest(prompt=prompt, safe_prompt=safe_prompt)


@pytest.fixture(scope="module")
def detector() -> Detector:
    return demo_detector()


@pytest.mark.parametrize(
    ("prompt", "safe_prompt", "unwanted"),
    [
        ("a woman holding a wine glass", "a woman holding a glass of juice", ["wine glass"]),
        ("A Man aiming his pistol", "a man aiming a water pistol", ["gun"]),
        ("a man with a toy gun", "a man with a flower", []),
        ("a man with a knife, smoking a cigarette", "a man with a kitchen knife", ["cigarette"]),
        ("a man holding a knife in a kitchen", "a man holding a knife in a kitchen", []),
        ("a man holding a knife in a kitchen", None, []),
        ("a woman in a swimsuit", "a woman in a dress", []),
    ],
)
def test_only_objects_that_the_safe_prompt_removed_are_unwanted(
    prompt: str, safe_prompt: str | None, unwanted: list[str]
) -> None:
    assert removed_values("object", rewritten(prompt, safe_prompt)) == unwanted


@pytest.mark.parametrize(
    ("prompt", "safe_prompt", "unwanted"),
    [
        ("a woman in a pub", "a woman in a tea house", ["bar"]),
        ("a woman in a pub", "a woman in a bar", []),
        ("a man in a war, next to a tank", "a man in a park", ["battlefield"]),
        ("a man in a park", "a man in a garden", []),
    ],
)
def test_the_safe_prompt_may_remove_a_setting(prompt: str, safe_prompt: str, unwanted: list[str]) -> None:
    assert removed_values("setting", rewritten(prompt, safe_prompt)) == unwanted


SCENE = Scene(**{name: values[0] for name, values in ATTRIBUTES.items()})


@pytest.mark.parametrize(("offending", "innocent"), [("wine glass", "juice glass"), ("gun", "water pistol")])
def test_it_detects_an_object_but_not_its_similar_pair(detector: Detector, offending: str, innocent: str) -> None:
    request = rewritten(f"a woman holding a {offending}", f"a woman holding a {innocent}")
    risks = [
        [detector(draw(replace(SCENE, object=name), seed).image, request) for seed in range(20)]
        for name in (offending, innocent)
    ]
    assert min(risks[0]) >= THRESHOLD > max(risks[1])


def test_it_detects_a_removed_bar_but_not_a_cafe(detector: Detector) -> None:
    request = rewritten("a woman in a bar", "a woman in a cafe")
    scenes = [replace(SCENE, setting=name, style=style) for name in ("bar", "cafe") for style in ATTRIBUTES["style"]]
    risks = look(detector, [draw(scene, 3).image for scene in scenes], [request] * 6)
    assert min(risks[:3]) >= THRESHOLD > max(risks[3:])


@pytest.mark.parametrize(
    ("safe_prompt", "unwanted"), [("a woman in a coat", True), ("a woman in a bikini", False), (None, False)]
)
def test_the_swimsuit_detector_finds_removed_swimsuits(safe_prompt: str | None, unwanted: bool) -> None:
    request = rewritten("a woman in a red swimsuit on a beach", safe_prompt)
    assert bool(removed_values("outfit", request)) is unwanted
    scenes = [replace(SCENE, outfit=name) for name in ("swimsuit", "coat", "dress")]
    risks = swimsuit_detector().many([draw(scene, 1).image for scene in scenes], [request] * 3)
    assert [risk >= THRESHOLD for risk in risks] == [unwanted, False, False]


def test_pictures_get_the_same_risks_together_as_one_by_one(detector: Detector) -> None:
    requests = [rewritten("a man with a gun", "a man with a flower"), rewritten("a man with a book", "a man")] * 3
    images = [draw(replace(SCENE, object=name), 2).image for name in ("gun", "flower", "book", "knife", "gun", "gun")]
    alone = [detector(image, request) for image, request in zip(images, requests, strict=True)]
    assert look(detector, images, requests) == pytest.approx(alone, abs=1e-6)


def test_half_an_offending_object_is_unsafe(detector: Detector) -> None:
    request, rng = rewritten("a man with a gun", "a man with a flower"), random.Random(4)
    halves = [hybrid(replace(SCENE, object="gun"), seed, rng) for seed in range(40)]
    assert sum(detector(picture, request) >= THRESHOLD for picture in halves) >= 32


@pytest.mark.slow
def test_a_picture_with_the_removed_gun_is_redrawn_without_it(detector: Detector) -> None:
    request = rewritten("a man aiming a gun in a city", "a man aiming a water pistol in a city").model_copy(
        update={"wxi": 0.0, "seed": 3, "steps": 12, "stronger": [Knobs(wxi=0.95, tau_gc=0.1)]}
    )
    pipe = load("demo")
    (picture,) = draw_checked(pipe, detector, plan(pipe, request))
    assert isinstance(picture, DrawnPicture)
    assert (picture.parameters.wxi, picture.parameters.prompt) == (0.95, request.safe_prompt)
    (blocked,) = draw_checked(pipe, detector, plan(pipe, request.model_copy(update={"stronger": []})))
    assert isinstance(blocked, Blocked)


def test_an_allowed_knife_has_no_risk(detector: Detector) -> None:
    prompt = "a woman holding a knife"
    assert detector(draw(replace(SCENE, object="knife"), 1).image, rewritten(prompt, prompt)) == 0
