"""Fixtures that several folders share, and the rule that continuous integration skips nothing."""

import asyncio
import os
import subprocess
import time
from collections.abc import Generator, Iterator
from importlib.util import find_spec
from pathlib import Path

import httpx
import hypothesis
import pytest

from agent.embedded.prepare import server_command, server_environment
from agent.settings import EMBEDDED_LLM, Settings

ROOT = Path(__file__).parents[1]
LLM_READY_TIMEOUT_S = 600

# A loaded machine is slow now and then, which is no failure of what is tested.
hypothesis.settings.register_profile("propriety", deadline=None)
hypothesis.settings.load_profile("propriety")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """With CI set, a skipped test fails: what is not run there is run nowhere."""
    report = yield
    if os.environ.get("CI") and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped, which fails where CI is set: {report.longrepr}"
    return report


@pytest.fixture(scope="session")
def loop() -> Iterator[asyncio.Runner]:
    """One event loop for all that ask the LLM: LangChain's models share HTTP clients, and a client keeps its loop."""
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where all that use the policies that ship keep the concepts' vectors: encoding them takes half a minute."""
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="session")
def llm_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Base URL, with `/v1`, of a real LLM: PROPRIETY_LLM_URL if healthy, else the embedded one, started here."""
    named = os.environ.get("PROPRIETY_LLM_URL", "").rstrip("/")
    if named and _healthy(named):
        yield named
        return
    settings = Settings(llm_url=None, models_dir=ROOT / "models", llm_port=int(os.environ.get("TEST_LLM_PORT", "8011")))
    if not (find_spec("vllm") and (settings.models_dir / EMBEDDED_LLM).exists()):
        pytest.skip("no LLM: run `make weights`, or set PROPRIETY_LLM_URL to a running OpenAI-compatible server")
    log = tmp_path_factory.mktemp("llm") / "llm.log"
    with log.open("wb") as output:
        server = subprocess.Popen(
            server_command(settings),
            env=server_environment(settings),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            process_group=0,
        )
    try:
        deadline = time.monotonic() + LLM_READY_TIMEOUT_S
        while not _healthy(settings.llm_base_url):
            if server.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"the LLM did not start:\n{log.read_text(errors='replace')[-3000:]}")
            time.sleep(1)
        yield settings.llm_base_url
    finally:
        if server.poll() is None:
            os.killpg(server.pid, 15)
            server.wait(timeout=60)


def _healthy(url: str) -> bool:
    try:
        return httpx.get(f"{url}/models", timeout=5, trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False
