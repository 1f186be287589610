"""The server over raw connections: heads without end, and connections that a proxy keeps."""

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import httpx
import pytest

from agent.api.server import HEAD_TOO_LARGE, KEEP_ALIVE_S, MAX_HEAD
from agent.store.database import open_database
from agent.store.tenants import Scope, Tenants, Terms

PROXY_KEEP_ALIVE_S = 60  # nginx's `keepalive_timeout` of an upstream, and the idle timeout of AWS's load balancer
MAX_FLOOD, LARGER = 8 << 20, 1 << 20  # bytes
GET = b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n"


@pytest.fixture(scope="module")
def served(
    start_api: Callable[..., AbstractContextManager[Any]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, Any, str]]:
    """The URL of a server, its process and a tenant's key."""
    folder: Path = tmp_path_factory.mktemp("served")
    database = open_database(f"sqlite:///{folder}/propriety.db")
    key = Tenants(database).create("acme", Terms(scopes=[Scope.MODERATE]))
    database.dispose()
    with start_api(folder) as (url, process):
        yield url, process, key


@pytest.fixture
def connection(served: tuple[str, Any, str]) -> Iterator[socket.socket]:
    url = httpx.URL(served[0])
    with socket.create_connection((url.host, url.port), timeout=20) as connection:
        yield connection


def memory_mib(process: Any) -> int:
    """The most memory that a process has had."""
    lines = Path(f"/proc/{process.pid}/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) >> 10 for line in lines if line.startswith("VmHWM:"))


def poured(connection: socket.socket, beginning: bytes, piece: bytes) -> int:
    """How many bytes the server took before it closed the connection, at most `MAX_FLOOD`."""
    sent = 0
    try:
        connection.sendall(beginning)
        while sent < MAX_FLOOD:
            connection.sendall(piece)
            sent += len(piece)
            time.sleep(0.001)
    except OSError:
        pass
    return sent


@pytest.mark.parametrize(
    ("beginning", "piece"),
    [(b"GET /", b"a" * 8192), (GET + b"x: ", b"a" * 8192), (GET, b"x: y\r\n" * 1024), (b"a" * 100, b"a" * 8192)],
    ids=["url", "header", "headers", "method"],
)
def test_a_request_head_without_end_is_cut_off_before_it_fills_the_memory(served, connection, beginning, piece):
    before = memory_mib(served[1])
    assert poured(connection, beginning, piece) < MAX_FLOOD
    assert memory_mib(served[1]) - before < 32
    assert httpx.get(f"{served[0]}/healthz").status_code == 200


def test_trailers_without_end_are_cut_off(served, connection):
    url, process, key = served
    head = f"POST /v1/moderations HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {key}\r\n"
    beginning = f"{head}content-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{{}}\r\n0\r\n"
    before = memory_mib(process)
    assert poured(connection, beginning.encode(), b"x: y\r\n" * 1024) < MAX_FLOOD
    assert memory_mib(process) - before < 32
    assert httpx.get(f"{url}/healthz").status_code == 200


def test_a_head_that_is_too_large_gets_a_431(connection):
    connection.sendall(GET + b"x: " + b"a" * MAX_HEAD)
    time.sleep(0.5)
    assert connection.recv(4096) == HEAD_TOO_LARGE


def test_a_large_body_does_not_count_as_head(served):
    url, _, key = served
    pieces = (b" " * 1024 for _ in range(LARGER // 1024 - 1))
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json", "Cookie": "a" * (MAX_HEAD // 2)}
    with httpx.Client(base_url=url, headers=headers) as client:
        for content in (pieces, b" " * LARGER):
            assert client.post("/v1/moderations", content=content).json()["error"]["code"] == "invalid_json"


def test_a_proxy_closes_an_idle_connection_before_the_server_does(served, connection):
    """Otherwise a request that a proxy sends at that moment is lost, and its caller gets a 502."""
    assert KEEP_ALIVE_S > PROXY_KEEP_ALIVE_S
    connection.sendall(GET + b"\r\n")
    while not connection.recv(4096).endswith(b"}"):
        pass
    connection.settimeout(7)  # uvicorn's own limit is 5 s
    with pytest.raises(TimeoutError):
        connection.recv(1)
