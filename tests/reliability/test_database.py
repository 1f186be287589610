"""The database gone and back, not to be written, or on a full disk: nothing is answered that is not in the log."""

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

TREE, NEAREST = "a tree on a hill", "propriety-nearest"
SOON_S, BACK_S, KNOWN_S = 10.0, 10.0, 10.0
AT_ONCE = 12
OBEDIENT = ["setpriv", "--bounding-set", "-dac_override"] if os.geteuid() == 0 else []  # root heeds permissions too


def asked_at_once(api: Any) -> list[httpx.Response]:
    with ThreadPoolExecutor(AT_ONCE) as callers:
        return list(callers.map(lambda _: api.ask(TREE, NEAREST), range(AT_ONCE)))


def check_every_answer_is_a_503_that_allows_nothing(api: Any) -> None:
    answers = asked_at_once(api)
    for answer in answers:
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "database_unavailable")
        assert "verdict" not in answer.json()["error"]
    assert max(answer.elapsed.total_seconds() for answer in answers) < SOON_S
    assert api.client.get("/healthz").status_code == 200


def check_it_is_known(api: Any, wait_until: Callable[..., float]) -> None:
    wait_until(lambda: api.ready()[0] == 503 and api.ready()[1]["database"].startswith("failed: "), KNOWN_S)


def check_it_comes_back(api: Any, wait_until: Callable[..., float]) -> None:
    seconds = wait_until(lambda: api.ask(TREE, NEAREST).status_code == 200, BACK_S)
    print(f"back after {seconds:.1f} s")
    wait_until(lambda: api.ready()[1]["database"] == "ok", KNOWN_S)


def test_postgresql_gone_and_back(serve: Any, postgres: Any, tmp_path: Path, wait_until: Any) -> None:
    with serve(tmp_path, database_url=postgres.new_database()) as api:
        before = api.decision(TREE, NEAREST)["id"]
        postgres.stop()
        try:
            check_every_answer_is_a_503_that_allows_nothing(api)
            check_it_is_known(api, wait_until)
        finally:
            postgres.start()
        check_it_comes_back(api, wait_until)
        assert api.logged(before)
        assert api.logged(api.decision(TREE, NEAREST)["id"])


def test_a_full_disk_and_room_again(serve: Any, tmp_path: Path, wait_until: Any) -> None:
    """The process may write into no file, which a database is told as it is told of a full disk."""
    with serve(tmp_path) as api:
        answered = [api.decision(TREE, NEAREST)["id"]]
        with no_room(api.process.pid):
            check_every_answer_is_a_503_that_allows_nothing(api)
            check_it_is_known(api, wait_until)
        check_it_comes_back(api, wait_until)
        answered += [api.decision(TREE, NEAREST)["id"] for _ in range(3)]
        assert all(api.logged(verdict) for verdict in answered)
    with sqlite3.connect(tmp_path / "propriety.db") as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


@contextmanager
def no_room(process: int) -> Iterator[None]:
    before = resource.prlimit(process, resource.RLIMIT_FSIZE)
    resource.prlimit(process, resource.RLIMIT_FSIZE, (0, before[1]))
    try:
        yield
    finally:
        resource.prlimit(process, resource.RLIMIT_FSIZE, before)


def test_sqlite_that_cannot_be_written_and_can_again(serve: Any, tmp_path: Path, wait_until: Any) -> None:
    """Files that are open stay writable, and what is opened later is not."""
    with serve(tmp_path, within=OBEDIENT) as api:
        answered = [api.decision(TREE, NEAREST)["id"]]
        files = [path for path in tmp_path.iterdir() if path.name.startswith("propriety.db")]
        chmod(files, 0o444)
        during = asked_at_once(api)
        assert {answer.status_code for answer in during} <= {200, 503}
        chmod(files, 0o644)
        check_it_comes_back(api, wait_until)
        after = asked_at_once(api)
        assert {answer.status_code for answer in after} == {200}
        decided = [answer.json()["results"][0]["decision"] for answer in during + after if answer.is_success]
        assert all(api.logged(verdict) for verdict in answered + [decision["id"] for decision in decided])


def test_sqlite_that_cannot_be_written_is_not_served(serve: Any, tmp_path: Path) -> None:
    with serve(tmp_path):
        pass
    chmod([path for path in tmp_path.iterdir() if path.name.startswith("propriety.db")], 0o444)
    with pytest.raises(AssertionError, match="attempt to write a readonly database"), serve(tmp_path, within=OBEDIENT):
        pass


def chmod(files: list[Path], mode: int) -> None:
    for path in files:
        path.chmod(mode)
