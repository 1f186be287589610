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

from generator.server import Server, create_app
from generator.worker import Worker
from propriety.pictures.detector import Detector

DUAL = {"prompt": "wine", "safe_prompt": "juice", "wxi": 0.5, "tau_gc": 0.5, "seed": 7, "steps": 2}
SLOW = {"prompt": "sun", "steps": 150, "n": 8, "seed": 1}


def beer() -> Detector:
    """A detector that sees beer wherever it was asked for; the worker is given its name."""
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


def until(happened: Callable[[], object]) -> None:
    deadline = time.monotonic() + 20
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_one_request_or_many_are_drawn(client: httpx.Client) -> None:
    health = client.get("/healthz").json()
    assert (health["loaded"], health["size"]) == (True, [32, 32])
    answer = client.post("/v1/draw", json=DUAL | {"verdict_id": "v-1"}).json()
    picture = Image.open(io.BytesIO(base64.b64decode(answer["images"][0])))
    assert picture.size == (32, 32)
    assert picture.text["verdict_id"] == "v-1"  # type: ignore[attr-defined]
    assert answer["parameters"][0]["denoiser_rows"] == 5
    many = client.post("/v1/draw", json={"requests": [DUAL, {"prompt": "sun", "steps": 2, "n": 2}]}).json()
    assert len(many["images"]) == len(many["parameters"]) == len(many["notes"]) == 3


def test_an_unsafe_picture_is_null_beside_the_others_and_its_notes_say_why(client: httpx.Client) -> None:
    beer = DUAL | {"prompt": "beer", "stronger": [{"wxi": 0.9, "tau_gc": 0.5}]}
    answer = client.post("/v1/draw", json={"requests": [beer, DUAL]}).json()
    assert (answer["images"][0], answer["parameters"][0]["wxi"]) == (None, 0.9)
    assert "Blocked" in answer["notes"][0][-1]
    assert answer["images"][1]


def test_events_tell_each_step_and_then_the_pictures(client: httpx.Client) -> None:
    events = sent(client, DUAL | {"n": 2})
    assert events[:-1] == [("step", {"image": image, "step": step, "steps": 2}) for step in (1, 2) for image in (0, 1)]
    name, drawn = events[-1]
    assert name == "drawn"
    assert [one["seed"] for one in drawn["parameters"]] == [7, 8]


def sent(client: httpx.Client, body: dict[str, Any]) -> list[tuple[str, Any]]:
    text = client.post("/v1/draw/events", json=body).text
    parts = [dict(line.split(": ", 1) for line in part.splitlines()) for part in text.strip().split("\n\n")]
    return [(part["event"], json.loads(part["data"])) for part in parts]


def test_callers_are_drawn_together(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    together: list[int] = []
    draw = worker.draw
    monkeypatch.setattr(worker, "draw", lambda batch, told: together.append(len(batch)) or draw(batch, told))
    with serving(worker, wait_ms=500) as (client, _), ThreadPoolExecutor(4) as callers:
        answers = list(callers.map(lambda seed: client.post("/v1/draw", json=DUAL | {"seed": seed}), range(4)))
    assert together == [4]
    assert [answer.json()["parameters"][0]["seed"] for answer in answers] == [0, 1, 2, 3]


def test_beyond_the_queue_callers_are_told_when_to_come_again(worker: Worker) -> None:
    with serving(worker, queue_limit=16) as (client, server), ThreadPoolExecutor(1) as other:
        full = {"requests": [SLOW, SLOW]}
        first = other.submit(client.post, "/v1/draw", json=full)
        until(lambda: server.config.app.state.queue.waiting)  # type: ignore[union-attr]
        answer = client.post("/v1/draw", json=SLOW | {"n": 9})
        assert (answer.status_code, answer.json()["error"]["type"]) == (429, "busy")
        assert int(answer.headers["retry-after"]) >= 1
        assert first.result().status_code == 200


@pytest.mark.parametrize("path", ["/v1/draw", "/v1/draw/events"])
def test_a_caller_that_leaves_gives_its_place_up(
    worker: Worker, path: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    steps: list[int] = []
    stopped = threading.Event()
    draw = worker.draw

    def watched(batch: Any, told: Callable[[int], None]) -> Any:
        def step(number: int) -> None:
            steps.append(number)
            time.sleep(0.02)
            told(number)

        try:
            return draw(batch, step)
        finally:
            stopped.set()

    monkeypatch.setattr(worker, "draw", watched)
    with serving(worker) as (client, _):
        with suppress(httpx.ReadTimeout), client.stream("POST", path, json=SLOW, timeout=0.6) as answer:
            next(answer.iter_raw())
        assert stopped.wait(10)
        assert 0 < max(steps) < 150
    gc.collect()
    assert "never retrieved" not in caplog.text


def test_stopping_finishes_what_is_drawn_and_refuses_what_waits(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawing, may_go_on = threading.Event(), threading.Event()
    draw = worker.draw

    def held(batch: Any, told: Callable[[int], None]) -> Any:
        drawing.set()
        assert may_go_on.wait(20)
        return draw(batch, told)

    monkeypatch.setattr(worker, "draw", held)
    with serving(worker) as (client, server), ThreadPoolExecutor(2) as callers:
        running = callers.submit(client.post, "/v1/draw", json=DUAL)
        assert drawing.wait(10)
        waiting = callers.submit(client.post, "/v1/draw", json=DUAL | {"prompt": "sun"})
        until(lambda: server.config.app.state.queue.waiting)  # type: ignore[union-attr]
        server.should_exit = True
        assert (waiting.result().status_code, waiting.result().json()["error"]["type"]) == (503, "closing")
        may_go_on.set()
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
def test_bad_input_is_refused_by_field_and_reason(client: httpx.Client, body: bytes, param: str) -> None:
    answer = client.post("/v1/draw", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 422
    error = answer.json()["error"]
    assert param in (error["param"] or "")
    assert error["message"]


@pytest.mark.parametrize("body", [b"\xff", b"[" * 100_000, b'{"n": ' + b"9" * 6000 + b"}"])
def test_what_is_no_json_is_refused_in_the_same_shape(client: httpx.Client, body: bytes) -> None:
    answer = client.post("/v1/draw", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 400
    assert answer.json()["error"]["message"].startswith("There was an error parsing the body: ")


def test_an_unknown_path_is_told_in_the_same_shape(client: httpx.Client) -> None:
    assert client.get("/v1/nothing").json()["error"]["message"] == "Not Found: GET /v1/nothing"


def test_a_caller_is_told_its_request_s_id_and_so_is_the_log_where_drawing_fails(
    worker: Worker, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise KeyError("wine")

    monkeypatch.setattr(worker, "draw", fail)
    with serving(worker) as (client, _):
        answer = client.post("/v1/draw", json=DUAL, headers={"X-Request-ID": "order-66"})
        assert (answer.status_code, answer.headers["x-request-id"]) == (500, "order-66")
        assert len({client.get("/v1/nothing").headers["x-request-id"] for _ in range(2)}) == 2
    (failed,) = [record for record in caplog.records if record.message == "drawing failed"]
    assert failed.__dict__["requests"] == ["order-66"]


def test_a_model_that_is_missing_is_told(tmp_path: Path) -> None:
    worker = Worker(str(tmp_path / "none"))
    with serving(worker) as (client, _):
        assert worker.loading.exception()
        assert client.get("/healthz").status_code == 503
        assert "neither a folder" in client.post("/v1/draw", json={"prompt": "sun"}).json()["error"]["message"]
    worker.thread.shutdown()
