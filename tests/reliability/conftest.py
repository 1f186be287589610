"""The API in its own process, called over the network while something it depends on fails."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

# The neighbours and the LLM together allow it; the neighbours alone, which are stricter, do not.
DOUBTFUL = "a bottle in a kitchen"
STAND_IN = Path(__file__).with_name("stand_in_llm.py")


class Llm:
    """The stand-in for an LLM, in its own process."""

    def __init__(self, port: int) -> None:
        self.port, self.url = port, f"http://127.0.0.1:{port}/v1"
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen([sys.executable, str(STAND_IN), str(self.port)])
        wait_until(lambda: self.fail(""), 20)

    def fail(self, fault: str) -> bool:
        """Respond with a fault of `stand_in_llm.FAULTS` from now on; an empty name is health. False if not reached."""
        try:
            return httpx.put(f"http://127.0.0.1:{self.port}/fault", content=fault, trust_env=False).is_success
        except httpx.TransportError:
            return False

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


class Api:
    """The API's process and its responses."""

    def __init__(self, url: str, process: "subprocess.Popen[bytes]") -> None:
        self.url, self.process = url, process
        self.client = httpx.Client(base_url=url, timeout=60, trust_env=False)

    def ask(self, prompt: str = DOUBTFUL, model: str = "propriety-llm", locale: str = "ar-SA") -> httpx.Response:
        return self.client.post("/v1/moderations", json={"input": prompt, "model": model, "locale": locale})

    def decision(self, *arguments: str) -> dict[str, Any]:
        response = self.ask(*arguments)
        assert response.status_code == 200, response.text
        decision: dict[str, Any] = response.json()["results"][0]["decision"]
        return decision

    def is_logged(self, verdict_id: str) -> bool:
        return self.client.get(f"/v1/verdicts/{verdict_id}").status_code == 200

    def ready(self) -> tuple[int, dict[str, str]]:
        response = self.client.get("/readyz")
        return response.status_code, response.json()["parts"]


def wait_until(condition: Callable[[], object], timeout_s: float) -> float:
    started = time.monotonic()
    while not condition():
        assert time.monotonic() - started < timeout_s
        time.sleep(0.02)
    return time.monotonic() - started


@pytest.fixture(scope="session", name="wait_until")
def _wait_until() -> Callable[[Callable[[], object], float], float]:
    """Waits until a condition holds, returns the seconds that took, and fails after a timeout in seconds."""
    return wait_until


@pytest.fixture(scope="module")
def llm(free_port: Callable[[], int]) -> Iterator[Llm]:
    llm = Llm(free_port())
    yield llm
    llm.kill()


@pytest.fixture(scope="session")
def serve(start_api: Callable[..., Any]) -> Callable[..., AbstractContextManager[Api]]:
    """Like `start_api`, but without a cache, so that every request is judged; yields an `Api`."""

    @contextmanager
    def serving(folder: Path, **settings: object) -> Iterator[Api]:
        with start_api(folder, **{"cache_size": 0, **settings}) as (url, process):
            api = Api(url, process)
            try:
                yield api
            finally:
                api.client.close()

    return serving
