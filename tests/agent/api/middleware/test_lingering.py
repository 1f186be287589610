"""Refused while it sends: the answer must not be lost, as it is when TCP resets the connection."""

import socket
import time
from contextlib import suppress

import httpx
import pytest

from agent.api.middleware import lingering
from agent.api.middleware.lingering import LINGER_S

SENT = 16 << 20  # bytes; more than the system keeps for a connection
KEYLESS, FOREIGN = "localhost", "guard.example.org"  # by a foreign name, nobody is served without a key


@pytest.mark.parametrize(("host", "status"), [(FOREIGN, 401), (KEYLESS, 413)])
@pytest.mark.parametrize("chunked", [False, True], ids=["announced", "chunked"])
def test_a_caller_that_sends_all_of_a_refused_body_gets_the_answer(url, host, status, chunked):
    head = f"POST /v1/moderations HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\n"
    head += "transfer-encoding: chunked\r\n\r\n" if chunked else f"content-length: {SENT}\r\n\r\n"
    address = httpx.URL(url)
    for _ in range(3):
        with socket.create_connection((address.host, address.port), timeout=LINGER_S * 2) as caller:
            caller.sendall(head.encode())
            for _ in range(SENT >> 16):
                caller.sendall(b"10000\r\n" + b" " * 65536 + b"\r\n" if chunked else b" " * 65536)
            assert caller.recv(65536).startswith(f"HTTP/1.1 {status} ".encode())


def test_a_body_that_never_ends_is_not_read_for_longer(url, monkeypatch):
    monkeypatch.setattr(lingering, "LINGER_S", 0.3)
    address, started = httpx.URL(url), time.monotonic()
    with socket.create_connection((address.host, address.port), timeout=LINGER_S) as caller:
        caller.sendall(f"POST /v1/moderations HTTP/1.1\r\nhost: {FOREIGN}\r\ncontent-length: {SENT}\r\n\r\n".encode())
        with suppress(ConnectionError):
            while time.monotonic() - started < LINGER_S:
                caller.sendall(b" ")
                time.sleep(0.01)
    assert 0.3 <= time.monotonic() - started < LINGER_S


def test_a_refusal_without_a_body_is_answered_at_once(url):
    started = time.monotonic()
    assert httpx.get(f"{url}/v1/models", headers={"Host": FOREIGN}).status_code == 401
    assert time.monotonic() - started < LINGER_S / 2
