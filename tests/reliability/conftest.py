"""The API in a process of its own, asked over the wire while what it stands on fails."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

DOUBTFUL = "a bottle in a kitchen"  # allowed by neighbours and judge, but not by neighbours that must be strict
STAND_IN = Path(__file__).with_name("stand_in_llm.py")


class Llm:
    """The stand-in for an LLM, in a process of its own."""

    def __init__(self, port: int) -> None:
        self.port, self.url = port, f"http://127.0.0.1:{port}/v1"
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen([sys.executable, str(STAND_IN), str(self.port)])
        until(lambda: self.fail(""), 20)

    def fail(self, fault: str) -> bool:
        try:
            return httpx.put(f"http://127.0.0.1:{self.port}/fault", content=fault, trust_env=False).is_success
        except httpx.TransportError:
            return False

    def end(self) -> None:
        self.process.kill()
        self.process.wait()


class Api:
    """The API's process, and what it decides."""

    def __init__(self, url: str, process: "subprocess.Popen[bytes]") -> None:
        self.url, self.process = url, process
        self.client = httpx.Client(base_url=url, timeout=60, trust_env=False)

    def ask(self, prompt: str = DOUBTFUL, model: str = "propriety-llm", locale: str = "ar-SA") -> httpx.Response:
        return self.client.post("/v1/moderations", json={"input": prompt, "model": model, "locale": locale})

    def decision(self, *what: str) -> dict[str, Any]:
        answer = self.ask(*what)
        assert answer.status_code == 200, answer.text
        decision: dict[str, Any] = answer.json()["results"][0]["decision"]
        return decision

    def logged(self, verdict_id: str) -> bool:
        return self.client.get(f"/v1/verdicts/{verdict_id}").status_code == 200

    def ready(self) -> tuple[int, dict[str, str]]:
        answer = self.client.get("/readyz")
        return answer.status_code, answer.json()["parts"]


def until(happened: Callable[[], object], limit_s: float) -> float:
    """Seconds until something happens, of which there are at most `limit_s`."""
    started = time.monotonic()
    while not happened():
        assert time.monotonic() - started < limit_s
        time.sleep(0.02)
    return time.monotonic() - started


@pytest.fixture(scope="session")
def wait_until() -> Callable[[Callable[[], object], float], float]:
    return until


@pytest.fixture(scope="module")
def llm(free_port: Callable[[], int]) -> Iterator[Llm]:
    llm = Llm(free_port())
    yield llm
    llm.end()


@pytest.fixture(scope="session")
def serve(start_api: Callable[..., Any]) -> Callable[..., AbstractContextManager[Api]]:
    """As `start_api`, without a cache, so that each question is one."""

    @contextmanager
    def serving(folder: Path, **settings: object) -> Iterator[Api]:
        with start_api(folder, **{"cache_size": 0, **settings}) as (url, process):
            api = Api(url, process)
            try:
                yield api
            finally:
                api.client.close()

    return serving
