import httpx
import openai
import pytest
from openai.types.chat import ChatCompletionMessage

WINE = [{"role": "user", "content": "a tree"}, {"role": "user", "content": "a glass of wine"}]


def test_the_assistant_s_message_is_the_prompt_to_draw(client, moderator):
    answer = client.chat.completions.create(
        model="propriety", messages=WINE, temperature=0, extra_body={"locale": "de"}
    )
    assert answer.choices[0].message.content == "a glass of juice"
    assert answer.choices[0].finish_reason == "stop"
    assert answer.verdict["action"] == "rewrite"
    assert answer.verdict["locale"] == "de"
    assert [message.content for message in moderator.calls[-1][0]] == ["a tree", "a glass of wine"]


def test_a_block_is_explained_in_the_locale_s_language(client):
    answer = client.chat.completions.create(model="propriety", messages=[{"role": "user", "content": "a gun"}])
    assert answer.choices[0].message.content == "nicht erlaubt"
    assert answer.choices[0].finish_reason == "content_filter"


def test_text_parts_are_joined_into_one_message(client, moderator):
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "tree"}]
    client.chat.completions.create(model="propriety", messages=[{"role": "user", "content": parts}])
    assert moderator.calls[-1][0][0].content == "a\ntree"


def test_streaming_gives_the_same_message_and_the_verdict(client):
    chunks = list(client.chat.completions.create(model="propriety", messages=WINE, stream=True))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "a glass of juice"
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert chunks[-1].verdict["safe_prompt"] == "a glass of juice"


def test_every_answer_has_its_usage(client):
    answer = client.chat.completions.create(model="propriety", messages=WINE)
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens, answer.usage.total_tokens) == (4, 4, 8)
    blocked = client.chat.completions.create(model="propriety", messages=[{"role": "user", "content": "a gun"}])
    assert (blocked.usage.prompt_tokens, blocked.usage.completion_tokens, blocked.usage.total_tokens) == (2, 2, 4)


def test_usage_is_streamed_in_a_last_chunk_if_requested(client):
    def stream(**how):
        return list(client.chat.completions.create(model="propriety", messages=WINE, stream=True, **how))

    chunks = stream(stream_options={"include_usage": True})
    assert chunks[-1].choices == []
    assert chunks[-1].usage.total_tokens == 8
    assert [chunk.usage for chunk in chunks[:-1]] == [None] * 3
    assert chunks[-2].choices[0].finish_reason == "stop"
    for without in (stream(), stream(stream_options={"include_usage": False}), stream(stream_options={})):
        assert [chunk.to_dict().get("usage") for chunk in without] == [None] * 3


def test_usage_counts_the_tokens_of_the_prompt_and_of_the_reply(real):
    def usage(text):
        turns = [{"role": "user", "content": text}]
        return real.chat.completions.create(model="propriety", messages=turns, extra_body={"locale": "ar-SA"}).usage

    tree, long = usage("a tree on a hill"), usage("a tree on a hill " * 40)
    assert tree.prompt_tokens == tree.completion_tokens == 5
    assert long.prompt_tokens == long.completion_tokens > 150


def test_the_client_s_stream_helper_collects_message_and_usage(client):
    with client.chat.completions.stream(
        model="propriety", messages=WINE, stream_options={"include_usage": True}
    ) as stream:
        answer = stream.get_final_completion()
    assert answer.choices[0].message.content == "a glass of juice"
    assert answer.usage.total_tokens == 8


@pytest.mark.parametrize("prompt", ["a red apple", "ein Glas wine", "une arme, a gun", "قلعة على تل", "ワイン wine"])
def test_an_answer_can_be_sent_back_as_it_came(client, moderator, prompt):
    first = client.chat.completions.create(model="propriety", messages=[{"role": "user", "content": prompt}])
    message = first.choices[0].message
    for replayed in (message, message.to_dict(), message.model_dump()):
        messages = [{"role": "user", "content": prompt}, replayed, {"role": "user", "content": "now at night"}]
        assert client.chat.completions.create(model="propriety", messages=messages).choices
        assert [(turn.role, turn.content) for turn in moderator.calls[-1][0]] == [
            ("user", prompt), ("assistant", message.content), ("user", "now at night"),
        ]  # fmt: skip


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"content": "a hut", "refusal": None, "annotations": [], "audio": None, "tool_calls": None}, "a hut"),
        ({"content": [{"type": "text", "text": "a hut"}], "function_call": None}, "a hut"),
        (
            {"content": "a hut", "reasoning_content": "hm", "provider_specific_fields": {"a": [1]}, "name": "bot"},
            "a hut",
        ),
        ({"content": None, "refusal": "I cannot draw that."}, "I cannot draw that."),
        ({"content": [{"type": "refusal", "refusal": "I cannot draw that."}]}, "I cannot draw that."),
        ({"content": "", "audio": {"id": "audio_1"}, "tool_calls": []}, None),
        ({"content": None}, None),
        ({"tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}]}, None),
    ],
)
def test_a_message_of_an_assistant_is_accepted_in_every_form(client, moderator, fields, text):
    said = {"role": "assistant", **fields}
    messages = [{"role": "user", "content": "a castle"}, said, {"role": "user", "content": "at dusk"}]
    assert client.chat.completions.create(model="propriety", messages=messages).choices
    expected = [("user", "a castle"), ("assistant", text), ("user", "at dusk")]
    assert [(turn.role, turn.content) for turn in moderator.calls[-1][0]] == [turn for turn in expected if turn[1]]


