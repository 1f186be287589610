"""`/v1/responses`, with the official client."""

import json

import httpx
import openai
import pytest

from agent.api.app import create_app
from agent.store.tenants import Scope, Terms


def respond(client, content, **how):
    return client.responses.create(model="propriety", input=content, **how)


def judged(moderator):
    return [(turn.role, turn.content) for turn in moderator.calls[-1][0]]


def test_the_output_is_the_prompt_to_draw(client, moderator):
    answer = respond(client, "a glass of wine", extra_body={"locale": "ar-SA"})
    assert answer.output_text == "a glass of juice"
    assert (answer.status, answer.error, answer.model) == ("completed", None, "propriety")
    assert (answer.verdict["action"], answer.verdict["locale"]) == ("rewrite", "ar-SA")
    assert judged(moderator) == [("user", "a glass of wine")]


def test_a_block_is_a_refusal_in_the_locale_s_language(client):
    answer = respond(client, "a gun")
    (part,) = answer.output[0].content
    assert (part.type, part.refusal) == ("refusal", "nicht erlaubt")
    assert (answer.output_text, answer.verdict["action"]) == ("", "block")


def test_if_no_detector_is_available_the_output_is_a_refusal(client):
    answer = respond(client, "an outage")
    assert (answer.output[0].content[0].type, answer.verdict["status"]) == ("refusal", "error")


def test_usage_counts_the_prompt_and_the_output(client):
    usage = respond(client, "a glass of wine", instructions="You draw.").usage
    assert (usage.input_tokens, usage.output_tokens, usage.total_tokens) == (4, 4, 8)
    assert usage.output_tokens_details.reasoning_tokens == usage.input_tokens_details.cached_tokens == 0


@pytest.mark.parametrize(
    ("items", "turns"),
    [
        ([{"role": "user", "content": "a tree"}], [("user", "a tree")]),
        ([{"type": "message", "role": "user", "content": [{"type": "input_text", "text": "a tree"}]}],
         [("user", "a tree")]),
        ([{"role": "developer", "content": "be kind"}, {"role": "user", "content": "a tree"}],
         [("developer", "be kind"), ("user", "a tree")]),
        ([{"role": "user", "content": "a tree"},
          {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed",
           "content": [{"type": "output_text", "text": "a tree", "annotations": [], "logprobs": []}]},
          {"role": "user", "content": "at night"}],
         [("user", "a tree"), ("assistant", "a tree"), ("user", "at night")]),
        ([{"role": "user", "content": "a gun"},
          {"type": "message", "role": "assistant", "content": [{"type": "refusal", "refusal": "no"}]},
          {"role": "user", "content": "a tree"}], [("user", "a gun"), ("assistant", "no"), ("user", "a tree")]),
        ([{"type": "reasoning", "id": "rs_1", "summary": []}, {"type": "web_search_call", "id": "ws_1"},
          {"role": "user", "content": "a tree"},
          {"type": "function_call", "call_id": "c", "name": "look", "arguments": "{}"},
          {"type": "function_call_output", "call_id": "c", "output": "with leaves"}],
         [("user", "a tree\nwith leaves")]),
        ([{"type": "custom_tool_call_output", "call_id": "c", "output": [{"type": "input_text", "text": "a tree"}]}],
         [("user", "a tree")]),
    ],
)  # fmt: skip
def test_input_items_are_read_as_the_turns_of_a_chat(client, moderator, items, turns):
    assert respond(client, items).output_text
    assert judged(moderator) == turns


@pytest.mark.parametrize(
    "output", ["a gun", [{"type": "input_text", "text": "a"}, {"type": "input_text", "text": "gun"}]]
)
def test_a_tool_s_output_is_judged(client, output):
    items = [{"role": "user", "content": "a tree"}, {"type": "function_call_output", "call_id": "c", "output": output}]
    assert respond(client, items).verdict["action"] == "block"


def test_an_output_can_be_sent_back_as_it_came(client, moderator):
    for prompt in ("a glass of wine", "a gun"):
        first = respond(client, prompt)
        for output in (first.output, [item.to_dict() for item in first.output]):
            items = [{"role": "user", "content": prompt}, *output, {"role": "user", "content": "at night"}]
            assert respond(client, items).output
            assert [role for role, _ in judged(moderator)] == ["user", "assistant", "user"]


def test_instructions_come_first_and_are_returned(client, moderator):
    answer = respond(client, "a tree", instructions="You draw.", metadata={"k": "v"})
    assert judged(moderator) == [("system", "You draw."), ("user", "a tree")]
    assert (answer.instructions, answer.metadata) == ("You draw.", {"k": "v"})


TEXT_EVENTS = [
    "response.created", "response.in_progress", "response.output_item.added", "response.content_part.added",
    "response.output_text.delta", "response.output_text.done", "response.content_part.done",
    "response.output_item.done", "response.completed",
]  # fmt: skip


def test_a_stream_has_openai_s_sequence_of_events(client):
    events = list(respond(client, "a glass of wine", stream=True))
    assert [event.type for event in events] == TEXT_EVENTS
    assert [event.sequence_number for event in events] == list(range(9))
    assert (events[0].response.status, events[0].response.output, events[0].response.usage) == ("in_progress", [], None)
    assert events[3].part.text == ""
    assert events[4].delta == events[5].text == events[6].part.text == "a glass of juice"
    assert {event.item_id for event in events[3:7]} == {events[7].item.id}
    final = events[8].response
    assert (final.output_text, final.usage.total_tokens, final.verdict["action"]) == ("a glass of juice", 8, "rewrite")


