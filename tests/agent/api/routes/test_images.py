import base64
import threading

import httpx
import openai
import pytest
from fastapi import FastAPI, Request

from agent.api.app import create_app


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
