"""Fields that this service does not know: OpenAI's are ignored, and ours are refused when misspelt."""

import time
from typing import get_args, get_type_hints

import httpx
import openai
import pytest
from openai.types import image_generate_params, moderation_create_params
from openai.types.chat import completion_create_params
from openai.types.responses import response_create_params
from pydantic import ValidationError

from agent.api import fields
from agent.api.errors import ApiError
from agent.api.fields import DECISIVE
from agent.api.routes.batches import BatchRequest
from agent.api.routes.chat import ChatRequest
from agent.api.routes.conversations import ConversationRequest
from agent.api.routes.images import ImageRequest
from agent.api.routes.moderations import ModerationRequest
from agent.api.routes.responses import ResponseRequest
from agent.api.routes.reviews import ReviewRequest

BODIES = {
    "/v1/moderations": {"input": "a tree"},
    "/v1/chat/completions": {"messages": [{"role": "user", "content": "a tree"}]},
    "/v1/responses": {"input": "a tree"},
    "/v1/images/generations": {"prompt": "a tree"},
}
OF_OPENAI = {
    ChatRequest: completion_create_params.CompletionCreateParams,
    ImageRequest: image_generate_params.ImageGenerateParams,
    ModerationRequest: moderation_create_params.ModerationCreateParams,
    ResponseRequest: response_create_params.ResponseCreateParams,
}

every_route = pytest.mark.parametrize("path", BODIES)


@pytest.mark.parametrize("ours", OF_OPENAI, ids=lambda ours: ours.__name__)
def test_no_field_of_openai_s_counts_as_a_misspelling(ours):
    theirs = OF_OPENAI[ours]
    names = {name for kind in get_args(theirs) or [theirs] for name in get_type_hints(kind)}
    assert len(names) > 1
    assert not {name for name in names - set(ours.model_fields) if fields._decisive(name)}


@every_route
@pytest.mark.parametrize(
    "field", ["colour", "a_field_of_tomorrow", "localhost", "location", "language", "", "é", "x" * 999]
)
def test_an_unknown_field_is_ignored(url, path, field):
    assert httpx.post(url + path, json=BODIES[path] | {field: {"any": ["thing", None, 5]}}).status_code == 200


@every_route
@pytest.mark.parametrize(
    "field",
    ["Locale", "LOCALE", "locales", "local", "loacle", "localle", "locale_", "user_locale", "propriety-locale",
     "locale_id", "conversationId", "conversation-id", "conversations_id", "converstion_id", "conversation_ids"],
)  # fmt: skip
def test_a_misspelt_field_that_would_change_the_decision_is_refused_by_name(url, path, field):
    answer = httpx.post(url + path, json=BODIES[path] | {field: "ar-SA"})
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["param"]) == (400, "unknown_field", field)
    assert error["message"].startswith(f"{field}: ")


@pytest.mark.parametrize("path", ["/v1/moderations", "/v1/chat/completions", "/v1/images/generations"])
@pytest.mark.parametrize("field", DECISIVE[1:])
def test_a_field_that_holds_earlier_turns_is_refused_where_it_would_be_ignored(url, path, field):
    answer = httpx.post(url + path, json=BODIES[path] | {field: "one"})
    known = path != "/v1/moderations" and field == "conversation_id"
    assert answer.status_code == (200 if known else 400)


@every_route
def test_a_body_full_of_unknown_fields_is_answered_quickly(url, path):
    many = {f"x{number}": 1 for number in range(80_000)}
    started = time.perf_counter()
    assert httpx.post(url + path, json=BODIES[path] | many).status_code == 200
    assert time.perf_counter() - started < 5


def test_the_client_s_batches_may_have_unknown_fields(client):
    with pytest.raises(openai.NotFoundError):
        client.batches.create(
            input_file_id="file-none", endpoint="/v1/moderations", completion_window="24h", extra_body={"colour": "red"}
        )


FLOOD = 2000


@pytest.mark.parametrize(
    "model", [*OF_OPENAI, BatchRequest, ConversationRequest, ReviewRequest], ids=lambda model: model.__name__
)
@pytest.mark.parametrize(
    "items",
    [[1] * FLOOD, [{}] * FLOOD, [{}, *[1] * FLOOD], {str(number): 1 for number in range(FLOOD)}],
    ids=["numbers", "objects", "both", "map"],
)
def test_a_body_full_of_invalid_items_costs_one_error_not_thousands(model, items):
    """pydantic collects an error for each: half a million take five seconds, in which nobody gets an answer."""
    for field in model.model_fields:
        for value in (items, {"id": items}, *([{"role": "user", key: items}] * 100 for key in ("content", "output"))):
            assert error_count(model, {field: value}) < 50


def error_count(model, body):
    try:
        model.model_validate(body)
    except ValidationError as invalid:
        return invalid.error_count()
    except ApiError:
        return 1
    return 0