def test_a_streamed_block_has_the_events_of_a_refusal(client):
    events = list(respond(client, "a gun", stream=True))
    assert [event.type for event in events] == [kind.replace("output_text", "refusal") for kind in TEXT_EVENTS]
    assert events[4].delta == events[5].refusal == events[6].part.refusal == "nicht erlaubt"


def test_the_client_s_stream_helper_collects_the_response(client):
    for prompt, text in (("a glass of wine", "a glass of juice"), ("a gun", "")):
        with client.responses.stream(model="propriety", input=prompt) as stream:
            assert "".join(event.delta for event in stream if event.type == "response.output_text.delta") == text
            assert stream.get_final_response().output_text == text


def test_each_event_is_named_and_non_latin_text_stays_intact(url):
    answer = httpx.post(f"{url}/v1/responses", json={"input": "شجرة\u2028🌳", "stream": True})
    assert answer.headers["content-type"].startswith("text/event-stream")
    blocks = [block.split("\n", 1) for block in answer.content.decode().removesuffix("\n\n").split("\n\n")]
    assert [name for name, _ in blocks] == [f"event: {kind}" for kind in TEXT_EVENTS]
    assert [json.loads(data.removeprefix("data: "))["type"] for _, data in blocks] == TEXT_EVENTS
    assert "شجرة" in answer.content.decode()


def test_an_invalid_stream_is_refused_before_it_begins(client):
    with pytest.raises(openai.NotFoundError) as refused:
        client.responses.create(model="gpt-9", input="a tree", stream=True)
    assert refused.value.param == "model"


def test_a_response_follows_the_previous_one(client, moderator):
    first = respond(client, "a glass of wine", instructions="You draw.")
    second = respond(client, "at night", previous_response_id=first.id)
    assert second.previous_response_id == first.id
    assert judged(moderator) == [("user", "a glass of wine"), ("assistant", "a glass of juice"), ("user", "at night")]
    respond(client, "with a moon", previous_response_id=second.id)
    assert [text for _, text in judged(moderator)] == [
        "a glass of wine", "a glass of juice", "at night", "at night", "with a moon",
    ]  # fmt: skip
    respond(client, "by day", previous_response_id=first.id)  # two may follow the same one
    assert [text for _, text in judged(moderator)] == ["a glass of wine", "a glass of juice", "by day"]


def test_a_response_that_is_not_stored_cannot_be_followed(client):
    first = respond(client, "a tree", store=False)
    assert first.store is False
    with pytest.raises(openai.NotFoundError) as refused:
        respond(client, "at night", previous_response_id=first.id)
    assert (refused.value.code, refused.value.param) == ("previous_response_not_found", "previous_response_id")


def test_a_deleted_response_cannot_be_followed(client):
    first = respond(client, "a tree")
    client.responses.delete(first.id)
    for call in (
        lambda: respond(client, "at night", previous_response_id=first.id),
        lambda: client.responses.delete(first.id),
    ):
        with pytest.raises(openai.NotFoundError):
            call()


def test_a_conversation_is_that_of_a_chat(client, moderator):
    message = {"role": "user", "content": "a tree"}
    client.chat.completions.create(model="propriety", messages=[message], extra_body={"conversation_id": "both"})
    answer = respond(client, "at night", conversation="both")
    assert answer.conversation.id == "both"
    assert judged(moderator) == [("user", "a tree"), ("assistant", "a tree"), ("user", "at night")]
    respond(client, "with a moon", conversation={"id": "both"})
    assert len(judged(moderator)) == 5
    with pytest.raises(openai.NotFoundError):
        client.responses.delete("both")
    assert client.conversations.delete("both").deleted


def test_a_response_is_visible_to_its_tenant_only(moderator, serve, tmp_path):
    own = moderator.settings.model_copy(update={"database_url": f"sqlite:///{tmp_path}/keys.db"})
    app = create_app(moderator.with_settings(own))
    keys = [app.state.service.store.tenants.create(name, Terms(scopes=[Scope.MODERATE])) for name in ("acme", "apex")]
    for url in serve(app):
        mine, other = (openai.OpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0) for key in keys)
        with mine, other:
            first = respond(mine, "a tree")
            with pytest.raises(openai.NotFoundError):
                respond(other, "at night", previous_response_id=first.id)
            with pytest.raises(openai.NotFoundError):
                other.responses.delete(first.id)
            assert respond(mine, "at night", previous_response_id=first.id).output


def test_fields_for_which_there_is_no_use_have_no_effect(client):
    answer = client.responses.create(
        model="propriety", input="a glass of wine", temperature=1, top_p=0.5, max_output_tokens=5, max_tool_calls=1,
        tools=[{"type": "function", "name": "look", "parameters": {}, "strict": True}], tool_choice="auto", include=[],
        parallel_tool_calls=False, reasoning={"effort": "low"}, service_tier="auto", text={"format": {"type": "text"}},
        truncation="auto", top_logprobs=1, prompt_cache_key="k", safety_identifier="s", user="u", background=False,
        stream_options={"include_obfuscation": False}, extra_body={"a_field_of_tomorrow": {"x": [1]}},
    )  # fmt: skip
    assert answer.output_text == "a glass of juice"
