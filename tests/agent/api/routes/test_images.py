import base64
import threading

import httpx
import openai
import pytest
from fastapi import FastAPI, Request

from agent.api.app import create_app
from agent.api.drawing import links


def test_a_rewritten_prompt_is_drawn_with_the_verdict_s_parameters(client):
    answer = client.images.generate(
        model="propriety", prompt="a glass of wine", n=2, size="64x128", extra_body={"seed": 7, "locale": "ar-SA"}
    )
    assert [base64.b64decode(picture.b64_json) for picture in answer.data] == [b"7", b"8"]
    assert answer.data[0].revised_prompt == "a glass of juice"
    assert answer.verdict["locale"] == "ar-SA"
    assert [drawing["seed"] for drawing in answer.drawing] == [7, 8]
    sent = {"prompt": "a glass of juice", "wxi": 0.8, "tau_gc": 0.2, "width": 64, "height": 128}
    assert answer.drawing[1].items() >= sent.items()


@pytest.mark.parametrize("model", ["gpt-image-1", "gpt-image-1-mini", "gpt-image-2", "dall-e-3", "dall-e-2", None])
def test_openai_s_names_for_image_models_leave_the_choice_to_the_policy(client, moderator, model):
    answer = client.images.generate(model=model, prompt="a glass of wine", size="1024x1024", n=1)
    assert answer.data[0].revised_prompt == "a glass of juice"
    assert moderator.calls[-1][2] is None
    assert (answer.drawing[0]["width"], answer.drawing[0]["notes"]) == (1024, [])


def test_the_client_s_other_defaults_are_accepted(client):
    answer = client.images.generate(
        model="gpt-image-1", prompt="a tree", n=1, size="auto", quality="auto", background="auto", moderation="low",
        output_format="png", output_compression=100, partial_images=0, response_format="b64_json", stream=False,
        style="vivid", user="u", extra_body={"a_field_of_tomorrow": 1},
    )  # fmt: skip
    assert (answer.drawing[0]["width"], answer.drawing[0]["height"]) == (64, 64)


@pytest.mark.parametrize("model", ["gpt-image-1", "dall-e-3", "propriety"])
def test_openai_s_default_size_becomes_the_model_s_own_with_a_note_if_it_cannot_be_drawn(client, model):
    answer = client.images.generate(model=model, prompt="a stamp", size="1024x1024", n=2)
    assert [drawing["width"] for drawing in answer.drawing] == [64, 64]
    note = "Drawn at the model's own size, since it cannot draw 1024x1024."
    assert [drawing["notes"] for drawing in answer.drawing] == [[note], [note]]


@pytest.mark.parametrize("size", ["1536x1024", "1024x1536", "1792x1024", "512x512", "256x256"])
def test_another_size_that_cannot_be_drawn_is_refused_as_the_size(client, size):
    with pytest.raises(openai.BadRequestError, match="own size is 64x64") as refused:
        client.images.generate(model="gpt-image-1", prompt="a stamp", size=size)
    assert (refused.value.code, refused.value.param) == ("generator_refused", "size")


def test_what_a_png_cannot_be_is_named_in_one_sentence(client, moderator):
    calls = len(moderator.calls)
    with pytest.raises(openai.BadRequestError) as refused:
        client.images.generate(prompt="a tree", output_format="webp", background="transparent", stream=True)
    assert refused.value.body["message"] == (
        "Remove stream, output_format and background: pictures are returned as whole, opaque PNGs."
    )
    assert (refused.value.code, refused.value.param) == ("unsupported_parameter", "stream")
    assert len(moderator.calls) == calls


def test_a_link_to_the_picture_works_without_a_key(client, url):
    answer = client.images.generate(prompt="a tree", response_format="url", n=2, extra_body={"seed": 7})
    assert [picture.b64_json for picture in answer.data] == [None, None]
    assert len({picture.url for picture in answer.data}) == 2
    for picture, seed in zip(answer.data, (b"7", b"8"), strict=True):
        assert picture.url.startswith(f"{url}/v1/pictures/")
        shown = httpx.get(picture.url)
        assert (shown.status_code, shown.content, shown.headers["content-type"]) == (200, seed, "image/png")
        assert shown.headers["cache-control"] == "no-store"


