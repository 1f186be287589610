"""The worker over the wire: a real server in front of a tiny pipeline."""

import base64
import gc
import io
import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from PIL import Image

from generator.app import create_app
from generator.server import Server
from generator.worker import Worker
from propriety.pictures.detector import Detector

DUAL = {"prompt": "wine", "safe_prompt": "juice", "wxi": 0.5, "tau_gc": 0.5, "seed": 7, "steps": 2}
LONG = {"prompt": "sun", "steps": 150, "n": 2, "seed": 1}
STEP_S = 0.02


def beer() -> Detector:
    """A detector that finds every picture of beer unsafe; the worker gets its name."""
    return lambda image, request: 0.9 if "beer" in request.prompt else 0.1


@contextmanager
def serving(worker: Worker, **limits: int) -> Iterator[tuple[httpx.Client, Server]]:
    server = Server(uvicorn.Config(create_app(worker, **limits), port=0, log_level="critical", ws="none"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.01)
    url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    with httpx.Client(base_url=url, timeout=60, trust_env=False) as client:
        yield client, server
    server.should_exit = True
    thread.join(20)
    assert not thread.is_alive()


@pytest.fixture(scope="module")
def worker(tiny_of: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    folder = tmp_path_factory.mktemp("tiny")
    tiny_of("SD 1.x").pipe.save_pretrained(folder)
    worker = Worker(str(folder), detector=f"{__name__}:beer")
    worker.loading.result()
    yield worker
    worker.thread.shutdown()


@pytest.fixture(scope="module")
def client(worker: Worker) -> Iterator[httpx.Client]:
    with serving(worker) as (client, _):
        yield client


def wait_until(happened: Callable[[], object]) -> None:
    deadline = time.monotonic() + 20
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_one_request_or_several_are_drawn(client: httpx.Client) -> None:
    health = client.get("/healthz").json()
    assert (health["loaded"], health["size"]) == (True, [32, 32])
    answer = client.post("/v1/draw", json=DUAL | {"verdict_id": "v-1"}).json()
    picture = Image.open(io.BytesIO(base64.b64decode(answer["images"][0])))
    assert picture.size == (32, 32)
    assert picture.text["verdict_id"] == "v-1"  # type: ignore[attr-defined]
    assert answer["parameters"][0]["denoiser_rows"] == 5
    many = client.post("/v1/draw", json={"requests": [DUAL, {"prompt": "sun", "steps": 2, "n": 2}]}).json()
    assert len(many["images"]) == len(many["parameters"]) == len(many["notes"]) == 3


def test_an_unsafe_picture_is_null_and_its_notes_say_why(client: httpx.Client) -> None:
    beer = DUAL | {"prompt": "beer", "stronger": [{"wxi": 0.9, "tau_gc": 0.5}]}
    answer = client.post("/v1/draw", json={"requests": [beer, DUAL]}).json()
    assert (answer["images"][0], answer["parameters"][0]["wxi"]) == (None, 0.9)
    assert "Blocked" in answer["notes"][0][-1]
    assert answer["images"][1]


def test_events_report_each_step_and_then_the_pictures(client: httpx.Client) -> None:
    events = events_of(client, DUAL | {"n": 2})
    assert events[:-1] == [("step", {"image": image, "step": step, "steps": 2}) for step in (1, 2) for image in (0, 1)]
    name, drawn = events[-1]
    assert name == "drawn"
    assert [one["seed"] for one in drawn["parameters"]] == [7, 8]


def events_of(client: httpx.Client, body: dict[str, Any]) -> list[tuple[str, Any]]:
    text = client.post("/v1/draw/events", json=body).text
    parts = [dict(line.split(": ", 1) for line in part.splitlines()) for part in text.strip().split("\n\n")]
    return [(part["event"], json.loads(part["data"])) for part in parts]


def test_pictures_of_several_callers_share_a_batch(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    together: list[int] = []
    draw = worker.draw
    monkeypatch.setattr(worker, "draw", lambda batch, on_step: together.append(len(batch)) or draw(batch, on_step))
    with serving(worker, wait_ms=300) as (client, _), ThreadPoolExecutor(4) as callers:
        answers = list(callers.map(lambda seed: client.post("/v1/draw", json=DUAL | {"seed": seed}), range(4)))
    assert together == [4]
    assert [answer.json()["parameters"][0]["seed"] for answer in answers] == [0, 1, 2, 3]


def hold(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> tuple[threading.Event, threading.Event]:
    """Events: the worker has begun to draw, and it may continue."""
    drawing, may_draw = threading.Event(), threading.Event()
    draw = worker.draw

    def held(batch: Any, on_step: Callable[[int], None]) -> Any:
        drawing.set()
        assert may_draw.wait(20)
        return draw(batch, on_step)

    monkeypatch.setattr(worker, "draw", held)
    return drawing, may_draw


def test_a_full_queue_returns_429_with_a_time_to_retry(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    drawing, may_draw = hold(worker, monkeypatch)
    with serving(worker, queue_limit=16) as (client, server), ThreadPoolExecutor(1) as other:
        first = other.submit(client.post, "/v1/draw", json=DUAL | {"n": 16})
        assert drawing.wait(10)
        assert len(server.config.app.state.queue.waiting) == 8  # type: ignore[union-attr]
        answer = client.post("/v1/draw", json=DUAL | {"n": 9})
        assert (answer.status_code, answer.json()["error"]["type"]) == (429, "busy")
        assert int(answer.headers["retry-after"]) >= 1
        may_draw.set()
        assert first.result().status_code == 200


@pytest.mark.parametrize("path", ["/v1/draw", "/v1/draw/events"])
def test_the_batch_stops_when_its_caller_disconnects(
    worker: Worker, path: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    steps: list[int] = []
    stopped = threading.Event()
    draw = worker.draw

    def watched(batch: Any, on_step: Callable[[int], None]) -> Any:
        def slow_step(number: int) -> None:
            steps.append(number)
            time.sleep(STEP_S)
            on_step(number)

        try:
            return draw(batch, slow_step)
        finally:
            stopped.set()

    monkeypatch.setattr(worker, "draw", watched)
    with serving(worker) as (client, _):
        with suppress(httpx.ReadTimeout), client.stream("POST", path, json=LONG, timeout=0.5) as answer:
            next(answer.iter_raw())
        assert stopped.wait(10)
        assert 0 < max(steps) < LONG["steps"]
    gc.collect()
    assert "never retrieved" not in caplog.text


def test_stopping_finishes_the_batch_and_refuses_waiting_pictures(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawing, may_draw = hold(worker, monkeypatch)
    with serving(worker) as (client, server), ThreadPoolExecutor(2) as callers:
        running = callers.submit(client.post, "/v1/draw", json=DUAL)
        assert drawing.wait(10)
        waiting = callers.submit(client.post, "/v1/draw", json=DUAL | {"prompt": "sun"})
        wait_until(lambda: server.config.app.state.queue.waiting)  # type: ignore[union-attr]
        server.should_exit = True
        assert (waiting.result().status_code, waiting.result().json()["error"]["type"]) == (503, "closing")
        may_draw.set()
        assert running.result().json()["images"][0]


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
def test_invalid_input_is_refused_with_field_and_reason(client: httpx.Client, body: bytes, param: str) -> None:
    answer = client.post("/v1/draw", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 422
    error = answer.json()["error"]
    assert param in (error["param"] or "")
    assert error["message"]


@pytest.mark.parametrize("body", [b"\xff", b"[" * 100_000, b'{"n": ' + b"9" * 6000 + b"}"])
def test_a_body_that_is_not_json_returns_400_in_the_same_shape(client: httpx.Client, body: bytes) -> None:
    answer = client.post("/v1/draw", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 400
    assert answer.json()["error"]["message"].startswith("There was an error parsing the body: ")


def test_an_unknown_path_returns_an_error_in_the_same_shape(client: httpx.Client) -> None:
    assert client.get("/v1/nothing").json()["error"]["message"] == "Not Found: GET /v1/nothing"


def test_a_failed_drawing_has_the_request_id_in_its_response_and_in_the_log(
    worker: Worker, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise KeyError("wine")

    monkeypatch.setattr(worker, "draw", fail)
    with serving(worker) as (client, _):
        answer = client.post("/v1/draw", json=DUAL, headers={"X-Request-ID": "order-66"})
        assert (answer.status_code, answer.headers["x-request-id"]) == (500, "order-66")
        assert answer.headers["connection"] == "close"
        assert len({client.get("/v1/nothing").headers["x-request-id"] for _ in range(2)}) == 2
    (failed,) = [record for record in caplog.records if record.message == "drawing failed"]
    assert failed.__dict__["requests"] == ["order-66"]


def test_a_missing_model_returns_503_with_the_reason(tmp_path: Path) -> None:
    worker = Worker(str(tmp_path / "none"))
    with serving(worker) as (client, _):
        assert worker.loading.exception()
        assert client.get("/healthz").status_code == 503
        assert "neither a folder" in client.post("/v1/draw", json={"prompt": "sun"}).json()["error"]["message"]
    worker.thread.shutdown()
