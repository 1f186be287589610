"""The real drawing worker is killed while it draws: the caller gets 503, and the next worker draws the same picture."""

import base64
import io
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from PIL import Image

PICTURES, SOON_S, READY_WITHIN_S = 2, 5.0, 120.0
BODY = {"prompt": "a woman holding a wine glass on a beach", "locale": "ar-SA", "model": "propriety-nearest",
        "seed": 7, "n": PICTURES}  # fmt: skip


@contextmanager
def drawing_worker(port: int, wait_until: Callable[..., float]) -> Iterator["subprocess.Popen[bytes]"]:
    command = [sys.executable, "-m", "generator.server", "--port", str(port), "--threads", "1"]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: process.poll() is not None or is_ready(port), READY_WITHIN_S)
        yield process
    finally:
        process.kill()
        process.wait()


def is_ready(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/healthz", trust_env=False).is_success
    except httpx.TransportError:
        return False


def test_a_drawing_worker_killed_while_it_draws(
    serve: Any, free_port: Any, tmp_path: Path, wait_until: Any, admin_headers: Any
) -> None:
    port, database_url = free_port(), f"sqlite:///{tmp_path}/propriety.db"
    operator = admin_headers(database_url)
    with serve(tmp_path, generator_url=f"http://127.0.0.1:{port}", database_url=database_url) as api:

        def draw() -> httpx.Response:
            response: httpx.Response = api.client.post("/v1/images/generations", json=BODY)
            return response

        def decisions() -> int:
            lines = api.client.get("/metrics", headers=operator).text.splitlines()
            return sum(float(line.split()[-1]) for line in lines if line.startswith("propriety_decisions_total{"))

        with drawing_worker(port, wait_until) as worker:
            draw()  # the first request takes longer
            before = draw()
            assert before.status_code == 200
            with ThreadPoolExecutor(1) as caller:
                count, future = decisions(), caller.submit(draw)
                wait_until(lambda: decisions() > count, SOON_S)
                time.sleep(before.elapsed.total_seconds() / 3)
                worker.kill()
                killed_at = time.monotonic()
                response = future.result()
            assert time.monotonic() - killed_at < SOON_S
            assert (response.status_code, response.json()["error"]["code"]) == (503, "generator_unavailable")
        assert draw().json()["error"]["code"] == "generator_unavailable"
        assert api.decision("a tree on a hill", "propriety-nearest")["action"] == "allow"
        started = time.monotonic()
        with drawing_worker(port, wait_until):
            after = draw()
            print(f"back after {time.monotonic() - started:.1f} s")
            assert pixels(after) == pixels(before)


def pixels(response: httpx.Response) -> list[bytes]:
    """The pixels of each picture; the files differ in their signatures."""
    files = [base64.b64decode(picture["b64_json"]) for picture in response.json()["data"]]
    return [Image.open(io.BytesIO(file)).tobytes() for file in files]
