"""The database is stopped, read-only, or on a full disk: no response contains a decision that is not in the log."""

import os
import resource
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from agent.store.database import open_database

TREE, NEAREST = "a tree on a hill", "propriety-nearest"
SOON_S, BACK_WITHIN_S, KNOWN_WITHIN_S = 10.0, 10.0, 10.0
CALLERS = 12
# Without this capability, permissions bind root too.
BOUND_BY_PERMISSIONS = ["setpriv", "--bounding-set", "-dac_override"] if os.geteuid() == 0 else []


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("api")


@pytest.fixture(scope="module")
def sqlite_api(serve: Any, folder: Path) -> Iterator[Any]:
    with serve(folder, within=BOUND_BY_PERMISSIONS) as api:
        yield api


def ask_at_once(api: Any) -> list[httpx.Response]:
    with ThreadPoolExecutor(CALLERS) as callers:
        return list(callers.map(lambda _: api.ask(TREE, NEAREST), range(CALLERS)))


def check_every_response_is_503_without_a_verdict(api: Any) -> None:
    responses = ask_at_once(api)
    for response in responses:
        assert (response.status_code, response.json()["error"]["code"]) == (503, "database_unavailable")
        assert "verdict" not in response.json()["error"]
    assert max(response.elapsed.total_seconds() for response in responses) < SOON_S
    assert api.client.get("/healthz").status_code == 200


def check_readyz_reports_it(api: Any, wait_until: Callable[..., float]) -> None:
    wait_until(lambda: api.ready()[0] == 503 and api.ready()[1]["database"].startswith("failed: "), KNOWN_WITHIN_S)


def check_it_comes_back(api: Any, wait_until: Callable[..., float]) -> None:
    seconds = wait_until(lambda: api.ask(TREE, NEAREST).status_code == 200, BACK_WITHIN_S)
    print(f"back after {seconds:.1f} s")
    wait_until(lambda: api.ready()[1]["database"] == "ok", KNOWN_WITHIN_S)


def test_postgresql_stopped_and_started_again(serve: Any, postgres: Any, tmp_path: Path, wait_until: Any) -> None:
    with serve(tmp_path, database_url=postgres.new_database()) as api:
        before = api.decision(TREE, NEAREST)["id"]
        postgres.stop()
        try:
            check_every_response_is_503_without_a_verdict(api)
            check_readyz_reports_it(api, wait_until)
        finally:
            postgres.start()
        check_it_comes_back(api, wait_until)
        assert api.is_logged(before)
        assert api.is_logged(api.decision(TREE, NEAREST)["id"])


def test_a_full_disk_that_has_space_again(sqlite_api: Any, folder: Path, wait_until: Any) -> None:
    """The process may not extend any file, which a database reports in the same way as a full disk."""
    logged = [sqlite_api.decision(TREE, NEAREST)["id"]]
    with no_space(sqlite_api.process.pid):
        check_every_response_is_503_without_a_verdict(sqlite_api)
        check_readyz_reports_it(sqlite_api, wait_until)
    check_it_comes_back(sqlite_api, wait_until)
    logged += [sqlite_api.decision(TREE, NEAREST)["id"] for _ in range(3)]
    assert all(sqlite_api.is_logged(verdict) for verdict in logged)
    with sqlite3.connect(folder / "propriety.db") as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


@contextmanager
def no_space(process: int) -> Iterator[None]:
    before = resource.prlimit(process, resource.RLIMIT_FSIZE)
    resource.prlimit(process, resource.RLIMIT_FSIZE, (0, before[1]))
    try:
        yield
    finally:
        resource.prlimit(process, resource.RLIMIT_FSIZE, before)


def test_sqlite_files_made_read_only_and_writable_again(sqlite_api: Any, folder: Path, wait_until: Any) -> None:
    """Open files stay writable; files opened later are read-only."""
    before = sqlite_api.decision(TREE, NEAREST)["id"]
    files = database_files(folder)
    chmod(files, 0o444)
    during = ask_at_once(sqlite_api)
    assert {response.status_code for response in during} <= {200, 503}
    chmod(files, 0o644)
    check_it_comes_back(sqlite_api, wait_until)
    after = ask_at_once(sqlite_api)
    assert {response.status_code for response in after} == {200}
    decisions = [response.json()["results"][0]["decision"] for response in during + after if response.is_success]
    assert all(sqlite_api.is_logged(verdict) for verdict in [before, *(decision["id"] for decision in decisions)])


def test_the_api_does_not_start_on_a_read_only_database(serve: Any, tmp_path: Path) -> None:
    open_database(f"sqlite:///{tmp_path}/propriety.db").dispose()
    chmod(database_files(tmp_path), 0o444)
    with (
        pytest.raises(AssertionError, match="attempt to write a readonly database"),
        serve(tmp_path, within=BOUND_BY_PERMISSIONS),
    ):
        pass


def database_files(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.name.startswith("propriety.db")]


def chmod(files: list[Path], mode: int) -> None:
    for path in files:
        path.chmod(mode)
