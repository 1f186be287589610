"""The worker over HTTP."""

import base64
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from PIL import Image

from generator.server import Worker, create_app


@pytest.fixture
def client(pipe: Any, tmp_path: Path) -> Iterator[TestClient]:
    pipe.save_pretrained(tmp_path)
    worker = Worker(str(tmp_path))
    worker.loading.result()
    with TestClient(create_app(worker), raise_server_exceptions=False) as client:
        yield client
    worker.thread.shutdown()


def test_one_request_or_many_are_drawn(client: TestClient) -> None:
    health = client.get("/healthz").json()
    assert (health["loaded"], health["size"]) == (True, [32, 32])
    one = {"prompt": "wine", "safe_prompt": "juice", "wxi": 0.5, "tau_gc": 0.5, "seed": 7, "steps": 2}
    answer = client.post("/v1/draw", json=one).json()
    picture = Image.open(io.BytesIO(base64.b64decode(answer["images"][0])))
    assert picture.size == (32, 32)
    assert answer["parameters"][0]["denoiser_rows"] == 5
    many = client.post("/v1/draw", json={"requests": [one, {"prompt": "sun", "steps": 2, "n": 2}]}).json()
    assert len(many["images"]) == len(many["parameters"]) == len(many["notes"]) == 3


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (b"{", ""),
        (b"[]", ""),
        (b"{}", "prompt"),
        (b'{"prompt": " "}', "prompt"),
        (b'{"prompt": "a\\u0000b"}', "prompt"),
        (b'{"prompt": "\\ud800"}', "prompt"),
        (b'{"prompt": "a", "n": -1}', "n"),
        (b'{"prompt": "a", "width": 1000000}', "width"),
        (b'{"prompt": "a", "wxi": NaN, "safe_prompt": "b"}', "wxi"),
        (b'{"prompt": "a", "colour": 1}', "colour"),
        (b'{"prompt": "a", "wxi": 0.5}', ""),
        (b'{"requests": []}', "requests"),
        (b'{"requests": [{"prompt": "a", "n": 16}, {"prompt": "a"}]}', ""),
        (b'{"prompt": "a", "width": 512, "height": 512}', "width"),
        (b'{"prompt": "a", "seed": 4294967296}', "seed"),
        (b'{"prompt": "a", "seed": 4294967295, "n": 2}', ""),
        (b'{"prompt": "' + b"a" * 100_000 + b'"}', "prompt"),
    ],
)
def test_bad_input_is_refused_by_field_and_reason(client: TestClient, body: bytes, param: str) -> None:
    answer = client.post("/v1/draw", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 422
    error = answer.json()["error"]
    assert param in (error["param"] or "")
    assert error["message"]


@pytest.mark.parametrize("body", [b"\xff", b"[" * 100_000, b'{"n": ' + b"9" * 6000 + b"}"])
def test_what_is_no_json_is_refused_in_the_same_shape(client: TestClient, body: bytes) -> None:
    answer = client.post("/v1/draw", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 400
    assert answer.json()["error"]["message"].startswith("There was an error parsing the body: ")


def test_an_unknown_path_is_told_in_the_same_shape(client: TestClient) -> None:
    assert client.get("/v1/nothing").json()["error"]["message"] == "Not Found: GET /v1/nothing"


def test_a_model_that_is_missing_is_told(tmp_path: Path) -> None:
    worker = Worker(str(tmp_path / "none"))
    with TestClient(create_app(worker)) as client:
        assert worker.loading.exception()
        assert client.get("/healthz").status_code == 503
        assert "neither a folder" in client.post("/v1/draw", json={"prompt": "sun"}).json()["error"]["message"]
    worker.thread.shutdown()
