"""Fixtures that several folders share. If CI is set, a skipped test fails."""

import asyncio
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from importlib.util import find_spec
from pathlib import Path

import httpx
import hypothesis
import pytest
from sqlalchemy import create_engine, text

from agent.models.serve import server_command, server_environment
from agent.settings import EMBEDDED_LLM, Settings
from agent.store.database import open_database
from agent.store.tenants import ADMIN, Tenants
from propriety.verdict import Action, Category, PolicyRef, Severity, Span, Status, Verdict, Violation

ROOT = Path(__file__).parents[1]
SMALL_POLICIES = ROOT / "tests" / "small_policies"
LLM_READY_TIMEOUT_S, API_READY_TIMEOUT_S = 600, 60

# On a loaded machine an example can be slow without being wrong.
hypothesis.settings.register_profile("propriety", deadline=None)
hypothesis.settings.load_profile("propriety")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks the tests that need the LLM, and folders that start services or draw, so that `make check` omits them."""
    for item in items:
        if any(item.path.is_relative_to(ROOT / "tests" / folder) for folder in ("reliability", "evaluation/image")):
            item.add_marker(pytest.mark.slow)
        if "llm_url" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.llm)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Fails a skipped test if CI is set, since a test skipped there never runs, unless it is declared inapplicable."""
    report = yield
    inapplicable = [reason for mark in item.iter_markers("inapplicable") for reason in mark.args]
    declared = any(reason in str(report.longrepr) for reason in inapplicable)
    if os.environ.get("CI") and report.skipped and not hasattr(report, "wasxfail") and not declared:
        report.outcome = "failed"
        report.longrepr = f"skipped, which is a failure if CI is set: {report.longrepr}"
    return report


@pytest.fixture(scope="session")
def loop() -> Iterator[asyncio.Runner]:
    """One event loop for all tests of the LLM: LangChain's models share HTTP clients, which are bound to a loop."""
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config) -> Path:
    """The data folder of all tests on the shipped policies. Encoding their concepts takes half a minute, so pytest's
    cache keeps the vectors; those of another encoder are not used."""
    folder = tmp_path_factory.mktemp("data")
    if cache := getattr(pytestconfig, "cache", None):
        (folder / "index").symlink_to(cache.mkdir("encoded"))
    return folder


