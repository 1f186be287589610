import base64
from typing import Any

import openai
import pytest
from fastapi import FastAPI, Header, Request, Response
from fastapi.responses import JSONResponse


@pytest.fixture
def images(png) -> FastAPI:
    """Imitates OpenAI's images API, whose old models return URLs; `app.state.orders` are bodies and keys."""
    app = FastAPI()
    app.state.orders, app.state.storage_saw = [], []

    @app.post("/v1/images/generations")
    async def generations(request: Request, body: dict[str, Any], authorization: str = Header("")) -> Any:
        app.state.orders.append((body, authorization))
        if "their taste" in body["prompt"]:
            error = {"message": "Your request was rejected.", "type": "image_generation_user_error", "param": None}
            return JSONResponse({"error": error | {"code": "moderation_blocked"}}, 400)
        if "crowd" in body["prompt"]:
            error = {"message": "Rate limit reached.", "type": "requests", "param": None, "code": "rate_limit_exceeded"}
            return JSONResponse({"error": error}, 429, {"Retry-After": "20"})
        if body["model"].startswith(("http:", "https:")):
            return {"created": 1, "data": [{"url": body["model"].format(port=request.url.port)}]}
        if body["model"] == "dall-e-2":
            return {"created": 1, "data": [{"url": str(request.url_for("storage"))}] * body["n"]}
        return {"created": 1, "data": [{"b64_json": base64.b64encode(png(1024, 1024)).decode()}] * body["n"]}

    @app.get("/storage")
    async def storage(authorization: str = Header("")) -> Response:
        app.state.storage_saw.append(authorization)
        return Response(png(256, 256), media_type="image/png")

    return app


def test_only_the_safe_prompt_is_sent_with_the_key_and_unknown_parameters_are_null(client_for, images):
    client = client_for(
        images, "/v1", generator_backend="openai", generator_model="gpt-image-1", generator_api_key="secret"
    )
    answer = client.images.generate(prompt="a glass of wine", n=2, size="1024x1024", extra_body={"seed": 7})
    body = {"model": "gpt-image-1", "prompt": "a glass of juice", "n": 2, "size": "1024x1024"}
    assert images.state.orders == [(body, "Bearer secret")]
    assert [(one["width"], one["seed"], one["steps"], one["sampler"]) for one in answer.drawing] == [
        (1024, None, None, None)
    ] * 2


def test_a_picture_stored_elsewhere_is_fetched_without_the_key(client_for, images):
    client = client_for(
        images, "/v1", generator_backend="openai", generator_model="dall-e-2", generator_api_key="secret"
    )
    answer = client.images.generate(prompt="a tree")
    assert answer.drawing[0]["width"] == 256
    assert images.state.storage_saw == [""]


@pytest.mark.parametrize(
    "address", ["http://localhost:{port}/storage", "https://localhost:{port}/storage", "https://10.0.0.7/", "http://["]
)
def test_a_picture_is_not_fetched_from_an_internal_address(client_for, images, address):
    client = client_for(images, "/v1", generator_backend="openai", generator_model=address)
    with pytest.raises(openai.InternalServerError, match="invalid response"):
        client.images.generate(prompt="a tree")
    assert images.state.storage_saw == []


def test_a_refusal_by_the_backend_s_own_moderation_returns_400(client_for, images):
    client = client_for(images, "/v1", generator_backend="openai", generator_model="gpt-image-1")
    with pytest.raises(openai.BadRequestError, match=r"refused the prompt: Your request was rejected") as refused:
        client.images.generate(prompt="not to their taste")
    assert refused.value.code == "generator_refused"


def test_the_backend_s_rate_limit_is_passed_on(client_for, images):
    client = client_for(images, "/v1", generator_backend="openai", generator_model="gpt-image-1")
    with pytest.raises(openai.RateLimitError) as busy:
        client.images.generate(prompt="a crowd")
    assert (busy.value.code, busy.value.response.headers["retry-after"]) == ("generator_busy", "20")