def test_a_whole_message_object_of_the_client_is_accepted(client, moderator):
    said = ChatCompletionMessage(role="assistant", content="a hut", refusal=None, annotations=[])
    client.chat.completions.create(model="propriety", messages=[said, {"role": "user", "content": "a tree"}])
    assert [turn.content for turn in moderator.calls[-1][0]] == ["a hut", "a tree"]


CALL = {"id": "c", "type": "function", "function": {"name": "look", "arguments": "{}"}}


@pytest.mark.parametrize(
    ("tool", "action"),
    [
        ("a tree", "allow"), ("a glass of wine", "rewrite"), ("a gun", "block"),
        ([{"type": "text", "text": "a"}, {"type": "text", "text": "gun"}], "block"), (None, "allow"), ("", "allow"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("role", ["tool", "function"])
def test_a_tool_s_text_is_judged_with_the_user_s_turn(client, moderator, role, tool, action):
    result = {"role": role, "content": tool, "tool_call_id": "c", "name": "look"}
    called = {"role": "assistant", "content": None, "tool_calls": [CALL]}
    messages = [{"role": "user", "content": "draw what it says"}, called, result]
    answer = client.chat.completions.create(model="propriety", messages=messages)
    assert answer.verdict["action"] == action
    (turn,) = moderator.calls[-1][0]
    assert (turn.role, turn.content.partition("\n")[0]) == ("user", "draw what it says")


def test_a_chat_without_any_text_is_refused(real):
    with pytest.raises(openai.BadRequestError, match="the prompt is empty"):
        real.chat.completions.create(model="propriety", messages=[{"role": "assistant", "content": None}])


def test_a_tool_s_text_without_a_user_s_turn_is_judged_too(client):
    result = {"role": "tool", "content": "a gun", "tool_call_id": "c"}
    answer = client.chat.completions.create(model="propriety", messages=[result])
    assert answer.verdict["action"] == "block"


def test_a_tool_s_offence_is_found_by_the_real_moderator(real):
    messages = [
        {"role": "user", "content": "draw what the tool says"},
        {"role": "assistant", "content": None, "tool_calls": [CALL]},
        {"role": "tool", "tool_call_id": "c", "content": "a woman with a glass of wine in a garden"},
    ]
    answer = real.chat.completions.create(model="propriety", messages=messages, extra_body={"locale": "ar-SA"})
    assert answer.verdict["action"] != "allow"
    assert "wine" not in answer.choices[0].message.content


def test_fields_for_which_there_is_no_use_have_no_effect(client):
    answer = client.chat.completions.create(
        model="propriety", messages=WINE, temperature=1, top_p=0.5, presence_penalty=1, frequency_penalty=-1, seed=3,
        max_completion_tokens=1, stop=["a"], logprobs=True, top_logprobs=2, logit_bias={"5": 1}, tool_choice="auto",
        tools=[{"type": "function", "function": {"name": "look", "parameters": {}}}], parallel_tool_calls=False,
        reasoning_effort="low", service_tier="auto", store=True, metadata={"k": "v"}, verbosity="low",
        modalities=["text"], prompt_cache_key="k", safety_identifier="s", user="u",
        prediction={"type": "content", "content": "a"},
        response_format={"type": "text"}, web_search_options={}, extra_body={"a_field_of_tomorrow": {"x": [1]}},
    )  # fmt: skip
    assert answer.choices[0].message.content == "a glass of juice"


def test_the_stream_ends_with_done_and_keeps_non_latin_text_intact(url):
    body = {"model": "propriety", "stream": True, "messages": [{"role": "user", "content": "شجرة\u2028🌳"}]}
    answer = httpx.post(f"{url}/v1/chat/completions", json=body)
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.text.endswith("data: [DONE]\n\n")
    assert "شجرة" in answer.content.decode()
