"""Idle and slow connections, by the thousand: other callers get responses, and those connections are closed in time."""

import resource
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from agent.api.server import REQUEST_HEAD_TIMEOUT_S, RESERVED_FILES

CONNECTIONS, OWN_FILES, FEW_FILES = 10_000, 500, 1_024
SOON_S, CLOSED_WITHIN_S = 5.0, REQUEST_HEAD_TIMEOUT_S + 15
TREE, NEAREST = "a tree on a hill", "propriety-nearest"
SHORT_TIMEOUT_S = 1.0
SHORT_TIMEOUT = f"from agent.api import server; server.REQUEST_HEAD_TIMEOUT_S = {SHORT_TIMEOUT_S}; server.main()"


@pytest.fixture
def many_files() -> Iterator[None]:
    """Lets this process open a file for each connection, or skips the test."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = CONNECTIONS + OWN_FILES
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), max(hard, wanted)))
    except (OSError, ValueError):
        pytest.skip(f"the limit of open files is {hard}, and {wanted} are needed: raise `ulimit -Hn`")
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@contextmanager
def connected(api: Any, count: int) -> Iterator[list[socket.socket]]:
    url = httpx.URL(api.url)
    connections = [socket.create_connection((url.host, url.port), timeout=SOON_S) for _ in range(count)]
    try:
        yield connections
    finally:
        for connection in connections:
            connection.close()


def is_closed(connection: socket.socket) -> bool:
    connection.setblocking(False)
    try:
        return connection.recv(1) == b""
    except BlockingIOError:
        return False
    except ConnectionResetError:
        return True


def open_files(api: Any) -> int:
    return len(list(Path(f"/proc/{api.process.pid}/fd").iterdir()))


def check_it_responds(api: Any) -> None:
    started = time.monotonic()
    with httpx.Client(base_url=api.url, timeout=SOON_S, trust_env=False) as newcomer:
        assert newcomer.get("/healthz").status_code == 200
    assert api.decision(TREE, NEAREST)["action"] == "allow"
    assert time.monotonic() - started < SOON_S


def test_ten_thousand_idle_connections(
    serve: Any, many_files: None, tmp_path: Path, wait_until: Callable[..., float]
) -> None:
    with serve(tmp_path) as api:
        check_it_responds(api)
        before = open_files(api)
        with connected(api, CONNECTIONS) as connections:
            check_it_responds(api)
            assert open_files(api) > CONNECTIONS - before
            seconds = wait_until(lambda: all(map(is_closed, connections)), CLOSED_WITHIN_S)
            print(f"back after {seconds:.1f} s")
            wait_until(lambda: open_files(api) <= before + OWN_FILES, SOON_S)
            check_it_responds(api)


def test_more_connections_than_open_files_allowed(serve: Any, tmp_path: Path, wait_until: Callable[..., float]) -> None:
    with serve(tmp_path, within=["prlimit", f"--nofile={FEW_FILES}:{FEW_FILES}"]) as api:
        check_it_responds(api)
        with connected(api, 2 * FEW_FILES) as connections:
            closed = 2 * FEW_FILES - (FEW_FILES - RESERVED_FILES)
            wait_until(lambda: sum(map(is_closed, connections)) >= closed, SOON_S)
            assert open_files(api) < FEW_FILES - RESERVED_FILES / 2, "files are left for the database and the LLM"
            with pytest.raises(httpx.TransportError):
                httpx.get(f"{api.url}/healthz", timeout=SOON_S, trust_env=False)
            seconds = wait_until(lambda: all(map(is_closed, connections)), CLOSED_WITHIN_S)
            print(f"back after {seconds:.1f} s")
            check_it_responds(api)


def test_a_request_head_sent_letter_by_letter_is_cut_off(serve: Any, tmp_path: Path) -> None:
    with serve(tmp_path, within=[sys.executable, "-c", SHORT_TIMEOUT]) as api, connected(api, 1) as (connection,):
        connection.sendall(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n")
        response = b""
        while not response.endswith(b"}"):
            response += connection.recv(4096)
        assert response.startswith(b"HTTP/1.1 200")
        connection.sendall(b"GET /healthz HTTP/1.1\r\nhost: ")
        connection.settimeout(SHORT_TIMEOUT_S / 10)
        started, end = time.monotonic(), None
        while end is None:
            assert time.monotonic() - started < SHORT_TIMEOUT_S + SOON_S
            try:
                connection.sendall(b"x")
                end = connection.recv(4096)
            except TimeoutError:
                pass
            except ConnectionError:
                end = b""
        assert end == b""
