"""Callers that disconnect before the response, or in the middle of it, free their slot for the next request."""

import json
import socket
import struct
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from agent.store.database import open_database
from agent.store.tenants import Scope, Tenants, Terms
from propriety.verdict import Detector

LEAVING_CALLERS, SOON_S = 20, 10.0


@pytest.fixture(scope="module")
def api(serve: Any, llm: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """An API whose tenant may make one request at a time."""
    folder = tmp_path_factory.mktemp("api")
    database = open_database(f"sqlite:///{folder}/propriety.db")
    terms = Terms(scopes=[Scope.MODERATE], detector=Detector.LLM, per_minute=None, concurrent=1)
    key = Tenants(database).create("acme", terms)
    operator = Tenants(database).create("operator", Terms(scopes=[Scope.ADMIN]))
    database.dispose()
    with serve(folder, llm_url=llm.url) as api:
        api.client.headers["Authorization"] = f"Bearer {key}"
        api.operator = {"Authorization": f"Bearer {operator}"}
        yield api


def begin_chat(api: Any, conversation: str) -> socket.socket:
    """Send a streaming chat request and leave the response unread."""
    chat = {"messages": [{"role": "user", "content": "a bottle in a kitchen"}], "stream": True,
            "model": "propriety-llm", "locale": "ar-SA", "conversation_id": conversation}  # fmt: skip
    body, address = json.dumps(chat).encode(), httpx.URL(api.url)
    connection = socket.create_connection((address.host, address.port))
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # closing sends a reset
    head = [
        "POST /v1/chat/completions HTTP/1.1", "host: localhost", "content-type: application/json",
        f"authorization: {api.client.headers['Authorization']}", f"content-length: {len(body)}", "", "",
    ]  # fmt: skip
    connection.sendall("\r\n".join(head).encode() + body)
    return connection


def is_judging(api: Any) -> bool:
    """Whether a request is in progress, in addition to this one for the metrics."""
    return "propriety_requests_in_progress 2.0" in api.client.get("/metrics", headers=api.operator).text


def check_the_slot_is_free(api: Any, wait_until: Any) -> None:
    seconds = wait_until(lambda: api.ask().status_code != 429, SOON_S)
    print(f"back after {seconds:.1f} s")
    assert api.decision()["status"] == "ok"


def test_a_caller_that_leaves_during_judgement_frees_its_slot(api: Any, llm: Any, wait_until: Any) -> None:
    llm.fail("late")
    connection = begin_chat(api, "judged")
    wait_until(lambda: is_judging(api), SOON_S)
    assert api.ask().status_code == 429
    connection.close()
    llm.fail("")
    check_the_slot_is_free(api, wait_until)
    assert api.client.delete("/v1/conversations/judged").status_code == 200, "the decision is kept"


def test_callers_that_leave_in_the_middle_of_a_stream_free_their_slot(api: Any, wait_until: Any) -> None:
    for number in range(LEAVING_CALLERS):
        connection = begin_chat(api, f"streamed-{number}")
        assert connection.recv(16).startswith(b"HTTP/1.1 200")
        connection.close()
        wait_until(lambda: api.ask().status_code != 429, SOON_S)
    check_the_slot_is_free(api, wait_until)
    for number in range(LEAVING_CALLERS):
        assert api.client.delete(f"/v1/conversations/streamed-{number}").status_code == 200
