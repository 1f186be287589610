"""`/v1/models`, with the official client."""

import openai
import pytest

from agent.api.fields import MODELS


def test_the_models_are_listed_in_openai_s_shape(client):
    models = list(client.models.list())
    assert [model.id for model in models] == list(MODELS)
    assert {(model.object, model.owned_by, model.created > 0) for model in models} == {("model", "propriety", True)}


@pytest.mark.parametrize("name", [*MODELS, "omni-moderation-latest", "gpt-image-1", "dall-e-3"])
def test_each_name_that_a_request_may_send_is_a_model(client, name):
    assert client.models.retrieve(name).id == name


@pytest.mark.parametrize("name", ["gpt-9", "Propriety", "propriety-none", "dall-e", "قلعة", "a b", "%00"])
def test_an_unknown_model_is_a_404_as_with_openai(client, name):
    with pytest.raises(openai.NotFoundError, match="does not exist") as refused:
        client.models.retrieve(name)
    assert (refused.value.code, refused.value.param) == ("model_not_found", "model")


@pytest.mark.parametrize("name", list(MODELS))
def test_each_listed_model_is_accepted_by_every_route(client, name):
    assert client.moderations.create(model=name, input="a tree").model == name
    assert client.chat.completions.create(model=name, messages=[{"role": "user", "content": "a tree"}]).model == name
    assert client.responses.create(model=name, input="a tree").model == name
    assert client.images.generate(model=name, prompt="a tree").data
