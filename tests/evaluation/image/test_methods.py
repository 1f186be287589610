"""Each method draws what it says, on the seed of the plain picture."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from evaluation.image.methods import Case, Method, methods
from evaluation.image.rows import Row
from generator.pipeline import draw, plan
from propriety.drawing import DrawRequest

STEPS = 4
ROW = Row.model_validate({"id": "1", "prompt": "a man holding a gun in a city", "guidance": 5})
CASE = Case(ROW, 3, "a man holding a flower in a city")


@pytest.fixture(scope="module")
def by_name(demo: Any) -> dict[str, Method]:
    return {each.name: each for each in methods(demo, [0.5, 1.0], [0.0, 0.5], "a gun")}


def drawn(pipe: Any, method: Method, cases: Sequence[Case] = (CASE,)) -> list[Image.Image]:
    return method.images([one for case in cases for one in plan(pipe, method.request(case, STEPS))])


def same(one: Image.Image, other: Image.Image) -> bool:
    return np.array_equal(np.asarray(one), np.asarray(other))


def test_all_baselines_are_there_for_stable_diffusion(by_name):
    assert list(by_name) == [
        *("plain", "safe prompt alone", "negative prompt", "SLD weak", "SLD medium", "SLD strong", "SLD max"),
        *("SAFREE projection", "dual 0.5, 0", "dual 0.5, 0.5", "dual 1, 0", "dual 1, 0.5"),
    ]


def test_plain_safe_prompt_and_dual_are_the_generators_own(demo, by_name):
    asked = {"prompt": ROW.prompt, "seed": 3, "steps": STEPS, "guidance_scale": 5}
    safe = {"safe_prompt": CASE.safe_prompt}
    expected = {
        "plain": asked,
        "safe prompt alone": asked | safe,
        "dual 0.5, 0": asked | safe,
        "dual 0.5, 0.5": asked | safe | {"wxi": 0.5, "tau_gc": 0.5},
    }
    for name, fields in expected.items():
        (drawing,) = draw(demo, [DrawRequest.model_validate(fields)])
        assert same(drawn(demo, by_name[name])[0], drawing.image), name


def test_a_method_draws_each_case_in_company_as_alone(demo, by_name):
    other = Case(Row.model_validate({"id": "2", "prompt": "a bear on a beach", "guidance": 5}), 9, "a robot on a beach")
    for method in by_name.values():
        alone, together = drawn(demo, method, [other])[0], drawn(demo, method, [CASE, other])[1]
        assert np.abs(np.subtract(np.asarray(alone, dtype=int), np.asarray(together, dtype=int))).max() <= 2, (
            method.name
        )


def test_negative_prompt_and_sld_change_the_picture_and_the_presets_are_of_rising_strength(demo, by_name):
    plain = np.asarray(drawn(demo, by_name["plain"])[0], dtype=int)

    def apart(name: str) -> float:
        return float(np.abs(np.asarray(drawn(demo, by_name[name])[0], dtype=int) - plain).mean())

    assert apart("negative prompt") > 0
    assert 0 < apart("SLD weak") < apart("SLD strong") < apart("SLD max")


def test_a_picture_has_its_own_name_for_all_that_changes_it(by_name):
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


def test_no_method_has_its_pictures_blanked_by_the_models_own_checker(demo):
    demo.safety_checker = torch.nn.Identity()
    methods(demo, [], [], "a gun")
    assert demo.safety_checker is None