@pytest.fixture(scope="session")
def llm_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Base URL, with `/v1`, of a real LLM: PROPRIETY_LLM_URL if healthy, else the embedded one, started here."""
    configured = os.environ.get("PROPRIETY_LLM_URL", "").rstrip("/")
    if configured and _responds(f"{configured}/models"):
        yield configured
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
        while not _responds(f"{settings.llm_base_url}/models"):
            if server.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"the LLM did not start:\n{log.read_text(errors='replace')[-3000:]}")
            time.sleep(1)
        yield settings.llm_base_url
    finally:
        if server.poll() is None:
            os.killpg(server.pid, 15)
            server.wait(timeout=60)


class Postgres:
    """A real PostgreSQL server on its own socket."""

    def __init__(self, initdb: Path, folder: Path) -> None:
        self._pg_ctl, self._folder = initdb.with_name("pg_ctl"), folder
        self._user = "postgres" if os.geteuid() == 0 else None  # PostgreSQL refuses to run as root
        if self._user:
            shutil.chown(folder, self._user)
        self._run(initdb, "-D", folder / "data", "-U", "postgres", "-A", "trust", "-E", "UTF8")

    def start(self) -> None:
        options = f"-k {self._folder} -c listen_addresses="
        self._run(self._pg_ctl, "-D", self._folder / "data", "-o", options, "-l", self._folder / "log", "-w", "start")

    def stop(self) -> None:
        """Stops at once, as if its machine had failed."""
        self._run(self._pg_ctl, "-D", self._folder / "data", "-m", "immediate", "-w", "stop")

    def new_database(self) -> str:
        """The SQLAlchemy URL of a new, empty database."""
        url, name = f"postgresql+psycopg://postgres@/{{}}?host={self._folder}", f"test_{os.urandom(8).hex()}"
        engine = create_engine(url.format("postgres"), isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {name}"))
        engine.dispose()
        return url.format(name)

    def _run(self, *command: object) -> None:
        subprocess.run(
            [str(part) for part in command], user=self._user, cwd=self._folder, check=True, timeout=120,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    programs = [shutil.which("initdb"), *map(str, sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb")))]
    if not (initdb := next((program for program in programs if program), None)):
        pytest.skip("no PostgreSQL: `apt-get install postgresql` provides initdb and pg_ctl")
    folder = Path(tempfile.mkdtemp(prefix="postgres"))
    try:
        server = Postgres(Path(initdb), folder)
        server.start()
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder)


@pytest.fixture(scope="session")
def free_port() -> Callable[[], int]:
    """Finds a port on which nothing listens."""
    return _free_port


@pytest.fixture(scope="session")
def small_policies() -> Path:
    """A folder with two policies and a few concepts, which load quickly."""
    return SMALL_POLICIES


@pytest.fixture(scope="session")
def blocked(verdict: Callable[[str], Verdict]) -> Verdict:
    """A verdict that blocks and quotes the prompt."""
    fields = {
        "action": Action.BLOCK, "severity": Severity.HIGH, "flagged": True, "score": 0.9, "prompt": "a bomb in Berlin",
        "safe_prompt": None, "fidelity": None, "wxi": None, "tau_gc": None, "locale": "de-DE", "message": "Nein.",
        "violations": [
            Violation(
                rule_id="weapons", category=Category.INDISCRIMINATE_WEAPONS, severity=Severity.HIGH, confidence=0.9,
                rationale="near “a bomb”", spans=[Span(start=2, end=6, text="bomb")],
            ),
            Violation(
                rule_id="alcohol", category=Category.REGULATED_SUBSTANCES, severity=Severity.MEDIUM, confidence=0.95,
                rationale="a definition",
            ),
        ],
    }  # fmt: skip
    return verdict("verdict-blocked").model_copy(update=fields)


@pytest.fixture(scope="session")
def verdict() -> Callable[[str], Verdict]:
    """Makes an `allow` verdict with the given id."""

    def make(name: str) -> Verdict:
        return Verdict(
            id=name, status=Status.OK, action=Action.ALLOW, severity=None, flagged=False, score=0.1, prompt="قلعة",
            safe_prompt="قلعة", fidelity=1.0, wxi=0.0, tau_gc=0.0, locale="ar-SA", message=None, model="e5",
            policy=PolicyRef(locale="ar-SA", version="2026-01-01", hash="0" * 64), timings_ms={"total": 1.0},
        )  # fmt: skip

    return make


Api = tuple[str, "subprocess.Popen[bytes]"]


@pytest.fixture(scope="session")
def start_api() -> Callable[..., AbstractContextManager[Api]]:
    """Starts the API in a separate process: `start_api(folder, setting=...)` yields its URL and the process.

    By default it has the small policies and no LLM; `folder` has its data and its log.
    """
    return _start_api


@pytest.fixture(scope="session")
def admin_headers() -> Callable[[str], dict[str, str]]:
    """The headers of a new key with every scope, in the database at a URL."""

    def headers(database_url: str) -> dict[str, str]:
        database = open_database(database_url)
        key = Tenants(database).create(*ADMIN)
        database.dispose()
        return {"Authorization": f"Bearer {key}"}

    return headers


@contextmanager
def _start_api(folder: Path, *, within: Sequence[str] = (), **settings: object) -> Iterator[Api]:
    defaults = {
        "policies_dir": SMALL_POLICIES, "data_dir": folder, "llm_url": "http://127.0.0.1:9/v1", "port": _free_port(),
        "keyless": True,
    }  # fmt: skip
    environment = {f"PROPRIETY_{name.upper()}": str(value) for name, value in {**defaults, **settings}.items()}
    with (folder / "api.log").open("ab") as log:
        process = subprocess.Popen(
            [*within, sys.executable, "-m", "agent.api.server"],
            env={**os.environ, **environment}, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
        )  # fmt: skip
    url, deadline = f"http://127.0.0.1:{environment['PROPRIETY_PORT']}", time.monotonic() + API_READY_TIMEOUT_S
    try:
        while not _responds(f"{url}/healthz"):
            assert process.poll() is None, (folder / "api.log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.1)
        yield url, process
    finally:
        process.kill()
        process.wait()


def _responds(url: str) -> bool:
    try:
        return httpx.get(url, timeout=5, trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
