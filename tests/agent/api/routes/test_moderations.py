import openai
import pytest

from agent.api.routes.moderations import NAMES, OPENAI_NAMES
from propriety.verdict import Detector


def test_a_string_gets_one_result_in_openai_s_shape_with_the_verdict_added(client):
    answer = client.moderations.create(input="a glass of wine")
    (result,) = answer.results
    assert result.flagged
    assert result.categories.illicit
    assert not result.categories.hate
    assert result.category_scores.illicit == 0.9
    assert result.category_applied_input_types.sexual_minors == ["text"]
    assert result.decision["action"] == "rewrite"
    assert result.decision["safe_prompt"] == "a glass of juice"


def test_a_list_of_strings_gets_a_result_each_in_order(client):
    answer = client.moderations.create(input=["a tree", "a gun", "a glass of wine"])
    assert [result.decision["action"] for result in answer.results] == ["allow", "block", "rewrite"]


def test_text_parts_are_judged_as_one_input(client):
    parts = [{"type": "text", "text": "a glass"}, {"type": "text", "text": "of wine"}]
    (result,) = client.moderations.create(input=parts).results
    assert result.decision["prompt"] == "a glass\nof wine"


def test_an_image_as_input_returns_400_and_names_the_field(client):
    parts = [{"type": "text", "text": "a"}, {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}]
    with pytest.raises(openai.BadRequestError) as refused:
        client.moderations.create(input=parts)
    assert refused.value.code == "unsupported_content"
    assert refused.value.param == "input[1]"


def test_the_locale_comes_from_the_field_then_the_header_then_the_settings(client):
    def locale(**how: object) -> str:
        return client.moderations.create(input="a tree", **how).results[0].decision["locale"]

    assert locale() == "en-US"
    assert locale(extra_headers={"Propriety-Locale": "fr-FR"}) == "fr-FR"
    assert locale(extra_headers={"Propriety-Locale": "fr-FR"}, extra_body={"locale": "ar-SA"}) == "ar-SA"


def test_the_model_chooses_the_detector_and_openai_s_own_name_leaves_it_to_the_policy(client, moderator):
    for model, detector in (("propriety-nearest", Detector.NEAREST), ("omni-moderation-latest", None)):
        client.moderations.create(input="a tree", model=model)
        assert moderator.calls[-1][2] is detector


def test_every_openai_name_in_the_mapping_exists():
    assert {name for names in OPENAI_NAMES.values() for name in names} <= set(NAMES)
    assert len(NAMES) == 13


@pytest.mark.parametrize("bad", ["", " \n", "x" * 8001, "a \x07 bell"])
@pytest.mark.parametrize("place", [0, 20, 40])
def test_one_invalid_prompt_of_a_list_is_refused_before_any_is_judged(client, moderator, bad, place):
    prompts = [f"a tree {number}" for number in range(40)]
    prompts.insert(place, bad)
    before = len(moderator.calls)
    with pytest.raises(openai.BadRequestError) as refused:
        client.moderations.create(input=prompts)
    assert refused.value.param == f"input[{place}]"
    assert len(moderator.calls) == before
