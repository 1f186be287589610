"""Thousands of connections that ask nothing, or ask slowly: others are answered, and those are closed in time."""

import resource
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from agent.api.server import HEAD_S, SPARE

MANY, OWN_FILES, FEW_FILES = 10_000, 500, 1_024
SOON_S, CLOSED_S = 5.0, HEAD_S + 15
TREE, NEAREST = "a tree on a hill", "propriety-nearest"


@pytest.fixture
def many_files() -> Iterator[None]:
    """This process may open as many, or it is skipped."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MANY + OWN_FILES
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), max(hard, wanted)))
    except (OSError, ValueError):
        pytest.skip(f"{hard} open files are allowed here and {wanted} are needed: raise `ulimit -Hn`")
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@contextmanager
def connected(api: Any, count: int) -> Iterator[list[socket.socket]]:
    url = httpx.URL(api.url)
    lines = [socket.create_connection((url.host, url.port), timeout=SOON_S) for _ in range(count)]
    try:
        yield lines
    finally:
        for line in lines:
            line.close()


def is_closed(line: socket.socket) -> bool:
    line.setblocking(False)
    try:
        return line.recv(1) == b""
    except BlockingIOError:
        return False
    except ConnectionResetError:
        return True


def files_of(api: Any) -> int:
    return len(list(Path(f"/proc/{api.process.pid}/fd").iterdir()))


def check_it_answers(api: Any) -> None:
    started = time.monotonic()
    with httpx.Client(base_url=api.url, timeout=SOON_S, trust_env=False) as newcomer:
        assert newcomer.get("/healthz").status_code == 200
    assert api.decision(TREE, NEAREST)["action"] == "allow"
    assert time.monotonic() - started < SOON_S


def test_ten_thousand_that_ask_nothing(
    serve: Any, many_files: None, tmp_path: Path, wait_until: Callable[..., float]
) -> None:
    with serve(tmp_path) as api:
        check_it_answers(api)
        before = files_of(api)
        with connected(api, MANY) as lines:
            check_it_answers(api)
            assert files_of(api) > MANY - before
            seconds = wait_until(lambda: all(map(is_closed, lines)), CLOSED_S)
            print(f"back after {seconds:.1f} s")
            wait_until(lambda: files_of(api) <= before + OWN_FILES, SOON_S)
            check_it_answers(api)


def test_more_than_there_are_files_for(serve: Any, tmp_path: Path, wait_until: Callable[..., float]) -> None:
    with serve(tmp_path, within=["prlimit", f"--nofile={FEW_FILES}:{FEW_FILES}"]) as api:
        check_it_answers(api)
        with connected(api, 2 * FEW_FILES) as lines:
            wait_until(lambda: sum(map(is_closed, lines)) >= 2 * FEW_FILES - (FEW_FILES - SPARE), SOON_S)
            assert files_of(api) < FEW_FILES - SPARE / 2, "files are left for the database and the LLM"
            with pytest.raises(httpx.TransportError):
                httpx.get(f"{api.url}/healthz", timeout=SOON_S, trust_env=False)
            seconds = wait_until(lambda: all(map(is_closed, lines)), CLOSED_S)
            print(f"back after {seconds:.1f} s")
            check_it_answers(api)


def test_a_question_that_comes_letter_by_letter_is_not_waited_for(serve: Any, tmp_path: Path) -> None:
    with serve(tmp_path) as api, connected(api, 1) as (line,):
        line.sendall(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n")
        answer = b""
        while not answer.endswith(b"}"):
            answer += line.recv(4096)
        assert answer.startswith(b"HTTP/1.1 200")
        line.sendall(b"GET /healthz HTTP/1.1\r\nhost: ")
        line.settimeout(0.5)
        begun, told = time.monotonic(), None
        while told is None:
            assert time.monotonic() - begun < CLOSED_S
            try:
                line.sendall(b"x")
                told = line.recv(4096)
            except TimeoutError:
                pass
            except ConnectionError:
                told = b""
        assert told == b""
