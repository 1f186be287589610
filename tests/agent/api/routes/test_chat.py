import httpx

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


def test_the_stream_ends_with_done_and_keeps_non_latin_text_intact(url):
    body = {"model": "propriety", "stream": True, "messages": [{"role": "user", "content": "شجرة\u2028🌳"}]}
    answer = httpx.post(f"{url}/v1/chat/completions", json=body)
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.text.endswith("data: [DONE]\n\n")
    assert "شجرة" in answer.content.decode()
