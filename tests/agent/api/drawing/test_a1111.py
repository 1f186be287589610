import base64
import io
import json
from typing import Any

import c2pa
import openai
import pytest
from fastapi import FastAPI
from fastapi.responses import JSONResponse
from PIL import Image


@pytest.fixture
def web_ui(png) -> FastAPI:
    """Imitates the web UI; `app.state.orders` are the request bodies."""
    app = FastAPI()
    app.state.orders = []

    @app.post("/sdapi/v1/txt2img")
    async def txt2img(body: dict[str, Any]) -> Any:
        app.state.orders.append(body)
        if "overload" in body["prompt"]:
            return JSONResponse({"error": "OutOfMemoryError", "detail": "", "errors": "CUDA out of memory"}, 500)
        count, size = body["n_iter"], (body.get("width", 512), body.get("height", 512))
        info = {
            "all_seeds": [body["seed"] + index for index in range(count)], "steps": 20, "cfg_scale": 7.0,
            "sampler_name": "DPM++ 2M", "sd_model_name": "v1-5-pruned", "infotexts": [],
        }  # fmt: skip
        grid = [png(8, 8)] if count > 1 else []
        images = [base64.b64encode(image).decode() for image in grid + [png(*size)] * count]
        return {"images": images, "parameters": body, "info": json.dumps(info)}

    return app


def test_only_the_safe_prompt_is_sent_and_the_parameters_used_are_returned(client_for, web_ui):
    client = client_for(web_ui, generator_backend="a1111")
    answer = client.images.generate(prompt="a glass of wine", n=2, size="128x64", extra_body={"seed": 7})
    assert web_ui.state.orders == [{"prompt": "a glass of juice", "seed": 7, "n_iter": 2, "width": 128, "height": 64}]
    assert [(one["seed"], one["wxi"], one["sampler"], one["model"]) for one in answer.drawing] == [
        (7, 1, "DPM++ 2M", "v1-5-pruned"), (8, 1, "DPM++ 2M", "v1-5-pruned"),
    ]  # fmt: skip
    assert (answer.drawing[0]["width"], answer.drawing[0]["denoiser_rows"]) == (128, None)
    assert answer.data[0].revised_prompt == "a glass of juice"


def test_the_checkpoint_can_be_chosen(client_for, web_ui):
    client_for(web_ui, generator_backend="a1111", generator_model="sd_xl_base").images.generate(prompt="a tree")
    assert web_ui.state.orders[0]["override_settings"] == {"sd_model_checkpoint": "sd_xl_base"}


def test_the_picture_is_signed_and_its_metadata_names_the_verdict(client_for, web_ui):
    picture = client_for(web_ui, generator_backend="a1111").images.generate(prompt="a glass of wine").data[0]
    file = base64.b64decode(picture.b64_json)
    assert Image.open(io.BytesIO(file)).text["verdict_id"].startswith("v-")
    assert c2pa.Reader("image/png", io.BytesIO(file)).get_validation_state() == "Valid"


def test_an_unsafe_picture_is_withheld(client_for, web_ui, monkeypatch):
    monkeypatch.setattr("propriety.pictures.detector.THRESHOLD", 0.0)
    with pytest.raises(openai.BadRequestError, match="came out unsafe") as refused:
        client_for(web_ui, generator_backend="a1111").images.generate(prompt="a tree")
    assert refused.value.code == "content_policy_violation"


def test_a_failure_returns_503_without_the_backend_s_own_message(client_for, web_ui):
    with pytest.raises(openai.InternalServerError, match="returned status 500") as failed:
        client_for(web_ui, generator_backend="a1111").images.generate(prompt="an overload")
    assert (failed.value.status_code, failed.value.code) == (503, "generator_failed")
    assert "CUDA" not in failed.value.message


def test_a_wrong_server_at_the_address_is_logged_with_the_setting_to_check(client_for, caplog):
    app = FastAPI()
    app.post("/sdapi/v1/txt2img")(lambda: {"images": ["bm8gcGljdHVyZQ=="], "info": "{}"})
    with pytest.raises(openai.InternalServerError, match="invalid response"):
        client_for(app, generator_backend="a1111").images.generate(prompt="a tree")
    assert "invalid response for a a1111 backend; check PROPRIETY_GENERATOR_URL" in caplog.text
