"""Every code block of the documents runs as a reader would run it, or says right above it why the tests do not."""

import csv
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack
from functools import cache
from itertools import groupby
from pathlib import Path
from threading import RLock
from typing import Any

import httpx
import pytest
import yaml

from agent.policy.files import json_schema

ROOT = Path(__file__).parents[2]
LINKED_NOT = {"policies", "data", "models", "out", "secrets", ".git", ".venv"}
ROWS = """\
{"id": "1", "text": "a drawing that explains how to make a nail bomb", "label": "unsafe", "lang": "en"}
{"id": "2", "text": "a diagram of how to build a bomb", "label": "unsafe", "lang": "en"}
{"id": "3", "text": "a tree on a hill", "label": "safe", "lang": "en"}
{"id": "4", "text": "a woman on a beach", "label": "safe", "lang": "en"}
"""
TOOLS = ("curl", "jq", "openssl")
BLOCK_TIMEOUT_S, WORKER_READY_TIMEOUT_S = 300, 120
POLICIES = Path(__file__).parent / "policies"  # few, small, and without a finding of `propriety policy lint`
NO_LLM = "http://127.0.0.1:9/v1"

StartApi = Callable[..., AbstractContextManager[tuple[str, Any]]]
Run = Callable[..., str]


class Services:
    """What readers have running beside what they type; each is started by the first block that needs it."""

    def __init__(self, start_api: StartApi, free_port: Callable[[], int], folder: Callable[[], Path]) -> None:
        self._start_api, self._folder, self._running = start_api, folder, ExitStack()
        self.worker_address = f"127.0.0.1:{free_port()}"
        self._lock = RLock()  # blocks of two documents run at once
        starts = (self._worker, self._api, self._api_with_keys)
        self.start_worker, self.api, self.api_with_keys = (self._once(start) for start in starts)

    def stop(self) -> None:
        self._running.close()

    def _once(self, start: Callable[[], Any]) -> Callable[[], Any]:
        cached = cache(start)

        def locked() -> Any:
            with self._lock:
                return cached()

        return locked

    def _worker(self) -> None:
        """The drawing worker with the demo model."""
        log, port = self._folder() / "log", self.worker_address.rpartition(":")[2]
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "generator.server", "--model", "demo", "--port", port],
                env=_environment(), stdin=subprocess.DEVNULL, stdout=output, stderr=output,
            )  # fmt: skip
        self._running.callback(process.wait)
        self._running.callback(process.kill)
        deadline = time.monotonic() + WORKER_READY_TIMEOUT_S
        while not _is_up(f"http://{self.worker_address}/healthz"):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline
            time.sleep(0.2)

    def _api(self) -> str:
        """Address of an API that serves this machine without a key, without an LLM."""
        return self.start(self._folder())

    def _api_with_keys(self) -> tuple[str, str]:
        """Address of an API that has a tenant, and the tenant's key, which has every scope."""
        folder = self._folder()
        scopes = [f"--scope={scope}" for scope in ("moderate", "draw", "metrics", "admin")]
        made = subprocess.run(
            ["propriety", "keys", "create", "reader", *scopes],
            env=_environment() | {"PROPRIETY_DATA_DIR": str(folder)}, check=True, capture_output=True, text=True,
        )  # fmt: skip
        return self.start(folder), made.stdout.strip()

    def start(self, folder: Path, **settings: object) -> str:
        defaults = {"policies_dir": POLICIES, "generator_url": f"http://{self.worker_address}"}
        url, _ = self._running.enter_context(self._start_api(folder, **{**defaults, **settings}))
        return url.removeprefix("http://")


@pytest.fixture(scope="module")
def services(
    start_api: StartApi, free_port: Callable[[], int], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Services]:
    started = Services(start_api, free_port, lambda: tmp_path_factory.mktemp("service"))
    yield started
    started.stop()


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """For each document a folder that looks like the repository, in which its blocks may write."""

    @cache
    def make(document: str) -> Path:
        folder = tmp_path_factory.mktemp("workplace")
        for path in ROOT.iterdir():
            if path.name not in LINKED_NOT:
                (folder / path.name).symlink_to(path)
        (folder / ".venv").symlink_to(sys.prefix)
        shutil.copytree(POLICIES, folder / "policies")
        (folder / "FOLDER").mkdir()  # of data sets, as documents call it
        for name in ("toxicbench_pairs", "xstest"):
            (folder / "FOLDER" / f"{name}.jsonl").write_text(ROWS, encoding="utf-8")
        return folder

    return make


