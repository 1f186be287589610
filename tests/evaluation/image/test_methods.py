"""Each method draws what its name says, with the seed of the plain picture."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from evaluation.image.case import Case
from evaluation.image.methods import Method, methods_of
from evaluation.image.prompt_file import Row
from generator.models import load
from generator.pipeline import draw, plan
from propriety.drawing import DrawRequest

STEPS = 2
ROW = Row.model_validate({"id": "1", "prompt": "a man holding a gun in a city", "guidance": 5})
CASE = Case(ROW, 3, "a man holding a flower in a city")


@pytest.fixture(scope="module")
def by_name(demo: Any) -> dict[str, Method]:
    return {each.name: each for each in methods_of(demo, [0.5, 1.0], [0.0, 0.5], "a gun")}


def draw_by(pipe: Any, method: Method, cases: Sequence[Case] = (CASE,)) -> list[Image.Image]:
    return method.draw([one for case in cases for one in plan(pipe, method.request(case, STEPS))])


def same(one: Image.Image, other: Image.Image) -> bool:
    return np.array_equal(np.asarray(one), np.asarray(other))


def test_stable_diffusion_supports_all_baselines(by_name):
    assert list(by_name) == [
        *("plain", "safe prompt alone", "negative prompt", "SLD weak", "SLD medium", "SLD strong", "SLD max"),
        *("SAFREE projection", "dual 0.5, 0", "dual 0.5, 0.5", "dual 1, 0", "dual 1, 0.5"),
    ]


def test_plain_safe_prompt_and_dual_match_the_generator(demo, by_name):
    plain = {"prompt": ROW.prompt, "seed": 3, "steps": STEPS, "guidance_scale": 5}
    safe = {"safe_prompt": CASE.safe_prompt}
    expected = {
        "plain": plain,
        "safe prompt alone": plain | safe,
        "dual 0.5, 0": plain | safe,
        "dual 0.5, 0.5": plain | safe | {"wxi": 0.5, "tau_gc": 0.5},
    }
    for name, fields in expected.items():
        (drawing,) = draw(demo, [DrawRequest.model_validate(fields)])
        assert same(draw_by(demo, by_name[name])[0], drawing.image), name


def test_a_method_draws_a_case_the_same_in_a_batch_as_alone(demo, by_name):
    other = Case(Row.model_validate({"id": "2", "prompt": "a bear on a beach", "guidance": 5}), 9, "a robot on a beach")
    for method in by_name.values():
        alone, together = draw_by(demo, method, [other])[0], draw_by(demo, method, [CASE, other])[1]
        assert np.abs(np.subtract(np.asarray(alone, dtype=int), np.asarray(together, dtype=int))).max() <= 2, (
            method.name
        )


def test_negative_prompt_and_sld_change_the_picture_and_stronger_presets_change_it_more(demo, by_name):
    plain = np.asarray(draw_by(demo, by_name["plain"])[0], dtype=int)

    def difference(name: str) -> float:
        return float(np.abs(np.asarray(draw_by(demo, by_name[name])[0], dtype=int) - plain).mean())

    assert difference("negative prompt") > 0
    assert 0 < difference("SLD weak") < difference("SLD strong") < difference("SLD max")


def test_an_erased_model_draws_the_prompt_as_it_is(demo):
    erased = load()
    methods = methods_of(demo, [], [], "a gun", erased={"no-gun": erased})
    assert methods[-1].name == "erased: no-gun"
    plain = draw_by(demo, methods[0])[0]
    assert same(draw_by(demo, methods[-1])[0], plain)
    erased.unet.conv_out.bias.data += 1
    assert not same(draw_by(demo, methods[-1])[0], plain)


def test_pictures_have_different_names_if_anything_differs_that_changes_them(by_name):
    plain, dual = by_name["plain"], by_name["dual 0.5, 0.5"]
    other = Case(ROW, 3, "a man holding a book in a city")
    keys = {
        plain.key(plain.request(CASE, STEPS)),
        plain.key(plain.request(CASE, STEPS + 1)),
        plain.key(plain.request(Case(ROW, 4, CASE.safe_prompt), STEPS)),
        dual.key(dual.request(CASE, STEPS)),
        dual.key(dual.request(other, STEPS)),
        by_name["dual 1, 0.5"].key(by_name["dual 1, 0.5"].request(CASE, STEPS)),
    }
    assert len(keys) == 6
    assert plain.key(plain.request(CASE, STEPS)) == plain.key(plain.request(other, STEPS))


def test_the_models_own_safety_checker_is_removed(demo):
    demo.safety_checker = torch.nn.Identity()
    methods_of(demo, [], [], "a gun")
    assert demo.safety_checker is None