def test_a_withheld_picture_has_no_link(client):
    answer = client.images.generate(prompt="a shady place", response_format="url", n=2, extra_body={"seed": 7})
    assert [httpx.get(picture.url).content for picture in answer.data] == [b"8"]


@pytest.mark.parametrize("token", ["x" * 43, "generations", "a%00b", "..%2fa", "é"])
def test_a_link_that_was_never_given_shows_nothing(url, token):
    answer = httpx.get(f"{url}/v1/pictures/{token}.png")
    assert answer.status_code in (400, 401, 404)
    assert answer.json()["error"]["code"]


def test_links_expire_and_their_memory_is_bounded(monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(links, "MAX_BYTES", 100)
    kept = links.Links(lambda: clock[0])
    first = kept.add(b"x" * 60)
    second = kept.add(b"y" * 60)
    assert (kept.find(first), kept.find(second)) == (None, b"y" * 60)
    clock[0] = links.LINK_S + 1
    assert kept.find(second) is None


def test_without_a_seed_a_random_one_is_used_and_returned(client):
    seeds = {client.images.generate(prompt="a tree").drawing[0]["seed"] for _ in range(3)}
    assert len(seeds) == 3


def test_a_blocked_prompt_returns_400_with_the_verdict(client):
    with pytest.raises(openai.BadRequestError) as refused:
        client.images.generate(prompt="a gun")
    assert refused.value.code == "content_policy_violation"
    assert refused.value.body["verdict"]["action"] == "block"
    assert refused.value.body["message"] == "nicht erlaubt"


def test_an_unsafe_picture_is_withheld_and_reported(client):
    answer = client.images.generate(prompt="a shady place", n=3, extra_body={"seed": 7})
    assert [base64.b64decode(picture.b64_json) for picture in answer.data] == [b"8", b"9"]
    assert [drawing["seed"] for drawing in answer.drawing] == [8, 9]
    assert [(drawing["seed"], drawing["notes"]) for drawing in answer.blocked] == [(7, ["Blocked by the last look."])]


def test_if_every_picture_is_unsafe_the_response_is_a_block_with_the_verdict(client):
    with pytest.raises(openai.BadRequestError, match="came out unsafe") as refused:
        client.images.generate(prompt="a dark place", n=2)
    assert refused.value.code == "content_policy_violation"
    assert refused.value.body["verdict"]["action"] == "allow"


def test_a_busy_worker_returns_429_with_retry_after(client):
    with pytest.raises(openai.RateLimitError) as busy:
        client.images.generate(prompt="a crowd")
    assert (busy.value.code, busy.value.response.headers["retry-after"]) == ("generator_busy", "20")


@pytest.mark.parametrize(
    ("prompt", "message"),
    [("a smudge", "failed to draw"), ("a stranger", "invalid response"), ("a short one", "invalid response")],
)
def test_a_failure_of_the_worker_returns_503(client, prompt, message):
    with pytest.raises(openai.InternalServerError, match=message) as failed:
        client.images.generate(prompt=prompt)
    assert (failed.value.status_code, failed.value.code) == (503, "generator_failed")


def test_a_missing_worker_returns_503_and_only_the_log_has_its_address(serve, moderator, caplog):
    settings = moderator.settings.model_copy(update={"generator_url": "http://127.0.0.1:9"})
    for url in serve(create_app(moderator.with_settings(settings))):
        with (
            openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as client,
            pytest.raises(openai.InternalServerError) as failed,
        ):
            client.images.generate(prompt="a tree")
    assert (failed.value.status_code, failed.value.code) == (503, "generator_unavailable")
    assert "127.0.0.1" not in failed.value.message
    assert "http://127.0.0.1:9" in caplog.text


def test_if_the_caller_leaves_the_request_to_the_worker_is_cancelled(serve, moderator):
    app, received, cancelled = FastAPI(), threading.Event(), threading.Event()

    @app.post("/v1/draw")
    async def draw(request: Request) -> None:
        await request.json()
        received.set()
        while (await request.receive())["type"] != "http.disconnect":
            pass
        cancelled.set()

    for worker in serve(app):
        own_moderator = moderator.with_settings(moderator.settings.model_copy(update={"generator_url": worker}))
        for url in serve(create_app(own_moderator)):
            with pytest.raises(httpx.ReadTimeout):
                httpx.post(f"{url}/v1/images/generations", json={"prompt": "a tree"}, timeout=1)
            assert received.is_set()
            assert cancelled.wait(5)