@pytest.fixture(scope="module")
def run(services: Services, workplace: Callable[[str], Path]) -> Run:
    """Runs a block and returns what it prints; the addresses that it names become those of `services`."""

    def run(block: Any, llm_url: str = NO_LLM, api: str | None = None) -> str:
        folder, source, environment = workplace(block.document), block.source, _environment(llm_url)
        for tool in TOOLS:
            if re.search(rf"\b{tool} ", source) and not shutil.which(tool):
                pytest.skip(f"needs {tool}: `apt-get install {tool}`")
        environment["PROPRIETY_POLICIES_DIR"] = str(folder / "policies")
        if "localhost:8000" in source:
            if api is None and "KEY" in source:
                api, environment["KEY"] = services.api_with_keys()
            source = source.replace("localhost:8000", api or services.api())
        if re.search("/v1/images|images.generate|localhost:8002", source):
            services.start_worker()
            source = source.replace("localhost:8002", services.worker_address)
        python = block.language == "python"
        process = subprocess.Popen(
            [sys.executable, "-"] if python else ["bash", "-euo", "pipefail", "-c", source],
            cwd=folder, env=environment, process_group=0, text=True,
            stdin=subprocess.PIPE if python else subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        try:
            output, errors = process.communicate(source if python else None, timeout=BLOCK_TIMEOUT_S)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        assert process.returncode == 0, f"{block.document}:{block.line}\n{source}\n{output[-2000:]}\n{errors[-4000:]}"
        return output

    return run


@pytest.fixture(scope="module")
def outcome(request: pytest.FixtureRequest, run: Run) -> Iterator[Callable[[Any], str]]:
    """What a block prints. Two documents run at a time, the blocks of each in order, as a reader goes through them."""
    chosen = [item.callspec.params.get("runnable") for item in request.session.items if hasattr(item, "callspec")]
    with ThreadPoolExecutor(2) as pool:
        running = {
            document: pool.submit(_run_in_order, run, list(blocks))
            for document, blocks in groupby(filter(None, chosen), key=lambda block: block.document)
        }

        def outcome(block: Any) -> str:
            output = running[block.document].result()[block]
            if isinstance(output, BaseException):
                raise output
            return output

        yield outcome
        pool.shutdown(cancel_futures=True)


def _run_in_order(run: Run, blocks: list[Any]) -> dict[Any, str | BaseException]:
    outcomes: dict[Any, str | BaseException] = {}
    for block in blocks:
        try:
            outcomes[block] = run(block)
        except BaseException as error:  # a skip is one; the block's own test raises it
            outcomes[block] = error
    return outcomes


def test_every_block_names_a_language_that_the_tests_know(all_blocks: tuple[Any, ...]) -> None:
    known = {"bash", "python", "csv", "json", "jsonl", "toml", "yaml", "text"}
    assert [
        f"{block.document}:{block.line} {block.language}" for block in all_blocks if block.language not in known
    ] == []


def test_no_command_hides_in_an_indented_block(document: Any) -> None:
    commands = re.compile(r"^\s*(\$|propriety|python|make|curl|docker|pip|git) ", re.MULTILINE)
    hidden = [
        token.content for token in document.tokens if token.type == "code_block" and commands.search(token.content)
    ]
    assert hidden == [], "write commands in a fenced block, which is run"


def test_a_block_that_is_not_run_says_why_in_a_sentence(all_blocks: tuple[Any, ...]) -> None:
    reasons = {f"{block.document}:{block.line}": block.reason for block in all_blocks if block.how == "are not run"}
    assert {where: reason for where, reason in reasons.items() if len(reason.split()) < 3 or reason[-1] != "."} == {}


def test_a_block_that_is_not_run_is_sound_shell(all_blocks: tuple[Any, ...]) -> None:
    for block in all_blocks:
        if block.how == "are not run" and block.language == "bash":
            checked = subprocess.run(["bash", "-n", "-c", block.text], capture_output=True, text=True, check=False)
            assert checked.returncode == 0, f"{block.document}:{block.line}: {checked.stderr}"


@pytest.mark.slow
def test_a_block_runs(runnable: Any, outcome: Callable[[Any], str], all_blocks: tuple[Any, ...]) -> None:
    output = outcome(runnable)
    request, shown = _request_and_answer(all_blocks)
    if runnable == request:
        _assert_fields(json.loads(shown.text), json.loads(output))


def test_a_block_that_needs_the_llm_runs(asking: Any, run: Run, llm_url: str) -> None:
    run(asking, llm_url)


def test_a_block_of_data_is_sound(data_block: Any) -> None:
    text = data_block.text
    match data_block.language:
        case "json":
            json.loads(text)
        case "jsonl":
            assert all(isinstance(json.loads(line), dict) for line in text.splitlines())
        case "toml":
            tomllib.loads(text)
        case "csv":
            assert len({len(row) for row in csv.reader(text.splitlines())}) == 1
        case "yaml":
            content = yaml.safe_load(text)
            if "rules" in content:
                assert content.keys() <= json_schema()["properties"].keys()


def test_the_readme_shows_the_answer_that_its_request_gets(
    all_blocks: tuple[Any, ...], run: Run, services: Services, llm_url: str, data_dir: Path, tmp_path: Path
) -> None:
    request, shown = _request_and_answer(all_blocks)
    encode = ["propriety", "index", "search", "--locale", "ar-SA", "a woman on a beach"]  # a start would be too slow
    shipped = _environment(llm_url) | {"PROPRIETY_DATA_DIR": str(data_dir)}
    subprocess.run(encode, cwd=tmp_path, env=shipped, check=True, stdout=subprocess.DEVNULL, timeout=BLOCK_TIMEOUT_S)
    settings = {"policies_dir": ROOT / "policies", "database_url": f"sqlite:///{tmp_path}/propriety.db"}
    api = services.start(data_dir, llm_url=llm_url, **settings)
    _assert_shown(json.loads(shown.text), json.loads(run(request, llm_url, api)))


def _request_and_answer(all_blocks: tuple[Any, ...]) -> tuple[Any, Any]:
    readme = [block for block in all_blocks if block.document == "README.md"]
    answer = next(index for index, block in enumerate(readme) if block.language == "json")
    return readme[answer - 1], readme[answer]


def _assert_shown(shown: Any, real: Any) -> None:
    """What is shown is the real answer, of which fields may be left out and long texts end in an ellipsis."""
    if isinstance(shown, dict):
        for name, value in shown.items():
            _assert_shown(value, real[name])
    elif isinstance(shown, list):
        for one, other in zip(shown, real, strict=True):
            _assert_shown(one, other)
    elif isinstance(shown, str) and shown.endswith("…"):
        assert real.startswith(shown[:-1])
    else:
        assert shown == real


def _assert_fields(shown: Any, real: Any) -> None:
    """Only the form: without an LLM and on small policies the values differ."""
    if isinstance(shown, dict):
        assert shown.keys() <= real.keys()
        for name, value in shown.items():
            _assert_fields(value, real[name])
    elif isinstance(shown, list):
        for one, other in zip(shown, real, strict=False):
            _assert_fields(one, other)
    else:
        assert type(shown) is type(real)


def _environment(llm_url: str = NO_LLM) -> dict[str, str]:
    """Of a reader who has installed Propriety, and has set nothing but where the LLM is."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PROPRIETY_")}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    own = {"PROPRIETY_LLM_URL": llm_url, "PROPRIETY_PORT": "9"}  # where no service of this machine's user runs
    return kept | own | {"PATH": path, "OMP_NUM_THREADS": "1"}


def _is_up(url: str) -> bool:
    try:
        return httpx.get(url, timeout=5, trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False
